"""The paper's claims as data: one small YAML each under ``stated/``, validated. Reads those files alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from cemag.errors import check_known

__all__ = ["CLAIMS", "FAMILIES", "MARGINS", "Claim", "Verdict", "get_claim"]

# The paper says "few", "most" and "not much" without a number; these are ours.
MARGINS = {
    "few": 20.0,  # per cent of all CEs: at most this many are "few"
    "most": 50.0,  # per cent of the summed magnitude: above this is "most"
    "not much": 5.0,  # points of per cent of all CEs: an increase up to this is "not much"
}
FAMILIES = {"logistic": "logistic regression", "svm": "SVM", "cnn": "CNN"}
Family = Literal["logistic", "svm", "cnn"]
Quantity = Literal[
    "required_by_instance",
    "common_subset",
    "top_share",
    "recall_change",
    "required_change",
    "circular_correlation",
    "activity_correlation",
]
Verdict = Literal["holds", "holds in part", "does not hold", "undecided", "not run"]
COUNTED = ("required_by_instance", "common_subset", "required_change")


class Claim(BaseModel):
    """One claim of the paper, in a form that records can contradict.

    Attributes
    ----------
    id, title, statement : str
        Short name, a few words, and the claim in ours.
    where : str
        In the paper.
    quantity : str
        What is measured in each case: see `cemag.reproduction.claims.findings.QUANTITIES`.
    direction : {"above", "below"}
        On which side of the bound the claim has the quantity.
    bound : str or float
        A name in `MARGINS`, or a number.
    roles : tuple of str
        Of the classes that the claim speaks of.
    paper_says : dict
        Verdict of the paper for each family of models.
    unstated : tuple of str
        What the paper leaves open and a check has to choose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    statement: str
    where: str
    quantity: Quantity
    direction: Literal["above", "below"]
    bound: Literal["few", "most", "not much"] | float
    roles: tuple[Literal["majority", "minority"], ...]
    paper_says: dict[Family, Verdict]
    unstated: tuple[str, ...]

    @property
    def value(self) -> float:
        """The bound as a number."""
        return MARGINS[self.bound] if isinstance(self.bound, str) else self.bound

    @property
    def counts_ces(self) -> bool:
        """Whether the answer may depend on the counting rule."""
        return self.quantity in COUNTED

    @property
    def compares(self) -> bool:
        """Whether a case is a change that an augmenter makes."""
        return self.quantity.endswith("_change")


@lru_cache(maxsize=1)
def _claims() -> Mapping[str, Claim]:
    found = {}
    for path in sorted((Path(__file__).parent / "stated").glob("*.yml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        found[path.stem] = Claim.model_validate({"id": path.stem, **values})
    return MappingProxyType(found)


CLAIMS: Mapping[str, Claim] = _claims()


def get_claim(name: str) -> Claim:
    """Return a claim by its short name.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest.

    Examples
    --------
    >>> get_claim("C1").bound, get_claim("C1").value
    ('few', 20.0)
    """
    return CLAIMS[check_known("claim", name, CLAIMS)]
