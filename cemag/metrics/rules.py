"""The counting rules: what it means that k CEs are needed for a prediction. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import check_known

__all__ = ["RANKINGS", "STABILITIES", "SUFFICIENCIES", "Rule", "rules_for"]

Ranking = Literal["signed", "magnitude"]
Sufficiency = Literal["shared", "target"]
Stability = Literal["first", "stable"]

RANKINGS: tuple[Ranking, ...] = ("signed", "magnitude")
SUFFICIENCIES: tuple[Sufficiency, ...] = ("shared", "target")
STABILITIES: tuple[Stability, ...] = ("first", "stable")


@dataclass(frozen=True)
class Rule:
    """One reading of "the number of CEs required"; the paper leaves all four choices open.

    Parameters
    ----------
    ranking : {"signed", "magnitude"}
        Order in which CEs are kept: by contribution towards the predicted class, or by magnitude.
    sufficiency : {"shared", "target"}
        `shared` keeps the same features in every class's sum; `target` truncates the predicted
        class's sum only and leaves the others whole. One and the same for a single-sum model.
    stability : {"first", "stable"}
        The first k that gives the prediction, or the first k from which it never changes again.
    bias : bool
        Whether the bias takes part, in the truncated and in the full sum alike. Without it the
        prediction to keep is that of the sum of the CEs alone.

    Examples
    --------
    >>> Rule("signed", "shared", "first", True).name
    'signed-shared-first-bias'
    """

    ranking: Ranking = "signed"
    sufficiency: Sufficiency = "shared"
    stability: Stability = "first"
    bias: bool = True

    def __post_init__(self) -> None:
        check_known("ranking", self.ranking, RANKINGS)
        check_known("sufficiency", self.sufficiency, SUFFICIENCIES)
        check_known("stability", self.stability, STABILITIES)

    @property
    def name(self) -> str:
        """The choices, joined by hyphens."""
        return "-".join([self.ranking, self.sufficiency, self.stability, "bias" if self.bias else "nobias"])


def rules_for(ce: ClassificationEmbeddings) -> tuple[Rule, ...]:
    """All rules that differ for a model: 16, or the 8 `shared` ones where a single sum decides."""
    sufficiencies: tuple[Sufficiency, ...] = ("shared",) if ce.single_sum else SUFFICIENCIES
    return tuple(Rule(*choice) for choice in product(RANKINGS, sufficiencies, STABILITIES, (True, False)))
