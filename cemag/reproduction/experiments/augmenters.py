"""What an augmenter does to features: frequency, mass and range, before it and of what it makes.

T5 says what to expect where parents are drawn independently (`cemag.theory.interpolated`). Rows that are made
are held against that law, and against the test instances of the class, which no augmenter has seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag import theory
from cemag.errors import DataError, check_known
from cemag.reproduction.experiments.estimates import Estimate, over_sets
from cemag.reproduction.experiments.heads import Array, Features, Labels
from cemag.reproduction.experiments.keeping import folders_of_causes
from cemag.reproduction.experiments.sources import (
    PAPER_TABLES,
    authors_network,
    digits_networks,
    over_sources,
    published_networks,
    tables_by_fold,
)
from cemag.samplers import get_augmenter, get_image_augmenter

__all__ = [
    "AUGMENTERS",
    "Rows",
    "augmenter_effects",
    "by_repetition",
    "feature_effects",
    "glued",
    "law_verdict",
    "rows_made",
    "share_of_law",
    "with_law",
    "within_bounds",
]

AUGMENTERS = {  # by title; on an embedding SMOTE is the paper's DSM
    **{name: get_augmenter(name).title for name in ("ros", "smote", "adasyn", "remix")},
    "eos": get_image_augmenter("eos").title,
}
VERSION = 1  # of what `feature_effects` gives
ROUNDING = 1e-9  # closer to its most common value, or to the edge of the range, is at it
ENEMIES = 10  # neighbours among which EOS looks for them
ALPHA = 0.2  # of REMIX's Beta distribution
RUN = ["family", "dataset", "repetition"]
WITHIN = (0.9, 1.1)  # of what the law says: as good as the law
NOT_RUN = "(not run)"
FAMILIES = ("tables", "networks", "authors")
QUANTITIES = ("of_law", "beyond", "taken_in", "distance_frequency", "distance_mass")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a training set with a weight each; a mixture stands here once for each class in its label.

    Attributes
    ----------
    X, y, weight : ndarray of shape (n, d), (n,) and (n,)
    """

    X: Array
    y: Labels
    weight: Array

    def of_class(self, label: int) -> Rows:
        """Those of one class."""
        mine = self.y == label
        return Rows(self.X[mine], self.y[mine], self.weight[mine])


def rows_made(name: str, X: Array, y: Labels, *, seed: int = 0) -> Rows:
    """Rows that an augmenter makes; of REMIX the mixtures, which replace the given rows.

    Parameters
    ----------
    name : str
        From `AUGMENTERS`.
    X, y : ndarray of shape (N, d) and (N,)
        Training rows.
    seed : int, default=0

    Examples
    --------
    >>> made = rows_made("ros", np.array([[1.0], [2.0], [3.0]]), np.array([0, 0, 1]))
    >>> made.X.tolist(), made.y.tolist()
    ([[3.0]], [1])
    """
    from cemag.samplers import EOS, augment

    check_known("augmenter", name, AUGMENTERS)
    if name == "eos":
        with warnings.catch_warnings():  # that a class lies apart, where the nearest enemies are taken
            warnings.simplefilter("ignore", UserWarning)
            rows, labels = EOS(n_neighbors=ENEMIES, random_state=seed).fit_resample(X, y)
        return Rows(rows[len(y) :], labels[len(y) :], np.ones(len(labels) - len(y)))
    data = augment(name, X, y, random_state=seed)
    if data.sample_weight is not None:
        return Rows(data.X, data.y, data.sample_weight)
    return Rows(data.X[len(y) :], data.y[len(y) :], np.ones(data.n_synthetic))


