"""How well a model predicts: per class, and in the summaries that imbalance asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["per_class_scores", "scores"]


def scores(y_true: NDArray[Any], y_pred: NDArray[Any]) -> dict[str, float]:
    """Accuracy, balanced accuracy, G-mean and macro F1, each from 0 to 1.

    Examples
    --------
    >>> {k: round(v, 3) for k, v in scores(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])).items()}
    {'accuracy': 0.75, 'balanced_accuracy': 0.5, 'g_mean': 0.0, 'macro_f1': 0.429}
    """
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    recalls = recall_score(y_true, y_pred, average=None, labels=np.unique(y_true), zero_division=0)
    return {
        "accuracy": float(accuracy_score(y_true, y_pred)),
        "balanced_accuracy": float(recalls.mean()),
        "g_mean": float(recalls.prod() ** (1 / len(recalls))),
        "macro_f1": float(f1_score(y_true, y_pred, average="macro", zero_division=0)),
    }


def per_class_scores(
    y_true: NDArray[Any], y_pred: NDArray[Any], classes: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Recall, precision, F1 and number of instances per class, each (C,); NaN where undefined."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, n = precision_recall_fscore_support(
        y_true, y_pred, labels=classes, zero_division=np.nan
    )
    n_correct = np.array([((y_true == c) & (y_pred == c)).sum() for c in classes])
    return {"n": n, "n_correct": n_correct, "recall": recall, "precision": precision, "f1": f1}
