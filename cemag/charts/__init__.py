"""What the charts of the book and of an audit share: one theme, and how a chart reaches the page."""

from cemag.charts.renderer import enable_renderer, vega_bundle
from cemag.charts.theme import AUGMENTER_COLOURS, CLASS_COLOURS, CLASS_SHAPES, NULL_COLOUR

__all__ = [
    "AUGMENTER_COLOURS",
    "CLASS_COLOURS",
    "CLASS_SHAPES",
    "NULL_COLOUR",
    "enable_renderer",
    "vega_bundle",
]
