"""The built book, in a browser with no network: charts drawn and described, pages light and for everyone."""

import re
import threading
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from cemag.reproduction.publishing import build_book, html_folder
from cemag.reproduction.publishing.serve import make_server
from tests.in_browser import CHROMIUM, DRAWN, contrast

ROOT = Path(__file__).parents[1]
TEXT_PAGE, ANY_PAGE = 400_000, 1_500_000  # bytes that a first visit takes
LIVE = "[...document.querySelectorAll('.cemag-chart')].every(c => c.classList.contains('cemag-is-live'))"
SCROLL = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 500) {
    window.scrollTo(0, y);  // charts are drawn when a painted frame shows them: wait for one
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
}"""

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
    context.set_default_timeout(60_000)  # a busy machine draws slowly
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


def visit(page, address):
    """Open a page and read it to its end, so that all its charts are drawn."""
    assert page.goto(address).ok
    page.wait_for_load_state("load")
    page.evaluate(SCROLL)
    page.wait_for_function(LIVE)


@pytest.mark.parametrize("name", pages())
def test_page_is_whole_without_a_network(page, book, name):
    sizes = []
    page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", 0))))
    visit(page, book + name)
    for chart in page.locator(".cemag-chart").evaluate_all(DRAWN):
        assert chart["marks"] >= 4, chart
        assert min(chart["width"], chart["height"]) > 100, chart
    assert page.elsewhere == []
    assert page.errors == []
    assert sum(sizes) < ANY_PAGE
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


@pytest.mark.parametrize("name", pages())
def test_page_has_no_serious_fault_for_those_who_cannot_see_it_well(page, book, name):
    place = find_spec("axe_playwright_python")
    if place is None:
        pytest.skip("axe-playwright-python is not installed")
    visit(page, book + name)
    page.evaluate(Path(place.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
    grave = {
        (fault["id"], node["html"][:200])
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    }
    assert grave == set()


@pytest.fixture(scope="module")
def still(book, browser):
    """A page in which no script runs."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1300, "height": 900})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", pages())
def test_page_is_light_and_shows_and_describes_every_chart_without_a_script(still, book, name):
    sizes = []
    listener = lambda answer: sizes.append(_on_disk(answer.url, book))  # noqa: E731
    still.on("response", listener)
    assert still.goto(book + name).ok
    still.remove_listener("response", listener)
    drawn = still.locator(".cemag-chart > .cemag-drawn[role=img]")
    assert drawn.count() == still.locator(".cemag-chart").count()
    for i in range(drawn.count()):
        box, words = drawn.nth(i).locator("svg").bounding_box(), drawn.nth(i).get_attribute("aria-label")
        assert min(box["width"], box["height"]) > 100
        assert "Chart: " in words
        assert re.search(r"(Across|Up|Panels|Colours): ", words)
    assert sum(sizes) < (ANY_PAGE if drawn.count() else TEXT_PAGE)


def _on_disk(address, book):
    path = html_folder(ROOT) / re.sub(r"[?#].*", "", address.removeprefix(book))
    return path.stat().st_size if path.is_file() else 0


@pytest.mark.parametrize("name", pages())
def test_page_on_a_phone_says_where_something_is_beyond_its_edge(book, browser, name):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    visit(page, book + name)
    assert page.evaluate("document.documentElement.scrollWidth <= 391")
    silent = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article *')].filter(one =>
             /auto|scroll/.test(getComputedStyle(one).overflowX) && one.checkVisibility()
             && one.scrollWidth > one.clientWidth + 1
             && !(one.classList.contains('cemag-scrolls') && one.tabIndex === 0)
           ).map(one => one.outerHTML.slice(0, 120))"""
    )
    context.close()
    assert silent == []


def test_search_quotes_the_pages_also_when_they_are_opened_as_files(book, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto((html_folder(ROOT) / "search.html").as_uri() + "?q=embedding")
    page.locator("#search-results li p.context").first.wait_for()
    assert "embedding" in page.locator("#search-results").inner_text().lower()
    context.close()


def test_a_chart_is_drawn_in_a_page_opened_as_a_file(book, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto((html_folder(ROOT) / "notebooks" / "embeddings.html").as_uri())
    page.evaluate(SCROLL)
    page.wait_for_function(LIVE)
    context.close()


def test_the_whole_book_prints_to_a_pdf_without_blank_pages(book, tmp_path):
    from cemag.reproduction.publishing import write_pdf

    content = write_pdf(html_folder(ROOT), tmp_path / "book.pdf").read_bytes()
    objects = dict(re.findall(rb"\n(\d+) 0 obj\n?(.*?)\nendobj", content, re.S))
    sheets = [body for body in objects.values() if re.search(rb"/Type /Page\b", body)]
    assert len(sheets) > 30
    for sheet in sheets:
        stream = objects[re.search(rb"/Contents (\d+) 0 R", sheet)[1]]
        drawn = zlib.decompress(re.search(rb"stream\r?\n(.*)\r?\nendstream", stream, re.S)[1])
        assert len(re.findall(rb"\bT[jJ]\b", drawn)) > 3  # the number of the page alone is one


CHARTS = {"logistic": 9, "svm": 9, "cnn": 5, "cnn_required": 7, "cnn_frequency": 3}


def test_result_chapters_have_all_their_charts(page, book):
    for name, n in CHARTS.items():
        visit(page, f"{book}notebooks/{name}.html")
        assert page.locator(".cemag-live svg.marks").count() == n
        assert page.locator("figcaption").count() == n
        assert "claim" in page.locator("table.cemag-verdicts").inner_text()


def test_the_scorecard_has_a_row_a_claim_and_family_that_leads_to_its_chapter_runs_and_data(page, book):
    visit(page, book + "notebooks/scorecard.html")
    assert page.locator(".cemag-live svg.marks").count() == 2
    table = page.locator("table.cemag-verdicts")
    assert table.locator("tbody tr.cemag-claim").count() == 7
    rows = table.locator("tbody tr:not(.cemag-claim)")
    assert rows.count() == 21
    for i in range(21):
        assert rows.nth(i).locator(".verdict").count() >= 1
        assert rows.nth(i).locator("a").all_inner_texts() == ["chapter", "runs", "data", "plan"]
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
    visit(page, book + "notebooks/logistic.html")
    chart = page.locator(".cemag-chart", has=page.locator("select[name=choose_unit]")).first
    chart.locator("svg.marks").wait_for()
    before = chart.locator("svg.marks").inner_html()
    chart.locator("select[name=choose_unit]").select_option("number of CEs")
    page.wait_for_timeout(500)
    assert chart.locator("svg.marks").inner_html() != before


def test_a_reader_chooses_a_class_and_hovers_for_a_feature(page, book):
    visit(page, book + "notebooks/cnn_frequency.html")
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
    visit(page, book + "notebooks/embeddings.html")
    page.locator(".cemag-live svg.marks").first.wait_for()
    ink, paper = page.evaluate(
        """() => {
          const text = document.querySelector(".cemag-live svg.marks text");
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
