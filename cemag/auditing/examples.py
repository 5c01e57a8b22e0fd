"""A small model to try an audit on: logistic regression on scikit-learn's digits, thinned to 10:1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cemag.embeddings.factors import Factors
from cemag.embeddings.from_sklearn import sklearn_factors

__all__ = ["Example", "digits_example"]


@dataclass(frozen=True, eq=False)
class Example:
    """Factors on test instances, and how many instances of each class the model was trained on.

    Attributes
    ----------
    factors : Factors
    class_counts : list of int
    """

    factors: Factors
    class_counts: list[int]


def digits_example(
    random_state: int = 0,
    *,
    imbalance_ratio: float = 10.0,
    class_weight: Literal["balanced"] | None = None,
) -> Example:
    """Train logistic regression on thinned digits; the test part is as it is.

    Parameters
    ----------
    random_state : int, default=0
        Divides the digits, and draws those that are kept.
    imbalance_ratio : float, default=10
        Of the largest class, 0, to the smallest, 9; exponential between them.
    class_weight : {"balanced"}, optional
        As in scikit-learn.

    Examples
    --------
    >>> example = digits_example()
    >>> example.class_counts[0], example.class_counts[-1], example.factors.ce.n_features
    (107, 10, 64)
    """
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    digits = load_digits(as_frame=True)
    X, X_test, y, y_test = train_test_split(
        digits.data / 16, digits.target, test_size=0.4, stratify=digits.target, random_state=random_state
    )
    largest = int(y.value_counts()[0])
    counts = [int(largest * imbalance_ratio ** (-label / 9)) for label in range(10)]
    rng = np.random.default_rng(random_state)
    rows = np.concatenate([rng.permutation(np.flatnonzero(y == label))[:n] for label, n in enumerate(counts)])
    model = LogisticRegression(class_weight=class_weight, max_iter=1000).fit(X.iloc[rows], y.iloc[rows])
    return Example(sklearn_factors(model, X_test, y_test), counts)