def feature_effects(
    one: Features, names: Sequence[str] = tuple(AUGMENTERS), *, seed: int = 0
) -> pd.DataFrame:
    """Measure every feature of every class before an augmenter, among what it makes, and in the test set.

    Parameters
    ----------
    one : Features
    names : sequence of str
        From `AUGMENTERS`; all when not given.
    seed : int, default=0
        Of the augmenters.

    Returns
    -------
    DataFrame
        One row per ``rows`` (``train``, ``test``, or the augmenter that made them), class and feature:
        ``n``, their number (of mixtures their weight); ``frequency``, how often the feature is off its
        most common value; ``mass``, its mean distance from it; ``beyond``, how often it is outside the
        range of the class's training rows; ``missed``, how often the class's test instances are outside
        the range of training and these rows.
    """
    train = Rows(one.X, one.y, np.ones(len(one.y)))
    test = Rows(one.ce.features[:], one.labels, np.ones(len(one.labels)))
    made = {name: rows_made(name, one.X, one.y, seed=seed) for name in names}
    parts = []
    for label, title in enumerate(one.ce.classes):
        own, seen = train.of_class(label), test.of_class(label)
        low, high = _range(own)
        for kind, rows in {"train": train, "test": test, **made}.items():
            mine = rows.of_class(label)
            if len(mine.y) == 0:
                continue
            apart = np.abs(mine.X - one.baseline)
            share = mine.weight / mine.weight.sum()
            new_low, new_high = _range(mine)
            wide = np.minimum(low, new_low), np.maximum(high, new_high)
            columns = {
                "frequency": share @ (apart > ROUNDING),
                "mass": share @ apart,
                "beyond": share @ _outside(mine.X, low, high),
                "missed": _outside(seen.X, *wide).mean(axis=0),
            }
            measured = {name: values.astype(np.float32) for name, values in columns.items()}
            at = {"rows": kind, "class": str(title), "n": float(mine.weight.sum())}
            parts.append(pd.DataFrame({**measured, **at, "feature": np.arange(len(low), dtype=np.int16)}))
    return pd.concat(parts, ignore_index=True)


def _range(rows: Rows) -> tuple[Array, Array]:
    """Lowest and highest value of each feature, over mixtures with at least half of the class's label."""
    mostly = rows.X[rows.weight >= 0.5]
    none = np.full(rows.X.shape[1], np.inf)
    return (mostly.min(axis=0), mostly.max(axis=0)) if len(mostly) else (none, -none)


def _outside(X: Array, low: Array, high: Array) -> NDArray[np.bool_]:
    return (low - X > ROUNDING) | (X - high > ROUNDING)


def augmenter_effects(
    tables: Sequence[str] = PAPER_TABLES, *, networks: bool = True, folders: Sequence[Path] | None = None
) -> pd.DataFrame:
    """Feature effects of tables by fold and of networks by seed: what is stored, and of what is at hand now.

    Parameters
    ----------
    tables : sequence of str
    networks : bool, default=True
        Whether networks take part: published ones, those on the embedded digits, and the authors'.
    folders : sequence of path, optional
        Where records may lie; new ones go to the last.

    Returns
    -------
    DataFrame
        The columns of `feature_effects` with ``family``, ``dataset`` and ``repetition``.
    """
    sources = tables_by_fold(tables)
    if networks:
        sources += [*published_networks(), *digits_networks(), *authors_network()]
    homes = list(folders or folders_of_causes())
    return over_sources("augmenters", sources, feature_effects, homes, version=VERSION)


def with_law(effects: pd.DataFrame) -> pd.DataFrame:
    """What augmenters made, beside what the class had before, what its test instances have, and T5's law.

    Classes that are not over-sampled, the largest, are left out.

    Returns
    -------
    DataFrame
        One row per made row of `effects`: its columns, ``before_frequency``, ``before_mass``,
        ``before_n``, ``test_frequency``, ``test_mass``, ``missed_before``, and ``law_frequency`` and
        ``law_mass``; ``after_frequency`` and ``after_mass`` are of the whole set that a model is fitted to.
    """
    by_class = [*RUN, "class"]
    before = effects[effects["rows"] == "train"]
    largest = before.groupby(RUN)["n"].transform("max")
    smaller = before[before["n"] < largest].assign(missed_before=before["missed"])
    smaller = smaller.rename(columns={name: f"before_{name}" for name in ("frequency", "mass", "n")})
    test = effects[effects["rows"] == "test"].rename(
        columns={"frequency": "test_frequency", "mass": "test_mass"}
    )
    at = [*by_class, "feature"]
    made = effects[effects["rows"].isin(AUGMENTERS)]
    known = ["before_frequency", "before_mass", "before_n", "missed_before"]
    table = made.merge(smaller[[*at, *known]], on=at)
    table = table.merge(test[[*at, "test_frequency", "test_mass"]], on=at, how="left")
    table = table.merge(_partners(before), on=at)
    parts = [_of_augmenter(str(name), of_one) for name, of_one in table.groupby("rows")]
    return pd.concat(parts, ignore_index=True) if parts else table


