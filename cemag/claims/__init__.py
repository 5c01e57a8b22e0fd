"""What the records say about the paper's claims. Pure functions of tables; reads and writes nothing."""

from cemag.claims.findings import MARGINS, Finding, findings_table, tabular_findings
from cemag.claims.glued import glued
from cemag.claims.statistics import over_splits, paired_over_splits

__all__ = [
    "MARGINS",
    "Finding",
    "findings_table",
    "glued",
    "over_splits",
    "paired_over_splits",
    "tabular_findings",
]
