"""From the published frames to contrasts: one number a case and repetition, paired as the plan says.

Pure functions of frames; reads nothing. A frame of contrasts has the columns ``dataset``, ``role``,
``augmenter`` (empty where none takes part), ``repetition``, ``value`` (what the claim is about), ``quantity``
and ``reference`` (the two that it compares), one row for each case and repetition that is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from cemag.errors import CemagError
from cemag.reproduction.claims.plan import PLAN, Plan
from cemag.reproduction.runs import PAPER_IMAGE_AUGMENTERS
from cemag.reproduction.runs.selection import PAPER_AUGMENTERS

__all__ = [
    "COLUMNS",
    "Published",
    "against_null",
    "augmenters_of",
    "gained",
    "required_change",
    "runs_by_set",
]

COLUMNS = ["dataset", "role", "augmenter", "repetition", "value", "quantity", "reference"]
QUANTITIES = {"C1": "required", "C2": "common_subset", "C3": "top_share", "C5a": "c5a", "C5b": "c5b"}
COUNTED_OVER = {
    "C1": "n_counted",
    "C2": "n_common",
    "C3": "n_correct",
    "C5a": "n_correct",
    "C5b": "n_correct",
}
PAIR = ["dataset", "repetition", "class"]
ROLES = ("majority", "minority")


def augmenters_of(family: str) -> tuple[str, ...]:
    """The paper's augmenters of a family of models.

    Examples
    --------
    >>> augmenters_of("cnn")
    ('ros', 'remix', 'dsm', 'eos')
    """
    names = PAPER_IMAGE_AUGMENTERS if family == "cnn" else PAPER_AUGMENTERS
    return tuple(name for name in names if name != "none")


class Published:
    """The published frames of one family of models, as far as the plan lets them enter a verdict.

    Parameters
    ----------
    family : str
    classes, instances : DataFrame
        As `cemag.reproduction.runs.published_classes` and `published_instances` give them.
    plan : Plan, optional

    Raises
    ------
    CemagError
        If two runs claim the same place in the plan.
    """

    def __init__(
        self, family: str, classes: pd.DataFrame, instances: pd.DataFrame, plan: Plan = PLAN
    ) -> None:
        self.family, self.plan = family, plan
        self.classes = self._taking_part(classes)
        self.instances = self._taking_part(instances)
        self._refuse_two_in_one_place()

    def _taking_part(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame[(frame["family"] == self.family) & frame["standardised"].astype(bool)]
        asked = np.zeros(len(frame), dtype=bool)
        for name in self.plan.sets(self.family):
            repeats = self.plan.repeats(self.family, name)
            asked |= ((frame["dataset"] == name) & frame["repetition"].isin(repeats)).to_numpy()
        return frame[asked & frame["role"].isin(ROLES).to_numpy()]

    def _refuse_two_in_one_place(self) -> None:
        place = ["dataset", "augmenter", "repetition", "source"]
        runs = self.classes.groupby(place, observed=True)["key"].nunique()
        if (runs > 1).any():
            raise CemagError(
                f"{self.family}: two published runs of {runs.index[runs > 1][0]}: one is asked for"
            )

    def of(self, source: str = "model", augmenter: str = "none", gauge: str = "paper") -> pd.DataFrame:
        """Rows of one source, augmenter and gauge, a row a repetition and class."""
        table = self.classes
        keep = (table["source"] == source) & (table["augmenter"] == augmenter) & (table["gauge"] == gauge)
        return table[keep]

    @property
    def fold_factors(self) -> Mapping[str, float]:
        """What sharing training rows adds to the variance of a mean, by what is measured."""
        if self.family == "cnn":
            return {"test": 0.0, "weights": 0.0}
        return {"test": self.plan.fold_factor("test"), "weights": self.plan.fold_factor("weights")}


def runs_by_set(published: Published, augmenter: str = "none") -> dict[str, int]:
    """How many of the planned repetitions of each set were run."""
    model = published.of(augmenter=augmenter)
    runs = model.groupby("dataset", observed=True)["repetition"].nunique()
    return {name: int(runs.get(name, 0)) for name in published.plan.sets(published.family)}


def against_null(
    published: Published, claim: str, null: str = "permuted_weights", gauge: str = "paper"
) -> pd.DataFrame:
    """A claim's quantity against that of a model that learned nothing, paired by repetition and class.

    The contrast is the log of the ratio, or the difference, as the plan has it. A class takes part where it
    is measurable; a case is the mean over the classes of its role.
    """
    column, n = QUANTITIES[claim], COUNTED_OVER[claim]
    own = published.of(gauge=gauge)
    model = own[[*PAIR, "role", column, n]].rename(columns={column: "quantity", n: "n"})
    other = published.of(source=null, gauge=gauge)[[*PAIR, column]].rename(columns={column: "reference"})
    pairs = model.merge(other, on=PAIR, how="left", validate="one_to_one")
    pairs = pairs.assign(augmenter="", value=_contrast(pairs, published.plan.claims[claim].ratio))
    return _by_case(pairs, published, runs_by_set(published))


def required_change(
    published: Published, gauge: str = "paper", of: Callable[[pd.Series, pd.Series], pd.Series] | None = None
) -> pd.DataFrame:
    """What augmentation does to the CEs that an instance requires, paired by instance, class and repetition.

    Parameters
    ----------
    published : Published
    gauge : {"paper", "margin"}
    of : callable, optional
        From the share with and the share without augmentation to the change; the log of their ratio
        when not given.
    """
    column = "required" if gauge == "paper" else "required_margin"
    rows = published.instances
    rows = rows[(rows["role"] == "minority") & rows["correct"].astype(bool)]
    rows = rows.assign(share=rows[column] / rows["n_ces"]).dropna(subset=["share"])
    pair = ["dataset", "repetition", "class", "instance"]
    base = rows.loc[rows["augmenter"] == "none", [*pair, "share"]].rename(columns={"share": "reference"})
    others = rows.loc[rows["augmenter"].isin(augmenters_of(published.family))]
    pairs = others.merge(base, on=pair, validate="many_to_one").rename(columns={"share": "quantity"})
    log_ratio = lambda with_it, without: np.log(with_it / without)  # noqa: E731
    pairs = pairs.assign(value=(of or log_ratio)(pairs["quantity"], pairs["reference"]))
    by_class = pairs.groupby([*PAIR, "role", "augmenter"], observed=True, sort=False)
    means = by_class[["value", "quantity", "reference"]].mean().assign(n=by_class.size()).reset_index()
    parts = [
        _by_case(means[means["augmenter"] == name], published, runs_by_set(published, name))
        for name in augmenters_of(published.family)
    ]
    return pd.concat(parts, ignore_index=True)


def gained(
    published: Published, score: str, reference: str = "none", augmenters: Sequence[str] | None = None
) -> pd.DataFrame:
    """What augmenters add to a score over another way of training, paired by repetition.

    Parameters
    ----------
    published : Published
    score : {"recall", "balanced_accuracy"}
        Recall is that of the minority classes.
    reference : str, default="none"
        Such as ``"threshold"``, the model without augmentation whose threshold alone is moved.
    augmenters : sequence of str, optional
        The paper's when not given.
    """
    names = augmenters_of(published.family) if augmenters is None else augmenters
    base = _scores(published, reference, score).rename(columns={"quantity": "reference"})
    parts = [
        _scores(published, name, score).merge(base, on=["dataset", "repetition"]).assign(augmenter=name)
        for name in names
    ]
    pairs = pd.concat(parts, ignore_index=True)
    return pairs.assign(role="minority", value=pairs["quantity"] - pairs["reference"])[COLUMNS]


def _scores(published: Published, augmenter: str, score: str) -> pd.DataFrame:
    rows = published.of(augmenter=augmenter)
    rows = rows[rows["role"] == "minority"]
    means = rows.groupby(["dataset", "repetition"], observed=True, sort=False)[score].mean()
    return means.rename("quantity").reset_index()


def _contrast(pairs: pd.DataFrame, ratio: bool) -> pd.Series:
    if not ratio:
        return pairs["quantity"] - pairs["reference"]
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(pairs["quantity"] / pairs["reference"])
    return value.where(np.isfinite(value))


def _by_case(pairs: pd.DataFrame, published: Published, n_run: Mapping[str, int]) -> pd.DataFrame:
    """Mean over the measurable classes of each case and repetition.

    A class is measurable where it has a value over enough instances in enough of the repetitions that were
    run; elsewhere, and in the other repetitions, it takes no part.
    """
    known = pairs[(pairs["n"] >= published.plan.measurable.instances) & pairs["value"].notna()]
    of_class = ["dataset", "class", "augmenter"]
    enough = known.groupby(of_class, observed=True)["repetition"].nunique().rename("n_known").reset_index()
    share = enough["n_known"] / enough["dataset"].map(n_run)
    enough = enough[share >= published.plan.measurable.repetitions - 1e-9]
    kept = known.merge(enough[of_class], on=of_class)
    by_case = kept.groupby(["dataset", "role", "augmenter", "repetition"], observed=True, sort=False)
    return by_case[["value", "quantity", "reference"]].mean().reset_index()[COLUMNS]
