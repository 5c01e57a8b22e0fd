"""One sentence with its number for each claim and family, and the scorecard in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cemag.reproduction.claims.answers import Row
from cemag.reproduction.claims.inference import Estimate
from cemag.reproduction.claims.judging import BOTH
from cemag.reproduction.claims.plan import FAMILIES, PLAN
from cemag.reproduction.claims.stated import CLAIMS

__all__ = ["cases_in_words", "depends_in_words", "markdown", "needed_in_words", "sentence"]


def sentence(row: Row) -> str:
    """Say what was measured, with the interval and the number of what it is held against."""
    if row.verdict.word == "not run":
        return "Not run."
    if math.isnan(row.quantity.mean):
        measured = any(case.decision == "not measurable" for case in row.cases)
        return "Not measurable in enough of the runs." if measured else "Too few runs so far."
    return _SENTENCES[row.claim](row)


def _required(row: Row) -> str:
    return (
        f"An instance requires {percent(row.quantity)} of the CEs; of the same model with permuted weights "
        f"{number(row.reference.mean)} %."
    )


def _common(row: Row) -> str:
    return (
        f"{percent(row.quantity)} of the CEs keep 95 % of a class; with permuted weights "
        f"{number(row.reference.mean)} %."
    )


def _top(row: Row) -> str:
    return (
        f"The top 10 % carry {percent(row.quantity)} of the magnitude; with permuted weights "
        f"{number(row.reference.mean)} %."
    )


def _recall(row: Row) -> str:
    beside = row.beside
    text = f"Minority recall {points(_hundredfold(row.pooled['minority']))}"
    if not math.isnan(beside["balanced accuracy"].mean):
        text += f", balanced accuracy {points(beside['balanced accuracy'])}"
    beyond = beside["balanced accuracy beyond a moved threshold"]
    if math.isnan(beyond.mean):
        return text + "; a moved threshold was not run."
    moved = beside["recall by a moved threshold"]
    return (
        f"{text}; a moved threshold alone gives {signed(moved.mean)} points of recall, and augmentation adds "
        f"{points(beyond, unit=' points')} of balanced accuracy to it."
    )


def _change(row: Row) -> str:
    change = row.pooled["minority"]
    low, high = (math.exp(end) for end in change.interval())
    ratio = f"{math.exp(change.mean):.2f} ({low:.2f} to {high:.2f})"
    same = f"; within 1/1.25 to 1.25 in at least {row.equivalent} of {row.verdict.n} cases"
    return (
        f"Instances that are right with and without augmentation require {ratio} times the CEs with it{same}."
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
    """The scorecard for the README: a line a claim and family, with its sentence."""
    lines = ["| claim | models | the paper | the records | in one sentence |", "|---|---|---|---|---|"]
    for claim in CLAIMS.values():
        of_claim = [row for row in rows if row.claim == claim.id]
        for i, row in enumerate(of_claim):
            head = f"**{claim.id}** {claim.statement}" if i == 0 else ""
            mark = " \\*" if row.depends_on else ""
            word = f"**{row.verdict.word}**{mark}"
            lines.append(f"| {head} | {FAMILIES[row.family]} | {row.says} | {word} | {sentence(row)} |")
    return "\n".join(lines)


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
