"""Pages carry their charts drawn and described, their files beside them, and load what they need."""

import base64
import json
import re

import altair as alt
import pandas as pd
import pytest

from cemag.charts.description import describe
from cemag.charts.renderer import _to_html
from cemag.errors import NotebookError
from cemag.reproduction.publishing import book
from cemag.reproduction.publishing.chart_pages import by_column, finish_page
from cemag.reproduction.publishing.downloads import write_downloads
from cemag.reproduction.publishing.glossary import mark_terms
from cemag.reproduction.publishing.light_pages import lighten, used_rules
from cemag.reproduction.publishing.whole import one_page

DATA = pd.DataFrame(
    {
        "set": ["digits", "scene"] * 6,
        "rule": ["mild"] * 6 + ["strict"] * 6,
        "share": [i / 20 for i in range(12)],
    }
)


@pytest.fixture
def spec():
    """A chart in two panels, of which a choice shows half the rows."""
    choice = alt.param(
        "choose_rule", value="strict", bind=alt.binding_select(options=["mild", "strict"], name="rule: ")
    )
    chart = alt.Chart(DATA).mark_point().encode(x=alt.X("share:Q").title("share of CEs"), facet="set:N")
    return (
        chart.add_params(choice)
        .transform_filter(alt.datum.rule == choice)
        .properties(title="Shares")
        .to_dict()
    )


def figure(spec, label="fig-shares", caption="Half is enough. A panel per set."):
    text = (
        f'<p><span class="caption-number">Fig. 1 </span><span class="caption-text">{caption}</span>'
        '<a class="headerlink" href="#x">#</a></p>'
    )
    chart = _to_html(spec)["text/html"]
    return f'<figure class="align-default" id="{label}">{chart}<figcaption>{text}</figcaption></figure>'


def test_a_description_says_finding_what_is_shown_and_its_range(spec):
    said = describe(spec, "Half is enough.")
    assert said.startswith("Half is enough. Chart: Shares. Shown for rule: strict.")
    assert "Panels: digits, scene." in said
    assert "Across: share of CEs, 0.3 to 0.55." in said  # of the rows that the choice lets through


def test_every_row_survives_being_stored_by_column():
    rows = [*DATA.to_dict("records"), {"set": None, "share": 1.5, "rule": "mild", "more": [1, 2]}]
    stored = json.loads(json.dumps(by_column(rows)))

    def column(name):
        held = stored["columns"][name]
        return held if isinstance(held, list) else [held["of"][place] for place in held["at"]]

    names = list(stored["columns"])
    again = [dict(zip(names, values, strict=True)) for values in zip(*map(column, names), strict=True)]
    assert again == [{name: row.get(name) for name in names} for row in rows]


def test_a_chart_is_drawn_described_and_has_its_rows_under_its_label(spec, tmp_path):
    page = finish_page(figure(spec), "notebooks/svm", tmp_path, "../_static/")
    assert page.count("<svg") == 1
    assert 'aria-label="Half is enough. Chart: Shares.' in page
    assert "application/json" not in page
    name = re.search(r'data-script="\.\./_static/(charts/[^"]+)"', page)[1]
    assert (tmp_path / name).read_text().startswith("window.cemagChart(")
    link = re.search(r'download="shares\.csv" href="\.\./_static/([^"]+)"', page)[1]
    assert len((tmp_path / link).read_text().splitlines()) == 1 + len(DATA)
    assert '<code class="cemag-command">cemag run notebooks/svm.md</code>' in page


def test_two_charts_of_a_page_share_no_name(spec, tmp_path):
    page = finish_page(figure(spec) + figure(spec, "fig-other"), "notebooks/svm", tmp_path, "../_static/")
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert all(f'id="{name}"' in page for name in re.findall(r"url\(#([^)]+)\)", page))


def test_a_file_within_a_page_becomes_a_file_beside_it(tmp_path):
    coded = base64.b64encode(b"<h1>report</h1>").decode()
    link = f'<a download="audit.html" href="data:text/html;base64,{coded}" id="r-link">all</a>'
    page = finish_page(
        f'{link}<iframe id="r" title="t"></iframe><script>x</script>', "notebooks/audit", tmp_path, "s/"
    )
    address = re.search(r'href="s/([^"]+)"', page)[1]
    assert (tmp_path / address).read_bytes() == b"<h1>report</h1>"
    assert f'<iframe id="r" src="s/{address}" title="t"></iframe>' in page
    assert "<script>" not in page


