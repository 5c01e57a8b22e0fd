"""The built book, in a browser with no network: charts drawn and described, pages light and for everyone."""

import csv
import re
import threading
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from cemag.metrics import Rule, measure, required
from cemag.reproduction.charts.explorer import name_of
from cemag.reproduction.publishing import build_book, html_folder
from cemag.reproduction.publishing.serve import make_server
from cemag.reproduction.runs import explorables
from tests.in_browser import CHROMIUM, DRAWN, contrast

ROOT = Path(__file__).parents[1]
CHARTS = {"logistic": 9, "svm": 9, "cnn": 5, "cnn_required": 7, "cnn_frequency": 3}
TEXT_PAGE, ANY_PAGE = 400_000, 1_500_000  # bytes that a first visit takes
PLANNED = Rule("magnitude", "shared", "stable", False)
LIVE = "[...document.querySelectorAll('.cemag-chart')].every(c => c.classList.contains('cemag-is-live'))"
SCROLL = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 500) {
    window.scrollTo(0, y);  // charts are drawn when a painted frame shows them: wait for one
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
}"""
SETTLED = """async () => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const changing = document.getAnimations().filter(one => one instanceof CSSTransition);
  await Promise.all(changing.map(one => one.finished.catch(() => null)));
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


@pytest.fixture
def opened(book, browser):
    """Open pages that refuse every other host and note what went wrong."""
    contexts = []

    def open_one(**settings):
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **settings})
        contexts.append(context)
        context.set_default_timeout(60_000)  # a busy machine draws slowly
        page = context.new_page()
        page.elsewhere, page.errors = [], []

        def guard(route):
            if route.request.url.startswith((book, "data:", "blob:")):
                route.continue_()
            else:
                page.elsewhere.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def page(opened):
    return opened()


