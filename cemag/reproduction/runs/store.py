"""RunStore: one content-addressed Parquet file a run, written atomically, verified when read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cemag.errors import StoreError
from cemag.reproduction.runs.keyed import KeyedRecords, RunSummary, log_read, project_root
from cemag.reproduction.runs.source import source_digest

if TYPE_CHECKING:
    import pyarrow as pa

    from cemag.reproduction.runs.image_spec import AnySpec
    from cemag.reproduction.runs.record import RunRecord

__all__ = ["RunStore", "default_store"]

STALE_SECONDS = 3600


class RunStore(KeyedRecords):
    """A folder of run records.

    A file's name is its specification's key and its metadata hold the record's digest, so a record
    that was altered, cut short or misplaced is found out when it is read. Writing goes to a hidden
    file first, which is moved into place when whole: a reader sees a record or nothing.

    Parameters
    ----------
    root : path
        Made on the first write.

    Examples
    --------
    >>> store = RunStore("no/such/folder")
    >>> len(store)
    0
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root}: a store is a folder, and this is a file")

    def __repr__(self) -> str:
        return f"RunStore({str(self.root)!r})"

    def path(self, spec: AnySpec | str) -> Path:
        """Where a specification's (or key's) record lies, or would."""
        return self.root / f"{spec if isinstance(spec, str) else spec.key}.parquet"

    def __contains__(self, spec: AnySpec | str) -> bool:
        return self.path(spec).is_file()

    def keys(self) -> list[str]:
        """Return the keys of all stored records, sorted."""
        return sorted(path.stem for path in self.root.glob("[0-9a-f]*.parquet"))

    def put(self, record: RunRecord) -> Path:
        """Write a record, whole or not at all.

        Raises
        ------
        StoreError
            If the folder cannot be written to.
        """
        path = self.path(record.spec)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._write(record, path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({_one_line(error)})") from None
        return path

    def _write(self, record: RunRecord, path: Path) -> None:
        import pyarrow.parquet as pq

        scratch = self.root / f".{path.stem}.{os.urandom(4).hex()}.tmp"
        try:
            with scratch.open("wb") as file:
                pq.write_table(
                    _to_arrow(record),
                    file,
                    compression="zstd",
                    write_statistics=False,
                    use_dictionary=False,
                    write_page_checksum=True,
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)

    def get(self, spec: AnySpec | str) -> RunRecord:
        """Read and verify a record.

        Raises
        ------
        StoreError
            If there is none, or the file is damaged, altered or not what its name says.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(spec)
        if not path.is_file():
            raise StoreError(f"{path}: no such record in the store")
        try:
            content = path.read_bytes()  # at once: another process may put the same record meanwhile
            table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
            record = _from_arrow(table)
            intact = record.digest == table.schema.metadata[b"digest"].decode()
        except Exception as error:  # there is no telling what a damaged file makes its reader raise
            raise _damaged(path, error) from None
        if record.spec.key != path.stem or not intact:
            raise StoreError(f"{path}: altered or misplaced record; delete it to run it again")
        log_read(path, content)
        return record

    def summaries(self) -> Iterator[RunSummary]:
        """What each file says of its run, not verified.

        Raises
        ------
        StoreError
            If a file is damaged.
        """
        keys = self.keys()
        if not keys:
            return
        import pyarrow.parquet as pq  # slow to import: not where nothing is stored

        for key in keys:
            path = self.path(key)
            try:
                table = pq.read_table(path, columns=["spec", "provenance", "performance"])
                found = RunSummary(
                    key=key,
                    digest=table.schema.metadata[b"digest"].decode(),
                    spec=json.loads(table["spec"][0].as_py()),
                    provenance=json.loads(table["provenance"][0].as_py()),
                    tables={},
                    balanced_accuracy=table["performance"][0].as_py()[0]["balanced_accuracy"],
                )
            except Exception as error:  # there is no telling what a damaged file makes its reader raise
                raise _damaged(path, error) from None
            yield found

    def _sweep(self) -> None:
        """Remove what killed writers left behind."""
        for scratch in self.root.glob(".*.tmp"):
            try:
                if time.time() - scratch.stat().st_mtime > STALE_SECONDS:
                    scratch.unlink()
            except FileNotFoundError:  # its writer finished meanwhile
                continue


def _to_arrow(record: RunRecord) -> pa.Table:
    """One row: the specification and provenance as JSON, each table as a list of structs."""
    import numpy as np
    import pyarrow as pa

    columns: dict[str, pa.Array] = {
        "spec": pa.array([record.spec.model_dump_json()]),
        "provenance": pa.array([record.provenance.model_dump_json()]),
    }
    for name, table in record.tables.items():
        rows = pa.StructArray.from_arrays(
            [table[column].combine_chunks() for column in table.column_names], names=table.column_names
        )
        columns[name] = pa.ListArray.from_arrays(np.array([0, len(table)], dtype=np.int32), rows)
    return pa.table(columns).replace_schema_metadata({"digest": record.digest})


def _from_arrow(table: pa.Table) -> RunRecord:
    import pyarrow as pa

    from cemag.reproduction.runs.image_spec import parse_spec  # not for what only lists records
    from cemag.reproduction.runs.record import Provenance, RunRecord

    tables = {}
    for name in table.column_names[2:]:
        rows: Any = table[name].combine_chunks().flatten()
        tables[name] = pa.Table.from_struct_array(rows)
    return RunRecord(
        spec=parse_spec(json.loads(table["spec"][0].as_py())),
        tables=tables,
        provenance=Provenance.model_validate_json(table["provenance"][0].as_py()),
    )


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: damaged record ({_one_line(error)}); delete it to run it again")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def default_store() -> RunStore:
    """Store of what this machine computes: ``CEMAG_STORE``, else by version of the computing source.

    A store a version of the source means that an edit in the package never meets records that older
    code made. In a project it lies under ``_build/runs``, elsewhere in the user's cache folder.
    """
    if given := os.environ.get("CEMAG_STORE"):
        return RunStore(given)
    root = project_root()
    if root is None:
        from platformdirs import user_cache_path

        return RunStore(user_cache_path("cemag") / "runs" / source_digest())
    return RunStore(root / "_build" / "runs" / source_digest())