@pytest.fixture
def finished(tmp_path):
    """Finished pages with what the theme brings."""
    styles, scripts = tmp_path / "_static" / "styles", tmp_path / "_static" / "scripts"
    styles.mkdir(parents=True)
    scripts.mkdir()
    (styles / "pydata-sphinx-theme.css").write_text(
        '.fa-sun:before{content:"x"}.used{a:1}.gone{b:2}:root{--pst-icon-note:"\\f185"}'
        "@font-face{font-family:Font Awesome;src:url(x.woff2)}"
    )
    (scripts / "fontawesome.js").write_text('{"sun":[512,512,[9728],"f185","M1 2z"]}')
    (tmp_path / "book").mkdir()
    sources = ("_static/scripts/fontawesome.js", "searchindex.js")
    head = "".join(f'<script src="{name}"></script>' for name in sources)
    text = '<p class="used">A <i class="fa-solid fa-sun"></i> CE</p>'
    body = f'<article class="bd-article"><section id="one">{text}'
    for name in ("book/index.html", "search.html"):
        (tmp_path / name).write_text(f"<html><head>{head}</head>{body}</section></article></html>")
    return tmp_path


def test_light_pages_keep_what_they_use_and_are_the_same_twice(finished):
    lighten(finished)
    files = {p: p.read_text() for p in sorted(finished.rglob("*")) if p.is_file()}
    styles = (finished / "_static/styles/pydata-sphinx-theme.css").read_text()
    assert ".used{a:1}" in styles
    assert ".gone" not in styles
    assert "woff2" not in styles
    assert ".fa-sun{--icon:url(" in styles
    assert '--pst-icon-note:url("data:image/svg+xml' in styles
    page, search = (finished / name for name in ("book/index.html", "search.html"))
    assert "fontawesome.js" not in page.read_text()
    assert "searchindex.js" not in page.read_text()
    assert "searchindex.js" in search.read_text()
    assert "search-pages.js" in search.read_text()
    assert '<section id=\\"one\\"> A CE </section>' in (finished / "_static/search-pages.js").read_text()
    (finished / "_static/scripts/fontawesome.js").write_text('{"sun":[512,512,[9728],"f185","M1 2z"]}')
    lighten(finished)
    assert {p: p.read_text() for p in sorted(finished.rglob("*")) if p.is_file()} == files


def test_a_rule_that_may_match_is_kept():
    styles = 'a:not(.gone){x:1}[class*=gone]{y:2}@media print{.a.b>.c{z:3}.d{w:4}}.q::after{content:"}{"}'
    assert "".join(used_rules(styles, {"a", "b", "c", "q"})) == styles.replace(".d{w:4}", "")


def test_a_term_is_marked_once_and_never_in_a_link_a_heading_or_code():
    body = "<h2>CE</h2><p><a>CE</a> <code>CE</code> common subset of a CE, CE</p><p>CE subset</p>"
    marked = mark_terms(body, {"CE": "c", "subset": "s", "common subset": "both"}, "g.html")
    assert re.findall(r'title="(\w+)">([^<]+)<', marked) == [
        ("both", "common subset"),
        ("c", "CE"),
        ("s", "subset"),
    ]
    assert re.sub(r'<a class="cemag-term"[^>]*>([^<]*)</a>', r"\1", marked) == body


def test_a_downloaded_notebook_has_numbers_and_says_how_to_install(tmp_path):
    glued = {
        "metadata": {"scrapbook": {"name": "n"}},
        "data": {"application/papermill.record/text/plain": "'5 folds'"},
    }
    cells = [
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": "{glue:text}`n` and {glue:text}`unknown`.",
        },
        {"cell_type": "code", "metadata": {}, "source": "", "outputs": [glued]},
    ]
    path = tmp_path / "_sources" / "notebooks" / "one.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"cells": cells}))
    for _ in range(2):  # a second build must not add a second cell
        write_downloads(tmp_path, "https://example.org/cemag")
    found = json.loads(path.read_text())["cells"]
    assert [cell["cell_type"] for cell in found] == ["code", "markdown", "code"]
    assert "git+https://example.org/cemag" in found[0]["source"]
    assert found[1]["source"] == "5 folds and {glue:text}`unknown`."


def test_one_page_holds_all_pages_in_order_and_leads_within_itself(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    links = '<nav class="bd-links"><a class="reference internal" href="../notebooks/two.html">2</a></nav>'
    text = '<p id="a">1</p><a href="../notebooks/two.html#b">two</a>'
    one = f'{links}<article class="bd-article">{text}</article>'
    (tmp_path / "book" / "index.html").write_text(f"<title>T</title>{one}")
    two = (
        '<article class="bd-article"><p id="b">2</p><img src="../_images/x.png"><script>s</script></article>'
    )
    (tmp_path / "notebooks" / "two.html").write_text(two)
    page = one_page(tmp_path)
    assert page.index('id="page-book-index"') < page.index('id="page-notebooks-two"')
    assert 'href="#page-notebooks-two-b"' in page
    assert 'id="page-notebooks-two-b"' in page
    assert 'src="_images/x.png"' in page
    assert "<script" not in page


def test_a_jupyter_book_without_configuration_file_is_named(monkeypatch):
    monkeypatch.setattr(book, "version", lambda name: "2.0.1")
    with pytest.raises(
        NotebookError, match=r'jupyter-book 2\.0\.1 is installed.*pip install "jupyter-book<2"'
    ):
        book._check_version()
