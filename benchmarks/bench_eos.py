"""EOS against the same method as a literal loop, and as the authors' program computes it, in one run.

``python benchmarks/bench_eos.py`` balances an embedding of the size of long-tailed CIFAR-10's: 12,406 x 64
to 50,000. The literal loop goes over all points with NumPy, as the method is told: distances to all
others, sort, enemies; then draws one new point at a time. The authors' way asks scikit-learn for all
neighbours at once and loops over points in Python for weights and draws. Both are run in full;
``--share 0.1`` runs a tenth of every class.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.neighbors import NearestNeighbors

from cemag.samplers import EOS

COUNTS = np.array([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
K = 10
SECONDS_TARGET, RATIO_TARGET = 1.0, 50.0


def embedding(counts: np.ndarray, d: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes, not negative, as after a ReLU and pooling."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(counts)), counts)
    centres = rng.normal(0.3, 0.5, size=(len(counts), d))
    return np.maximum(centres[y] + rng.normal(size=(len(y), d)), 0).astype(np.float32), y


def made_by_loop(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The method sentence by sentence: the neighbours of each instance, its enemies, points between."""
    rng, made = np.random.default_rng(0), []
    counts = np.bincount(y)
    near = []
    for i in range(len(X)):
        distance = ((X - X[i]) ** 2).sum(axis=1)
        distance[i] = np.inf
        near.append(np.argsort(distance)[:K])
    for c in range(len(counts)):
        wanted = counts.max() - counts[c]
        if wanted == 0:
            continue
        bases, enemies = [], []
        for i in np.flatnonzero(y == c):
            others = [j for j in near[i] if y[j] != c]
            if others:
                bases.append(i)
                enemies.append(others)
        for _ in range(wanted):
            b = rng.integers(len(bases))
            enemy = enemies[b][rng.integers(len(enemies[b]))]
            made.append(X[bases[b]] + rng.random() * (X[enemy] - X[bases[b]]))
    return np.array(made)


def made_as_published(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The structure of the authors' program: neighbours twice, a loop for weights, one for draws."""
    rng, made = np.random.default_rng(0), []
    counts = np.bincount(y)
    search = NearestNeighbors(n_neighbors=K + 1).fit(X)
    everything = search.kneighbors(X, return_distance=False)
    for c in range(len(counts)):
        wanted = counts.max() - counts[c]
        if wanted == 0:
            continue
        bases, weights = [], []
        for near in search.kneighbors(X[y == c], return_distance=False):
            enemy = np.where(y[near[1:]] == c, 0, 1)
            if enemy.sum() > 0:
                bases.append(near[0])
                weights.append(enemy / enemy.sum())
        drawn = rng.choice(len(bases), size=wanted)
        places = [rng.choice(K, 1, p=weights[b])[0] for b in drawn]
        base = np.array(bases)[drawn]
        made.append(X[base] + rng.random((wanted, 1)) * (X[everything[base, places]] - X[base]))
    return np.concatenate(made)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of every class")
    parser.add_argument("--repeats", type=int, default=7, help="runs of ours, of which the median counts")
    options = parser.parse_args()
    counts = np.maximum((COUNTS * options.share).astype(int), 1)
    X, y = embedding(counts)
    wanted = len(counts) * counts.max() - len(y)
    print(f"{len(X):,} x {X.shape[1]} to {len(counts) * counts.max():,}, k = {K}")

    def ours() -> None:
        X_new, _ = EOS(n_neighbors=K, random_state=0).fit_resample(X, y)
        assert len(X_new) == len(X) + wanted

    ours()  # imports and thread pools
    times = [seconds(ours) for _ in range(options.repeats)]
    middle = statistics.median(times)
    literal = seconds(lambda: made_by_loop(X, y))
    published = seconds(lambda: made_as_published(X, y))
    print(f"  cemag.samplers.EOS       {middle:8.3f} s   (best {min(times):.3f}; goal {SECONDS_TARGET} s)")
    print(
        f"  literal loop             {literal:8.3f} s   {literal / middle:6.1f} x (goal {RATIO_TARGET:.0f})"
    )
    print(f"  as the authors' program  {published:8.3f} s   {published / middle:6.1f} x")


if __name__ == "__main__":
    main()
