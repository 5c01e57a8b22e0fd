"""Cases, and the word that they add up to. The words' meaning is the plan's; this is where it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cemag.reproduction.claims.inference import ALPHA, Estimate, Number, at_least

__all__ = ["WORDS", "Case", "Decision", "Verdict", "Word", "word_from_counts", "word_of"]

Decision = Literal["holds", "fails", "open", "not measurable", "not run"]
Word = Literal["holds", "mostly holds", "mixed", "mostly fails", "fails", "open", "not measurable", "not run"]
WORDS: tuple[Word, ...] = get_args(Word)


@dataclass(frozen=True)
class Case:
    """One data set with one role of its classes, or with one augmenter.

    Attributes
    ----------
    dataset, role : str
    augmenter : str
        Empty for claims about models without augmentation.
    estimate : Estimate
        The contrast over repetitions; nothing in it where the case is not measurable or not run.
    p_holds, p_fails : float
        P values of the two one-sided tests; NaN where there is no spread to test by.
    n_run, n_planned : int
        Repetitions that were run, and that the plan asks for.
    measurable : bool
        Whether enough instances were predicted correctly in enough of the repetitions that were run.
    value, reference : float
        Mean of the quantity itself, and of what it is held against.
    needed : tuple of float
        Where it is open, how many repetitions would decide it, from and to; see `runs_range`.
    """

    dataset: str
    role: str
    augmenter: str
    estimate: Estimate
    p_holds: Number
    p_fails: Number
    n_run: int
    n_planned: int
    measurable: bool
    value: Number
    reference: Number
    needed: tuple[Number, Number] = (float("nan"), float("nan"))

    @property
    def decision(self) -> Decision:
        """What the two tests say of it; a single repetition, which has no spread, is as good as none."""
        if self.n_run < 2:
            return "not run"
        if not self.measurable:
            return "not measurable"
        return "holds" if self.p_holds <= ALPHA else "fails" if self.p_fails <= ALPHA else "open"


@dataclass(frozen=True)
class Verdict:
    """The word for one claim and family, and what it rests on.

    Attributes
    ----------
    word : str
    holds, fails : int
        The claim holds, and fails, in at least so many cases, at 95 % confidence.
    n : int
        Cases that are measurable, and those that were not run.
    """

    word: Word
    holds: int
    fails: int
    n: int


def word_of(cases: Sequence[Case], pooled_holds: bool, pooled_fails: bool) -> Verdict:
    """Add cases up to a word.

    Parameters
    ----------
    cases : sequence of Case
    pooled_holds, pooled_fails : bool
        What the contrast pooled over sets and roles says.

    Notes
    -----
    A case that was planned and not run counts as open: a claim never holds for what nobody ran. A case
    that is not measurable counts neither way.
    """
    run = [case for case in cases if case.decision != "not run"]
    if not run:
        return Verdict("not run", 0, 0, 0)
    measurable = [case for case in run if case.measurable]
    n = len(measurable) + len(cases) - len(run)
    p_holds, p_fails = (_known([getattr(c, side) for c in measurable], n) for side in ("p_holds", "p_fails"))
    holds, fails = at_least(p_holds), at_least(p_fails)
    if 2 * n < len(cases):
        return Verdict("not measurable", holds, fails, n)
    return Verdict(word_from_counts(n, holds, fails, pooled_holds, pooled_fails), holds, fails, n)


def _known(p: Sequence[float], n: int) -> np.ndarray:
    """P values of n cases; 1 where one has none."""
    return np.array([*np.nan_to_num(np.asarray(p, dtype=float), nan=1.0), *[1.0] * (n - len(p))])


def word_from_counts(n: int, holds: int, fails: int, pooled_holds: bool, pooled_fails: bool) -> Word:
    """The plan's word for n cases, where a claim holds in at least `holds` and fails in at least `fails`.

    Examples
    --------
    >>> word_from_counts(10, 6, 0, True, False), word_from_counts(10, 6, 1, True, False)
    ('mostly holds', 'mixed')
    """
    if holds == n:
        return "holds"
    if fails == n:
        return "fails"
    if holds and fails:
        return "mixed"
    if pooled_holds and 2 * holds > n and not fails:
        return "mostly holds"
    if pooled_fails and 2 * fails > n and not holds:
        return "mostly fails"
    return "open"
