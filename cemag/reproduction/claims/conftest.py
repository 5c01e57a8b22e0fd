"""Published frames made by hand, in the form that the records give: what the claims are tested on."""

from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd
import pytest

from cemag.reproduction.claims.contrasts import augmenters_of
from cemag.reproduction.claims.plan import FAMILIES, PLAN

N_CES = {"logistic": 72, "svm": 300, "cnn": 64}
NUMBERS = {
    "required": (0.10, 0.20),
    "common_subset": (0.10, 0.20),
    "top_share": (0.60, 0.45),
    "c5a": (0.90, 0.80),
    "c5b": (0.50, 0.20),
}  # of a model, and of its permuted weights
LOW_RECALL = {"none": 0.5, "threshold": 0.7}  # of the minority; 0.75 with augmentation


@lru_cache
def _runs(families):
    """Every planned run, with its augmenter and the model whose threshold alone is moved."""
    rows = [
        {
            "key": f"{family}/{dataset}/{augmenter}/{repetition}",
            "family": family,
            "dataset": dataset,
            "model": family,
            "augmenter": augmenter,
            "standardised": True,
            "design": "seeds" if family == "cnn" else "folds",
            "repetition": repetition,
            "n_ces": N_CES[family],
        }
        for family in families
        for dataset in PLAN.sets(family)
        for repetition in PLAN.repeats(family, dataset)
        for augmenter in ("none", *augmenters_of(family), "threshold")
    ]
    return pd.DataFrame(rows)


@lru_cache
def _classes(families):
    """Rows of `published_classes` without their numbers: two classes of a table, four of images."""
    names = [(0, "majority"), (1, "minority")]
    of_images = [(0, "majority"), (1, "majority"), (2, "minority"), (3, "minority")]
    parts = []
    for row in _runs(families).to_dict("records"):
        nulls = ["permuted_weights"] if row["augmenter"] == "none" else []
        choices = product(
            ["model", *nulls], ["paper", "margin"], of_images if row["family"] == "cnn" else names
        )
        parts += [row | {"source": s, "gauge": g, "class": str(c), "role": r} for s, g, (c, r) in choices]
    return pd.DataFrame(parts).assign(n_correct=100, n_counted=100, n_common=100, by_bias=0.2)


class Made:
    """Frames of all families; every claim holds in them, by far, until a test changes that."""

    def __init__(self, spread=0.02, n_instances=20, families=tuple(FAMILIES)):
        rng = np.random.default_rng(0)
        self.classes = _classes(families).copy()
        n, low = len(self.classes), self.classes["augmenter"].map(LOW_RECALL).fillna(0.75)
        major = self.classes["role"] == "majority"
        self.classes["recall"] = low.mask(major, 0.95) + rng.normal(0, spread / 2, n)
        self.classes["balanced_accuracy"] = (0.95 + low) / 2 + rng.normal(0, spread / 2, n)
        for quantity, (of_model, of_null) in NUMBERS.items():
            base = np.where(self.classes["source"] == "model", of_model, of_null)
            self.classes[quantity] = base * np.exp(rng.normal(0, spread, n))
        each = pd.DataFrame({"instance": np.arange(n_instances), "role": "minority", "correct": True})
        self.instances = _runs(families).merge(each, how="cross")
        of_images = self.instances["family"] == "cnn"
        self.instances["class"] = np.where(of_images, "3", "1")
        self.instances["required"] = 10 * np.exp(rng.normal(0, spread, len(self.instances)))
        self.instances["required_margin"] = self.instances["required"]

    def rows(self, **choices):
        """Mask of the rows of `classes` with these values."""
        keep = np.ones(len(self.classes), dtype=bool)
        for column, value in choices.items():
            names = value if isinstance(value, (list, tuple)) else [value]
            keep &= self.classes[column.rstrip("_")].isin(names).to_numpy()
        return keep

    def set(self, column, value, **choices):
        """Give a column another value in the rows chosen; a function takes the present ones."""
        keep = self.rows(**choices)
        now = self.classes.loc[keep, column]
        self.classes.loc[keep, column] = value(now) if callable(value) else value
        return self


@pytest.fixture
def made():
    """Frames in which every claim holds."""
    return Made()


@pytest.fixture
def make():
    """Make such frames otherwise."""
    return Made
