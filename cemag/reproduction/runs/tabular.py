"""A run on a table: fit the model that a specification names, measure its CEs. Writes nothing."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cemag import __version__
from cemag.embeddings import ClassificationEmbeddings, KernelFeatures
from cemag.errors import CemagError
from cemag.metrics import WITHIN_ONE_LENGTH, TrainingView, cutoffs, measure, sample_per_class
from cemag.models import embed, fit_model
from cemag.reproduction.datasets import Split, load_tabular, make_imbalanced, stratified_split
from cemag.reproduction.runs.nulls import null_tables, shuffled
from cemag.reproduction.runs.quantities import Judged, instances_table, quantities_table
from cemag.reproduction.runs.record import Provenance, RunRecord
from cemag.reproduction.runs.source import commit, package_versions, processor, source_digest
from cemag.reproduction.runs.spec import RunSpec
from cemag.reproduction.runs.thresholds import moved_bias
from cemag.samplers import augment

__all__ = ["FittedTable", "fit_table", "run_tabular"]

# by which CEs are judged; with thousands of support vectors, all would outlast the fit
INSTANCES_PER_CLASS = 500


@dataclass(frozen=True, eq=False)
class FittedTable:
    """A model of a table, fitted as its specification says.

    Attributes
    ----------
    split : Split
        Training and test rows, as the model was given them.
    rows : ndarray of shape (n,)
        Row of the data set of each row of the (perhaps thinned) table.
    ce : ClassificationEmbeddings
        Of the test rows: one CE per feature, or per distinct support vector.
    n_fitted_ces : int
        CEs of one class, equal support vectors each counted.
    data_fingerprint, note : str
    n_synthetic : int
        Rows that the augmenter made.
    """

    split: Split
    rows: NDArray[np.intp]
    ce: ClassificationEmbeddings
    n_fitted_ces: int
    data_fingerprint: str
    n_synthetic: int
    note: str

    def sums(self, X: NDArray[np.float64]) -> ClassificationEmbeddings:
        """CEs of other rows, made as the checked ones of the test rows are."""
        features = self.ce.features
        if isinstance(features, KernelFeatures):
            return replace(self.ce, features=replace(features, X=X, kept=None))
        return replace(self.ce, features=X)

    def judged_rows(self, random_state: int) -> NDArray[np.intp]:
        """Test rows by which CEs are judged, at most `INSTANCES_PER_CLASS` a class."""
        return sample_per_class(self.split.y_test, INSTANCES_PER_CLASS, random_state=random_state)


def run_tabular(spec: RunSpec) -> RunRecord:
    """Fit the model that a specification names and measure its CEs.

    Equal support vectors, as over-sampling makes them, are merged into one CE first. Beside what
    `cemag.metrics.measure` gives, the record has ``quantities`` and ``instances``, by the rule of the
    analysis plan; without augmentation `null_tables` and ``cutoff``.

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
    load_tabular(spec.dataset)
    with threadpool_limits(1):  # a grid runs a cell on every core
        clock = time.perf_counter()
        fitted = fit_table(spec)
        fit_seconds, clock = time.perf_counter() - clock, time.perf_counter()
        tables = _measured(spec, fitted)
        metric_seconds = time.perf_counter() - clock
    provenance = Provenance(
        cemag=__version__,
        source=source_digest(),
        commit=commit(),
        system=platform.platform(),
        processor=processor(),
        python=platform.python_version(),
        versions=package_versions(),
        device="cpu",
        data_fingerprint=fitted.data_fingerprint,
        started=started,
        fit_seconds=round(fit_seconds, 4),
        metric_seconds=round(metric_seconds, 4),
        n_train=len(fitted.split.y_train),
        n_synthetic=fitted.n_synthetic,
        n_test=len(fitted.split.y_test),
        n_ces=fitted.ce.n_features,
        n_fitted_ces=fitted.n_fitted_ces,
        note=fitted.note,
    )
    return RunRecord(spec=spec, tables=tables, provenance=provenance)


def fit_table(spec: RunSpec, *, shuffle: bool = False) -> FittedTable:
    """Fit the model of a specification; with `shuffle` to training labels in another order."""
    data = load_tabular(spec.dataset)
    split, rows = _split(spec, data.X, data.y)
    if shuffle:
        split = replace(split, y_train=shuffled(split.y_train, spec.data_seed))
    given = augment(
        spec.augmenter, split.X_train, split.y_train, random_state=spec.seed, k_neighbors=spec.k_neighbors
    )
    model = fit_model(spec.model, given.X, given.y, given.sample_weight, random_state=spec.seed)
    as_fitted = embed(model, split.X_test)
    ce = as_fitted.merged()
    if spec.augmenter == "threshold":
        ce = replace(ce, bias=moved_bias(spec.model, ce.bias, split, random_state=spec.seed))
    return FittedTable(
        split=split,
        rows=rows,
        ce=ce,
        n_fitted_ces=as_fitted.n_features,
        data_fingerprint=data.fingerprint,
        n_synthetic=given.n_synthetic,
        note=given.note,
    )


def _split(spec: RunSpec, X: NDArray[np.float64], y: NDArray[Any]) -> tuple[Split, NDArray[np.intp]]:
    rows = np.arange(len(y))
    try:
        if spec.imbalance_ratio is not None:
            rows = make_imbalanced(y, spec.imbalance_ratio, random_state=spec.data_seed)
        split = stratified_split(
            X[rows],
            y[rows],
            split=spec.split,
            n_splits=spec.n_splits,
            random_state=spec.data_seed,
            standardise=spec.standardise,
        )
    except CemagError as error:
        raise type(error)(f"{spec.dataset}: {error}") from None
    return split, rows


def _measured(spec: RunSpec, fitted: FittedTable) -> dict[str, pa.Table]:
    """Everything that is measured on a model."""
    split, rows = fitted.split, fitted.judged_rows(spec.data_seed)
    own = _judged(spec, fitted, rows)
    tables = measure(
        fitted.ce,
        split.y_test,
        train=own.train,
        max_per_class=INSTANCES_PER_CLASS,
        random_state=spec.data_seed,
    )
    nulls = {}
    if spec.augmenter == "none":
        nulls["shuffled_labels"] = _judged(spec, fit_table(spec, shuffle=True), rows)
        tables |= null_tables(own, nulls, random_state=spec.data_seed)
        tables["cutoff"] = cutoffs(own.ce, own.y, train=own.train)
    n_train = {str(c): int((split.y_train == c).sum()) for c in own.ce.classes}
    tables["quantities"] = quantities_table(
        own, nulls, n_train, permuted=bool(nulls), random_state=spec.data_seed
    )
    tables["instances"] = instances_table(own, fitted.rows[split.test_rows[rows]])
    return tables


def _judged(spec: RunSpec, fitted: FittedTable, rows: NDArray[np.intp]) -> Judged:
    """A model on some test rows, and on some training rows of each class as they were before augmentation."""
    split = fitted.split
    of_training = sample_per_class(split.y_train, INSTANCES_PER_CLASS, random_state=spec.data_seed)
    seen, labels = fitted.sums(split.X_train[of_training]), split.y_train[of_training]
    view = TrainingView(seen, labels, baseline=split.baseline, tolerance=1e-9)
    if spec.model.name == "svm":
        view = TrainingView(seen, labels, tolerance=WITHIN_ONE_LENGTH)
    centre = fitted.sums(split.X_train).class_mean(split.y_train)
    return Judged(fitted.ce.take(rows), split.y_test[rows], view, centre)
