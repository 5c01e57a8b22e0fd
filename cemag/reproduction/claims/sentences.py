"""One sentence with its number for each claim and family, and the scorecard in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cemag.reproduction.claims.answers import Row
from cemag.reproduction.claims.inference import Estimate
from cemag.reproduction.claims.judging import BOTH
from cemag.reproduction.claims.plan import FAMILIES, PLAN
from cemag.reproduction.claims.stated import CLAIMS
from cemag.reproduction.claims.verdicts import WORDS

__all__ = ["cases_in_words", "depends_in_words", "markdown", "needed_in_words", "sentence"]


def sentence(row: Row) -> str:
    """Say what was measured, with the interval and the number of what it is held against."""
    if row.verdict.word == "not run":
        return "Not run."
    if math.isnan(row.quantity.mean):
        measured = any(case.decision == "not measurable" for case in row.cases)
        few = "Too few instances are predicted correctly, in too many of the runs."
        return few if measured else "Too few runs so far."
    return _SENTENCES[row.claim](row)


def _required(row: Row) -> str:
    return (
        f"Predicting an instance takes {percent(row.quantity)} of its CEs; with permuted weights "
        f"{number(row.reference.mean)} %."
    )


def _common(row: Row) -> str:
    return (
        f"With {percent(row.quantity)} of the CEs 95 % of a class's correct predictions stay; with permuted "
        f"weights it takes {number(row.reference.mean)} %."
    )


def _top(row: Row) -> str:
    return (
        f"The top 10 % carry {percent(row.quantity)} of the total magnitude; with permuted weights "
        f"{number(row.reference.mean)} %."
    )


def _recall(row: Row) -> str:
    beside = row.beside
    text = f"Minority recall {points(_hundredfold(row.pooled['minority']))}"
    if not math.isnan(beside["balanced accuracy"].mean):
        text += f", balanced accuracy {points(beside['balanced accuracy'])}"
    beyond = beside["balanced accuracy beyond a moved threshold"]
    if math.isnan(beyond.mean):
        return text + ". A moved threshold was not run."
    moved = beside["recall by a moved threshold"]
    return (
        f"{text}. A moved threshold alone gives {signed(moved.mean)} points of recall; augmentation less "
        f"threshold in balanced accuracy: {points(beyond)}."
    )


def _change(row: Row) -> str:
    change = row.pooled["minority"]
    low, high = (math.exp(end) for end in change.interval())
    ratio = f"{math.exp(change.mean):.2f} ({low:.2f} to {high:.2f})"
    few = "Too few cases can be measured for a verdict. " if row.verdict.word == "not measurable" else ""
    return (
        f"{few}For instances predicted correctly both with and without augmentation, it multiplies the "
        f"number of CEs needed by {ratio}; in {row.equivalent} of {row.verdict.n} cases the factor is shown "
        "to lie between 1/1.25 and 1.25."
    )


def _correlation(row: Row) -> str:
    low, high = row.quantity.interval()
    return (
        f"Spearman's correlation is {row.quantity.mean:.2f} ({low:.2f} to {high:.2f}); with permuted weights "
        f"{row.reference.mean:.2f}."
    )


_SENTENCES = {
    "C1": _required,
    "C2": _common,
    "C3": _top,
    "C4a": _recall,
    "C4b": _change,
    "C5a": _correlation,
    "C5b": _correlation,
}


def _hundredfold(estimate: Estimate) -> Estimate:
    return Estimate(100 * estimate.mean, 1e4 * estimate.variance, estimate.df, estimate.n)


def number(value: float) -> str:
    """Two digits, or three from 100 on.

    Examples
    --------
    >>> number(14.21), number(0.123), number(104.2), number(-0.001)
    ('14', '0.12', '104', '0')
    """
    if abs(value) < 0.005:
        return "0"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def signed(value: float) -> str:
    """A change, with its sign.

    Examples
    --------
    >>> signed(14.21), signed(-0.4), signed(0.0)
    ('+14', '-0.4', '0')
    """
    return f"+{number(value)}" if value > 0 and number(value) != "0" else number(value)


def percent(estimate: Estimate) -> str:
    """A share in per cent with its interval, cut off where a share cannot be.

    Examples
    --------
    >>> percent(Estimate(14.0, 9.0, 100.0, 12))
    '14 % (8.0 to 20)'
    """
    low, high = estimate.interval()
    return f"{number(estimate.mean)} % ({number(max(low, 0.0))} to {number(min(high, 100.0))})"


def points(estimate: Estimate, unit: str = " points") -> str:
    """A change in points of per cent with its interval.

    Examples
    --------
    >>> points(Estimate(14.0, 9.0, 100.0, 12))
    '+14 points (+8.0 to +20)'
    """
    low, high = estimate.interval()
    return f"{signed(estimate.mean)}{unit} ({signed(low)} to {signed(high)})"


def cases_in_words(row: Row) -> str:
    """In how many cases it was shown to hold and to fail, at 95 % confidence, and what was not run.

    Examples
    --------
    >>> cases_in_words.__name__
    'cases_in_words'
    """
    verdict, n = row.verdict, len(row.cases)
    missing = f"run so far: {', '.join(row.missing)}" if row.missing else ""
    if verdict.word == "not run":
        return missing or "not run"
    text = f"holds in at least {verdict.holds}, fails in at least {verdict.fails} of {verdict.n}"
    if unmeasured := sum(case.decision == "not measurable" for case in row.cases):
        text += f"; {unmeasured} of {n} not measurable"
    return f"{text}; {missing}" if missing else text


def depends_in_words(row: Row) -> str:
    """What would change the word: rule, bound or gauge; "no" where nothing does that was tried."""
    return ", ".join(row.depends_on) or "no"


def needed_in_words(row: Row) -> str:
    """How many repetitions would decide an open case, as a range; empty where none is open."""
    low, high = row.needed
    if math.isnan(low):
        return ""
    what = "networks" if row.family == "cnn" else "tables of this size, drawn anew"
    return f"an open case would take {_many(low)} to {_many(high)} {what}"


def _many(n: float) -> str:
    return "more than 1,000" if math.isinf(n) else f"{n:.0f}"


def markdown(rows: Sequence[Row]) -> str:
    """The scorecard for the README: what it comes to, and one line per claim and family with its sentence."""
    lines = [in_short(rows), ""]
    lines += ["| claim | models | the paper | our runs | in one sentence |", "|---|---|---|---|---|"]
    for claim in CLAIMS.values():
        of_claim = [row for row in rows if row.claim == claim.id]
        for i, row in enumerate(of_claim):
            head = f"**{claim.id}** {claim.statement}" if i == 0 else ""
            mark = " \\*" if row.depends_on else ""
            word = f"**{row.verdict.word}**{mark}"
            lines.append(f"| {head} | {FAMILIES[row.family]} | {row.says} | {word} | {sentence(row)} |")
    return "\n".join(lines)


def in_short(rows: Sequence[Row]) -> str:
    """What all verdicts come to, and what the paper did not compare with: for who reads nothing else."""
    told = [_of_word(word, rows) for word in WORDS if any(row.verdict.word == word for row in rows)]
    return "\n".join(
        [
            "A **CE** (classification embedding) is one feature times its weight for a class: what that "
            "feature adds to the class's score. In short:",
            "",
            f"- **The verdicts.** {'; '.join(told)}.",
            f"- **What the paper did not compare with: shuffled weights.** {_beside_shuffled(rows)}",
            f"- **What the paper did not compare with: a moved threshold.** {_beside_threshold(rows)}",
        ]
    )


def _of_word(word: str, rows: Sequence[Row]) -> str:
    """The claims that have a word, with their families; of those that are open, the number."""
    found = [row for row in rows if row.verdict.word == word]
    if word == "open":
        return f"*open*: {len(found)} of {len(rows)}"
    claims = [
        f"{claim.statement[0].lower()}{claim.statement[1:-1]} ({claim.id}; {', '.join(families)})"
        for claim in CLAIMS.values()
        if (families := [FAMILIES[row.family] for row in found if row.claim == claim.id])
    ]
    return f"*{word}*: {', '.join(claims)}"


def _beside_shuffled(rows: Sequence[Row]) -> str:
    """What the trained models give, and what they give with their weights dealt to the features at random."""
    told = []
    for claim, before, unit, after in (
        ("C1", "an instance takes", " %", " of its CEs"),
        ("C3", "the top 10 % carry", " %", " of the total magnitude"),
        ("C5a", "magnitude goes with frequency by a correlation of", "", ""),
    ):
        pairs = [
            f"{_plain(row.quantity.mean, claim)} and {_plain(row.reference.mean, claim)}{unit} "
            f"({FAMILIES[row.family]})"
            for row in rows
            if row.claim == claim and not math.isnan(row.quantity.mean)
        ]
        if pairs:
            told.append(f"{before} {', '.join(pairs)}{after}")
    how = "In each pair, first as trained, then with the weights shuffled, so that nothing learned is left"
    return f"{how}: {'; '.join(told)}."


def _plain(value: float, claim: str) -> str:
    return f"{value:.2f}" if claim.startswith("C5") else number(value)


def _beside_threshold(rows: Sequence[Row]) -> str:
    """What augmentation does to the minority classes, and what moving the threshold alone does."""
    told = []
    for row in rows:
        if row.claim != "C4a" or "recall by a moved threshold" not in row.beside:
            continue
        gained, moved = row.pooled["minority"].mean, row.beside["recall by a moved threshold"].mean
        beyond = row.beside["balanced accuracy beyond a moved threshold"]
        if not math.isnan(moved):
            told.append(
                f"{signed(100 * gained)} and {signed(moved)} points of minority recall "
                f"({FAMILIES[row.family]}; augmentation less threshold in balanced accuracy: "
                f"{points(beyond)})"
            )
    how = (
        "In each pair, first augmentation, then in its place moving the threshold alone, which changes no CE"
    )
    return f"{how}: {'; '.join(told)}."


def contrast_in_words(row: Row) -> str:
    """The pooled contrast with its interval, in the unit of the plan."""
    estimate = row.pooled.get(BOTH, next(iter(row.pooled.values())))
    low, high = estimate.interval()
    if PLAN.claims[row.claim].ratio:
        low, mean, high = (math.exp(x) for x in (low, estimate.mean, high))
        return f"ratio {mean:.2f} ({low:.2f} to {high:.2f})"
    if row.claim.startswith("C5"):
        return f"difference {estimate.mean:+.2f} ({low:+.2f} to {high:+.2f})"
    return points(_hundredfold(estimate))
