"""Published frames made by hand, in the form that the records give: what the claims are tested on."""

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


class Made:
    """Frames of all families; every claim holds in them, by far, until a test changes that."""

    def __init__(self, spread=0.02, n_instances=20, families=tuple(FAMILIES)):
        rng = np.random.default_rng(0)
        classes, instances = [], []
        for family in families:
            for dataset in PLAN.sets(family):
                for repetition in PLAN.repeats(family, dataset):
                    for augmenter in ("none", *augmenters_of(family), "threshold"):
                        run = {
                            "key": f"{family}/{dataset}/{augmenter}/{repetition}",
                            "family": family,
                            "dataset": dataset,
                            "model": family,
                            "augmenter": augmenter,
                            "standardised": True,
                            "design": "seeds" if family == "cnn" else "folds",
                            "repetition": repetition,
                        }
                        classes += self._classes(run, rng, spread)
                        instances.append(self._instances(run, n_instances))
        self.classes, self.instances = pd.DataFrame(classes), pd.concat(instances, ignore_index=True)
        noise = np.exp(rng.normal(0, spread, len(self.instances)))
        self.instances["required"] = 10 * noise
        self.instances["required_margin"] = self.instances["required"]

    def _classes(self, run, rng, spread):
        rows = []
        names = ("0", "1") if run["family"] != "cnn" else tuple(map(str, range(4)))
        n_major = len(names) // 2
        sources = ["model", "permuted_weights"] if run["augmenter"] == "none" else ["model"]
        for source in sources:
            for gauge in ("paper", "margin"):
                for place, name in enumerate(names):
                    role = "majority" if place < n_major else "minority"
                    low = {"none": 0.5, "threshold": 0.7}.get(run["augmenter"], 0.75)
                    recall = 0.95 if role == "majority" else low
                    row = run | {
                        "source": source,
                        "gauge": gauge,
                        "class": name,
                        "role": role,
                        "n_ces": N_CES[run["family"]],
                        "n_correct": 100,
                        "n_counted": 100,
                        "n_common": 100,
                        "by_bias": 0.2,
                        "recall": recall + rng.normal(0, spread / 2),
                        "balanced_accuracy": (0.95 + low) / 2 + rng.normal(0, spread / 2),
                    }
                    for quantity, pair in NUMBERS.items():
                        row[quantity] = pair[source != "model"] * np.exp(rng.normal(0, spread))
                    rows.append(row)
        return rows

    def _instances(self, run, n):
        name = "1" if run["family"] != "cnn" else "3"
        rows = pd.DataFrame({"instance": np.arange(n), "class": name, "role": "minority", "predicted": name})
        rows["correct"], rows["n_ces"], rows["by_bias"] = True, N_CES[run["family"]], False
        return rows.assign(**run)

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
