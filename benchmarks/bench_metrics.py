"""All CE metrics against a literal loop over instances, and against the fits that they follow.

``python benchmarks/bench_metrics.py`` prints ratios measured side by side in one run; ``--rows`` sets on how
many instances the literal loop is timed (its time is scaled to all of them, and said to be).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from cemag import ClassificationEmbeddings, measure
from cemag.metrics import Rule, concentration, frequency, required, rules_for
from cemag.reproduction.runs import RunSpec, run


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
    """Share of a run that its metrics take, on the embedded sets; `cemag list` has it for stored grids."""
    print("metrics as a share of the fits, embedded sets, split 0")
    for model in ("logistic", "svm"):
        records = [
            run(RunSpec.parse({"dataset": d, "model": model, "augmenter": a}))
            for d in ("breast_cancer", "digits")
            for a in ("none", "smote")
        ]
        fit = sum(r.provenance.fit_seconds for r in records)
        metric = sum(r.provenance.metric_seconds for r in records)
        print(f"  {model:10s} fits {fit:6.2f} s, metrics {metric:6.2f} s")


def stored_grids() -> None:
    """The same for the published grid of the paper's five sets."""
    from cemag.reproduction.runs import published_store

    total = {"logistic": [0.0, 0.0, 0], "svm": [0.0, 0.0, 0]}
    for record in published_store():
        row = total[record.spec.model.name]
        row[0] += record.provenance.fit_seconds
        row[1] += record.provenance.metric_seconds
        row[2] += 1
    print("published grid (5 sets x 6 methods x 5 splits a model)")
    for model, (fit, metric, n) in total.items():
        print(f"  {model:10s} {n} runs, fits {fit:7.1f} s, metrics {metric:6.1f} s")
    fit, metric = (sum(row[i] for row in total.values()) for i in (0, 1))
    if fit:
        print(f"  metrics / fits {metric / fit:.2f}")


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
    stored_grids()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
