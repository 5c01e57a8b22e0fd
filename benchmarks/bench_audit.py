"""Time and memory of an audit, from factors and of an RBF SVC, and how they grow.

``python benchmarks/bench_audit.py --out results/benchmarks/audit.jsonl`` writes a line a case, which the
book plots; ``--small`` keeps to a minute. Each case runs in a process of its own, so that its peak memory is
its own. Beside the largest stands what counts CEs without early exits (`cemag.metrics.ces_required`), on a
few rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

BASE = (12_500, 512, 250)
IMAGENET = (50_000, 2_048, 1_000)
TRAINED_ON = 10_500  # of which some 10,000 become support vectors
NOISE = 2.5  # at 512 features, beside prototypes of variance 1/2: some predictions are wrong, as in life


def made_factors(n: int, d: int, c: int, kind: str) -> dict[str, np.ndarray]:
    """Random factors, or features of noisy class prototypes with the prototypes as weights (float32).

    With ``"shared"`` the weights of all classes have a part in common, which decides nothing but comes
    first in every order: many CEs are required.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, c, n)
    features = rng.standard_normal((n, d), dtype=np.float32)
    if kind == "random":
        weights = rng.standard_normal((c, d), dtype=np.float32)
    else:
        prototypes = rng.gamma(0.5, 1, size=(c, d)).astype(np.float32)
        weights = prototypes - prototypes.mean(axis=0)
        if kind == "shared":
            weights += 3 * weights.std() * rng.standard_normal(d, dtype=np.float32)
        features *= np.float32(NOISE * np.sqrt(d / 512))
        for start in range(0, n, 4096):  # so that making them does not take more than holding them
            features[start : start + 4096] += prototypes[labels[start : start + 4096]]
    np.maximum(features, 0, out=features)
    return {"features": features, "weights": weights, "labels": labels}


def fitted_svc() -> dict[str, object]:
    """An SVC whose labels are chance, so that every row is a support vector."""
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((TRAINED_ON, 20)), rng.integers(0, 2, TRAINED_ON)
    X_test, y_test = rng.standard_normal((10_000, 20)), rng.integers(0, 2, 10_000)
    return {"model": SVC().fit(X, y), "X": X_test, "y": y_test}


class Peak(threading.Thread):
    """Largest resident memory while it runs, beyond that at its start, in GiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        import psutil

        self._process, self._over = psutil.Process(), threading.Event()
        self.start_bytes = self.peak_bytes = self._process.memory_info().rss

    def run(self) -> None:
        """Look every 20 ms."""
        while not self._over.wait(0.02):
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)

    def stop(self) -> float:
        """End, and return the peak."""
        self._over.set()
        self.join()
        return (self.peak_bytes - self.start_bytes) / 2**30


def one_case(kind: str, n: int, d: int, c: int, plain_rows: int) -> dict[str, object]:
    """Audit and report, in this process."""
    import cemag
    from cemag.metrics import ces_required

    given = fitted_svc() if kind == "svc" else made_factors(n, d, c, kind)
    list(cemag.audit(features=[[1.0, 0.0]], weights=[[1.0, 0.0], [0.0, 1.0]], labels=[0]).charts)  # imports
    peak = Peak()
    peak.start()
    clock = time.perf_counter()
    found = cemag.audit(**given, intervals=False)
    audited = time.perf_counter()
    bounded = cemag.audit(**given)
    with_intervals = time.perf_counter() - audited
    audited_again = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bounded.report(Path(folder) / "audit.html", book="")
    reported = time.perf_counter()
    row = {
        "kind": kind,
        "n": len(found.per_instance),
        "d": found.n_features,
        "c": len(found.class_names),
        "audit_s": round(audited - clock, 3),
        "intervals_s": round(with_intervals, 3),
        "report_s": round(reported - audited_again, 3),
        "beyond_inputs_gib": round(peak.stop(), 3),
        "accuracy": round(found.accuracy, 4),
        "required_mean": round(float(found.per_instance["required"].mean()), 3),
    }
    if plain_rows:
        from cemag.metrics import WITH_BIAS, per_instance

        rows = slice(0, plain_rows)
        ce = cemag.ClassificationEmbeddings(given["features"][rows], given["weights"])
        clock = time.perf_counter()
        plain = ces_required(ce, WITH_BIAS)
        plain_s = time.perf_counter() - clock
        clock = time.perf_counter()
        early = per_instance(ce, counted=np.zeros(plain_rows, dtype=bool))["required"]
        row |= {"plain_rows": plain_rows, "plain_s": round(plain_s, 3)}
        row |= {"early_s": round(time.perf_counter() - clock, 4), "agree": bool((plain == early).all())}
        row["ratio"] = round(row["plain_s"] / row["early_s"], 1)
    return row


def cases(small: bool) -> list[tuple[str, int, int, int, int]]:
    """Kind, N, d, C, and on how many rows to count plainly."""
    n, d, c = (value // 8 for value in BASE) if small else BASE
    sizes = {(n, d, c)}
    for factor in (0.5, 2, 4):
        sizes |= {(int(n * factor), d, c), (n, int(d * factor), c), (n, d, int(c * factor))}
    listed = [(kind, *size, 0) for kind in ("trained-like", "random", "shared") for size in sorted(sizes)]
    if not small:
        listed += [(kind, *IMAGENET, 400) for kind in ("trained-like", "random", "shared")]
        listed += [("svc", 0, 0, 0, 0)]
    return listed


def machine() -> dict[str, object]:
    """What the figures depend on, without a name of anybody's machine."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main() -> None:
    """Run the cases one after another, each in a process of its own, and write each as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="append a JSON line a case")
    parser.add_argument("--small", action="store_true", help="an eighth of everything")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        kind, *numbers = asked.case.split(",")
        print(json.dumps(one_case(kind, *map(int, numbers)) | machine()))
        return
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
    for case in cases(asked.small):
        command = [sys.executable, __file__, "--case", ",".join(map(str, case))]
        line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        print(line, flush=True)
        if asked.out:
            with asked.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
