"""How charts reach the page: Altair's own renderers where they work, ours in the rendered book.

In an offline Jupyter Book page none of Altair's renderers works: `html` loads from a CDN, `jupyter` needs
widget scripts, the MIME type of version 6 fails nbformat's validation, and the inlined bundle collides with
a global of Sphinx's. Ours emits a place for the chart and its specification as plain data; the book's pages
draw it there, once without a script and again, to be played with, when it comes into view
(see `cemag.reproduction.publishing.chart_pages`).
"""

from __future__ import annotations

import json
import os
from itertools import count
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import altair as alt

__all__ = ["BOOK_VARIABLE", "enable_renderer", "vega_bundle"]

BOOK_VARIABLE = "CEMAG_BOOK"
RENDERER = "cemag_book"
_drawn = count(1)

TEMPLATE = """\
<div id="{name}" class="cemag-chart"><p>Run this cell again to draw the chart.</p></div>
<script type="application/json" class="cemag-spec">{spec}</script>"""


def vega_bundle() -> str:
    """Return the script that defines ``window.vegaEmbed``; wrapped, since one of its globals is Sphinx's."""
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]
    return "(function(){" + bundle + "})();"


def _to_html(spec: dict[str, Any], **_: Any) -> dict[str, str]:
    """Return the MIME bundle of a Vega-Lite specification: a container and, after it, what is to fill it."""
    text = json.dumps(spec, separators=(",", ":"), sort_keys=True)
    # the same run of a notebook, the same page; the count tells apart two drawings of one chart
    name = f"chart-{uuid5(NAMESPACE_OID, text).hex[:12]}-{next(_drawn)}"
    return {"text/html": TEMPLATE.format(name=name, spec=text.replace("</", "<\\/"))}


alt.renderers.register(RENDERER, _to_html)


def enable_renderer() -> str:
    """Choose the renderer for where the code runs, and return its name.

    Under ``CEMAG_BOOK=1``, which the book's builders set, ours; otherwise Altair's default, drawn as SVG so
    that charts take the colour of the page's text.

    Examples
    --------
    >>> enable_renderer() in ("cemag_book", "default")
    True
    """
    name = RENDERER if os.environ.get(BOOK_VARIABLE) == "1" else "default"
    alt.renderers.enable(name)
    if name == "default":
        alt.renderers.set_embed_options(renderer="svg")
    alt.theme.enable("cemag")
    alt.data_transformers.disable_max_rows()  # the limit is for charts that carry raw data by accident
    return name
