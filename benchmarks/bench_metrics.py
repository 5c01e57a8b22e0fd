"""All CE metrics against a literal loop, against the fits that they follow, and against Captum and SHAP.

``python benchmarks/bench_metrics.py`` prints ratios measured side by side in one run; ``--rows`` sets on how
many instances the literal loop is timed (its time is scaled to all of them, and said to be).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from cemag import ClassificationEmbeddings, measure
from cemag.auditing import sklearn_factors, torch_factors
from cemag.metrics import Rule, concentration, frequency, required, rules_for


def kept(ce: ClassificationEmbeddings, n: int, order: np.ndarray, own: int, rule: Rule) -> list[bool]:
    """Whether the k first features of an order give the prediction of one instance, for every k."""
    F, W = ce.features[n], ce.weights
    b = ce.bias if rule.bias else np.zeros_like(ce.bias)
    whole = W @ F + b
    flags = []
    for k in range(len(order) + 1):
        part = W[:, order[:k]] @ F[order[:k]] + b
        rivals = part if rule.sufficiency == "shared" else whole
        flags.append(k == len(order) or all(part[own] > rivals[c] for c in range(len(W)) if c != own))
    return flags


def smallest(flags: list[bool], rule: Rule) -> int:
    """Read the count off the flags."""
    if rule.stability == "first":
        return flags.index(True)
    return len(flags) - flags[::-1].index(False) if False in flags else 0


def literal_loop(ce: ClassificationEmbeddings, y: np.ndarray, rows: int) -> dict[str, list[int]]:
    """All CE metrics the way they read, without the bootstrap: one instance, one rule, one k at a time."""
    counts: dict[str, list[int]] = {rule.name: [] for rule in rules_for(ce)}
    d = ce.n_features
    union: dict[tuple[str, int], set[int]] = {}
    common = {
        (rule.name, c): np.zeros(d + 1, dtype=int) for rule in rules_for(ce) for c in range(len(ce.weights))
    }
    for n in range(rows):
        for rule in rules_for(ce):
            b = ce.bias if rule.bias else 0
            own = int((ce.weights @ ce.features[n] + b).argmax())
            ces = ce.weights[own] * ce.features[n]
            order = np.argsort(-ces if rule.ranking == "signed" else -np.abs(ces), kind="stable")
            k = smallest(kept(ce, n, order, own, rule), rule)
            counts[rule.name].append(k)
            if own == y[n]:
                union.setdefault((rule.name, own), set()).update(order[:k].tolist())
                # the class's own order costs as much again; any fixed one takes the same time
                common[rule.name, own] += np.array(kept(ce, n, np.arange(d), own, rule))
        magnitudes = np.sort(np.abs(ce.weights[ce.predictions[n]] * ce.features[n]))
        total = magnitudes.sum()
        _ = magnitudes[-7:].sum() / total, total**2 / (magnitudes**2).sum()
        _ = sum(abs(u - v) for u in magnitudes for v in magnitudes) / (2 * d * total)
    return counts


def metrics_against_a_loop(rows: int) -> None:
    """10,000 instances x 64 features x 10 classes, as pooled features of a CNN would be."""
    rng = np.random.default_rng(0)
    features = np.maximum(rng.standard_normal((10_000, 64)), 0)
    ce = ClassificationEmbeddings(features, rng.standard_normal((10, 64)), rng.standard_normal(10))
    y = np.where(rng.random(10_000) < 0.1, rng.integers(0, 10, 10_000), ce.predictions)
    measure(ce, y)  # imports and caches
    everything = _best(lambda: measure(ce, y))
    counting = _best(lambda: required(ce, y))
    start = time.perf_counter()
    literal = literal_loop(ce, y, rows)
    loop = (time.perf_counter() - start) * ce.n_instances / rows
    found = required(ce, y).per_instance
    assert all(found[rule][:rows].tolist() == literal[rule.name] for rule in rules_for(ce))
    print("10,000 instances x 64 features x 10 classes")
    print(f"  all CE metrics            {everything:8.3f} s")
    print(f"  required, all 16 rules    {counting:8.3f} s")
    print(f"  concentration, frequency  {_best(lambda: (concentration(ce), frequency(ce, y))):8.3f} s")
    print(
        f"  literal loop              {loop:8.1f} s  scaled from {rows} instances, same counts, no bootstrap"
    )
    print(f"  loop / all CE metrics     {loop / everything:8.0f} times")


def metrics_against_fits() -> None:
    """What all CE metrics of a model take beside its fit, on the embedded sets."""
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    print("metrics beside the fits, embedded sets, a third for testing")
    for name, model in (("logistic", LogisticRegression(max_iter=2000)), ("svm", OneVsRestClassifier(SVC()))):
        fits = metrics = 0.0
        for load in (load_breast_cancer, load_digits):
            X, X_test, y, y_test = train_test_split(*load(return_X_y=True), test_size=1 / 3, random_state=0)
            start = time.perf_counter()
            pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
            fitted = time.perf_counter()
            measure(sklearn_factors(pipeline, X_test, y_test).ce, y_test)
            fits, metrics = fits + fitted - start, metrics + time.perf_counter() - fitted
        print(f"  {name:10s} fits {fits:6.2f} s, metrics {metrics:6.2f} s")


def ces_against_attributions() -> None:
    """All CEs of all classes, beside Captum's and SHAP's attributions of the same models and instances."""
    import shap
    import torch
    from captum.attr import LayerGradientXActivation
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    X, y = load_digits(return_X_y=True)
    X = X / X.max()
    n, c = len(X), len(np.unique(y))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, c)).eval()
    rows = torch.tensor(X, dtype=torch.float32)
    linear = LogisticRegression(max_iter=2000).fit(X, y)

    def captum() -> np.ndarray:
        explainer = LayerGradientXActivation(net, net[2])
        found = [explainer.attribute(rows, target=k, attribute_to_layer_input=True) for k in range(c)]
        return torch.stack(found, dim=2).detach().numpy()

    def by_shap() -> np.ndarray:
        return shap.LinearExplainer(linear, np.zeros((1, X.shape[1]))).shap_values(X)

    def of_network() -> np.ndarray:
        return all_ces(torch_factors(net, rows, y).ce)

    def of_linear() -> np.ndarray:
        return all_ces(sklearn_factors(linear, X, y).ce)

    print(f"CEs of all {c} classes, {n:,} instances, the check against the model's own output included")
    for name, ours, theirs in (("Captum", of_network, captum), ("SHAP", of_linear, by_shap)):
        np.testing.assert_allclose(ours(), theirs(), atol=1e-4)
        mine, other = _best(ours), _best(theirs)
        print(f"  {name:10s} {other:8.4f} s, cemag {mine:8.4f} s, ratio {other / mine:6.1f}")


def all_ces(ce: ClassificationEmbeddings) -> np.ndarray:
    """CEs (n, d, c)."""
    return ce.features[:, :, None] * ce.weights.T[None]


def _best(call: object, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50, help="instances of the literal loop")
    metrics_against_a_loop(parser.parse_args().rows)
    metrics_against_fits()
    ces_against_attributions()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
