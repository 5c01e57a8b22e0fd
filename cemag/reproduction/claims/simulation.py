"""How often each word is wrong: simulated studies of known truth, with effects that differ between cases.

``python -m cemag.reproduction.claims.simulation results/statistics/words.parquet`` makes the published file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.reproduction.claims.inference import ALPHA, at_least_of_each
from cemag.reproduction.claims.plan import PLAN
from cemag.reproduction.claims.published import statistics_file
from cemag.reproduction.claims.verdicts import WORDS, word_from_counts

__all__ = ["DESIGNS", "TRUTHS", "Design", "simulated_words", "word_errors"]

N_STUDIES = 1000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """What one claim and family has: sets, cases within each, repetitions.

    Attributes
    ----------
    n_sets, n_within, n : int
        Data sets, cases of each (two roles, or the augmenters), repetitions of each.
    assumed : float
        Factor f that the variance ``(1/n + f) s^2`` is taken with.
    true : float
        Factor that the repetitions really have.
    shared : float
        Correlation of the cases of one set in one repetition.
    """

    n_sets: int
    n_within: int
    n: int
    assumed: float
    true: float
    shared: float


def _folds(n_within: int, of: str, true: float, shared: float) -> Design:
    factor = PLAN.fold_factor("test" if of == "test" else "weights")
    return Design(5, n_within, PLAN.units.tables.repetitions, factor, true, shared)


# `true` lies above `assumed`: what quantities needed in the coverage experiment (C3 has its own factor)
DESIGNS: dict[str, Design] = {
    "tables, roles": _folds(2, "weights", 1.5, 0.3),
    "tables, augmenters": _folds(5, "weights", 1.5, 0.6),
    "tables, recall gained": _folds(5, "test", 0.4, 0.6),
    "images, roles": Design(3, 2, 12, 0.0, 0.0, 0.3),
    "images, augmenters": Design(3, 4, 12, 0.0, 0.0, 0.6),
}


def _none_hold(rng: np.random.Generator, n: int) -> Array:
    return np.zeros(n)


def _all_but_one(rng: np.random.Generator, n: int) -> Array:
    effects = np.abs(rng.normal(3.0, 1.0, n))
    effects[rng.integers(n)] = 0.0
    return effects


def _half_hold(rng: np.random.Generator, n: int) -> Array:
    effects = np.abs(rng.normal(3.0, 1.0, n))
    effects[rng.permutation(n)[: n - n // 2]] = 0.0
    return effects


def _either_way(rng: np.random.Generator, n: int) -> Array:
    signs = np.where(rng.permutation(n) < n // 2, 1.0, -1.0)
    return signs * np.abs(rng.normal(1.0, 0.5, n))


def _all_hold(rng: np.random.Generator, n: int) -> Array:
    return np.abs(rng.normal(1.5, 0.5, n))


@dataclass(frozen=True)
class Truth:
    """Effects of the cases, in standard deviations of a repetition, and the words that they make wrong."""

    effects: Callable[[np.random.Generator, int], Array]
    wrong: tuple[str, ...]


HOLD, FAIL = ("holds", "mostly holds"), ("fails", "mostly fails")
TRUTHS: dict[str, Truth] = {
    "no effect in any case": Truth(_none_hold, (*HOLD, *FAIL, "mixed")),
    "holds by far in all cases but one, which lies on the bound": Truth(
        _all_but_one, ("holds", *FAIL, "mixed")
    ),
    "holds by far in half of the cases, the others lie on the bound": Truth(
        _half_hold, (*HOLD, *FAIL, "mixed")
    ),
    "holds in half of the cases, fails in half": Truth(_either_way, (*HOLD, *FAIL)),
    "holds in all cases, by 1.5 sd on average": Truth(_all_hold, (*FAIL, "mixed")),
}


def simulated_words(design: Design, truth: Truth, n_studies: int = N_STUDIES, seed: int = 0) -> list[str]:
    """The word that each of many simulated studies comes to; effects are drawn anew for each.

    Examples
    --------
    >>> words = simulated_words(DESIGNS["images, roles"], TRUTHS["no effect in any case"], n_studies=200)
    >>> words.count("open") > 180
    True
    """
    rng = np.random.default_rng(seed)
    shape = (n_studies, design.n_sets, design.n_within)
    effects = np.array([truth.effects(rng, shape[1] * shape[2]) for _ in range(n_studies)]).reshape(shape)
    values = effects[..., None] + _noise(rng, design, n_studies)
    p_holds, p_fails = _p_values(values, design)
    # pooled: cases of a set are averaged within each repetition, then sets are
    pooled_holds, pooled_fails = _pooled_p_values(values.mean(axis=2), design)
    n = shape[1] * shape[2]
    holds, fails = (at_least_of_each(p.reshape(n_studies, n)) for p in (p_holds, p_fails))
    rows = zip(holds, fails, pooled_holds <= ALPHA, pooled_fails <= ALPHA, strict=True)
    return [word_from_counts(n, int(h), int(f), bool(ph), bool(pf)) for h, f, ph, pf in rows]


def _noise(rng: np.random.Generator, design: Design, n_studies: int) -> Array:
    """Deviations (study, set, case, repetition) with what repetitions, and cases of a set, have in common."""
    sets, within, n = design.n_sets, design.n_within, design.n
    common, own = np.sqrt(design.shared), np.sqrt(1 - design.shared)

    def correlated(*last: int) -> Array:
        between = rng.normal(size=(n_studies, sets, 1, *last))
        return common * between + own * rng.normal(size=(n_studies, sets, within, *last))

    return correlated(n) + np.sqrt(design.true) * correlated(1)


def _p_values(values: Array, design: Design) -> tuple[Array, Array]:
    from scipy import special

    n = design.n
    se = np.sqrt((1 / n + design.assumed) * values.var(axis=-1, ddof=1))
    holds = special.stdtr(n - 1, -values.mean(axis=-1) / se)
    return holds, 1 - holds


def _pooled_p_values(of_sets: Array, design: Design) -> tuple[Array, Array]:
    from scipy import special

    variance = (1 / design.n + design.assumed) * of_sets.var(axis=-1, ddof=1)
    df = variance.sum(axis=1) ** 2 / (variance**2 / (design.n - 1)).sum(axis=1)
    t = of_sets.mean(axis=(1, 2)) / np.sqrt(variance.sum(axis=1) / design.n_sets**2)
    holds = special.stdtr(df, -t)
    return holds, 1 - holds


def word_errors(n_studies: int = N_STUDIES) -> pd.DataFrame:
    """Share of studies that come to each word, by design and truth, and whether the word is wrong there."""
    rows = []
    for name, design in DESIGNS.items():
        for what, truth in TRUTHS.items():
            words = simulated_words(design, truth, n_studies)
            rows += [
                {
                    "design": name,
                    "truth": what,
                    "word": word,
                    "share": words.count(word) / n_studies,
                    "wrong": word in truth.wrong,
                    "n_studies": n_studies,
                }
                for word in WORDS
                if word not in ("not run", "not measurable")
            ]
    return pd.DataFrame(rows)


def published_errors() -> pd.DataFrame:
    """The published `word_errors`; empty where they are not there."""
    path = statistics_file("words.parquet")
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def main(path: str) -> None:
    """Run all designs and truths, and write the shares to one Parquet file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    word_errors().to_parquet(path, index=False)


if __name__ == "__main__":
    main(sys.argv[1])
