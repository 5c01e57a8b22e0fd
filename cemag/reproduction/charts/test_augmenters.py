"""Charts of augmenters draw the law that they are judged by, and the means that the frames give."""

import numpy as np
import pandas as pd
import pytest

from cemag.embeddings import ClassificationEmbeddings
from cemag.reproduction import charts
from cemag.reproduction.experiments.augmenters import by_repetition, feature_effects, with_law
from cemag.reproduction.experiments.heads import Features


@pytest.fixture(scope="module")
def table():
    parts = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        y, labels = np.repeat([0, 1], [120, 30]), np.repeat([0, 1], 40)
        X, test = (rng.exponential(1.0, (len(k), 10)) * (rng.random((len(k), 10)) < 0.6) for k in (y, labels))
        one = Features(X, y, ClassificationEmbeddings(test, np.eye(2, 10), np.zeros(2)), labels)
        parts.append(feature_effects(one).assign(family="networks", dataset="made up", repetition=seed))
    return with_law(pd.concat(parts, ignore_index=True))


def drawn(figure, of):
    rows = pd.DataFrame(next(iter(figure.chart.to_dict()["datasets"].values())))
    return rows[rows["of"] == of]


def test_the_law_of_one_class_is_drawn_as_a_curve(table):
    law = drawn(charts.frequency_and_intensity(table), "T5")
    smote = law[law["augmenter"] == "SMOTE"]
    for quantity, expected in (
        ("frequency in made rows", lambda p: 1 - (1 - p) ** 2),
        ("intensity / before", lambda p: 1 / (2 - p)),
    ):
        curve = smote[smote["quantity"] == quantity]
        np.testing.assert_allclose(curve["value"].astype(float), expected(curve["x"].astype(float)))


def test_what_is_added_is_drawn_against_the_diagonal(table):
    figure = charts.added_and_law(table)
    diagonal = drawn(figure, "T5")
    np.testing.assert_array_equal(diagonal["law"], diagonal["added"])
    assert set(figure.data["augmenter"]) == {"SMOTE", "ADASYN", "REMIX", "EOS"}
    whole = table[table["rows"] == "smote"]
    mean = (whole["frequency"] - whole["before_frequency"]).mean()
    assert figure.data.query("rows == 'smote'")["added"].mean() == pytest.approx(mean, rel=0.1)


def test_quantities_are_means_over_repetitions_with_the_line_they_are_judged_by(table):
    data = charts.augmenter_quantities(table, "of_law", "taken_in").data
    smote = data[(data["augmenter"] == "SMOTE") & (data["line"] == 1)]
    found = by_repetition(table).query("rows == 'smote'")["of_law"]
    assert smote["mean"].iloc[0] == pytest.approx(found.mean())
    assert smote["n"].iloc[0] == 3
    shares = data[data["line"] == 0]
    assert shares["low"].min() >= 0
    assert shares["high"].max() <= 1