@pytest.fixture(params=["light", "dark"])
def page_in_both(request, opened):
    page = opened(color_scheme=request.param)
    page.scheme = request.param
    return page


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
def test_page_is_whole_without_a_network_and_has_no_serious_fault_in_light_and_dark(page, book, name):
    sizes = []
    page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", 0))))
    visit(page, book + name)
    for chart in page.locator(".cemag-chart").evaluate_all(DRAWN):
        assert chart["marks"] >= 4, chart
        assert min(chart["width"], chart["height"]) > 100, chart
    if n := CHARTS.get(Path(name).stem):
        assert page.locator(".cemag-live svg.marks").count() == page.locator("figcaption").count() == n
        assert "claim" in page.locator("table.cemag-verdicts").inner_text()
    assert sum(sizes) < ANY_PAGE
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    faults = grave_faults(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    faults |= grave_faults(page, only=["color-contrast", "link-in-text-block"])  # all that the dark changes
    assert faults == set()
    assert page.elsewhere == []
    assert page.errors == []


def grave_faults(page, only=None):
    """Serious and critical faults that axe finds, all of them or those of some rules only."""
    place = find_spec("axe_playwright_python")
    if place is None:
        pytest.skip("axe-playwright-python is not installed")
    page.evaluate(SETTLED)  # a colour that is on its way to another has neither's contrast
    page.evaluate(Path(place.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": only} if only else {})
    return {
        (fault["id"], node["html"][:200])
        for fault in page.evaluate("options => axe.run(document, options)", options)["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    }


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
def test_page_on_a_phone_in_the_dark_says_where_something_is_beyond_its_edge(opened, book, name):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = opened(color_scheme="dark", **phone)
    visit(page, book + name)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.scrollWidth <= 391")
    silent = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article *')].filter(one =>
             /auto|scroll/.test(getComputedStyle(one).overflowX) && one.checkVisibility()
             && one.scrollWidth > one.clientWidth + 1
             && !(one.classList.contains('cemag-scrolls') && one.tabIndex === 0)
           ).map(one => one.outerHTML.slice(0, 120))"""
    )
    assert silent == []
    assert page.elsewhere == []
    assert page.errors == []


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


def test_each_row_of_the_scorecard_leads_to_its_figure_data_runs_and_command(opened, book):
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    visit(page, book + "notebooks/scorecard.html")
    table = page.locator("table.cemag-verdicts")
    assert table.locator("tbody tr.cemag-claim").count() == 7
    rows = table.locator("tbody tr:not(.cemag-claim)")
    assert rows.count() == 21
    names, figures = set(), set()
    for i in range(21):
        row = rows.nth(i)
        assert row.locator(".verdict").count() >= 1
        links = {
            a.inner_text(): a.evaluate("link => link.href") for a in row.locator("td:last-child a").all()
        }
        assert list(links) == ["figure", "data", "runs", "plan"]
        figures.add(links["figure"])
        names.add(row.locator("a[download]").get_attribute("download"))
        cases = list(csv.DictReader(page.request.get(links["data"]).text().splitlines()))
        assert len(cases) >= 3
        assert {"dataset", "contrast", "low", "high", "n", "decision"} <= set(cases[0])
        row.get_by_role("link", name="runs").click()
        behind = page.locator(f"details[id='{links['runs'].partition('#')[2]}']")
        assert behind.evaluate("one => one.open")
        record = behind.locator("li a").first.evaluate("link => link.href")
        assert page.request.get(record).body()[:4] == b"PAR1"
        assert behind.locator("li code").count() >= 3
        command = behind.locator("code.cemag-command").inner_text()
        assert re.match(r"cemag (grid|images) --\w+ ", command)
        behind.get_by_role("button", name="copy the command").click()
        assert page.evaluate("navigator.clipboard.readText()") == command
    assert len(names) == 21
    for target in figures:
        address, _, anchor = target.partition("#")
        assert re.search(rf'<figure\b[^>]*\bid="{anchor}"', page.request.get(address).text()), target


@pytest.mark.parametrize("name", [name for name in pages() if name.startswith("notebooks/")])
def test_each_figure_says_what_it_rests_on_and_how_to_run_it_again(still, book, name):
    still.goto(book + name)
    for figure in still.locator("figure:has(.cemag-chart)").all():
        said = figure.locator("details.cemag-details")
        words = said.text_content()
        assert "rows as CSV" in words
        assert figure.get_attribute("id") in words
        assert (
            said.locator("code.cemag-command").text_content() == f"cemag run {name.removesuffix('.html')}.md"
        )
        caption = figure.locator("figcaption .caption-text").inner_text()
        assert re.match(r"([^.?!]|(?<=\d)\.(?=\d)){15,}", caption)


def test_the_explorer_counts_as_the_package_does_and_the_bias_moves_recall_and_no_ce(opened, book):
    page = opened()
    visit(page, book + "notebooks/explorer.html")
    for one in explorables():
        name = name_of(one)
        page.select_option("[data-part=set]", name)
        page.locator(f".cemag-explorer-live[data-set={name}]").wait_for()
        for model, ce in one.models.items():
            counted = page.evaluate("which => cemagExplorer.counts(...which)", [name, model])
            known = required(ce, ce.classes[ce.predictions]).per_instance
            assert counted == {rule.name: k.tolist() for rule, k in known.items()}, (name, model)
            if model == "none" and name in ("cnn-miniplaces", "logistic-us_crime"):
                _means_are_those_of_measure(one, ce, counted)
        before, after = (
            page.evaluate("which => cemagExplorer.recalls(...which)", [name, "none", s]) for s in (0, 3)
        )
        ce = one.models["none"]
        assert before == pytest.approx(
            [(ce.predictions[one.labels == c] == c).mean() for c in set(one.labels)]
        )
        assert sum(after[c] for c in one.minority) > sum(before[c] for c in one.minority)
    page.locator("section:has-text('Only the bias moves') input[type=range]").last.fill("3")
    said = page.locator(".cemag-effect").inner_text()
    assert re.search(r"Minority recall \d+ % → \d+ %", said)
    assert "that changed: 0 of" in said


def _means_are_those_of_measure(one, ce, counted):
    """The table that `cemag.measure` gives of the same instances has the mean of the same counts."""
    table = measure(ce, ce.classes[one.labels], rules=[PLANNED])["required"].to_pandas()
    right = ce.without_bias().predictions == one.labels
    for c, row in enumerate(table.itertuples()):
        chosen = [
            k
            for k, ok, label in zip(counted[PLANNED.name], right, one.labels, strict=True)
            if ok and label == c
        ]
        assert row.n == len(chosen)
        assert not chosen or row.mean == pytest.approx(sum(chosen) / len(chosen))


def test_the_explorer_is_played_with_by_keyboard_in_a_page_opened_as_a_file(browser, book):
    context = browser.new_context()
    page = context.new_page()
    page.goto((html_folder(ROOT) / "notebooks" / "explorer.html").as_uri())
    page.locator(".cemag-sum-row input").first.focus()
    for _ in range(3):
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
    assert "With 61 of its 64 CEs" in page.locator(".cemag-said").inner_text()
    page.get_by_role("button", name="Drop until it flips").click()
    assert "the prediction flips to" in page.locator(".cemag-said").inner_text()
    page.get_by_role("button", name="keep 1 CEs, first count").first.click()
    assert "it still says" in page.locator(".cemag-said").inner_text()
    page.select_option("[data-part=set]", "logistic-us_crime")
    page.locator(".cemag-sum-row").nth(100).wait_for()
    assert "set=logistic-us_crime" in page.url
    context.close()


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


def test_one_choice_sets_all_charts_of_a_page_and_stays_in_its_address(page, book):
    visit(page, book + "notebooks/logistic.html")
    controls = page.locator("select[name=choose_ranking]")
    assert controls.count() == 3
    controls.first.select_option("signed")
    chosen = (
        "[...document.querySelectorAll('select[name=choose_ranking]')].every(one => one.value === 'signed')"
    )
    page.wait_for_function(chosen)
    assert "ranking=signed" in page.url
    page.reload()
    page.evaluate(SCROLL)
    page.wait_for_function(LIVE)
    page.wait_for_function(chosen)
    assert page.errors == []


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


def test_chart_text_stands_out_from_the_page(page_in_both, book):
    page = page_in_both
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
