"""What the records say about the paper's claims, by the analysis plan; reads and writes the verdicts."""

from cemag.reproduction.claims.glued import glued, glued_verdicts
from cemag.reproduction.claims.image_tables import image_glued
from cemag.reproduction.claims.plan import FAMILIES, PLAN, Plan
from cemag.reproduction.claims.published import (
    changed_verdicts,
    from_records,
    published_rows,
    write_verdicts,
)
from cemag.reproduction.claims.scorecard import Row, scorecard
from cemag.reproduction.claims.sentences import markdown, sentence
from cemag.reproduction.claims.stated import CLAIMS, Claim, get_claim
from cemag.reproduction.claims.statistics import over_repeats, paired_over_repeats

__all__ = [
    "CLAIMS",
    "FAMILIES",
    "PLAN",
    "Claim",
    "Plan",
    "Row",
    "changed_verdicts",
    "from_records",
    "get_claim",
    "glued",
    "glued_verdicts",
    "image_glued",
    "markdown",
    "over_repeats",
    "paired_over_repeats",
    "published_rows",
    "scorecard",
    "sentence",
    "write_verdicts",
]
