"""The report of an audit, opened as a file in a browser with no network."""

import pytest

import cemag
from cemag.auditing import digits_example
from tests.in_browser import CHROMIUM, DRAWN, contrast

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    example = digits_example()
    audit = cemag.audit(example.factors, class_counts=example.class_counts)
    return audit.report(tmp_path_factory.mktemp("report") / "audit.html", book="https://example.org/book")


@pytest.fixture(params=["light", "dark"])
def page(request, report, browser):
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1200, "height": 900})
    context.set_default_timeout(20_000)
    context.set_offline(True)
    page = context.new_page()
    page.errors, page.scheme = [], request.param
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
    page.on("requestfailed", lambda asked: page.errors.append(f"it asks for {asked.url}"))
    page.goto(report.as_uri())
    page.wait_for_function(
        "[...document.querySelectorAll('.chart')].every(c => c.querySelector('svg.marks'))"
    )
    yield page
    context.close()


def column(page, table, place):
    return page.locator(f"#{table}-table tbody tr td:nth-child({place})").all_inner_texts()


def required(page):
    """CEs required of each class, as they stand; beside each is its interval, in brackets."""
    texts = column(page, "classes", 9)
    assert all(" to " in text for text in texts)
    return [float(text.split(" (")[0]) for text in texts]


def test_every_chart_is_drawn_and_nothing_goes_wrong(page):
    charts = page.locator(".chart").evaluate_all(DRAWN)
    assert len(charts) == 5
    for chart in charts:
        assert chart["marks"] > 0
        assert chart["width"] > 300
    assert page.errors == []


def test_tables_are_sorted_and_sort_again_by_keyboard(page):
    needed = required(page)
    assert needed == sorted(needed)
    head = page.locator("#classes-table th", has_text="CEs required")
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert required(page) == sorted(needed, reverse=True)
    page.locator("#classes-table th button", has_text="role").press("Space")
    roles = column(page, "classes", 2)
    assert roles == sorted(roles)
    assert head.get_attribute("aria-sort") == "none"


def test_everything_is_reached_by_tab_and_the_focus_is_seen(page):
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => { const e = document.activeElement, s = getComputedStyle(e);
                return e.tagName + (s.outlineStyle !== 'none' ? '' : ' unseen'); }"""
            )
        )
    assert {"A", "BUTTON", "INPUT", "DIV"} <= reached
    assert not {name for name in reached if "unseen" in name and name.split()[0] in ("BUTTON", "A", "INPUT")}


def test_rows_are_filtered_by_what_is_typed(page):
    page.locator("input[data-filters=classes-table]").fill("minority")
    assert page.locator("#classes-table tbody tr:visible").count() == 5


def test_text_stands_out_in_both_schemes(page):
    for selector in ("body", ".soft", "a", "th button", ".chart svg.marks text"):
        ink, paper = page.evaluate(
            """selector => {
              const element = document.querySelector(selector), style = getComputedStyle(element);
              let under = element, colour = "rgba(0, 0, 0, 0)";
              while (under && /, 0\\)$/.test(colour)) { colour = getComputedStyle(under).backgroundColor;
                under = under.parentElement; }
              const ink = element.tagName === "text" ? style.fill : style.color;
              return [ink, colour].map(c => c.match(/[\\d.]+/g).slice(0, 3).map(Number));
            }""",
            selector,
        )
        assert contrast(ink, paper) > 4.5, selector
        assert (sum(paper) < 250) == (page.scheme == "dark"), selector


def test_findings_lead_to_the_book(page):
    links = page.locator("#findings a").evaluate_all("all => all.map(link => link.href)")
    assert len(links) == page.locator("#findings li strong").count() >= 5
    assert all(link.startswith("https://example.org/book/notebooks/") for link in links)
