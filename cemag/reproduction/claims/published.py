"""The verdicts as they are published beside the records: written, read back, and held against the records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cemag.errors import StoreError
from cemag.reproduction.claims.answers import Row, scorecard
from cemag.reproduction.claims.sentences import cases_in_words, depends_in_words, sentence

__all__ = ["changed_verdicts", "from_records", "published_rows", "statistics_file", "write_verdicts"]

VERDICTS_FILE = "verdicts.json"
_ROWS: TypeAdapter[list[Row]] = TypeAdapter(list[Row])


def from_records() -> list[Row]:
    """The scorecard, from the published records as they are now."""
    from cemag.reproduction.runs import published_classes, published_instances, published_required

    return scorecard(published_classes(), published_instances(), published_required())


def published_rows() -> list[Row]:
    """The scorecard as it was last written beside the records: what every chapter shows.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    from cemag.reproduction.runs.keyed import log_read

    path = _path()
    log_read(path)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise StoreError(_unreadable(path, error.strerror or str(error))) from None


@lru_cache(maxsize=4)
def _read(path: Path, _when: int) -> list[Row]:
    try:
        return _ROWS.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(_unreadable(path, f"{where}: {first['msg']}" if where else first["msg"])) from None


def _unreadable(path: Path, why: str) -> str:
    return f"{path}: no readable verdicts ({why}); 'cemag claims --write' makes them"


def _path() -> Path:
    from cemag.reproduction.runs import published_store

    return Path(published_store().root) / VERDICTS_FILE


def statistics_file(name: str) -> Path:
    """Path of an experiment on the statistics themselves, beside the published records."""
    from cemag.reproduction.runs import published_store
    from cemag.reproduction.runs.keyed import log_read

    path = Path(published_store().root) / "statistics" / name
    if path.is_file():
        log_read(path)
    return path


def write_verdicts(rows: Sequence[Row]) -> Path:
    """Write the verdicts beside the published records.

    Raises
    ------
    StoreError
        If they cannot be written.
    """
    path = _path()
    try:
        path.write_bytes(_ROWS.dump_json(list(rows), indent=1) + b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def changed_verdicts(rows: Sequence[Row]) -> list[str]:
    """Compare what the records give with what is published: a line for each difference."""
    now, then = (
        {f"{row.claim}/{row.family}": _said(row) for row in side} for side in (rows, published_rows())
    )
    return [
        f"{name}: published {then.get(name, 'nothing')}, the records give {now.get(name, 'nothing')}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    ]


def _said(row: Row) -> str:
    return f"{row.verdict.word} ({cases_in_words(row)}; depends: {depends_in_words(row)}; {sentence(row)})"
