"""How often a nominal 95 % interval over the folds of one table covers: measured on tables drawn anew.

The folds of a cross-validation share training rows, so that the spread between them says too little about
another table. A mean over k folds has the variance ``(1/k + f) s^2``, and f depends on what is measured. Here
a large table (or a known distribution) is the population; small tables are drawn from it, each is
cross-validated as a run on tables is, and an interval is right where it holds the mean over all drawn tables.

``python -m cemag.reproduction.claims.coverage results/statistics/coverage.parquet`` makes the published file;
what it already holds is not run again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.files import written_whole
from cemag.metrics import WITHIN_ONE_LENGTH, n_top, sample_per_class
from cemag.models import LogisticModel, SVMModel, embed, fit_model
from cemag.reproduction.claims.published import statistics_file
from cemag.reproduction.datasets import Split, load_tabular, stratified_split
from cemag.samplers import augment

__all__ = [
    "FACTORS",
    "POPULATIONS",
    "Population",
    "coverage",
    "cross_validated",
    "experiment",
    "populations_in_words",
]

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 3.0)
FOLDS = 5
TABLES = 400  # drawn from each population
SEEDS = (1, 2)  # two halves, so that they may be run beside each other
TABLES_A_PART = 20  # that are lost at most, where it is stopped
DRAWS = 5  # of permuted weights, where a run has 20: more noise of its own, so if anything better coverage
LEAST_CORRECT = 10
ROLES = ("majority", "minority")  # classes 0 and 1
TEST_QUANTITIES = ("recall", "balanced accuracy", "recall gained by over-sampling")
Array = NDArray[np.float64]
Table = tuple[Array, NDArray[np.intp]]


@dataclass(frozen=True)
class Population:
    """Where tables are drawn from.

    Attributes
    ----------
    draw : callable
        From a generator to a table ``(X, y)``.
    n : int
        Rows of a drawn table.
    of : int, optional
        Rows that there are: two draws then share some, and the spread between draws is too small by the
        factor ``1 - n / of``, which `coverage` takes out.
    model : LogisticModel or SVMModel
    """

    draw: Callable[[np.random.Generator], Table]
    n: int
    of: int | None
    model: LogisticModel | SVMModel


def _rows_of(name: str, n: int) -> Callable[[np.random.Generator], Table]:
    def draw(rng: np.random.Generator) -> Table:
        data = load_tabular(name)
        rows = rng.choice(len(data.y), n, replace=False)
        return data.X[rows], np.asarray(data.y[rows]).astype(np.intp)

    return draw


def _mixture(rng: np.random.Generator, n: int = 800, d: int = 60) -> Table:
    """Draw n rows of sixty columns, half of them 0/1 of very different frequencies, 15 % in the minority."""
    y = (rng.random(n) < 0.15).astype(np.intp)
    frequencies = np.linspace(0.03, 0.6, d // 2)
    lift = np.where(np.arange(d // 2) % 3 == 0, 1.6, 1.0)
    binary = rng.random((n, d // 2)) < np.clip(frequencies * np.where(y[:, None], lift, 1.0), 0, 1)
    shift = np.where(np.arange(d - d // 2) % 4 == 0, 0.7, 0.0)
    return np.hstack([binary.astype(float), rng.normal(size=(n, d - d // 2)) + shift * y[:, None]]), y


def populations() -> dict[str, Population]:
    """Where the published experiment draws from."""
    return {
        "coil_2000": Population(_rows_of("coil_2000", 1500), 1500, 9822, LogisticModel()),
        "thyroid_sick": Population(_rows_of("thyroid_sick", 1000), 1000, 3772, LogisticModel()),
        "mixture": Population(_mixture, 800, None, LogisticModel()),
        "mixture, SVM": Population(_mixture, 800, None, SVMModel()),
    }


POPULATIONS = tuple(populations())


# ---------------------------------------------------------------------- one table


def cross_validated(table: Table, model: LogisticModel | SVMModel, seed: int) -> pd.DataFrame:
    """Every quantity of every fold of one table: columns quantity, role, fold, value."""
    rows: list[dict[str, object]] = []
    for fold in range(FOLDS):
        split = stratified_split(*table, split=fold, n_splits=FOLDS, random_state=seed)
        rows += [row | {"fold": fold} for row in _of_split(split, model, seed)]
    return pd.DataFrame(rows)


def _of_split(split: Split, model: LogisticModel | SVMModel, seed: int) -> Iterator[dict[str, object]]:
    fitted = _fit(split, model, "none", seed)
    own, rng = _measured(fitted, split), np.random.default_rng(seed)
    nulls = [_null(fitted, rng, split) for _ in range(DRAWS)]
    other = _fit(split, model, "ros", seed)
    gained = _measured(other, split)
    yield {"quantity": "balanced accuracy", "role": "both", "value": float(np.mean(own.recall))}
    for label, role in enumerate(ROLES):
        null = {name: _mean([n.of_class[name][label] for n in nulls]) for name in own.of_class}
        value = {name: own.of_class[name][label] for name in own.of_class}
        both = own.correct & gained.correct & (split.y_test == label)
        change = np.log(gained.required[both] / own.required[both])
        found = {
            "recall": own.recall[label],
            "recall gained by over-sampling": gained.recall[label] - own.recall[label],
            "C1": np.log(value["required"] / null["required"]),
            "C2": np.log(value["subset"] / null["subset"]),
            "C3": value["top_share"] - null["top_share"],
            "C4b": _mean(change) if both.sum() >= LEAST_CORRECT else np.nan,
            "C5a": value["top_frequency"] - null["top_frequency"],
            "C5b": value["activation_frequency"] - null["activation_frequency"],
            "share required": value["required"],
            "share of the top 10 %": value["top_share"],
        }
        if (own.correct & (split.y_test == label)).sum() < LEAST_CORRECT:
            found |= {name: np.nan for name in found if name not in TEST_QUANTITIES}
        for name, number in found.items():
            yield {"quantity": name, "role": role, "value": float(number)}


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Features of test and training rows and their weights towards the second class."""

    test_features: Array
    train_features: Array
    weights: Array
    bias: float
    tolerance: float
    baseline: Array
    y_train: NDArray[np.intp]

    @property
    def test(self) -> Array:
        """CEs of the test rows."""
        return self.test_features * self.weights

    @property
    def train(self) -> Array:
        """CEs of the training rows."""
        return self.train_features * self.weights


