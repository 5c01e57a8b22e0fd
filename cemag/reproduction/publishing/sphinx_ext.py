"""Sphinx extension of the book: charts and mathematics that need no network, numbers that stay put.

Listed in ``_config.yml``. It writes the one script that draws all charts, draws each in the page, has
notebooks that Sphinx itself executes (plain ``jupyter-book build .``) use the book's renderer, renders
mathematics as MathML, which browsers draw without a script, and takes from the finished pages what none of
them needs.
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from cemag.charts.renderer import BOOK_VARIABLE, vega_bundle
from cemag.reproduction.publishing import bibliography
from cemag.reproduction.publishing.build_facts import environment_rows, notebook_rows
from cemag.reproduction.publishing.chart_pages import finish_page
from cemag.reproduction.publishing.downloads import write_downloads
from cemag.reproduction.publishing.glossary import mark_terms
from cemag.reproduction.publishing.light_pages import lighten
from cemag.reproduction.publishing.mathml import MathError, to_mathml

__all__ = ["setup"]

BUNDLE = "vega-bundle.js"
GLOSSARY = "book/glossary"
NO_TERMS_ON = (GLOSSARY, "book/notation", "book/references", "book/changelog")
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension."""
    os.environ[BOOK_VARIABLE] = "1"
    app.set_html_assets_policy("per_page")
    app.connect("builder-inited", _write_bundle)
    app.connect("html-page-context", _finish_page, priority=900)
    app.connect("build-finished", _lighten)
    app.add_directive("cemag-build", BuildFacts)
    bibliography.register()
    app.connect("config-inited", _load_nothing_from_elsewhere)
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class BuildFacts(SphinxDirective):
    """A table of what this build rests on: ``edition``, ``environment`` or ``notebooks``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_reread()  # it is of this build, not of the one that read the page last
        source = Path(self.env.srcdir)
        table: list[tuple[str, ...]] = [("what", "value"), *environment_rows(source, self.arguments[0])]
        if self.arguments[0] == "notebooks":
            table = [("notebook", "state", "seconds"), *notebook_rows(source / "notebooks")]
        table.insert(1, ("---",) * len(table[0]))
        lines = [f"| {' | '.join(row)} |" for row in table]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(self.get_source_info()[0])), 0, holder)
        return list(holder.children)


def _write_bundle(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / BUNDLE
    bundle = vega_bundle()
    if not target.is_file() or target.read_text(encoding="utf-8") != bundle:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(bundle, encoding="utf-8")


def _finish_page(app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    context["default_mode"] = "auto"  # the theme says that no mode is an invalid one
    if context.get("body"):
        to_static = context["pathto"]("_static/", 1)
        body = finish_page(context["body"], pagename, Path(app.outdir) / "_static", to_static)
        if pagename not in NO_TERMS_ON and GLOSSARY in app.env.all_docs:
            body = mark_terms(body, _terms(app), context["pathto"](GLOSSARY))
        context["body"] = body


def _terms(app: Sphinx) -> dict[str, str]:
    """Definition of each term of the glossary."""
    items = app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item)
    return {
        term.astext(): " ".join(item.next_node(nodes.definition).astext().split())
        for item in items
        for term in item.findall(nodes.term)
    }


def _lighten(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        lighten(Path(app.outdir))
        write_downloads(Path(app.outdir), os.environ.get("CEMAG_REPOSITORY", ""))


def _load_nothing_from_elsewhere(app: Sphinx, config: Any) -> None:
    config.nb_ipywidgets_js = {}
    config.html_math_renderer = "mathml"


def _mathml(node: Any, display: str) -> str:
    try:
        return to_mathml(node.astext(), display)
    except MathError as error:  # a warning fails the build and says where
        logger.warning("mathematics: %s", error, location=node, type="cemag", subtype="math")
        return f"<code>{escape(node.astext())}</code>"


def _visit_math(self: Any, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{_mathml(node, "inline")}</span>')
    raise nodes.SkipNode


def _visit_math_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = f"({node['number']})"
        self.body.append(f'<span class="eqno">{number}')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_mathml(node, "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode
