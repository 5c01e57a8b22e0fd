"""What an audit says, in plain words: each statement with its numbers and where to read on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

if TYPE_CHECKING:
    from cemag.auditing.result import Audit

__all__ = ["Finding", "findings"]

FEW_CLASSES = 6  # below this a rank correlation over classes says nothing at 5 %


@dataclass(frozen=True)
class Finding:
    """One statement of an audit.

    Attributes
    ----------
    name : str
        Short and stable: ``"fewest"``, ``"shared"``, ``"one_or_two"``, ``"ablation"``, ``"recall"``,
        ``"next"``, ``"missing"``.
    title : str
        The answer in a few words.
    text : str
        The same with its numbers.
    numbers : mapping of str to float
        Those numbers.
    chapter : str
        Page of the book that goes further, without its ending.
    """

    name: str
    title: str
    text: str
    numbers: Mapping[str, float]
    chapter: str


def findings(audit: Audit) -> list[Finding]:
    """Everything that can be said of an audit, most important first."""
    table = audit.per_class[audit.per_class["n_correct"] > 0]
    said = [_missing(audit)]
    if len(table):
        said += [_fewest(audit, table), _ablation(audit, table), _one_or_two(audit, table)]
        said += [_shared(audit), _recall(table)]
    said.append(_next(audit))
    return [finding for finding in said if finding is not None]


def _missing(audit: Audit) -> Finding | None:
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
    return Finding("missing", title, f"Classes {'; '.join(parts)}.", numbers, "cnn")


def _fewest(audit: Audit, table: pd.DataFrame) -> Finding:
    lowest = table.nsmallest(3, "required")
    listed = ", ".join(f"{row['class']} ({row['required']:.3g})" for _, row in lowest.iterrows())
    tied = int((table["required"] <= lowest["required"].max()).sum()) - len(lowest)
    listed += f" and {tied} more with as few" if tied else ""
    null = audit.null.set_index(["source", "quantity"])["mean"]
    numbers = {
        "required": float(table["required"].mean()),
        "required_null": float(null["permuted_weights", "required"]),
        "top_share": float(table["top_share"].mean()),
        "top_share_null": float(null["permuted_weights", "top_share"]),
        "top_share_noise": float(null["half_normal", "top_share"]),
    }
    text = (
        f"An instance needs {numbers['required']:.3g} of {audit.n_features:,} CEs on average over classes; "
        "the same model with each class's weights permuted needs "
        f"{numbers['required_null']:.3g}. Fewest: {listed}. "
        f"The top 10 % carry {_per_cent(numbers['top_share'])} of the magnitude (permuted weights "
        f"{_per_cent(numbers['top_share_null'])}, noise {_per_cent(numbers['top_share_noise'])}). "
    )
    by_role = table[table["role"] != ""].groupby("role")["required"].mean()
    if len(by_role) == 2:
        numbers |= {f"required_{role}": float(value) for role, value in by_role.items()}
        text += (
            f"Minority classes need {by_role['minority']:.3g}, majority classes {by_role['majority']:.3g}."
        )
    else:
        text += _no_roles(audit)
    title = f"carried by the fewest features: {_names(lowest['class'])}" + (
        f" and {tied} more" if tied else ""
    )
    return Finding("fewest", title, text, numbers, "cnn_required")


def _no_roles(audit: Audit) -> str:
    """Why minority and majority are not set beside each other."""
    if (audit.per_class["role"] != "").any():
        return "Minority and majority classes are not compared: of one of them none was predicted correctly."
    if audit.settings["class_counts"] == "given":
        return "All classes are equally large in class_counts: none is in the minority."
    return "Which classes are in the minority is not known: give class_counts."


def _ablation(audit: Audit, table: pd.DataFrame) -> Finding:
    losing = table[table["recall_lost"] > 0]
    worst = losing.nlargest(3, "recall_lost")
    listed = "; ".join(
        f"{row['class']} without {_isolated(row['top_feature'])}: {100 * row['recall']:.0f} % to "
        f"{100 * row['recall_without_top']:.0f} %"
        for _, row in worst.iterrows()
    )
    numbers = {
        "mean_lost": float(table["recall_lost"].mean()),
        "most_lost": max(0.0, float(table["recall_lost"].max())),
    }
    means = table[table["role"] != ""].groupby("role")["recall_lost"].mean()
    if len(means) == 2:
        numbers |= {f"lost_{role}": float(value) for role, value in means.items()}
    text = (
        f"Measured: with its top feature held at the mean, a class loses {_points(numbers['mean_lost'])} of "
        f"recall on average, and {len(losing)} of {len(table)} classes lose any."
    )
    text += f" Most: {listed}." if listed else ""
    if "lost_minority" in numbers:
        text += (
            f" Minority classes lose {_points(numbers['lost_minority'])}, majority classes "
            f"{_points(numbers['lost_majority'])}."
        )
    title = f"one feature is worth up to {_points(numbers['most_lost'])} of a class's recall"
    return Finding("ablation", title, text, numbers, "embeddings")


def _one_or_two(audit: Audit, table: pd.DataFrame) -> Finding:
    correct = audit.per_instance[audit.per_instance["correct"]]
    counts = {k: float((correct["required"] == k).mean()) for k in (0, 1, 2)}
    share = sum(counts.values())
    most = table.nlargest(3, "by_one_or_two")
    listed = ", ".join(f"{row['class']} ({row['by_one_or_two']:.0f} %)" for _, row in most.iterrows())
    bias = f" The bias alone decides {100 * counts[0]:.3g} %." if counts[0] else ""
    text = (
        f"Of {len(correct):,} correct predictions, {100 * counts[1]:.3g} % are there with a single CE and "
        f"{100 * counts[2]:.3g} % more with two.{bias} Most often: {listed}."
    )
    numbers = {"by_bias": counts[0], "by_one": counts[1], "by_two": counts[2]}
    return Finding(
        "one_or_two",
        f"{100 * share:.3g} % of predictions rest on two features or fewer",
        text,
        numbers,
        "cnn_required",
    )


def _shared(audit: Audit) -> Finding:
    shared = audit.shared_features
    many = shared[shared["n_classes"] > 1]
    numbers = {"shared": len(many), "by_most": float(shared["n_classes"].max()) if len(shared) else 0.0}
    if many.empty:
        text = "No feature is among the top 10 % of most instances in more than one class."
        return Finding("shared", "no feature serves several classes", text, numbers, "cnn_frequency")
    listed = "; ".join(f"{_isolated(row['feature'])}: {row['classes']}" for _, row in many.head(3).iterrows())
    text = (
        f"{len(many)} of {audit.n_features:,} features are among the top 10 % of most instances in more than "
        f"one class. The most shared: {listed}."
    )
    title = f"{len(many)} features serve more than one class"
    return Finding("shared", title, text, numbers, "cnn_frequency")


def _recall(table: pd.DataFrame) -> Finding:
    numbers: dict[str, float] = {"n_classes": len(table)}
    if len(table) < FEW_CLASSES:
        text = f"With {len(table)} classes no correlation over classes can be told from chance."
        return Finding(
            "recall", "too few classes to relate recall and concentration", text, numbers, "discussion"
        )
    parts, held = [], []
    for name, words in (("required_share", "CEs required"), ("top_share", "share of the top 10 %")):
        if table[name].nunique() < 2 or table["recall"].nunique() < 2:
            continue
        found = stats.spearmanr(table["recall"], table[name])
        numbers |= {f"spearman_{name}": float(found.statistic), f"p_{name}": float(found.pvalue)}
        parts.append(f"{words} {found.statistic:+.2f} (P = {found.pvalue:.2g})")
        held.append(found.pvalue < 0.025)  # two tests
    if not parts:
        text = "Recall or concentration is the same in every class."
        return Finding("recall", "recall does not vary with concentration", text, numbers, "discussion")
    title = (
        "recall and concentration go together"
        if any(held)
        else "recall and concentration are not seen to go together"
    )
    text = f"Over {len(table)} classes, Spearman's correlation of recall with {' and with '.join(parts)}."
    return Finding("recall", title, text, numbers, "discussion")


def _next(audit: Audit) -> Finding:
    text = (
        "The book measured over-sampling, SMOTE, REMIX, DSM and EOS on tables and images: its scorecard says "
        "what each changed in minority recall and in the number of CEs, and where nothing could be decided. "
        "To see what an intervention of your own changes, audit before and after it and call cemag.compare."
    )
    return Finding("next", "what was tried, and how to try it here", text, {}, "scorecard")


def _names(classes: pd.Series) -> str:
    names = [str(name) for name in classes]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _isolated(name: str) -> str:
    """Name that leaves the direction of the words around it alone, whatever its script."""
    return name if name.isascii() else f"\u2068{name}\u2069"


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %" if np.isfinite(share) else "(no share: all CEs are zero)"


def _points(share: float) -> str:
    return f"{np.round(100 * share, 1) + 0:g} points"
