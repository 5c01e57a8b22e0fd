"""What an audit says, in plain words: each statement with its numbers and intervals, and where to read on.

A statement makes a headline only where a difference is larger than its uncertainty: to the null of permuted
weights, between minority and majority, of a class to the others, with and without a feature. What is not is
told together, as what does not stand out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cemag.metrics import n_top, wilson

if TYPE_CHECKING:
    from cemag.auditing.result import Audit

__all__ = ["MEASURABLE", "Statement", "findings"]

FEW_CLASSES = 6  # below this a rank correlation over classes says nothing at 5 %
MEASURABLE = 10  # correct predictions of a class, below which nothing is concluded from it
WORTH_TELLING = 0.01  # share of the predictions


@dataclass(frozen=True)
class Statement:
    """One statement of an audit.

    Attributes
    ----------
    name : str
        Short and stable: ``"missing"``, ``"bias"``, ``"required"``, ``"concentration"``, ``"roles"``,
        ``"classes"``, ``"ablation"``, ``"recall"``, ``"sparsity"``, ``"forms"``, ``"nothing"``, ``"next"``.
    title : str
        The answer in a few words.
    text : str
        The same with its numbers.
    numbers : mapping of str to float
        Those numbers.
    chapter : str
        Page of the book that goes further, without its ending.
    stands_out : bool
        Whether it is more than chance would give; what is not is told in ``"nothing"``.
    """

    name: str
    title: str
    text: str
    numbers: Mapping[str, float]
    chapter: str
    stands_out: bool = True


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error, with the factor that makes an interval of it."""

    value: float
    se: float
    factor: float = 1.96

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.value - self.factor * self.se

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.value + self.factor * self.se

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 0; an interval without width says nothing."""
        return bool(self.se > 0 and (self.low > 0 or self.high < 0))

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, float(np.hypot(self.se, other.se)), self.factor)

    def times(self, scale: float) -> Estimate:
        """The same in another unit."""
        return Estimate(scale * self.value, abs(scale) * self.se, self.factor)


def findings(audit: Audit) -> list[Statement]:
    """Everything that can be said of an audit, most important first."""
    said: list[Statement | None] = [_missing(audit)]
    if audit.per_instance["correct"].any():
        said += [_bias(audit), _against_null(audit, "required"), _against_null(audit, "top_share")]
        said += [_roles(audit), _classes(audit), _ablation(audit), _recall(audit)]
    known = [statement for statement in said if statement is not None]
    quiet = [statement for statement in known if not statement.stands_out]
    loud = [statement for statement in known if statement.stands_out]
    if quiet:
        loud.append(_nothing(quiet, any(s.name != "missing" for s in loud)))
    loud += [s for s in (_sparsity(audit), _forms(audit)) if s is not None]
    return [*loud, _next()]


def class_means(audit: Audit, column: str) -> pd.DataFrame:
    """Mean of a column over a class's correct predictions, ``se`` and ``n``, of the measurable classes."""
    correct = audit.per_instance[audit.per_instance["correct"]]
    table = correct.groupby("label", observed=False)[column].agg(["mean", "std", "count"])
    table = table.assign(se=table["std"] / np.sqrt(table["count"]), role=audit.per_class["role"].to_numpy())
    return table[table["count"] >= MEASURABLE].rename(columns={"count": "n"})


def _mean(table: pd.DataFrame) -> Estimate:
    """Mean over classes, each counting alike."""
    n = max(1, len(table))
    return Estimate(float(table["mean"].sum() / n), float(np.sqrt((table["se"] ** 2).sum()) / n))


def _overall(audit: Audit, column: str) -> Estimate:
    """Mean over the measurable classes; over all correct predictions where there are too few of each."""
    table = class_means(audit, column)
    if 2 * len(table) >= (audit.per_class["n_correct"] > 0).sum():
        return _mean(table)
    known = audit.per_instance.loc[audit.per_instance["correct"], column].dropna()
    se = float(known.std() / np.sqrt(len(known))) if len(known) > 1 else 0.0
    return Estimate(float(known.mean()) if len(known) else 0.0, se)


