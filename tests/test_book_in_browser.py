"""The built book, in a browser with no network: every chart drawn, nothing fetched from elsewhere."""

import threading
from pathlib import Path

import pytest

from cemag.reproduction.publishing import build_book, html_folder
from cemag.reproduction.publishing.serve import make_server
from tests.in_browser import CHROMIUM, DRAWN, contrast

ROOT = Path(__file__).parents[1]
# Jupyter Book 1 declares a constant of its own twice on each page
NOT_OURS = ("THEBE_JS_URL",)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="session")
def book():
    """Serve the quick book, brought up to date first."""
    build_book(ROOT)
    with make_server(html_folder(ROOT)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(params=["light", "dark"])
def page(request, book, browser):
    """A page that refuses every other host and notes what went wrong."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1300, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.elsewhere, page.errors, page.scheme = [], [], request.param

    def guard(route):
        if route.request.url.startswith((book, "data:", "blob:")):
            route.continue_()
        else:
            page.elsewhere.append(route.request.url)
            route.abort()

    page.route("**/*", guard)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
    yield page
    context.close()


def pages():
    listed = [p.stem for p in sorted((ROOT / "notebooks").glob("*.md"))]
    prose = [p.stem for p in sorted((ROOT / "book").glob("*.md"))]
    return [f"book/{name}.html" for name in prose] + [f"notebooks/{name}.html" for name in listed]


def ours(errors):
    # a browser asks for a favicon by itself, and the theme complains of a first visit
    known = (*NOT_OURS, "favicon", "404 (File not found)", "invalid theme mode")
    return [error for error in errors if not any(text in error for text in known)]


@pytest.mark.parametrize("name", pages())
def test_page_is_whole_without_a_network(page, book, name):
    assert page.goto(book + name).ok
    page.wait_for_load_state("load")
    charts = page.locator(".cemag-chart")
    if charts.count():
        page.wait_for_function(
            "[...document.querySelectorAll('.cemag-chart')].every(c => c.querySelector('svg'))"
        )
    for chart in charts.evaluate_all(DRAWN):
        assert chart["marks"] >= 4, chart
        assert min(chart["width"], chart["height"]) > 100, chart
    assert page.elsewhere == []
    assert ours(page.errors) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


CHARTS = {"logistic": 9, "svm": 9, "cnn": 5, "cnn_required": 7, "cnn_frequency": 3}


def test_result_chapters_have_all_their_charts(page, book):
    for name, n in CHARTS.items():
        page.goto(f"{book}notebooks/{name}.html")
        assert page.locator(".cemag-chart svg.marks").count() == n
        assert page.locator("figcaption").count() == n
        assert "claim" in page.locator("table.cemag-verdicts").inner_text()


def test_the_scorecard_has_a_row_a_claim_and_family_that_leads_to_its_chapter_runs_and_data(page, book):
    page.goto(book + "notebooks/scorecard.html")
    assert page.locator(".cemag-chart svg.marks").count() == 2
    table = page.locator("table.cemag-verdicts")
    assert table.locator("tbody tr.cemag-claim").count() == 7
    rows = table.locator("tbody tr:not(.cemag-claim)")
    assert rows.count() == 21
    for i in range(21):
        assert rows.nth(i).locator(".verdict").count() >= 1
        assert rows.nth(i).locator("a").all_inner_texts() == ["chapter", "runs", "data"]
    links = set(table.locator("a").evaluate_all("all => all.map(link => link.href.split('#')[0])"))
    assert all(page.request.get(link).ok for link in links)
    anchors = table.locator("a").evaluate_all("all => all.map(link => link.getAttribute('href'))")
    assert all(page.locator(a).count() == 1 for a in anchors if a.startswith("#"))
    rows.first.locator("summary").click()
    assert "cemag grid" in rows.first.inner_text()


def test_the_report_of_an_audit_is_shown_and_offered(page, book):
    page.goto(book + "notebooks/audit.html")
    frame = page.frame_locator("iframe.cemag-report")
    page.locator("iframe.cemag-report").scroll_into_view_if_needed()
    frame.locator("h1").wait_for()
    frame.locator(".chart svg.marks").first.wait_for()
    assert page.locator("a[download='audit.html']").count() == 1


def test_a_control_changes_its_chart(page, book):
    page.goto(book + "notebooks/logistic.html")
    chart = page.locator(".cemag-chart", has=page.locator("select[name=choose_unit]")).first
    chart.locator("svg.marks").wait_for()
    before = chart.locator("svg.marks").inner_html()
    chart.locator("select[name=choose_unit]").select_option("number of CEs")
    page.wait_for_timeout(500)
    assert chart.locator("svg.marks").inner_html() != before


def test_a_reader_chooses_a_class_and_hovers_for_a_feature(page, book):
    page.goto(book + "notebooks/cnn_frequency.html")
    chart = page.locator(".cemag-chart", has=page.locator("select[name=choose_label]"))
    bars = chart.locator("svg.marks .mark-rect.role-mark path")
    bars.first.wait_for()
    before = bars.evaluate_all("all => all.map(bar => bar.getAttribute('d'))")
    assert len(before) == 64
    options = chart.locator("select[name=choose_label] option").all_inner_texts()
    assert len(options) >= 10
    chart.locator("select[name=choose_label]").select_option(options[9])
    page.wait_for_timeout(500)
    assert bars.evaluate_all("all => all.map(bar => bar.getAttribute('d'))") != before
    bars.first.hover(force=True)  # cells of the nearest feature lie above the bars, and answer for them
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "feature" in tooltip.inner_text()
    assert "mean_ce" in tooltip.inner_text()


def test_pictures_of_the_gallery_are_shown(page, book):
    page.goto(book + "notebooks/cnn.html")
    pictures = page.locator("table.cemag-gallery img")
    assert pictures.count() > 20
    assert pictures.evaluate_all("all => all.every(image => image.naturalWidth >= 8 && image.alt)")


def test_chart_text_stands_out_from_the_page(page, book):
    page.goto(book + "notebooks/embeddings.html")
    page.locator(".cemag-chart svg.marks").first.wait_for()
    ink, paper = page.evaluate(
        """() => {
          const text = document.querySelector(".cemag-chart svg.marks text");
          let under = text.closest(".cemag-chart"), colour = "rgba(0, 0, 0, 0)";
          while (under && /, 0\\)$/.test(colour)) { colour = getComputedStyle(under).backgroundColor;
            under = under.parentElement; }
          return [getComputedStyle(text).fill, colour].map(c => c.match(/[\\d.]+/g).slice(0, 3).map(Number));
        }"""
    )
    assert contrast(ink, paper) > 4.5
    assert (sum(paper) < 200) == (page.scheme == "dark")


def test_mathematics_is_drawn_and_numbered(page, book):
    page.goto(book + "notebooks/embeddings.html")
    sizes = page.locator("math[display=block]").evaluate_all(
        "all => all.map(m => m.getBoundingClientRect().width)"
    )
    assert len(sizes) >= 2
    assert min(sizes) > 50
    assert page.locator("div.math .eqno").first.inner_text().startswith("(1)")
    assert not page.locator("math", has_text="\\").count()
