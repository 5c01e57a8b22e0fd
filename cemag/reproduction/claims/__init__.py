"""What the records say about the paper's claims. Pure functions of tables; reads and writes nothing."""

from cemag.reproduction.claims.claim import CLAIMS, FAMILIES, MARGINS, Claim, get_claim
from cemag.reproduction.claims.findings import Finding, evaluate, findings_table, judge
from cemag.reproduction.claims.glued import glued
from cemag.reproduction.claims.image_tables import image_glued
from cemag.reproduction.claims.old_scorecard import Row, changed_verdicts, markdown, scorecard, write_verdicts
from cemag.reproduction.claims.statistics import over_repeats, paired_over_repeats

__all__ = [
    "CLAIMS",
    "FAMILIES",
    "MARGINS",
    "Claim",
    "Finding",
    "Row",
    "changed_verdicts",
    "evaluate",
    "findings_table",
    "get_claim",
    "glued",
    "image_glued",
    "judge",
    "markdown",
    "over_repeats",
    "paired_over_repeats",
    "scorecard",
    "write_verdicts",
]