def _missing(audit: Audit) -> Statement | None:
    table = audit.per_class
    empty, wrong = table[table["n"] == 0], table[(table["n"] > 0) & (table["n_correct"] == 0)]
    if empty.empty and wrong.empty:
        return None
    parts = []
    if len(wrong):
        parts.append(f"never predicted correctly, so that nothing carries them: {_names(wrong['class'])}")
    if len(empty):
        parts.append(f"without an instance, so that nothing can be said: {_names(empty['class'])}")
    numbers = {"never_correct": len(wrong), "without_instances": len(empty)}
    title = f"{len(empty) + len(wrong)} of {len(table)} classes cannot be judged"
    return Statement("missing", title, f"Classes {'; '.join(parts)}.", numbers, "cnn")


def _bias(audit: Audit) -> Statement | None:
    """How much of what is predicted correctly is not for the CEs to explain."""
    correct = audit.per_instance[audit.per_instance["correct"]]
    k, n = int(correct["by_bias"].sum()), len(correct)
    low, high = (100 * float(end) for end in wilson(k, n))
    numbers = {"by_bias": 100 * k / n, "by_bias_low": low, "by_bias_high": high}
    numbers["lost_without_bias"] = 100 * float(correct["lost_without_bias"].mean())
    if low < 100 * WORTH_TELLING:
        return None
    most = audit.per_class.dropna(subset=["by_bias"]).nlargest(3, "by_bias")
    listed = ", ".join(f"{row['class']} ({row['by_bias']:.3g} %)" for _, row in most.iterrows())
    text = (
        f"Of {n:,} correct predictions {k:,} are there with no CE at all, or would be lost without the bias "
        f"({low:.3g} to {high:.3g} %); lost would be {numbers['lost_without_bias']:.3g} %. Most: {listed}. "
        "All that follows counts CEs without the bias."
    )
    return Statement(
        "bias", f"the bias decides {_share(k / n)} of the predictions", text, numbers, "logistic"
    )


NULL_WORDS = {  # what is compared with permuted weights: column, title, unit
    "required": ("required_without_bias", "a prediction needs {} CEs than with permuted weights", 1, ""),
    "top_share": ("top_share", "the top 10 % of the CEs carry {} than with permuted weights", 100, " %"),
}


def _of_null(audit: Audit, source: str, quantity: str) -> dict[str, float]:
    """What one null gives for one quantity."""
    null = audit.null[(audit.null["source"] == source) & (audit.null["quantity"] == quantity)]
    return {name: float(null[name].iloc[0]) for name in ("mean", "sd", "n_permutations")}


def _against_null(audit: Audit, quantity: str) -> Statement | None:
    column, title, scale, unit = NULL_WORDS[quantity]
    permuted = _of_null(audit, "permuted_weights", quantity)
    mine = _overall(audit, column).times(scale)
    by_chance = Estimate(scale * permuted["mean"], scale * permuted["sd"])
    if mine.value == 0 or not np.isfinite(by_chance.value):
        return None
    low, high, differs = _beyond(mine, by_chance, int(permuted["n_permutations"]), quantity == "required")
    numbers = {
        quantity: mine.value / scale,
        f"{quantity}_low": mine.low / scale,
        f"{quantity}_high": mine.high / scale,
        f"{quantity}_null": by_chance.value / scale,
        f"{quantity}_null_low": low / scale,
        f"{quantity}_null_high": high / scale,
    }
    text = (
        f"{mine}{unit}{f' of {audit.n_features:,}' if quantity == 'required' else ' of the magnitude'} on "
        f"average over classes; the same model with each class's weights dealt to the features at random: "
        f"{by_chance.value:.3g} ({low:.3g} to {high:.3g}){unit}"
    )
    if quantity == "required":
        k = audit.per_instance.loc[audit.per_instance["correct"], "required_without_bias"]
        few, of = int(k.le(2).sum()), int(k.notna().sum())
        text = f"Largest first, without the bias, until no later one overturns it: {text}."
        text += f" One or two are enough for {few:,} of {of:,}"
        bound = _overall(audit, "at_most")
        numbers |= {"at_most": bound.value}
        text += f"; theorem T1 allows at most {bound.value:.3g}, {mine.value:.3g} measured"
        counted, n = audit.settings["instances counted"].split(" of ")
        if counted != n:
            text += f'. Counted on {counted} instances drawn evenly; ces="margin" counts on all {n}'
    else:
        noise = _of_null(audit, "half_normal", quantity)["mean"]
        numbers |= {"top_share_noise": noise}
        text = f"The top 10 % carry {text}; noise of as many CEs: {100 * noise:.3g} %"
    less = mine.value < by_chance.value
    words = ("fewer" if less else "more") if quantity == "required" else "less" if less else "more"
    name = "required" if quantity == "required" else "concentration"
    chapter = "cnn_required" if quantity == "required" else "embeddings"
    return Statement(name, title.format(words), f"{text}.", numbers, chapter, differs)


