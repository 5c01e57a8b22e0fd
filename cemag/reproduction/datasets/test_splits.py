"""Folds partition and stratify; only training rows shape the statistics."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cemag.errors import DataError, SpecError
from cemag.reproduction.datasets import Split, load_tabular, stratified_split


def draw(seed: int, n: int = 60, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(3.0, 10.0, (n, d))
    X[:, 1] = rng.integers(0, 3, n)
    X[:, 2] = 0.1
    return X, rng.permutation(np.repeat([0, 1], [n - n // 4, n // 4]))


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 6))
def test_folds_partition_and_stratify(seed: int, n_splits: int) -> None:
    X, y = draw(seed)
    splits = [stratified_split(X, y, split=i, n_splits=n_splits, random_state=seed) for i in range(n_splits)]
    assert sorted(np.concatenate([s.test_rows for s in splits])) == list(range(len(y)))
    for s in splits:
        assert sorted([*s.train_rows, *s.test_rows]) == list(range(len(y)))
        assert np.array_equal(s.y_train, y[s.train_rows])
        assert np.array_equal(s.y_test, y[s.test_rows])
        for label in (0, 1):
            assert abs((s.y_test == label).sum() - (y == label).sum() / n_splits) < 1


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 4))
def test_test_rows_leave_no_trace_in_the_training_part(seed: int, i: int) -> None:
    X, y = draw(seed)
    before = stratified_split(X, y, split=i, random_state=seed)
    X[before.test_rows] = 1e6
    after = stratified_split(X, y, split=i, random_state=seed)
    for name in ("X_train", "mean", "scale", "baseline", "train_rows", "test_rows"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert not np.array_equal(before.X_test, after.X_test)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_standardisation_is_that_of_scikit_learn(seed: int) -> None:
    from sklearn.preprocessing import StandardScaler

    X, y = draw(seed)
    s = stratified_split(X, y, split=0, random_state=seed)
    scaler = StandardScaler().fit(X[s.train_rows])
    np.testing.assert_allclose(s.X_train, scaler.transform(X[s.train_rows]), atol=1e-9)
    np.testing.assert_allclose(s.X_test, scaler.transform(X[s.test_rows]), atol=1e-9)
    np.testing.assert_allclose(s.X_test * s.scale + s.mean, X[s.test_rows], atol=1e-9)


def test_a_constant_column_is_exactly_zero() -> None:
    s = stratified_split(*draw(0), split=0, random_state=0)
    assert s.scale[2] == 1.0
    assert not s.X_train[:, 2].any()
    assert not s.X_test[:, 2].any()


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_baseline_is_the_most_common_training_value(seed: int) -> None:
    X, y = draw(seed, n=40)
    s = stratified_split(X, y, split=1, random_state=seed)
    for j, column in enumerate(X[s.train_rows].T):
        counts = Counter(column.tolist())
        mode = min(value for value, count in counts.items() if count == max(counts.values()))
        assert s.baseline[j] == (mode - s.mean[j]) / s.scale[j]
        assert (s.X_train[:, j] == s.baseline[j]).sum() == counts[mode]


def test_the_same_seed_gives_the_same_split_and_another_does_not() -> None:
    X, y = draw(1)

    def of(seed: int) -> Split:
        return stratified_split(X, y, split=2, random_state=seed)

    assert np.array_equal(of(5).X_test, of(5).X_test)
    assert not np.array_equal(of(5).test_rows, of(6).test_rows)


def test_a_read_only_data_set_splits() -> None:
    data = load_tabular("digits")
    s = stratified_split(data.X, data.y, split=4, random_state=0)
    assert len(s.y_train) + len(s.y_test) == data.info.n_samples
    assert np.isfinite(s.X_test).all()


@pytest.mark.parametrize("split", [-1, 5])
def test_split_out_of_range(split: int) -> None:
    with pytest.raises(SpecError, match=f"split is {split}: it must be from 0 to 4"):
        stratified_split(*draw(0), split=split, random_state=0)


def test_one_fold_is_none() -> None:
    with pytest.raises(SpecError, match="n_splits is 1: it must be at least 2"):
        stratified_split(*draw(0), split=0, n_splits=1, random_state=0)


def test_a_class_too_small_for_the_folds() -> None:
    X, y = draw(0)
    y[:] = 0
    y[:3] = 1
    with pytest.raises(DataError, match="class 1 has 3 points: at least n_splits=5 are needed"):
        stratified_split(X, y, split=0, random_state=0)


def test_data_unfit_for_a_split() -> None:
    X, y = draw(0)
    with pytest.raises(DataError, match="shape"):
        stratified_split(X, y[:-1], split=0, random_state=0)
    with pytest.raises(DataError, match="shape"):
        stratified_split(np.empty((0, 3)), np.empty(0, dtype=int), split=0, random_state=0)
    with pytest.raises(DataError, match="integer class labels"):
        stratified_split(X, y.astype(float), split=0, random_state=0)
    X[3, 0] = np.nan
    with pytest.raises(DataError, match="1 NaN or infinite"):
        stratified_split(X, y, split=0, random_state=0)
