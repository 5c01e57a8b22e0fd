"""Altair charts of studies, in one theme, with the data and the runs behind each. Draws; runs nothing."""

from cemag.charts.embeddings import ce_bars
from cemag.charts.figure import Figure
from cemag.charts.renderer import enable_renderer
from cemag.charts.studies import (
    augmentation_effect,
    concentration,
    frequency_against_magnitude,
    performance,
    relations,
    required,
)
from cemag.charts.verdicts import VerdictTable

__all__ = [
    "Figure",
    "VerdictTable",
    "augmentation_effect",
    "ce_bars",
    "concentration",
    "enable_renderer",
    "frequency_against_magnitude",
    "performance",
    "relations",
    "required",
]
