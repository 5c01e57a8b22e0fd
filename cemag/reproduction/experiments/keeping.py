"""Records of experiments: a table and where it came from in one Parquet file, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cemag.errors import StoreError
from cemag.files import written_whole
from cemag.reproduction.runs.keyed import log_read
from cemag.reproduction.runs.published import published_store
from cemag.reproduction.runs.source import package_versions, source_digest
from cemag.reproduction.runs.store import default_store

__all__ = ["VERSION", "folders_of_causes", "home_of", "keep", "kept", "read_kept"]

VERSION = 1  # raised when the same settings come to mean other numbers
ROOMS = ("reproduction/experiments",)


def folders_of_causes() -> list[Path]:
    """Where records of experiments may lie: what is published, and the user's store, which new ones go to."""
    return [published_store().root / "causes", default_store().root / "causes"]


def keep(path: Path, columns: Mapping[str, Any], about: Mapping[str, Any], *packages: str) -> None:
    """Write columns with what they are about, when and with which versions they were computed."""
    origin = {
        "version": VERSION,
        "source": source_digest(ROOMS),
        "versions": package_versions(*packages),
        "command": "cemag causes",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    table = pa.table(dict(columns)).replace_schema_metadata({"about": json.dumps({**about, **origin})})
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, StoreError) as scratch:
        pq.write_table(table, scratch, compression="zstd", write_page_checksum=True)


def read_kept(path: Path) -> pd.DataFrame:
    """Read a record's table.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True).to_pandas()
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:160]
        raise StoreError(f"{path}: damaged record ({reason}); delete it to run it again") from None
    log_read(path)
    return table


def home_of(homes: Sequence[Path], name: str, version: int = VERSION) -> Path | None:
    """Where a record of this name lies, in the first folder that has it."""
    return next((path for home in homes if (path := home / f"{name}-v{version}.parquet").is_file()), None)


def kept(
    homes: Sequence[Path], name: str, make: Callable[[], pd.DataFrame], version: int = VERSION
) -> pd.DataFrame:
    """Read a record, or make its table and keep it in the last of the folders."""
    path = home_of(homes, name, version)
    if path is None:
        path, start = homes[-1] / f"{name}-v{version}.parquet", perf_counter()
        found = make()
        about = {"of": name, "seconds": round(perf_counter() - start, 1)}
        keep(path, {str(column): found[column].to_numpy() for column in found}, about)
    return read_kept(path)
