"""What the records say about the paper's claims. Pure functions of tables; reads and writes nothing."""

from cemag.claims.findings import MARGINS, Finding, findings_table, judge
from cemag.claims.glued import glued
from cemag.claims.image_tables import image_glued
from cemag.claims.statistics import over_repeats, paired_over_repeats

__all__ = [
    "MARGINS",
    "Finding",
    "findings_table",
    "glued",
    "image_glued",
    "judge",
    "over_repeats",
    "paired_over_repeats",
]
