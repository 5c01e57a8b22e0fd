"""Headlines that misled: what is so by construction, by chance or by the bias is no finding."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cemag
from cemag.auditing import digits_example, factors


def said(audit):
    return {statement.name: statement for statement in audit.findings}


def stands(audit):
    """Names of what makes a headline."""
    return set(said(audit)) - {"nothing", "next", "missing"}


def imbalanced_credit(class_weight=None):
    """Many who pay and few who do not, told apart weakly: with an intercept of some -3."""
    X, y = make_classification(6000, 20, n_informative=4, weights=[0.96], class_sep=0.4, flip_y=0.01,
                               random_state=0)  # fmt: skip
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight=class_weight)).fit(
        X[:3000], y[:3000]
    )
    return cemag.audit(model, X[3000:], y[3000:], class_counts=np.bincount(y[:3000]).tolist())


def test_where_the_bias_decides_it_is_said_and_no_class_requires_no_ces():
    found = imbalanced_credit()
    table = found.per_class.set_index("class")
    assert table.loc["0", "by_bias"] > 90
    told = said(found)["bias"]
    assert f"{told.numbers['by_bias']:.3g} %" in told.title
    assert told.numbers["by_bias"] > 90
    assert (found.per_class["required"].dropna() >= 1).all()
    assert "two features or fewer" not in found.summary()


def test_class_weights_that_move_the_intercept_are_told_as_that():
    found = cemag.compare(imbalanced_credit(), imbalanced_credit("balanced"))
    rows = found.per_class.set_index(["class", "measure"])
    assert rows.loc[("0", "lost_without_bias"), "high"] < -20
    required = rows.loc[("0", "required_share")]
    assert abs(required["difference"]) < 2
    assert "% predicted correctly only with the bias, majority classes" in found.summary()


def test_a_column_of_noise_that_is_not_centred_is_no_top_feature():
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.1).astype(int)
    signal = StandardScaler().fit_transform(rng.normal(size=(3000, 6)) + 0.7 * y[:, None])
    # one-hot, and left as it is: it stands in for the intercept
    noise = np.eye(3)[rng.choice(3, 3000, p=[0.8, 0.1, 0.1])]
    model = LogisticRegression(fit_intercept=False).fit(np.hstack([signal, noise]), y)
    names = [*(f"signal {j}" for j in range(6)), "noise 0", "noise 1", "noise 2"]
    found = cemag.audit(model, np.hstack([signal, noise]), y, feature_names=names)
    raw = found.per_feature.loc[found.per_feature.groupby("class", observed=False)["mean_ce"].idxmax()]
    assert "noise 0" in set(raw["feature"])
    assert not found.per_class["top_feature"].str.startswith("noise").any()
    told = said(found)["forms"]
    assert told.numbers["top_feature_moved"] >= 1
    assert "another feature would be the top one of" in told.text


@pytest.fixture(scope="module")
def text():
    """Documents of four topics, each with words of its own among many that all share."""
    rng = np.random.default_rng(0)
    common = [f"word{i}" for i in range(3000)]
    weights = 1 / np.arange(1, 3001)
    topics, documents = rng.integers(0, 4, 600), []
    for topic in topics:
        words = rng.choice(common, 30, p=weights / weights.sum()).tolist()
        words += [f"topic{topic}x{i}" for i in rng.integers(0, 40, 4)]
        documents.append(" ".join(words))
    X = TfidfVectorizer().fit_transform(documents)
    model = LogisticRegression(max_iter=500).fit(X[:400], topics[:400])
    return cemag.audit(model, X[400:], topics[400:])


def test_sparse_text_is_concentrated_by_its_zeros_and_that_is_what_is_said(text):
    assert text.per_class["top_share"].min() == pytest.approx(1)
    assert "concentration" not in stands(text)
    told = said(text)["sparsity"]
    assert told.numbers["top_share_least"] == pytest.approx(1)
    assert f"{text.per_instance['n_active'].mean():.3g} CEs other than zero" in told.text


def test_classes_that_need_as_few_are_not_listed_as_those_that_need_the_fewest():
    labels = np.repeat(np.arange(5), 30)
    one_each = cemag.audit(features=np.eye(5)[labels], weights=np.eye(5), labels=labels)
    assert (one_each.per_class["required"] == 1).all()
    assert "classes" not in stands(one_each)


def test_of_a_model_that_learned_nothing_nothing_stands_out():
    loud = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ce = factors(rng.normal(size=(300, 30)), rng.normal(size=(4, 30)), labels=np.zeros(300, int)).ce
        audit = cemag.audit(features=ce.features, weights=ce.weights, labels=ce.predictions,
                            class_counts=[8, 4, 2, 1], random_state=seed)  # fmt: skip
        loud += bool(stands(audit) & {"required", "concentration"})
        assert "nothing" in said(audit)
    assert loud <= 4  # two tests at 5 % each


def test_one_that_did_differs_from_its_null():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 60)
    features = rng.random((240, 40))
    features[np.arange(240), labels] += 5  # a feature for each class
    weights = rng.normal(size=(4, 40)) / 20
    weights[np.arange(4), np.arange(4)] += 2
    found = cemag.audit(features=features, weights=weights, labels=labels)
    assert {"required", "concentration"} <= stands(found)
    assert "fewer CEs than with permuted weights" in said(found)["required"].title
    assert found.per_class["top_feature"].tolist() == [f"feature {c}" for c in range(4)]


def test_roles_are_compared_only_where_the_difference_is_more_than_its_uncertainty():
    example = digits_example()
    found = cemag.audit(example.factors, class_counts=example.class_counts)
    numbers = {name: value for f in found.findings for name, value in f.numbers.items()}
    clear = numbers["required_difference_low"] > 0 or numbers["required_difference_high"] < 0
    assert ("roles" in stands(found)) == clear


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("ces", ["paper", "margin"])
def test_sparse_and_dense_features_are_audited_alike(n_classes, ces, monkeypatch):
    rng, n, d = np.random.default_rng(0), 150, 3000
    dense = np.zeros((n, d))
    dense[np.arange(n)[:, None], rng.integers(0, 300, (n, 12))] = rng.random((n, 12))
    y = (dense @ rng.normal(size=(d, n_classes))).argmax(axis=1)
    model = LogisticRegression().fit(dense, y)
    monkeypatch.setattr("cemag.embeddings.classification.SPARSE_ABOVE", 0)
    one, other = (cemag.audit(model, X, y, ces=ces) for X in (csr_array(dense), dense))
    for table in ("per_class", "per_instance", "forms"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table), atol=1e-6)