@dataclass(frozen=True, eq=False)
class _Measured:
    """A model on one split: recall (2,), correct and required by test row, the rest by class."""

    recall: Array
    correct: NDArray[np.bool_]
    required: Array
    of_class: dict[str, Array]


def _fit(split: Split, model: LogisticModel | SVMModel, augmenter: str, seed: int) -> _Fitted:
    given = augment(augmenter, split.X_train, split.y_train, random_state=seed)
    fitted = fit_model(model, given.X, given.y, given.sample_weight, random_state=seed)
    seen = sample_per_class(split.y_train, 200, random_state=seed)
    test, train = _merged(embed(fitted, split.X_test)), _merged(embed(fitted, split.X_train[seen]))
    features, weights = np.asarray(train.features[np.arange(len(seen))]), train.weights[-1]
    kernel = isinstance(model, SVMModel)
    return _Fitted(
        test_features=np.asarray(test.features[np.arange(len(split.y_test))]),
        train_features=features,
        weights=weights,
        bias=float(test.bias[-1]),
        tolerance=WITHIN_ONE_LENGTH if kernel else 1e-9,
        baseline=np.zeros(len(weights)) if kernel else split.baseline,
        y_train=split.y_train[seen],
    )


def _merged(ce: ClassificationEmbeddings) -> ClassificationEmbeddings:
    return ce.merged() if hasattr(ce.features, "support_vectors") else ce  # equal support vectors are one CE


def _measured(fitted: _Fitted, split: Split) -> _Measured:
    y, predicted = split.y_test, (fitted.test.sum(axis=1) + fitted.bias > 0).astype(np.intp)
    required = stable_count(np.where(predicted == 1, 1, -1)[:, None] * fitted.test)
    return _summed(fitted, predicted, predicted == y, y, required / fitted.test.shape[1])