def _beyond(mine: Estimate, by_chance: Estimate, n: int, counts: bool) -> tuple[float, float, bool]:
    """Where one more draw of the null would lie, and whether a figure is further off than its uncertainty.

    `by_chance` has the standard deviation of n draws. Counts are compared as their logarithms: they are
    skewed, and at least 1.
    """
    factor = float(stats.t.ppf(0.975, n - 1) * np.sqrt(1 + 1 / n)) if n > 1 else np.inf
    spread = by_chance.se if np.isfinite(by_chance.se) else 0.0
    if not counts:
        half = factor * spread if spread else 0.0
        off = abs(mine.value - by_chance.value) > np.hypot(1.96 * mine.se, half)
        return by_chance.value - half, by_chance.value + half, bool(off and n > 1)
    spread = float(np.sqrt(np.log1p((spread / by_chance.value) ** 2)))  # of a log-normal of that mean and sd
    middle, half = np.log(by_chance.value) - spread**2 / 2, factor * spread if spread else 0.0
    off = abs(np.log(mine.value) - middle) > np.hypot(1.96 * mine.se / mine.value, half)
    return float(np.exp(middle - half)), float(np.exp(middle + half)), bool(off and n > 1)


def _roles(audit: Audit) -> Statement | None:
    table = class_means(audit, "required_without_bias")
    sides = {role: table[table["role"] == role] for role in ("minority", "majority")}
    if any(side.empty for side in sides.values()):
        return Statement("roles", "", _no_roles(audit), {}, "cnn_required", stands_out=False)
    minority, majority = (_mean(side) for side in sides.values())
    change = minority - majority
    numbers = {
        "required_minority": minority.value,
        "required_majority": majority.value,
        "required_difference": change.value,
        "required_difference_low": change.low,
        "required_difference_high": change.high,
    }
    word = "fewer" if change.value < 0 else "more"
    text = f"Minority classes need {minority} CEs, majority classes {majority}: difference {change}."
    title = f"minority classes need {word} CEs than majority classes"
    return Statement("roles", title, text, numbers, "cnn_required", change.differs)


def _no_roles(audit: Audit) -> str:
    """Why minority and majority are not set beside each other."""
    if (audit.per_class["role"] != "").any():
        return (
            "Minority and majority classes are not compared: of one of them no class has "
            f"{MEASURABLE} correct predictions that the CEs alone give."
        )
    if audit.settings["class_counts"] == "given":
        return "All classes are equally large in class_counts: none is in the minority."
    return "Which classes are in the minority is not known: give class_counts."