def _partners(before: pd.DataFrame) -> pd.DataFrame:
    """Frequency and mass of each feature among all other classes' rows, and over classes alike."""
    at = [*RUN, "feature"]
    parts = before[[*RUN, "class", "feature", "n"]].copy()
    for name in ("frequency", "mass"):
        total = before["n"] * before[name]
        of_all = total.groupby([before[one] for one in at]).transform("sum")
        n_all = before["n"].groupby([before[one] for one in at]).transform("sum")
        parts[f"enemy_{name}"] = (of_all - total) / (n_all - before["n"])
        parts[f"any_{name}"] = before.groupby(at)[name].transform("mean")
    return parts.drop(columns="n")


def _of_augmenter(name: str, made: pd.DataFrame) -> pd.DataFrame:
    """T5's law for the rows of one augmenter, and what the class has when they are there."""
    p, mass = (made[f"before_{one}"].to_numpy(dtype=float) for one in ("frequency", "mass"))
    kind = {"eos": "enemy", "remix": "any"}.get(name, "before")
    q, other = (made[f"{kind}_{one}"].to_numpy(dtype=float) for one in ("frequency", "mass"))
    weight = 1 - 2 * _mean_square(ALPHA) if name == "remix" else 0.5
    law = theory.interpolated(p, _over(mass, p), q, _over(other, q), weight)
    frequency = p if name == "ros" else law.frequency  # a copy has one parent
    share = np.ones(len(made)) if name == "remix" else made["n"] / (made["n"] + made["before_n"])
    after = {
        f"after_{one}": (1 - share) * made[f"before_{one}"] + share * made[one]
        for one in ("frequency", "mass")
    }
    return made.assign(law_frequency=frequency, law_mass=law.mean, **after)


def _over(mass: Array, frequency: Array) -> Array:
    """Intensity: mean where active."""
    return np.divide(mass, frequency, out=np.zeros_like(mass), where=frequency > 0)


def _mean_square(alpha: float) -> float:
    """Of a Beta variable with both parameters alpha."""
    return (alpha + 1) / (4 * alpha + 2)


def by_repetition(table: pd.DataFrame) -> pd.DataFrame:
    """What each augmenter did in each repetition, over all features and over-sampled classes.

    Parameters
    ----------
    table : DataFrame
        From `with_law`.

    Returns
    -------
    DataFrame
        One row per repetition and augmenter: ``of_law``, what it adds to frequencies as a share of what the
        law says (NaN where the law says nothing is added); ``beyond``, mean over features; ``taken_in``, of
        the test values beyond the training range the share that is within that of the made rows;
        ``distance_frequency`` and ``distance_mass``, change of the mean distance from the test instances,
        as a share of that without augmentation.
    """
    rows = []
    for key, of_one in table.groupby([*RUN, "rows"]):
        added, law = (of_one[name] - of_one["before_frequency"] for name in ("frequency", "law_frequency"))
        found = {"of_law": added.sum() / law.sum() if law.sum() > ROUNDING else np.nan}
        outside = of_one["missed_before"].sum()
        found["beyond"] = of_one["beyond"].mean()
        found["taken_in"] = 1 - of_one["missed"].sum() / outside if outside > 0 else np.nan
        for name in ("frequency", "mass"):
            before, after = (
                np.abs(of_one[f"{when}_{name}"] - of_one[f"test_{name}"]).mean()
                for when in ("before", "after")
            )
            found[f"distance_{name}"] = after / before - 1 if before > 0 else np.nan
        rows.append(dict(zip([*RUN, "rows"], key, strict=True)) | found)
    return pd.DataFrame(rows)


