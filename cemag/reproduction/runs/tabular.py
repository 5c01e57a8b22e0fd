"""A run on a table: fit the model that a specification names, measure its CEs. Writes nothing."""

from __future__ import annotations

import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cemag import __version__
from cemag.errors import CemagError
from cemag.metrics import WITHIN_ONE_LENGTH, TrainingView, cutoffs, measure, sample_per_class
from cemag.models import embed, fit_model, n_distinct
from cemag.reproduction.datasets import Split, load_tabular, make_imbalanced, stratified_split
from cemag.reproduction.runs.nulls import Judged, null_tables, shuffled
from cemag.reproduction.runs.record import Provenance, RunRecord, package_versions, source_digest
from cemag.reproduction.runs.spec import RunSpec
from cemag.samplers import augment

__all__ = ["run_tabular"]

INSTANCES_PER_CLASS = (
    500  # by which CEs are judged; with thousands of support vectors, all would outlast the fit
)


def run_tabular(spec: RunSpec) -> RunRecord:
    """Fit the model that a specification names and measure its CEs.

    Parameters
    ----------
    spec : RunSpec
        What to run.

    Returns
    -------
    RunRecord
        The same tables, value for value, whenever the specification is the same.

    Raises
    ------
    CemagError
        If the data is missing or altered, or unfit for the imbalance, the folds or the augmenter.

    Examples
    --------
    >>> record = run_tabular(RunSpec(dataset="breast_cancer", augmenter="ros"))
    >>> record.tables["performance"]["balanced_accuracy"][0].as_py() > 0.9
    True
    """
    import imblearn.over_sampling  # noqa: F401 - loaded before the clocks start, as are the next two
    import sklearn.metrics
    import sklearn.svm  # noqa: F401
    from threadpoolctl import threadpool_limits

    started = datetime.now(UTC).isoformat(timespec="seconds")
    data = load_tabular(spec.dataset)
    split = _split(spec, data.X, data.y)
    with threadpool_limits(1):  # a grid runs a cell on every core
        clock = time.perf_counter()
        augmented = augment(
            spec.augmenter, split.X_train, split.y_train, random_state=spec.seed, k_neighbors=spec.k_neighbors
        )
        fitted = fit_model(
            spec.model, augmented.X, augmented.y, augmented.sample_weight, random_state=spec.seed
        )
        fit_seconds, clock = time.perf_counter() - clock, time.perf_counter()
        ce = embed(fitted, split.X_test)
        tables = measure(
            ce,
            split.y_test,
            train=_training_view(spec, fitted, split),
            max_per_class=INSTANCES_PER_CLASS,
            random_state=spec.data_seed,
        )
        if spec.augmenter == "none":
            tables |= _nulls(spec, fitted, split)
        metric_seconds = time.perf_counter() - clock
    provenance = Provenance(
        cemag=__version__,
        source=source_digest(),
        python=platform.python_version(),
        versions=package_versions(),
        device="cpu",
        data_fingerprint=data.fingerprint,
        started=started,
        fit_seconds=round(fit_seconds, 4),
        metric_seconds=round(metric_seconds, 4),
        n_train=augmented.n_original,
        n_synthetic=augmented.n_synthetic,
        n_test=len(split.y_test),
        n_ces=ce.n_features,
        n_distinct_ces=n_distinct(fitted),
        note=augmented.note,
    )
    return RunRecord(spec=spec, tables=tables, provenance=provenance)


def _split(spec: RunSpec, X: NDArray[np.float64], y: NDArray[Any]) -> Split:
    try:
        if spec.imbalance_ratio is not None:
            rows = make_imbalanced(y, spec.imbalance_ratio, random_state=spec.data_seed)
            X, y = X[rows], y[rows]
        return stratified_split(X, y, split=spec.split, n_splits=spec.n_splits, random_state=spec.data_seed)
    except CemagError as error:
        raise type(error)(f"{spec.dataset}: {error}") from None


def _nulls(spec: RunSpec, fitted: Any, split: Split) -> dict[str, pa.Table]:
    """The model beside one of the same kind that was fitted to shuffled labels; other cut-offs of the top."""
    rows = sample_per_class(split.y_test, INSTANCES_PER_CLASS, random_state=spec.data_seed)

    def judged(model: Any, given: Split) -> Judged:
        ce = embed(model, split.X_test[rows])
        return Judged(ce, split.y_test[rows], _training_view(spec, model, given))

    mixed_up = replace(split, y_train=shuffled(split.y_train, spec.data_seed))
    misled = fit_model(spec.model, mixed_up.X_train, mixed_up.y_train, None, random_state=spec.seed)
    own = judged(fitted, split)
    tables = null_tables(own, {"shuffled_labels": judged(misled, mixed_up)}, random_state=spec.data_seed)
    return tables | {"cutoff": cutoffs(own.ce, own.y, train=own.train)}


def _training_view(spec: RunSpec, fitted: Any, split: Split) -> TrainingView:
    """Some training instances of each class, as they were before augmentation."""
    rows = sample_per_class(split.y_train, INSTANCES_PER_CLASS, random_state=spec.data_seed)
    ce = embed(fitted, split.X_train[rows])
    if spec.model.name == "svm":
        return TrainingView(ce, split.y_train[rows], tolerance=WITHIN_ONE_LENGTH)
    return TrainingView(ce, split.y_train[rows], baseline=split.baseline, tolerance=1e-9)