def _classes(audit: Audit) -> Statement | None:
    """Classes that need fewer CEs than the others do, beyond what so many comparisons would bring up."""
    table = class_means(audit, "required_without_bias")
    if len(table) < 3:
        return None
    n = len(table)
    others = (table["mean"].sum() - table["mean"]) / (n - 1)
    se_others = np.sqrt((table["se"] ** 2).sum() - table["se"] ** 2) / (n - 1)
    z = (table["mean"] - others) / np.hypot(table["se"], se_others).replace(0, np.nan)
    fewest = table[z < stats.norm.ppf(0.025 / n)].nsmallest(n, "mean")
    numbers = {"fewer_than_others": len(fewest), "measurable": n}
    if fewest.empty:
        text = f"Of {n} classes none needs fewer CEs than the others."
        return Statement("classes", "", text, numbers, "cnn_required", stands_out=False)
    each = [
        f"{name} {Estimate(row['mean'], row['se'])}" for name, row in fewest.head(3).iterrows()
    ]  # fmt: skip
    text = f"CEs needed: {', '.join(each)}; the average over classes is {_mean(table)}."
    title = f"carried by fewer features than the others: {_names(fewest.index)}"
    return Statement("classes", title, text, numbers, "cnn_required")


def _ablation(audit: Audit) -> Statement:
    table = audit.per_class[audit.per_class["n"] >= MEASURABLE]
    lost = audit.per_instance.assign(
        lost=audit.per_instance["correct"].astype(float) - audit.per_instance["correct_without_top"]
    ).groupby("label", observed=False)["lost"]
    se: NDArray[np.float64] = (lost.std() / np.sqrt(lost.count())).reindex(table["class"]).to_numpy()
    z = float(stats.norm.ppf(1 - 0.025 / max(1, len(table))))
    losing = table.assign(se=se)[(table["recall_lost"] > z * se) & (se > 0)]
    worst = losing.nlargest(3, "recall_lost")
    average = Estimate(
        float(table["recall_lost"].mean()) if len(table) else 0.0,
        float(np.sqrt(np.nansum(se**2)) / max(1, len(table))),
    ).times(100)
    numbers = {
        "mean_lost": average.value / 100,
        "most_lost": float(worst["recall_lost"].max()) if len(worst) else 0.0,
        "classes_losing": len(losing),
    }
    text = (
        f"With the feature that speaks most for it held at its mean, a class loses {average} points of "
        f"recall on average; {len(losing)} of {len(table)} classes lose more than chance would take"
    )
    if losing.empty:
        return Statement("ablation", "", f"{text}.", numbers, "embeddings", stands_out=False)
    listed = "; ".join(
        f"{row['class']} without {_isolated(row['top_feature'])}: {100 * row['recall']:.0f} % to "
        f"{100 * row['recall_without_top']:.0f} %, "
        f"{Estimate(row['recall_lost'], row['se']).times(100)} points"
        for _, row in worst.iterrows()
    )
    title = f"one feature is worth up to {100 * numbers['most_lost']:.3g} points of a class's recall"
    return Statement("ablation", title, f"{text}. Most: {listed}.", numbers, "embeddings")


def _recall(audit: Audit) -> Statement | None:
    table = audit.per_class[audit.per_class["n_correct"] >= MEASURABLE]
    if len(table) < FEW_CLASSES or table["recall"].nunique() < 2:
        return None
    numbers: dict[str, float] = {"n_classes": len(table)}
    parts, held = [], []
    for name, words in (("required", "CEs needed"), ("top_share", "share of the top 10 %")):
        known = table.dropna(subset=[name])
        if len(known) < FEW_CLASSES or known[name].nunique() < 2:
            continue
        found = stats.spearmanr(known["recall"], known[name])
        numbers |= {f"spearman_{name}": float(found.statistic), f"p_{name}": float(found.pvalue)}
        parts.append(f"{words} {found.statistic:+.2f} (P = {found.pvalue:.2g})")
        held.append(found.pvalue < 0.025)  # two tests
    if not parts:
        return None
    text = f"Over {len(table)} classes, Spearman's correlation of recall with {' and with '.join(parts)}."
    title = "recall and concentration go together"
    return Statement("recall", title, text, numbers, "discussion", any(held))


