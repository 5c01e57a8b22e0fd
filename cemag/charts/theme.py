"""One look for every chart: readable in light and dark, and without telling red from green.

Text is drawn in the colour of the page's text (``currentColor``), so that a chart follows the page
from light to dark without being drawn again. Colours are Okabe and Ito's; shape says the same twice.
"""

from __future__ import annotations

from typing import Any

import altair as alt

__all__ = ["AUGMENTER_COLOURS", "CLASS_COLOURS", "CLASS_SHAPES", "NULL_COLOUR", "cemag_theme"]

NULL_COLOUR = "#8a8a8a"
GRID_COLOUR = "rgba(128, 128, 128, 0.25)"
CLASS_COLOURS = alt.Scale(domain=["majority", "minority"], range=["#0072B2", "#D55E00"])
CLASS_SHAPES = alt.Scale(domain=["majority", "minority"], range=["circle", "diamond"])
AUGMENTER_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]


@alt.theme.register("cemag", enable=True)
def cemag_theme() -> alt.theme.ThemeConfig:
    """Return the Vega-Lite configuration that all charts share."""
    text: Any = {"color": "currentColor"}
    axis: Any = {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": NULL_COLOUR,
        "tickColor": NULL_COLOUR,
        "gridColor": GRID_COLOUR,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    legend: Any = {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "orient": "top",
        "symbolSize": 90,
    }
    title: Any = {"color": "currentColor", "subtitleColor": "currentColor", "anchor": "start", "fontSize": 13}
    return {
        "config": {
            "background": "transparent",
            "font": "system-ui, -apple-system, 'Segoe UI', sans-serif",
            "view": {"stroke": GRID_COLOUR},
            "axis": axis,
            "legend": legend,
            "title": {**title, "subtitleFontSize": 11, "subtitlePadding": 4},
            "header": {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12},
            "text": text,
            "rule": {"color": NULL_COLOUR},
            "range": {"category": AUGMENTER_COLOURS},
        }
    }