def share_of_law(effects: pd.DataFrame, family: str, name: str = "smote") -> Estimate:
    """The plan's primary contrast: what an augmenter adds to frequencies as a share of T5's law.

    Raises
    ------
    DataError
        If no set of the family has two repetitions.
    """
    mine = effects[effects["family"] == family] if len(effects) else effects
    if not len(mine):
        raise DataError(f"there is no set of {family}")
    found = by_repetition(with_law(mine))
    return over_sets(found[found["rows"] == name], "of_law")


def within_bounds(one: Estimate, quantity: str) -> Estimate:
    """An interval cut at what the quantity can be: a share lies from 0 to 1."""
    if quantity not in ("beyond", "taken_in"):
        return one
    return Estimate(one.value, max(one.low, 0.0), min(one.high, 1.0), one.n)


def law_verdict(share: Estimate) -> str:
    """``follows the law``, ``gains less`` or ``open``, as the plan says.

    Examples
    --------
    >>> law_verdict(Estimate(0.6, 0.5, 0.7, 10))
    'gains less'
    """
    if WITHIN[0] <= share.low and share.high <= WITHIN[1]:
        return "follows the law"
    return "gains less" if share.high < WITHIN[0] else "open"


def glued(table: pd.DataFrame) -> dict[str, str]:
    """Name and text of every number that the chapter speaks of: ``FAMILY-AUGMENTER-QUANTITY``, in per cent.

    Parameters
    ----------
    table : DataFrame
        From `with_law`; with no row, nothing was run.

    Examples
    --------
    >>> glued(pd.DataFrame())["tables-smote-of-law"]
    '(not run)'
    """
    names = [f"{f}-{a}-{q.replace('_', '-')}" for f in FAMILIES for a in AUGMENTERS for q in QUANTITIES]
    texts = dict.fromkeys([*names, "tables-verdict", "networks-verdict"], NOT_RUN)
    texts |= {f"absent-{name}": NOT_RUN for name in ("n", "test", *AUGMENTERS, "eos-test")}
    if not len(table):
        return texts
    found = by_repetition(table)
    for (family, name), of_one in found.groupby(["family", "rows"]):
        for quantity in QUANTITIES:
            key = f"{family}-{name}-{quantity.replace('_', '-')}"
            with suppress(DataError):  # the law adds nothing, or a set has a single repetition
                texts[key] = _percent(within_bounds(over_sets(of_one, quantity), quantity), quantity)
            if len(of_one) == 1 and np.isfinite(of_one[quantity].iloc[0]):
                texts[key] = _number(float(of_one[quantity].iloc[0]), quantity) + " %"
    for family in ("tables", "networks"):
        of_smote = found[(found["family"] == family) & (found["rows"] == "smote")]
        with suppress(DataError):
            texts[f"{family}-verdict"] = law_verdict(over_sets(of_smote, "of_law"))
    return texts | {f"absent-{name}": f"{n:,}" for name, n in _absent(table).items()}


def _absent(table: pd.DataFrame) -> dict[str, int]:
    """Features that no training row of a class has: how many, and how many there are in other rows."""
    none = table[table["before_frequency"] == 0]
    had = {name: none[(none["rows"] == name) & (none["frequency"] > 0)] for name in AUGMENTERS}
    counts = {name: len(rows) for name, rows in had.items()}
    of_eos = none[none["rows"] == "eos"]
    in_test = of_eos["test_frequency"] > 0
    return counts | {
        "n": len(of_eos),
        "test": int(in_test.sum()),
        "eos-test": int((had["eos"]["test_frequency"] > 0).sum()),
    }


def _percent(one: Estimate, quantity: str) -> str:
    value, low, high = (_number(v, quantity) for v in (one.value, one.low, one.high))
    return f"{value} % ({low} to {high} %)"


def _number(share: float, quantity: str) -> str:
    """In per cent; a change with its sign, a small share with its digits."""
    if quantity.startswith("distance"):
        return f"{100 * share:+.0f}"
    return f"{100 * share:.2g}" if quantity == "beyond" else f"{100 * share:.0f}"
