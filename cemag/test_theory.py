"""Each theorem against brute force, an independent solver or simulation; a wrong constant fails."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from cemag import theory
from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.metrics import n_top, per_instance
from cemag.metrics.concentration import of_magnitudes

WHOLE = st.integers(-4, 4)  # sums do not round, and ties are exact


@st.composite
def models(draw, most_classes=4):
    n, d, rows = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, most_classes))

    def array(*shape):
        flat = draw(st.lists(WHOLE, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flat, dtype=float).reshape(shape)

    return ClassificationEmbeddings(array(n, d), array(rows, d), array(rows))


def random_model(rng, n=200, d=30, rows=5, tail=1.0):
    features = np.abs(rng.standard_normal((n, d))) ** tail
    return ClassificationEmbeddings(features, rng.standard_normal((rows, d)), rng.standard_normal(rows))


# ---------------------------------------------------------------- T1


def literal_outside(v, k):
    return sum(sorted((abs(x) for x in v), reverse=True)[k:])


@settings(max_examples=200, deadline=None)
@given(st.lists(WHOLE, min_size=1, max_size=7), st.integers(-5, 5))
def test_t1_bound_is_the_first_k_that_leaves_less_than_the_sum(v, b):
    z = sum(v) + b
    expected = next((k for k in range(len(v) + 1) if literal_outside(v, k) < z), len(v))
    assert theory.required_of_one_sum_at_most([v], b)[0] == expected


@settings(max_examples=300, deadline=None)
@given(models())
def test_t1_no_count_is_above_its_bound(ce):
    counted = per_instance(ce)["required_without_bias"]
    bound = theory.required_at_most(ce)
    np.testing.assert_array_equal(np.isnan(bound), np.isnan(counted))
    known = ~np.isnan(bound)
    assert (counted[known] <= bound[known]).all()
    assert (bound[known] <= ce.n_features).all()


@settings(max_examples=150, deadline=None)
@given(models(), st.booleans())
def test_t1_holds_for_margin_ces(ce, labelled):
    margins = ce.margins(np.ones(ce.n_features) if labelled else None)
    counted = per_instance(ce, margins)["required_without_bias"]
    bound = theory.required_at_most(margins)
    known = ~np.isnan(counted)
    assert (counted[known] <= bound[known]).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_t1_is_attained_where_what_is_dropped_speaks_for_the_prediction(sizes):
    """All but the largest CEs agree, against one opponent that is the largest: the bound is the count."""
    opponent = -(max(sizes) + 1)
    v = np.array([[opponent, *sizes]], dtype=float)
    if v.sum() <= 0:
        return
    ce = ClassificationEmbeddings(v, np.ones((1, v.shape[1])))
    in_order = np.sort(-np.array(sizes))
    lead = opponent + np.cumsum(-in_order)
    needed = int(np.flatnonzero(lead <= 0)[-1]) + 3 if (lead <= 0).any() else 2
    assert per_instance(ce)["required_without_bias"][0] == needed
    outside = np.array([literal_outside(v[0], k) for k in range(v.shape[1] + 1)])
    assert theory.required_at_most(ce)[0] == int((outside < v.sum()).argmax()) == needed


def test_t1_of_many_sums_is_the_largest_over_rivals_and_tight_for_one():
    rng = np.random.default_rng(0)
    ce = random_model(rng)
    bound, p = theory.required_at_most(ce), ce.predictions
    for n in range(40):
        f = ce.features[np.array([n])][0]
        order = np.argsort(-np.abs(ce.weights[p[n]] * f), kind="stable")
        worst = 0
        for rival in set(range(5)) - {p[n]}:
            gap = ((ce.weights[p[n]] - ce.weights[rival]) * f)[order]
            ks = [k for k in range(31) if np.abs(gap[k:]).sum() < gap.sum()]
            worst = max(worst, min(ks, default=31))
        assert (np.isnan(bound[n]) and worst == 31) or bound[n] == max(worst, 1)


@settings(max_examples=200, deadline=None)
@given(models(most_classes=1))
def test_t1_a_bias_against_the_prediction_asks_for_at_least_so_many(ce):
    found = per_instance(ce)
    sign = np.where(ce.predictions == 1, 1.0, -1.0)
    ces, bias = ce.of_prediction(slice(None)), sign * ce.bias[0]
    least = theory.required_at_least(ces, bias)
    decided = ces.sum(axis=1) + bias > 0
    assert (found["required"] >= least)[decided].all()


@pytest.mark.parametrize(("bias", "needed"), [(-4.0, 5), (-18.0, 19), (-17.5, 18)])
def test_t1_lower_bound_is_attained_by_equal_ces(bias, needed):
    assert theory.required_at_least(np.ones((1, 20)), bias)[0] == needed
    ce = ClassificationEmbeddings(np.ones((1, 20)), np.ones((1, 20)), [bias])
    assert per_instance(ce)["required"][0] == needed


def test_t1_in_terms_of_share_and_coherence():
    rng = np.random.default_rng(1)
    ces = rng.standard_normal((500, 20)) + 0.4
    ces = ces[ces.sum(axis=1) > 0]
    sizes = -np.sort(-np.abs(ces), axis=1)
    shares = np.cumsum(sizes, axis=1) / sizes.sum(axis=1, keepdims=True)
    enough = shares > 1 - theory.coherence(ces)[:, None]
    np.testing.assert_array_equal(theory.required_of_one_sum_at_most(ces), enough.argmax(axis=1) + 1)


# ---------------------------------------------------------------- T2


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=2, max_size=40), st.sampled_from([0.1, 0.25, 0.5]))
def test_t2_the_share_lies_between_its_bounds(sizes, share):
    magnitudes = np.array([sizes])
    if magnitudes.max() < 1e-3:
        return
    found = of_magnitudes(magnitudes, share)
    low, high = theory.top_share_between(found.participation_ratio, len(sizes), share)
    assert low[0] - 1e-9 <= found.top_share[0] <= high[0] + 1e-9


def test_t2_both_bounds_are_attained():
    d, m = 50, n_top(50)
    alone = np.zeros((1, d))
    alone[0, :m] = 1  # all of the magnitude in m equal CEs: Cauchy and Schwarz are equal
    assert theory.top_share_between(of_magnitudes(alone).participation_ratio, d)[1][0] == pytest.approx(1)
    equal = of_magnitudes(np.ones((1, d)))
    low, _ = theory.top_share_between(equal.participation_ratio, d)
    assert equal.top_share[0] == pytest.approx(m / d) == pytest.approx(low[0])
    one = of_magnitudes(np.eye(1, 5))  # of the top one: 1 / PR is the share
    assert theory.top_share_between(one.participation_ratio, 5)[0][0] == pytest.approx(one.top_share[0])


def test_t2_the_upper_bound_is_neared_where_the_rest_is_spread_over_very_many():
    magnitudes = np.r_[np.full(500, 0.7 / 500), np.full(4500, 0.3 / 4500)][None]
    found = of_magnitudes(magnitudes)
    assert found.top_share[0] == pytest.approx(0.7)
    assert theory.top_share_between(found.participation_ratio, 5000)[1][0] == pytest.approx(0.7, rel=0.02)


@given(st.floats(1.5, 40), st.sampled_from([64, 294]), st.sampled_from([0.01, 0.1, 0.25]))
def test_t2_the_lower_bound_is_where_the_theorems_inequality_is_an_equation(ratio, d, share):
    s, m = float(theory.top_share_between(ratio, d, share)[0]), n_top(d, share)
    assert s**2 + s * (1 - s) / m == pytest.approx(1 / ratio) or s == m / d


@pytest.mark.parametrize(
    ("law", "draw"),
    [
        (lambda: theory.half_normal(), lambda rng, n: rng.standard_normal(n)),
        (lambda: theory.normal_product(), lambda rng, n: rng.standard_normal(n) * rng.standard_normal(n)),
        (lambda: theory.log_normal(0.8), lambda rng, n: rng.lognormal(0, 0.8, n)),
        (lambda: theory.log_normal(1.2816), lambda rng, n: rng.lognormal(0, 1.2816, n)),
    ],
    ids=["half-normal", "product", "log-normal 0.8", "log-normal 1.28"],
)
def test_t2_laws_are_what_very_many_draws_give(law, draw):
    law = law()
    found = of_magnitudes(np.abs(draw(np.random.default_rng(2), 400_000))[None])
    assert found.top_share[0] == pytest.approx(law.top_share, abs=0.006)
    assert found.participation_ratio[0] / 400_000 == pytest.approx(law.participation, rel=0.1)


def test_t2_half_of_the_magnitude_at_sigma_of_the_normal_quantile():
    assert theory.log_normal(1.28).top_share < 0.5 < theory.log_normal(1.283).top_share


# ---------------------------------------------------------------- T3


def test_t3a_a_large_sample_has_the_same_weights_at_every_class_ratio():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    means = np.array([[0.0, 0.0, 0.0], [1.0, -0.5, 0.0]])
    covariance = np.array([[1.0, 0.4, 0.0], [0.4, 1.0, 0.2], [0.0, 0.2, 1.0]])
    for minority, error in ((0.5, 0.08), (0.05, 0.15)):
        sizes = [int(20_000 * (1 - minority)), int(20_000 * minority)]
        X = np.concatenate(
            [rng.multivariate_normal(m, covariance, n) for m, n in zip(means, sizes, strict=True)]
        )
        fitted = LogisticRegression(C=np.inf).fit(X, np.repeat([0, 1], sizes))
        weights, bias = theory.gaussian_weights(means, covariance, minority)
        np.testing.assert_allclose(fitted.coef_[0], weights, atol=error)
        assert fitted.intercept_[0] == pytest.approx(bias, abs=error)


def test_t3b_shrinkage_is_the_derivative_of_a_ridge():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    X = rng.standard_normal((3000, 3)) @ np.diag([1.0, 2.0, 0.5])
    y = (rng.random(3000) < special.expit(X @ [1.0, 0.5, -1.0] - 3)).astype(int)
    plain = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, y)
    penalty = 0.5
    ridge = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(X, y)
    shrunk = theory.ridge_shrinkage(X, plain.predict_proba(X)[:, 1], penalty) @ plain.coef_[0]
    change = ridge.coef_[0] - plain.coef_[0]
    np.testing.assert_allclose(shrunk - plain.coef_[0], change, rtol=0.05)


def test_t3c_of_a_minority_only_the_mean_counts_as_the_majority_grows():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    majority = rng.standard_normal((30_000, 2))
    minority = rng.normal([0.8, -0.4], 0.5, size=(10, 2))
    limit = theory.vast_majority_weights(majority, minority.mean(axis=0))
    X = np.concatenate([majority, minority])
    y = np.repeat([0, 1], [30_000, 10])
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(fitted.coef_[0], limit, atol=0.01)
    X[-10:] = minority.mean(axis=0)
    by_mean = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(by_mean.coef_[0], fitted.coef_[0], atol=0.01)


def test_t3c_a_mean_outside_the_majority_has_no_limit():
    with pytest.raises(DataError, match="minority_mean does not lie within the majority"):
        theory.vast_majority_weights(np.random.default_rng(0).random((50, 2)), [5.0, 5.0])


@pytest.mark.parametrize("class_weight", [None, {0: 1, 1: 30}])
def test_t3d_separable_classes_have_the_max_margin_direction_whatever_their_weights(class_weight):
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    rng = np.random.default_rng(11)
    X = np.concatenate([rng.normal(size=(200, 2)), rng.normal([6.0, 3.0], [0.5, 1.5], size=(10, 2))])
    y = np.repeat([0, 1], [200, 10])
    margin = SVC(kernel="linear", C=1e6).fit(X, y).coef_[0]
    assert (SVC(kernel="linear", C=1e6).fit(X, y).predict(X) == y).all()
    fitted = LogisticRegression(C=1e7, class_weight=class_weight, tol=1e-10, max_iter=20_000).fit(X, y)
    means = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    to_margin, to_means = (
        fitted.coef_[0] @ v / np.linalg.norm(fitted.coef_) / np.linalg.norm(v) for v in (margin, means)
    )
    assert to_margin > 0.995 > to_means


# ---------------------------------------------------------------- T4


def test_t4_margin_ces_are_those_of_every_gauge():
    rng = np.random.default_rng(6)
    ce = random_model(rng)
    point, v, m = rng.standard_normal((3, ce.n_features))
    moved = ClassificationEmbeddings(
        ce.features[:] - m, ce.weights + v, ce.bias + (ce.weights + v) @ m - v @ m
    )
    np.testing.assert_array_equal(moved.predictions, ce.predictions)
    ours, theirs = ce.margins(point), moved.margins(point - m)
    np.testing.assert_allclose(theirs.of_prediction(slice(None)), ours.of_prediction(slice(None)), atol=1e-9)
    assert not np.allclose(moved.of_prediction(slice(None)), ce.of_prediction(slice(None)))


def test_t4_an_l2_penalised_softmax_has_no_common_vector():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((300, 4)), rng.integers(0, 3, 300)
    fitted = LogisticRegression(C=0.1, tol=1e-10, max_iter=2000).fit(X, y)
    assert np.abs(fitted.coef_.sum(axis=0)).max() < 1e-6 < 1e-3 < np.abs(fitted.coef_).max()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_t4_the_common_vector_decays_as_the_recursion_says(momentum):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 4).double()
    before = head.weight.detach().sum(dim=0)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1, momentum=momentum, weight_decay=0.02)
    X, y = torch.randn(40, 6).double(), torch.randint(0, 4, (40,))
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(X), y).backward()
        optimiser.step()
    left = theory.common_vector_left([0.1] * 60, 0.02, momentum)
    torch.testing.assert_close(head.weight.detach().sum(dim=0), left * before)


# ---------------------------------------------------------------- T5


def drawn_features(rng, n, frequency, intensity):
    return np.where(rng.random(n) < frequency, rng.exponential(intensity, n), 0.0)


@pytest.mark.parametrize(("p", "q"), [(0.3, None), (0.8, None), (0.2, 0.6)])
def test_t5_made_points_have_the_frequency_and_intensity_of_the_law(p, q):
    rng, n = np.random.default_rng(8), 200_000
    own = drawn_features(rng, n, p, 2.0)
    partner = drawn_features(rng, n, p if q is None else q, 2.0 if q is None else 3.0)
    step = rng.random(n)
    made = own + step * (partner - own)
    law = theory.interpolated(p, 2.0, q, None if q is None else 3.0)
    assert (made > 0).mean() == pytest.approx(law.frequency, abs=0.004)
    assert made[made > 0].mean() == pytest.approx(law.intensity, rel=0.01)
    assert made.mean() == pytest.approx(law.mean, rel=0.01)


@given(st.floats(0.01, 1), st.floats(0.1, 10))
def test_t5_smote_swaps_frequency_for_intensity(p, a):
    made = theory.interpolated(p, a)
    assert made.mean == pytest.approx(p * a)
    assert made.intensity == pytest.approx(a / (2 - p))
    assert made.frequency == pytest.approx(p * (2 - p))


def test_t5_a_feature_that_no_parent_has_is_not_made_and_one_of_the_enemies_is():
    assert theory.interpolated(0.0, 0.0).frequency == 0
    assert theory.interpolated(0.0, 0.0, 0.5, 2.0).frequency == pytest.approx(0.5)
    assert theory.interpolated(0.0, 0.0, 0.5, 2.0).mean == pytest.approx(0.5)


# ---------------------------------------------------------------- T7


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_t7_the_penalty_is_what_dropout_adds_to_the_loss(rows, rate):
    """The expected loss over all 2^d ways to drop features, at CEs so small that the second order is all."""
    rng = np.random.default_rng(10)
    ce = random_model(rng, n=5, d=8, rows=rows)
    ce = ClassificationEmbeddings(ce.features, 0.02 * ce.weights, ce.bias)
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    chance = np.prod(np.where(masks > 0, 1 - rate, rate), axis=1)

    def loss(logits):  # of the first class
        full = np.concatenate([np.zeros((len(logits), 1)), logits], axis=1) if rows == 1 else logits
        return special.logsumexp(full, axis=1) - full[:, 0]

    for n, features in enumerate(ce.features[:]):
        dropped = (features * masks / (1 - rate)) @ ce.weights.T + ce.bias
        added = chance @ loss(dropped) - loss(ce.logits()[n : n + 1])[0]
        assert added == pytest.approx(theory.dropout_penalty(ce, rate)[n], rel=0.03)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_t7_rates_out_of_range_are_refused(rate):
    with pytest.raises(DataError, match="rate is"):
        theory.dropout_penalty(ClassificationEmbeddings([[1.0]], [[1.0]]), rate)


def test_t7_at_one_sum_of_magnitudes_the_penalty_is_least_where_it_is_spread():
    spread, narrow = np.full((1, 10), 0.2), np.r_[2.0, np.zeros(9)][None]
    penalties = [
        theory.dropout_penalty(ClassificationEmbeddings(v, np.ones((1, 10))), 0.5)[0]
        for v in (spread, narrow)
    ]
    assert penalties[1] == pytest.approx(10 * penalties[0])
