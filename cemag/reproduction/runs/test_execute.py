"""run: repeatable to the bit, and in agreement with scikit-learn's own pipeline on the same folds."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cemag.errors import CemagError, DataError
from cemag.reproduction.runs import RunSpec, RunStore, run
from cemag.reproduction.runs.source import LIBRARIES, source_digest

ESTIMATORS = {"logistic": LogisticRegression(max_iter=2000), "svm": SVC()}


def held_out(split, n_splits=5, data_seed=0):
    """One fold of the breast cancer data by scikit-learn alone, malignant as class 1."""
    X, target = load_breast_cancer(return_X_y=True)
    y = 1 - target
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=data_seed).split(X, y)
    train, test = list(folds)[split]
    return X[train], y[train], X[test], y[test]


def tables_equal(one, other):
    return all(one.tables[name].equals(other.tables[name]) for name in one.tables) or all(
        str(one.tables[name].to_pydict()) == str(other.tables[name].to_pydict()) for name in one.tables
    )


@pytest.mark.parametrize(
    ("model", "split", "n_splits", "data_seed"),
    [("logistic", 0, 5, 0), ("logistic", 2, 3, 7), ("svm", 4, 5, 1)],
)
def test_scores_equal_those_of_scikit_learns_own_pipeline_on_the_same_folds(
    model, split, n_splits, data_seed
):
    spec = RunSpec(dataset="breast_cancer", model=model, split=split, n_splits=n_splits, data_seed=data_seed)
    record = run(spec)
    X_train, y_train, X_test, y_test = held_out(split, n_splits, data_seed)
    predicted = make_pipeline(StandardScaler(), ESTIMATORS[model]).fit(X_train, y_train).predict(X_test)
    found = record.tables["performance"].to_pylist()[0]
    assert found["accuracy"] == pytest.approx(accuracy_score(y_test, predicted))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y_test, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(y_test, predicted, average="macro"))
    per_class = record.tables["per_class"].to_pydict()
    assert per_class["class"] == ["0", "1"]
    assert per_class["recall"] == pytest.approx(list(recall_score(y_test, predicted, average=None)))
    assert per_class["n"] == np.bincount(y_test).tolist()
    assert per_class["n_correct"] == np.bincount(y_test[y_test == predicted]).tolist()


def test_class_weights_are_those_of_scikit_learn():
    record = run(RunSpec(dataset="breast_cancer", augmenter="class_weight", split=3))
    X_train, y_train, X_test, y_test = held_out(3)
    balanced = LogisticRegression(max_iter=2000, class_weight="balanced")
    predicted = make_pipeline(StandardScaler(), balanced).fit(X_train, y_train).predict(X_test)
    expected = accuracy_score(y_test, predicted)
    assert record.tables["performance"]["accuracy"][0].as_py() == pytest.approx(expected)


def test_the_tables_of_one_record_agree_with_each_other():
    record = run(RunSpec(dataset="breast_cancer", augmenter="smote"))
    performance = record.tables["performance"].to_pylist()[0]
    per_class = record.tables["per_class"].to_pandas().set_index("class")
    assert performance["accuracy"] == pytest.approx(per_class["n_correct"].sum() / per_class["n"].sum())
    assert performance["balanced_accuracy"] == pytest.approx(per_class["recall"].mean())
    required = record.tables["required"].to_pandas()
    with_bias = required[required["bias"]]
    # fewer test rows than the cap on judged instances: every correct prediction takes part
    assert (with_bias["n"] == with_bias["class"].map(per_class["n_correct"])).all()
    assert required["mean"].between(0, record.provenance.n_ces).all()
    assert (required["union"] <= record.provenance.n_ces).all()
    assert (required["mean"] <= required["union"]).all()


def test_the_same_specification_has_the_same_digest_in_another_process():
    specs = [
        RunSpec(dataset="breast_cancer", model=model, augmenter=augmenter, seed=3)
        for model in ("logistic", "svm")
        for augmenter in ("ros", "adasyn", "remix")
    ]
    code = (
        "import sys; from cemag.reproduction.runs import RunSpec, run\n"
        "for line in sys.stdin: print(run(RunSpec.model_validate_json(line)).digest)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(spec.model_dump_json() for spec in specs),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"},
    )
    assert there.stdout.split() == [run(spec).digest for spec in specs]


@pytest.mark.parametrize("augmenter", ["ros", "smote", "adasyn", "remix", "rebalanced_mixup"])
def test_another_seed_is_another_result_where_the_augmenter_draws(augmenter):
    one, other = (
        run(RunSpec(dataset="breast_cancer", augmenter=augmenter, imbalance_ratio=10, seed=seed))
        for seed in (0, 1)
    )
    assert one.digest != other.digest
    assert not tables_equal(one, other)


def test_the_seed_of_a_model_that_draws_nothing_changes_no_table():
    one, other = (run(RunSpec(dataset="breast_cancer", seed=seed)) for seed in (0, 1))
    assert tables_equal(one, other)
    assert one.digest != other.digest  # another specification all the same


def test_provenance_tells_what_was_run_on_what():
    spec = RunSpec(dataset="breast_cancer", augmenter="ros", imbalance_ratio=17.85)
    found = run(spec).provenance
    assert found.source == source_digest()
    assert set(found.versions) == set(LIBRARIES)
    assert found.versions["numpy"] == np.__version__
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert len(found.data_fingerprint) == 64
    assert found.device == "cpu"
    assert found.fit_seconds > 0 < found.metric_seconds
    assert found.n_ces == found.n_fitted_ces == 30
    # 357 benign, 20 of the malignant are left; four fifths train, and ROS evens the classes out
    assert found.n_train + found.n_test == 377
    assert found.n_train + found.n_synthetic == pytest.approx(2 * 0.8 * 357, abs=2)


def test_provenance_tells_where_it_was_run():
    origin = run(RunSpec(dataset="breast_cancer")).provenance
    assert origin.system == platform.platform()
    assert origin.processor or not Path("/proc/cpuinfo").exists()
    root = Path(__file__).parents[3]
    if (root / ".git").exists():
        asked = ["git", "-C", str(root), "cat-file", "-t", origin.commit]
        assert subprocess.run(asked, capture_output=True, text=True).stdout == "commit\n"


def test_copies_of_a_support_vector_count_once_among_the_distinct():
    found = run(RunSpec(dataset="breast_cancer", model="svm", augmenter="ros", imbalance_ratio=20)).provenance
    assert found.n_ces < found.n_fitted_ces


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"imbalance_ratio": 35.7, "augmenter": "smote", "k_neighbors": 20}, ["class 1", "8", "20"]),
        ({"imbalance_ratio": 35.7, "augmenter": "adasyn", "k_neighbors": 20}, ["class 1", "8", "20"]),
        ({"imbalance_ratio": 35.7, "n_splits": 11}, ["breast_cancer", "class 1", "10", "11"]),
        ({"imbalance_ratio": 100}, ["breast_cancer", "imbalance_ratio is 100", "at most 35.7"]),
        ({"imbalance_ratio": 1.1}, ["breast_cancer", "imbalance_ratio is 1.1", "at least 1.684"]),
    ],
)
def test_a_class_too_small_is_one_line_that_names_the_class_or_the_set(changes, says, tmp_path):
    store = RunStore(tmp_path / "store")
    with pytest.raises(CemagError) as caught:
        store.put(run(RunSpec(dataset="breast_cancer", **changes)))
    assert isinstance(caught.value, DataError)
    assert "\n" not in str(caught.value)
    for part in says:
        assert part in str(caught.value)
    assert not store.root.exists()