def _null(fitted: _Fitted, rng: np.random.Generator, split: Split) -> _Measured:
    """The model with its weights dealt anew, over what it predicts itself without a bias."""
    weights = rng.permutation(fitted.weights)
    test = fitted.test_features * weights
    permuted = replace(fitted, weights=weights, bias=0.0)
    predicted = (test.sum(axis=1) > 0).astype(np.intp)
    required = stable_count(np.where(predicted == 1, 1, -1)[:, None] * test) / test.shape[1]
    return _summed(permuted, predicted, np.ones(len(predicted), dtype=bool), split.y_test, required)


def _summed(
    fitted: _Fitted,
    predicted: NDArray[np.intp],
    kept: NDArray[np.bool_],
    y: NDArray[np.intp],
    required: Array,
) -> _Measured:
    sizes = -np.sort(-np.abs(fitted.test), axis=1)
    with np.errstate(invalid="ignore"):
        top_share = sizes[:, : n_top(sizes.shape[1])].sum(axis=1) / sizes.sum(axis=1)
    of_class = {
        "required": np.array([_mean(required[kept & (y == label)]) for label in (0, 1)]),
        "top_share": np.array([_mean(top_share[kept & (y == label)]) for label in (0, 1)]),
        "subset": np.array([_subset(fitted.test, predicted, y, label) for label in (0, 1)]),
    }
    recall = np.array([np.mean(predicted[y == label] == label) for label in (0, 1)])
    return _Measured(recall, predicted == y, required, of_class | _correlations(fitted))


def stable_count(contributions: Array) -> Array:
    """Fewest CEs, largest magnitude first, from which the sum stays positive: (n,); NaN where it never does.

    The plan's counting rule for a single sum, as `cemag.metrics` counts it; written out, since it is asked
    for some fifty thousand small models.
    """
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(contributions, order, axis=1), axis=1)
    d = contributions.shape[1]
    last_wrong = d - np.argmax((sums <= 0)[:, ::-1], axis=1)
    count = np.where((sums <= 0).any(axis=1), last_wrong + 1, 1).astype(float)
    return np.where(sums[:, -1] > 0, count, np.nan)


def _subset(contributions: Array, predicted: NDArray[np.intp], y: NDArray[np.intp], label: int) -> float:
    """Smallest common subset, by mean magnitude, from which 95 % of a class's predictions are kept."""
    own = contributions[y == label] * (1 if label else -1)
    own = own[own.sum(axis=1) > 0]
    if not len(own):
        return float("nan")
    order = np.argsort(-np.abs(own).mean(axis=0), kind="stable")
    enough = (np.cumsum(own[:, order], axis=1) > 0).mean(axis=0) >= 0.95
    d = len(enough)
    return float((d - np.argmax(~enough[::-1]) + 1 if not enough.all() else 1) / d)