def _sparsity(audit: Audit) -> Statement | None:
    """Where few CEs are other than zero, the top 10 % must carry much whatever the weights are."""
    least, d = _of_null(audit, "non_zero", "top_share")["mean"], audit.n_features
    if not least > 0.5 or n_top(d) == d:
        return None
    active = float(audit.per_instance["n_active"].mean())
    text = (
        f"An instance has {active:.3g} CEs other than zero on average, and the top 10 % are {n_top(d):,} of "
        f"{d:,}: by that alone they carry at least {100 * least:.3g} % of the magnitude, whatever the "
        "weights."
    )
    numbers = {"n_active": active, "top_share_least": least}
    return Statement(
        "sparsity", "features are sparse, and so are their CEs", text, numbers, "embeddings"
    )  # fmt: skip


def _forms(audit: Audit) -> Statement | None:
    """What the choice of CEs, the origin and the scale of features do to the answer."""
    mine = audit.settings["ces"]
    told: dict[str, dict[str, dict[str, float]]] = {
        str(quantity): {str(row["ces"]): row for row in rows.to_dict("records")}  # type: ignore[misc]
        for quantity, rows in audit.forms.groupby("quantity")
    }
    required = told["required"]
    if max(row["n"] for row in required.values()) < MEASURABLE:
        return None
    other = "margin" if mine == "paper" else "paper"
    words = {"paper": "the paper's CEs", "margin": "margin CEs"}
    differs, parts = [], []
    for quantity, unit, scale in (("required", "CEs needed", 1), ("top_share", "% in the top 10 %", 100)):
        row, of_mine = told[quantity][other], told[quantity][mine]
        parts.append(
            f"{unit} {scale * row['mean']:.3g} instead of {scale * of_mine['mean']:.3g} (difference "
            f"{scale * row['difference']:+.3g}, {scale * row['low']:+.3g} to {scale * row['high']:+.3g})"
        )
        differs.append(row["low"] > 0 or row["high"] < 0)
    text = f"Counted with {words[other]}: {'; '.join(parts)}."
    if (centred := "paper, features centred") in required:
        text += f" The paper's with features measured from their mean: {required[centred]['mean']:.3g}."
    moved = int(audit.settings["top feature is another where features are not centred"].split()[0])
    if moved:
        text += (
            f" Measured from zero rather than from its mean, another feature would be the top one of {moved} "
            f"of {len(audit.class_names)} classes."
        )
    text += " The scale of a feature changes no CE: its weight makes up for it."
    if any(differs):
        title = "the answer depends on which CEs are counted, and no prediction does"
    else:
        title = "the answer does not depend on which CEs are counted"
    numbers = {
        "required_other_form": required[other]["mean"],
        "required_form_difference": required[other]["difference"],
        "top_feature_moved": moved,
    }
    return Statement("forms", title, text, numbers, "differences")


def _nothing(quiet: list[Statement], something: bool) -> Statement:
    numbers: dict[str, float] = {}
    for statement in quiet:
        numbers |= statement.numbers
    title = "nothing else stands out" if something else "nothing stands out"
    text = " ".join(["No larger than their uncertainty, or not to be told:", *(s.text for s in quiet)])
    return Statement("nothing", title, text, numbers, "discussion")


def _next() -> Statement:
    text = (
        "The book measured over-sampling, SMOTE, REMIX, DSM and EOS on tables and images: its scorecard says "
        "what each changed in minority recall and in the number of CEs, and where nothing could be decided. "
        "To see what an intervention of your own changes, audit before and after it and call cemag.compare."
    )
    return Statement("next", "what was tried, and how to try it here", text, {}, "scorecard")


def _names(classes: Iterable[object]) -> str:
    names = [str(name) for name in classes]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _isolated(name: str) -> str:
    """Name that leaves the direction of the words around it alone, whatever its script."""
    return name if name.isascii() else f"\u2068{name}\u2069"


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"
