"""The arithmetic of mixing, against literal oracles and hand-made examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import SVC

from cemag.errors import CemagError, DataError
from cemag.samplers import harden, mix_labels, mix_rows, mixing_factors, rebalanced_label_factor

SEEDS = st.integers(0, 2**32 - 1)


def paper_label_factor(lam, n_i, n_j, kappa, tau):
    """Equation of Chou et al., read aloud, for one pair."""
    if n_i / n_j >= kappa and lam < tau:
        return 0.0
    if n_i / n_j <= 1 / kappa and 1 - lam < tau:
        return 1.0
    return lam


def random_soft(rng, n, n_classes):
    soft = rng.dirichlet(np.full(n_classes, 0.3), size=n)
    soft[rng.random(soft.shape) < 0.3] = 0
    soft[soft.sum(axis=1) == 0, 0] = 1
    return soft / soft.sum(axis=1, keepdims=True)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(0, 1), st.just(0.5)),
            st.integers(1, 10_000),
            st.sampled_from([1, 2, 3, 4, 30]),
        ),
        min_size=1,
    ),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]),
    st.booleans(),
)
def test_label_factor_is_the_papers(pairs, kappa, tau, swap):
    lam, n_i, times = (np.array(column) for column in zip(*pairs, strict=True))
    n_j = n_i * times  # whole multiples hit the boundary at kappa
    if swap:
        n_i, n_j = n_j, n_i
    expected = [paper_label_factor(*row, kappa, tau) for row in zip(lam, n_i, n_j, strict=True)]
    np.testing.assert_array_equal(rebalanced_label_factor(lam, n_i, n_j, kappa, tau), expected)


@given(st.floats(0, 1), st.integers(1, 1000), st.integers(1, 1000))
def test_label_factor_does_not_care_which_of_a_pair_is_first(lam, n_i, n_j):
    forth = rebalanced_label_factor([lam], [n_i], [n_j])[0]
    back = rebalanced_label_factor([1 - lam], [n_j], [n_i])[0]
    if abs(lam - 0.5) > 1e-9:
        assert forth == pytest.approx(1 - back, abs=1e-15)


def test_label_factor_by_hand():
    # 300 against 100 is exactly kappa: the rarer class wins once it has more than half the features
    assert rebalanced_label_factor([0.49, 0.5, 0.51], [300] * 3, [100] * 3).tolist() == [0.0, 0.5, 0.51]
    assert rebalanced_label_factor([0.49, 0.5, 0.51], [100] * 3, [300] * 3).tolist() == [0.49, 0.5, 1.0]
    assert rebalanced_label_factor([0.1, 0.9], [299] * 2, [100] * 2).tolist() == [0.1, 0.9]


@given(SEEDS, st.sampled_from([0.0, 1e-300, 0.05, 0.2, 1.0, 50.0]))
def test_mixing_factors_are_shares(seed, alpha):
    lam = mixing_factors(np.random.default_rng(seed), 50, alpha)
    assert lam.shape == (50,)
    assert ((lam >= 0) & (lam <= 1)).all()


@pytest.mark.parametrize("alpha", [-0.1, np.inf, np.nan])
def test_mixing_factors_refuse_a_bad_alpha(alpha):
    with pytest.raises(CemagError, match="alpha is"):
        mixing_factors(np.random.default_rng(0), 3, alpha)


@given(
    arrays(np.float64, (6, 3), elements=st.floats(-1e100, 1e100)),
    arrays(np.float64, 20, elements=st.floats(0, 1)),
    SEEDS,
)
def test_mixed_rows_lie_between_their_parents(X, lam, seed):
    own, partner = np.random.default_rng(seed).integers(0, 6, size=(2, 20))
    mixed = mix_rows(X, own, partner, lam)
    low, high = np.minimum(X[own], X[partner]), np.maximum(X[own], X[partner])
    slack = 4e-16 * np.maximum(abs(low), abs(high))  # the last bit
    assert ((mixed >= low - slack) & (mixed <= high + slack)).all()
    same = X[own] == X[partner]
    np.testing.assert_array_equal(mixed[same], X[own][same])


@pytest.mark.parametrize("layout", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
def test_sparse_rows_mix_as_dense_ones(layout):
    rng = np.random.default_rng(0)
    X = rng.random((10, 4)) * (rng.random((10, 4)) < 0.4)
    own, partner, lam = rng.integers(0, 10, 30), rng.integers(0, 10, 30), rng.random(30)
    X_sparse = getattr(sparse, layout)(X)
    mixed = mix_rows(X_sparse, own, partner, lam)
    assert type(mixed) is type(X_sparse)
    np.testing.assert_allclose(mixed.toarray(), mix_rows(X, own, partner, lam), atol=1e-15)


def test_images_keep_shape_and_dtype():
    images = np.random.default_rng(0).random((4, 3, 2, 2), dtype=np.float32)
    mixed = mix_rows(images, np.array([0, 1]), np.array([2, 3]), np.array([0.25, 1.0]))
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed[0], 0.25 * images[0] + 0.75 * images[2], rtol=1e-6)
    np.testing.assert_allclose(mixed[1], images[1], rtol=1e-6)


@given(arrays(np.float64, 30, elements=st.floats(0, 1)), SEEDS)
def test_mixed_labels_are_distributions(lam, seed):
    own, partner = np.random.default_rng(seed).integers(0, 4, size=(2, 30))
    soft = mix_labels(own, partner, lam, 4)
    assert (soft >= 0).all()
    np.testing.assert_array_equal(soft.sum(axis=1), 1.0)
    np.testing.assert_array_equal(soft[own == partner].max(axis=1, initial=1), 1.0)


@given(SEEDS, st.integers(0, 30), st.integers(2, 5))
def test_hardening_keeps_every_weight(seed, n, n_classes):
    rng = np.random.default_rng(seed)
    X, soft, classes = rng.normal(size=(n, 2)), random_soft(rng, n, n_classes), np.array(list("abcde"))
    X_hard, y, weight = harden(X, soft, classes[:n_classes])
    assert (weight > 0).all()
    assert len(X_hard) == len(y) == len(weight) == np.count_nonzero(soft)
    assert weight.sum() == pytest.approx(n)
    for c in range(n_classes):
        assert weight[y == classes[c]].sum() == pytest.approx(soft[:, c].sum())


@pytest.mark.parametrize(
    ("soft", "message"),
    [
        ([[0.5, 0.5]], r"soft labels have shape \(1, 2\): 2 rows and 2 classes need \(2, 2\)"),
        ([[0.5, 0.5], [0.5, 0.6]], r"soft label of row 1 is \[0.5, 0.6\]"),
        ([[1.5, -0.5], [0.5, 0.5]], "soft label of row 0"),
        ([[0.5, 0.5], [np.nan, 1.0]], "soft label of row 1"),
    ],
)
def test_hardening_refuses_what_is_no_distribution(soft, message):
    with pytest.raises(DataError, match=message):
        harden(np.zeros((2, 1)), soft, [0, 1])


@given(SEEDS)
def test_log_loss_of_hardened_rows_is_the_soft_cross_entropy(seed):
    rng = np.random.default_rng(seed)
    X, soft, W = rng.normal(size=(20, 3)), random_soft(rng, 20, 3), rng.normal(size=(3, 3))
    X_hard, y, weight = harden(X, soft, [0, 1, 2])
    of_soft = -(soft * log_softmax(X @ W, axis=1)).sum()
    of_hard = -(weight * log_softmax(X_hard @ W, axis=1)[np.arange(len(y)), y]).sum()
    assert of_hard == pytest.approx(of_soft)
    probabilities = np.exp(log_softmax(X_hard @ W, axis=1))
    assert log_loss(y, probabilities, sample_weight=weight, labels=[0, 1, 2]) * 20 == pytest.approx(of_soft)


def test_logistic_regression_on_hardened_rows_minimises_the_soft_cross_entropy():
    rng = np.random.default_rng(0)
    X, soft, C = rng.normal(size=(80, 3)), random_soft(rng, 80, 2), 2.0

    def objective(w, b):
        z = X @ w + b
        return C * (np.logaddexp(0, z) - soft[:, 1] * z).sum() + 0.5 * w @ w

    X_hard, y, weight = harden(X, soft, [0, 1])
    fitted = LogisticRegression(C=C, tol=1e-10, max_iter=1000).fit(X_hard, y, sample_weight=weight)
    w, b = fitted.coef_[0], fitted.intercept_[0]
    residual = 1 / (1 + np.exp(-(X @ w + b))) - soft[:, 1]
    np.testing.assert_allclose(C * X.T @ residual + w, 0, atol=1e-4)
    assert residual.sum() == pytest.approx(0, abs=1e-4)
    for step in 0.1 * rng.normal(size=(20, 4)):
        assert objective(w, b) <= objective(w + step[:3], b + step[3])


def test_svm_on_hardened_rows_minimises_the_expected_hinge_loss():
    rng = np.random.default_rng(1)
    X, soft = rng.normal(size=(60, 2)), random_soft(rng, 60, 2)

    def objective(w, b):
        z = X @ w + b
        hinge = soft[:, 1] * np.maximum(0, 1 - z) + soft[:, 0] * np.maximum(0, 1 + z)
        return hinge.sum() + 0.5 * w @ w

    X_hard, y, weight = harden(X, soft, [0, 1])
    fitted = SVC(kernel="linear", tol=1e-8).fit(X_hard, y, sample_weight=weight)
    w, b = fitted.coef_[0], fitted.intercept_[0]
    for step in 0.1 * rng.normal(size=(50, 3)):
        assert objective(w, b) <= objective(w + step[:2], b + step[2]) + 1e-6