def _mean(values: ArrayLike) -> float:
    """Mean of what is known; NaN where nothing is."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def _correlations(fitted: _Fitted) -> dict[str, Array]:
    size = np.abs(fitted.train)
    edge = size.shape[1] - n_top(size.shape[1])
    in_top = (size >= np.partition(size, edge, axis=1)[:, edge, None]) & (size > 0)
    active = np.abs(fitted.train_features - fitted.baseline) > fitted.tolerance
    found: dict[str, list[float]] = {"top_frequency": [], "activation_frequency": []}
    for label in (0, 1):
        of = fitted.y_train == label
        n_active = active[of].sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            when_active = np.where(active[of], size[of], 0).sum(axis=0) / n_active
        found["top_frequency"].append(_spearman(in_top[of].mean(axis=0), size[of].mean(axis=0)))
        found["activation_frequency"].append(_spearman(n_active / of.sum(), when_active))
    return {name: np.array(values) for name, values in found.items()}


def _spearman(x: Array, y: Array) -> float:
    from scipy import stats

    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3 or not np.ptp(x[both]) or not np.ptp(y[both]):
        return float("nan")
    return float(np.corrcoef(stats.rankdata(x[both]), stats.rankdata(y[both]))[0, 1])


# ---------------------------------------------------------------------- many tables


def experiment(name: str, n_resamples: int, seed: int = 0, first: int = 0) -> pd.DataFrame:
    """Mean and variance over the folds of every drawn table, from the `first` on, by quantity and role."""
    population = populations()[name]
    tables = []
    for resample in range(first, first + n_resamples):
        rng = np.random.default_rng([seed, resample])
        rows = cross_validated(population.draw(rng), population.model, resample)
        tables.append(rows.assign(resample=1000 * seed + resample))
    grouped = pd.concat(tables).groupby(["quantity", "role", "resample"])["value"]
    found = grouped.agg(mean="mean", variance="var", n="count").reset_index()
    shared = 0.0 if population.of is None else population.n / population.of
    return found.assign(population=name, shared=shared)


def coverage(found: pd.DataFrame, factors: Sequence[float] = FACTORS) -> pd.DataFrame:
    """Share of intervals that hold the mean over all drawn tables, by population, quantity, role and factor.

    Parameters
    ----------
    found : DataFrame
        As `experiment` gives it. Tables with a value in fewer than four of the five folds are left out,
        as a claim leaves out what is not measurable.
    factors : sequence of float
        f in ``(1/k + f) s^2``.
    """
    from scipy import stats

    measured = found[found["n"] >= 0.8 * FOLDS]
    rows = []
    for (population, quantity, role), part in measured.groupby(["population", "quantity", "role"]):
        if len(part) < 0.8 * found["resample"].nunique():
            continue
        # what draws from one finite table have in common narrows the spread between them
        away = (part["mean"] - part["mean"].mean()) / np.sqrt(1 - part["shared"])
        for factor in factors:
            half = stats.t.ppf(0.975, part["n"] - 1) * np.sqrt((1 / part["n"] + factor) * part["variance"])
            rows.append(
                {
                    "population": population,
                    "quantity": quantity,
                    "of": "test" if quantity in TEST_QUANTITIES else "weights",
                    "role": role,
                    "factor": factor,
                    "coverage": float((away.abs() <= half).mean()),
                    "n": len(part),
                }
            )
    return pd.DataFrame(rows)


def published_coverage() -> pd.DataFrame:
    """`coverage` of the published experiment; empty where it is not there."""
    path = statistics_file("coverage.parquet")
    return coverage(pd.read_parquet(path)) if path.is_file() else pd.DataFrame()


def populations_in_words() -> str:
    """Which populations the published experiment drew from, how many tables of each, and what it lacks."""
    path = statistics_file("coverage.parquet")
    drawn = pd.read_parquet(path, columns=["population", "resample"]) if path.is_file() else pd.DataFrame()
    n_of = {name: sum(_n_drawn(drawn, name, seed) for seed in SEEDS) for name in POPULATIONS}
    whole = [f"{name} ({n} tables)" for name, n in n_of.items() if n >= TABLES]
    short = [f"{name} ({n} of {TABLES})" for name, n in n_of.items() if n < TABLES]
    said = "; ".join(whole) or "none"
    return f"{said}. Planned and not run in full: {'; '.join(short)}" if short else said


def main(path: str, n_resamples: int = TABLES) -> None:
    """Run what a Parquet file of the experiment lacks, and write it anew after every few tables."""
    target, per_seed = Path(path), n_resamples // len(SEEDS)
    target.parent.mkdir(parents=True, exist_ok=True)
    found = pd.read_parquet(target) if target.is_file() else pd.DataFrame()
    for name, seed in product(POPULATIONS, SEEDS):
        for first in range(_n_drawn(found, name, seed), per_seed, TABLES_A_PART):
            part = experiment(name, min(TABLES_A_PART, per_seed - first), seed, first)
            short = part.astype({"mean": "float32", "variance": "float32", "shared": "float32"})
            found = pd.concat([found, short], ignore_index=True)
            with written_whole(target, DataError) as scratch:
                found.to_parquet(scratch, index=False)
            print(f"{name}, seed {seed}: {first + TABLES_A_PART} of {per_seed}", flush=True)


def _n_drawn(found: pd.DataFrame, name: str, seed: int) -> int:
    """How many tables of a population were drawn with a seed."""
    if found.empty:
        return 0
    own = found[(found["population"] == name) & (found["resample"] // 1000 == seed)]
    return own["resample"].nunique()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
