"""RunRecord: what a run found, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from cemag.reproduction.runs.image_spec import AnySpec
from cemag.reproduction.runs.spec import RECORD_VERSION

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "RECORD_VERSION",
    "Provenance",
    "RunRecord",
    "record_digest",
    "table_digest",
]


class Provenance(BaseModel):
    """Where a record came from. Nothing in it takes part in the record's digest but the data's fingerprint.

    Attributes
    ----------
    data_fingerprint : str
        SHA-256 of the data set's content.
    source : str
        Digest of the package source that computes runs.
    fit_seconds, metric_seconds : float
        Wall time of the fit (augmentation included), and of all CE metrics.
    n_train, n_synthetic, n_test : int
        Training rows before augmentation, rows that the augmenter made, and test rows.
    n_ces, n_fitted_ces : int
        CEs of one class (features, or support vectors), equal support vectors counted once; and as fitted.
    commit, system, processor : str
        Commit of the project, operating system and processor; empty where they are not known.
    note : str
        What an augmenter has to say; empty when nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_version: int = RECORD_VERSION
    cemag: str
    source: str
    python: str
    versions: dict[str, str]
    device: str
    data_fingerprint: str
    started: str
    fit_seconds: float
    metric_seconds: float
    n_train: int
    n_synthetic: int
    n_test: int
    n_ces: int
    n_fitted_ces: int
    note: str = ""
    commit: str = ""
    system: str = ""
    processor: str = ""


@dataclass(frozen=True)
class RunRecord:
    """A specification, the tables that were found for it, and where they came from."""

    spec: AnySpec
    tables: Mapping[str, pa.Table]
    provenance: Provenance

    @property
    def digest(self) -> str:
        """SHA-256 over the specification, the data's fingerprint and every value of every table.

        Two runs of one specification have the same digest; where and when they ran does not matter.
        """
        return record_digest(self.spec.key, self.provenance.data_fingerprint, self.table_digests())

    def table_digests(self) -> dict[str, str]:
        """Digest of each table, which the record's own is made of: a part can be verified on its own."""
        return {name: table_digest(table) for name, table in self.tables.items()}


def record_digest(key: str, data_fingerprint: str, tables: Mapping[str, str]) -> str:
    """Digest of a record from those of its tables."""
    parts = [key, data_fingerprint, *(f"{name} {digest}" for name, digest in sorted(tables.items()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def table_digest(table: pa.Table) -> str:
    """Digest of every value of a table, whatever chunks and encodings it is held in."""
    import pyarrow as pa

    found = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        found.update(f"\0{name}.{column.type}.{len(column)}\0".encode())
        if pa.types.is_fixed_size_list(column.type):
            column = column.flatten()
        values = column.to_numpy(zero_copy_only=False)
        found.update("\0".join(values).encode() if values.dtype == object else _bytes(values))
    return found.hexdigest()


def _bytes(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()
