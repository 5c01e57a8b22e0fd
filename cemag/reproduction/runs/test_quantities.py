"""Quantities of the plan, against a literal reading of their definitions."""

import numpy as np
import pytest

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import TrainingView
from cemag.reproduction.runs.quantities import DRAWS, Judged, instances_table, quantities_table

N_TRAIN = {"0": 30, "1": 20, "2": 10}


@pytest.fixture(scope="module", params=[1, 3], ids=["one sum", "three sums"])
def judged(request):
    rng = np.random.default_rng(request.param)
    rows, classes = request.param, max(2, request.param)
    weights, bias = rng.normal(size=(rows, 7)), rng.normal(size=rows)
    features = rng.normal(size=(60, 7)) if rows == 1 else rng.gamma(1.0, size=(60, 7))
    ce = ClassificationEmbeddings(features, weights, bias)
    y = rng.integers(0, classes, 60)
    return Judged(ce, y, TrainingView(ce, y), ce.class_mean(y))


def logits_of(ces):
    """Sums of some CEs of one instance (C, k), a column for each class, both signs for a single sum."""
    return np.array([-ces.sum(), ces.sum()]) if len(ces) == 1 else ces.sum(axis=1)


def required_of(judged, n):
    """CEs of instance n required by the rule of the plan; NaN where they do not give the prediction."""
    ces = judged.ce.weights * judged.ce.features[n : n + 1]
    predicted = judged.ce.predictions[n]
    own = ces[predicted] if len(ces) > 1 else ces[0]
    order = np.argsort(-np.abs(own), kind="stable")
    gives = []
    for k in range(len(order) + 1):
        logits = logits_of(ces[:, order[:k]])
        rivals = np.delete(logits, predicted)
        gives.append(logits[predicted] > rivals.max())
    if not gives[-1]:
        return float("nan")
    return max((k + 1 for k, kept in enumerate(gives) if not kept), default=0)


def test_instances_have_what_a_literal_count_gives(judged):
    table = instances_table(judged, np.arange(100, 160)).to_pandas()
    assert table["instance"].tolist() == list(range(100, 160))
    np.testing.assert_array_equal(table["required"], [required_of(judged, n) for n in range(60)])
    assert (table["correct"] == (table["predicted"] == table["class"])).all()
    assert (table["correct"] == (judged.ce.predictions == judged.y)).all()


def test_a_class_has_the_mean_over_its_correct_instances(judged):
    table = quantities_table(judged, {}, N_TRAIN, permuted=False, random_state=0).to_pandas()
    rows = instances_table(judged, np.arange(60)).to_pandas()
    for gauge, column in (("paper", "required"), ("margin", "required_margin")):
        for row in table[table["gauge"] == gauge].itertuples():
            own = rows[(rows["class"] == row[table.columns.get_loc("class") + 1]) & rows["correct"]]
            assert (row.n_correct, row.n_counted) == (len(own), own[column].notna().sum())
            np.testing.assert_allclose(row.required, own[column].mean() / 7, rtol=1e-6)
    assert (table["n_counted"] <= table["n_correct"]).all()
    np.testing.assert_allclose(table["lost_without_bias"], 1 - table["n_counted"] / table["n_correct"])


def test_nulls_count_every_instance_without_the_bias(judged):
    table = quantities_table(judged, {"other": judged}, N_TRAIN, permuted=True, random_state=0).to_pandas()
    permuted = table[(table["source"] == "permuted_weights") & (table["gauge"] == "paper")]
    assert permuted.groupby("class")["draw"].nunique().eq(DRAWS).all()
    nulls = table[(table["source"] != "model") & (table["gauge"] == "paper")]
    assert (nulls["n_correct"] == nulls["n_judged"]).all()
    assert (nulls["n_counted"] == nulls["n_judged"]).all()  # the CEs alone always give their own prediction
    assert nulls["by_bias"].isna().all()


def test_permuted_weights_keep_each_class_its_weights(judged):
    dealt = judged.with_permuted_weights(3)
    np.testing.assert_array_equal(np.sort(dealt.ce.weights, axis=1), np.sort(judged.ce.weights, axis=1))
    np.testing.assert_array_equal(dealt.ce.weights, dealt.train.ce.weights)
    assert (dealt.ce.weights != judged.ce.weights).any()
