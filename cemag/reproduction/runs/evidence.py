"""What a record keeps so that any rule, gauge or metric can be computed again: heads and embeddings.

A head is kept of every network, the embedding of the judged test images once for all heads on one
extractor, and that of the training images of the network without augmentation. Never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.embeddings.factors import Factors, factors
from cemag.errors import StoreError
from cemag.metrics import TrainingView
from cemag.reproduction.runs.image_spec import ImageRunSpec
from cemag.reproduction.runs.keyed import KeyedRecords
from cemag.reproduction.runs.published import published_store

if TYPE_CHECKING:
    from cemag.reproduction.runs.record import RunRecord

__all__ = ["centre_of", "evidence_tables", "factors_of", "training_view"]

Rows = tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float16]]  # number, class number, embedding


def evidence_tables(
    weights: NDArray[np.float32],
    centre: NDArray[np.float64],
    class_names: Sequence[str],
    *,
    test: Rows | None,
    train: Rows | None,
) -> dict[str, pa.Table]:
    """Tables of a record that its other tables can be computed from.

    Returns
    -------
    dict of pyarrow.Table
        ``head`` (class, feature, weight; the bias is in ``classes``), ``centre`` (feature, value), from which
        margin CEs are measured, and, where there are rows, ``embedding`` (part, instance, class, features).

    Examples
    --------
    >>> tables = evidence_tables(np.ones((2, 3), np.float32), np.zeros(3), ["a", "b"], test=None, train=None)
    >>> {name: len(table) for name, table in tables.items()}
    {'head': 6, 'centre': 3}
    """
    n_classes, d = weights.shape
    head = {
        "class": np.repeat(class_names, d),
        "feature": np.tile(np.arange(d, dtype=np.int32), n_classes),
        "weight": weights.astype(np.float32).ravel(),
    }
    tables = {
        "head": pa.table(head),
        "centre": pa.table({"feature": np.arange(d, dtype=np.int32), "value": centre}),
    }
    parts = [
        _embedding(part, *rows, class_names) for part, rows in (("test", test), ("train", train)) if rows
    ]
    return tables | ({"embedding": pa.concat_tables(parts).combine_chunks()} if parts else {})


def _embedding(
    part: str,
    numbers: NDArray[np.intp],
    y: NDArray[np.int64],
    features: NDArray[np.float16],
    class_names: Sequence[str],
) -> pa.Table:
    # Parquet calls the values of a list so, and a record reads back as it was written
    vector = pa.list_(pa.field("element", pa.float16()), features.shape[1])
    return pa.table(
        {
            "part": [part] * len(y),
            "instance": numbers.astype(np.int32),
            "class": np.array(class_names)[y],
            "features": pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), type=vector),
        }
    )


def factors_of(record: RunRecord, store: KeyedRecords | None = None) -> Factors:
    """Make factors of a record's judged test instances: what `cemag.audit` and every metric start from.

    Of a network from what the record keeps, without the network or its images. A model of a table is
    fitted again, which takes seconds and the data set.

    Parameters
    ----------
    record : RunRecord
    store : KeyedRecords, optional
        Where the record of its extractor is; `published_store` when not given.

    Raises
    ------
    StoreError
        If the extractor's record is not there.

    Examples
    --------
    >>> from cemag.reproduction.runs import RunSpec, run
    >>> made = factors_of(run(RunSpec(dataset="breast_cancer")))
    >>> made.ce.n_instances, made.kind
    (114, 'input column')
    """
    if not isinstance(record.spec, ImageRunSpec):
        return _factors_of_table(record)
    ce, labels = _embedded(record, "test", store)
    return factors(
        ce.features,
        ce.weights,
        ce.bias,
        labels,
        classes=ce.classes,
        model_name=record.spec.label,
        kind="latent feature",
    )


def training_view(record: RunRecord, store: KeyedRecords | None = None) -> TrainingView:
    """Training images of a network without augmentation, or with a new head on it, as its metrics saw them.

    Raises
    ------
    StoreError
        If they are not kept.
    """
    return TrainingView(*_embedded(record, "train", store))


def centre_of(record: RunRecord) -> NDArray[np.float64]:
    """Mean of the classes' mean training embeddings (d,), from which margin CEs are measured."""
    return record.tables["centre"]["value"].to_numpy()


def _embedded(
    record: RunRecord, part: str, store: KeyedRecords | None
) -> tuple[ClassificationEmbeddings, NDArray[Any]]:
    """The record's head on the embedding of one part, and the labels."""
    owner, spec = record, record.spec
    assert isinstance(spec, ImageRunSpec)
    if "embedding" not in record.tables:
        owner = (published_store() if store is None else store).get(spec.extractor)
    rows = owner.tables["embedding"].filter(pc.equal(owner.tables["embedding"]["part"], part))
    if len(rows) == 0:
        raise StoreError(f"{owner.spec.label}: the record keeps no embedding of the {part} images")
    features = rows["features"].combine_chunks()
    values = features.flatten().to_numpy().reshape(len(rows), -1)
    names = np.array(record.tables["classes"]["class"].to_pylist())
    weights = record.tables["head"]["weight"].to_numpy().reshape(len(names), -1)
    bias = record.tables["classes"]["bias"].to_numpy()
    labels = np.array(rows["class"].to_pylist())
    return ClassificationEmbeddings(values, weights, bias, names), labels


def _factors_of_table(record: RunRecord) -> Factors:
    from cemag.reproduction.runs.spec import RunSpec
    from cemag.reproduction.runs.tabular import fit_table

    spec = record.spec
    assert isinstance(spec, RunSpec)
    fitted = fit_table(spec)
    rows = fitted.judged_rows(spec.data_seed)
    ce = fitted.ce.take(rows)
    return factors(
        ce.features,
        ce.weights,
        ce.bias,
        fitted.split.y_test[rows],
        classes=ce.classes,
        model_name=spec.label,
        kind="support vector" if spec.model.name == "svm" else "input column",
    )
