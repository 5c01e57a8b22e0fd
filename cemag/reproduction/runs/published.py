"""The published records: few append-only Parquet files, and tidy frames over all of them.

``records/``, ``instances/`` and ``evidence/`` each hold one file per family, set and repetition: all tables
of all its runs below one another, with columns ``table`` and ``key``. Each folder opens as one Parquet
data set. What was run, and the digest of every table, stand in the metadata of the file in ``records/``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cemag.errors import StoreError
from cemag.files import written_whole
from cemag.reproduction.runs.keyed import KeyedRecords, RunSummary, log_read, project_root

if TYPE_CHECKING:  # slow to import: what only lists records reads the ends of files
    import pandas as pd
    import pyarrow as pa

    from cemag.reproduction.runs.record import RunRecord

__all__ = [
    "KINDS",
    "PublishedStore",
    "published_classes",
    "published_instances",
    "published_required",
    "published_store",
    "write_published",
]

METADATA = b"cemag"
KINDS = ("records", "instances", "evidence")
KIND_OF = {"instances": "instances", "head": "evidence", "centre": "evidence", "embedding": "evidence"}
Stamp = tuple[int, int]


class PublishedStore(KeyedRecords):
    """The published records of a folder; read only.

    Parameters
    ----------
    root : path
        Folder that holds ``records``, ``instances`` and ``evidence``.

    Examples
    --------
    >>> len(PublishedStore("no/such/folder"))
    0
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"PublishedStore({str(self.root)!r})"

    @cached_property
    def _places(self) -> dict[str, tuple[str, RunSummary]]:
        """Name of the file that holds each key, and what it says of the run."""
        return {
            run.key: (path.stem, run)
            for path in sorted((self.root / "records").glob("*.parquet"))
            for run in _footer(path, _stamp(path)).runs
        }

    def keys(self) -> list[str]:
        """Return the keys of all published records, sorted."""
        return sorted(self._places)

    def summaries(self) -> Iterator[RunSummary]:
        """What the files say of each run, without reading a table."""
        return (self._places[key][1] for key in self.keys())

    def path(self, spec: Any) -> Path:
        """File that holds a specification's (or key's) record."""
        key = spec if isinstance(spec, str) else spec.key
        if key not in self._places:
            raise StoreError(f"{self.root}: no published record has the key {key}")
        return self.root / "records" / f"{self._places[key][0]}.parquet"

    def get(self, spec: Any) -> RunRecord:
        """Return a record; each of its tables is read, and verified, when it is asked for.

        Raises
        ------
        StoreError
            If there is none, or a table is not what was published.
        """
        from cemag.reproduction.runs.image_spec import parse_spec
        from cemag.reproduction.runs.record import Provenance, RunRecord, record_digest

        path = self.path(spec)
        name, run = self._places[spec if isinstance(spec, str) else spec.key]
        found, origin = parse_spec(run.spec), Provenance.model_validate(run.provenance)
        if found.key != run.key or record_digest(run.key, origin.data_fingerprint, run.tables) != run.digest:
            raise StoreError(f"{path}: the record {run.key} was altered; restore the file")
        return RunRecord(found, _Tables(self.root, name, run), origin)

    def table(self, name: str) -> pd.DataFrame:
        """One table of all runs below one another, with the columns that say what was run."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = []
        for path in sorted((self.root / KIND_OF.get(name, "records")).glob("*.parquet")):
            if name in _footer(path, _stamp(path)).columns:
                keys = [run.key for run in _runs_beside(self.root, path.stem)]
                rows = _read(path, _stamp(path), name)
                parts.append(rows.filter(pc.is_in(rows["key"], pa.array(keys, pa.string()))))
        if not parts:
            return pd.DataFrame(columns=[*_RUN_COLUMNS])
        rows = pa.concat_tables(parts).to_pandas()
        runs = pd.DataFrame([_run_columns(run, name) for name, run in self._places.values()])
        return runs.merge(rows, on="key", validate="one_to_many")


class _Tables(Mapping[str, "pa.Table"]):
    """Tables of one published run, each read from its file and verified on demand."""

    def __init__(self, root: Path, name: str, run: RunSummary) -> None:
        self._root, self._name, self._run = root, name, run

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.tables)

    def __len__(self) -> int:
        return len(self._run.tables)

    def __getitem__(self, name: str) -> pa.Table:
        import pyarrow.compute as pc

        from cemag.reproduction.runs.record import table_digest

        if name not in self._run.tables:
            raise KeyError(name)
        path = self._root / KIND_OF.get(name, "records") / f"{self._name}.parquet"
        try:
            rows = _read(path, _stamp(path), name)
            table = rows.filter(pc.equal(rows["key"], self._run.key)).drop_columns(["key"]).combine_chunks()
            intact = table_digest(table) == self._run.tables[name]
        except Exception as error:  # there is no telling what a damaged file makes its reader raise
            raise StoreError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]})") from None
        if not intact:
            raise StoreError(f"{path}: table {name} of {self._run.key} was altered; restore the file")
        return table


# ---------------------------------------------------------------------- files


@dataclass(frozen=True)
class _Footer:
    runs: tuple[RunSummary, ...]
    columns: dict[str, dict[str, str]]  # of each table: its columns, and what they are called in the file
    rows: dict[str, tuple[int, int]]  # where it starts, and how many it has


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1024)
def _footer(path: Path, stamp: Stamp) -> _Footer:
    try:
        said = json.loads(_metadata(path, METADATA))
        return _Footer(tuple(RunSummary(**run) for run in said["runs"]), said["columns"], said["rows"])
    except Exception as error:  # there is no telling what a damaged file makes its reader raise
        raise StoreError(
            f"{path}: not a file of published records ({' '.join(str(error).split())[:160]})"
        ) from None


def _metadata(path: Path, key: bytes) -> bytes:
    """A value of the metadata at the end of a Parquet file, without the library that reads its tables.

    There they stand in Thrift's compact protocol, where a string is its length (seven bits to a byte, the
    lowest first) and its bytes; 0x18 says that a string follows as the next field.
    """
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        end = file.read(8)
        if end[4:] != b"PAR1":
            raise ValueError("no Parquet file, or cut short")
        n = int.from_bytes(end[:4], "little")
        file.seek(-8 - n, os.SEEK_END)
        footer = file.read(n)
    mark = b"\x18" + bytes([len(key)]) + key + b"\x18"
    start = footer.index(mark) + len(mark)
    length = shift = 0
    while True:
        byte = footer[start]
        length |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return footer[start : start + length]


def _runs_beside(root: Path, name: str) -> tuple[RunSummary, ...]:
    path = root / "records" / f"{name}.parquet"
    return _footer(path, _stamp(path)).runs if path.is_file() else ()


@lru_cache(maxsize=256)
def _read(path: Path, stamp: Stamp, table: str) -> pa.Table:
    """One table of all runs of a file, with its column ``key``."""
    import pyarrow.parquet as pq

    footer = _footer(path, stamp)
    if table not in footer.columns:
        raise StoreError(f"{path}: holds no table {table}")
    log_read(path)
    own = footer.columns[table]
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        rows = file.read(columns=["key", *own.values()]).slice(*footer.rows[table])
    rows = rows.select(["key", *own.values()]).rename_columns(["key", *own])
    return rows.combine_chunks().replace_schema_metadata(None)


def write_published(records: Sequence[RunRecord], name: str, root: Path) -> list[Path]:
    """Write the files of some runs, each whole or not at all; what is there already is left as it is.

    Raises
    ------
    StoreError
        If a file of that name holds other runs or other values.
    """
    runs = [_summary(record) for record in records]
    there = _runs_beside(root, name)
    if there:
        if {run.key: run.digest for run in there} != {run.key: run.digest for run in runs}:
            raise StoreError(
                f"{root / 'records' / name}.parquet: published with other runs or other values; published "
                "files are never rewritten: delete it first if the new ones are to take its place"
            )
        return []
    written = []
    for kind in reversed(KINDS):  # the records last: what they name is there
        names = [
            n for n in dict.fromkeys(n for r in records for n in r.tables) if KIND_OF.get(n, KINDS[0]) == kind
        ]
        if names:
            path = root / kind / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, {n: _below_one_another(records, n) for n in names}, runs if kind == KINDS[0] else [])
            written.append(path)
    return written


def _below_one_another(records: Sequence[RunRecord], name: str) -> pa.Table:
    import pyarrow as pa

    parts = [
        record.tables[name].add_column(0, "key", pa.array([record.spec.key] * len(record.tables[name])))
        for record in records
        if name in record.tables
    ]
    return pa.concat_tables(parts).combine_chunks()


def _write(path: Path, tables: Mapping[str, pa.Table], runs: Sequence[RunSummary]) -> None:
    """Write tables below one another, in one row group: one for each would have more metadata than values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = _names_in_file(tables)
    sizes = [len(table) for table in tables.values()]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    said = {
        "runs": [asdict(run) for run in runs],
        "columns": columns,
        "rows": dict(zip(tables, zip(starts, sizes, strict=True), strict=True)),
    }
    below = [
        table.rename_columns(["key", *columns[name].values()])
        .add_column(0, "table", pa.array([name] * len(table)))
        .replace_schema_metadata(None)
        for name, table in tables.items()
    ]
    whole = pa.concat_tables(below, promote_options="default").combine_chunks()
    with written_whole(path, StoreError) as scratch:
        pq.write_table(
            whole.replace_schema_metadata({METADATA: json.dumps(said)}),
            scratch,
            row_group_size=len(whole),
            compression="zstd",
            compression_level=9,
            use_dictionary=[field.name for field in whole.schema if field.type == pa.string()],
            write_statistics=False,
            write_page_checksum=True,
        )


def _names_in_file(tables: Mapping[str, pa.Table]) -> dict[str, dict[str, str]]:
    """Columns of each table, and what the file calls them where two of one name differ in type."""
    types: dict[str, pa.DataType] = {}
    return {
        name: {
            field.name: field.name
            if types.setdefault(field.name, field.type) == field.type
            else f"{field.name} of {name}"
            for field in table.schema
            if field.name != "key"
        }
        for name, table in tables.items()
    }


def _summary(record: RunRecord) -> RunSummary:
    return RunSummary(
        key=record.spec.key,
        digest=record.digest,
        spec=json.loads(record.spec.model_dump_json()),
        provenance=json.loads(record.provenance.model_dump_json()),
        tables=record.table_digests(),
        balanced_accuracy=record.tables["performance"]["balanced_accuracy"][0].as_py(),
    )


def published_store() -> PublishedStore:
    """Records behind the published book: ``CEMAG_RESULTS``, else ``results/`` of the project. Read only."""
    if given := os.environ.get("CEMAG_RESULTS"):
        return PublishedStore(given)
    return PublishedStore((project_root() or Path.cwd()) / "results")


# ---------------------------------------------------------------------- frames

_RUN_COLUMNS = ("key", "family", "dataset", "model", "augmenter", "standardised", "design", "repetition")
MEANS = ("by_bias", "lost_without_bias", "required", "common_subset", "top_share", "participation_ratio")
CORRELATIONS = ("c5a", "c5b")
COUNTS = ("n_train", "n_ces", "n_judged", "n_correct", "n_counted", "n_common")
SPREAD = ("required", "common_subset", "top_share", "c5a", "c5b")
CLASS_COLUMNS = (
    *_RUN_COLUMNS,
    *("source", "draws", "gauge", "class", "role", "n_train", "n_ces", "n_test", "recall"),
    *("balanced_accuracy", "accuracy", "n_judged", "n_correct", "n_counted", "n_common"),
    *MEANS,
    *CORRELATIONS,
    *(f"sd_{name}" for name in SPREAD),
)
INSTANCE_COLUMNS = (
    *_RUN_COLUMNS,
    *("instance", "class", "role", "predicted", "correct", "n_ces"),
    *("required", "required_margin", "by_bias", "top_share"),
)
REQUIRED_COLUMNS = (*_RUN_COLUMNS, "class", "role", "rule", "n_ces", "n", "required", "common_subset")


def _run_columns(run: RunSummary, file: str) -> dict[str, Any]:
    """What was run, in the words of the frames."""
    return {
        "key": run.key,
        "family": file.split("-")[0],
        "dataset": run.spec["dataset"],
        "model": run.model,
        "augmenter": run.spec["augmenter"],
        "standardised": run.spec.get("standardise", True),
        "design": "seeds" if run.of_images else "folds",
        "repetition": run.repetition,
    }


def published_classes(root: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Every quantity of the analysis plan in all published records; nothing is computed.

    Parameters
    ----------
    root : path, optional
        Folder of published records; that of `published_store` when not given.

    Returns
    -------
    pandas.DataFrame
        One row per run, source (``model``, ``permuted_weights``, ``initialisation``, ``shuffled_labels``),
        gauge (``paper``, ``margin``) and class. Shares are from 0 to 1. Draws of a null are averaged, with
        their standard deviation in ``sd_``.

    Examples
    --------
    >>> published_classes("no/such/folder").columns[:4].tolist()
    ['key', 'family', 'dataset', 'model']
    """
    import pandas as pd

    store = published_store() if root is None else PublishedStore(root)
    table = store.table("quantities")
    if len(table) == 0:
        return pd.DataFrame(columns=list(CLASS_COLUMNS))
    means = _over_draws(table)
    scores = store.table("per_class")[["key", "class", "n", "recall"]].rename(columns={"n": "n_test"})
    overall = store.table("performance")[["key", "balanced_accuracy", "accuracy"]]
    means = means.merge(scores, on=["key", "class"]).merge(overall, on="key")
    shuffled = means["key"].map({run.key: run.spec.get("labels") == "shuffled" for run in store.summaries()})
    means = means.assign(source=means["source"].mask(shuffled, "shuffled_labels"))
    of_null = means["source"] != "model"
    means.loc[of_null, ["n_test", "recall", "balanced_accuracy", "accuracy"]] = float("nan")
    return _with_roles(means)[list(CLASS_COLUMNS)]


def _over_draws(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the draws of a null; what has one draw is kept as it is."""
    by = [*_RUN_COLUMNS, "source", "gauge", "class"]
    values = [*COUNTS, *MEANS, *CORRELATIONS]
    once = table["source"] != "permuted_weights"
    drawn = table[~once].groupby(by, sort=False)
    import pandas as pd

    single = table.loc[once, [*by, *values]].assign(draws=1)
    several = drawn[values].mean().assign(draws=drawn.size())
    spread = drawn[list(SPREAD)].std().add_prefix("sd_")
    found = pd.concat([single, several.join(spread).reset_index()], ignore_index=True)
    for name in SPREAD:
        if f"sd_{name}" not in found:
            found[f"sd_{name}"] = float("nan")
    return found


def published_instances(root: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Every judged test instance in all published records; nothing is computed.

    Parameters
    ----------
    root : path, optional
        As of `published_classes`.

    Returns
    -------
    pandas.DataFrame
        One row per run and judged instance, to be paired by ``dataset``, ``model``, ``repetition`` and
        ``instance``.

    Examples
    --------
    >>> len(published_instances("no/such/folder"))
    0
    """
    import pandas as pd

    store = published_store() if root is None else PublishedStore(root)
    table = store.table("instances")
    if len(table) == 0:
        return pd.DataFrame(columns=list(INSTANCE_COLUMNS))
    return _of_own_labels(store, table)[list(INSTANCE_COLUMNS)]


def published_required(root: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """CEs required under every counting rule in all published records without augmentation.

    Parameters
    ----------
    root : path, optional
        As of `published_classes`.

    Returns
    -------
    pandas.DataFrame
        One row per run, class and ``rule``, its four choices in words; ``required`` and ``common_subset``
        are shares from 0 to 1, over the ``n`` instances that the model is right on as the rule has it: a
        rule without the bias asks that of the CEs alone.

    Examples
    --------
    >>> len(published_required("no/such/folder"))
    0
    """
    import pandas as pd

    store = published_store() if root is None else PublishedStore(root)
    table = store.table("required")
    if len(table) == 0:
        return pd.DataFrame(columns=list(REQUIRED_COLUMNS))
    table = _of_own_labels(store, table[table["augmenter"] == "none"])
    bias = table["bias"].map({True: "with bias", False: "without bias"})
    words = (table["ranking"], table["sufficiency"], table["stability"], bias)
    return table.assign(
        rule=[", ".join(choices) for choices in zip(*words, strict=True)],
        required=table["mean"] / table["n_ces"],
        common_subset=table["common_subset"] / table["n_ces"],
    )[list(REQUIRED_COLUMNS)]


def _of_own_labels(store: PublishedStore, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of runs on the labels as they are, with the role and the number of CEs of each row's class."""
    own = {run.key for run in store.summaries() if run.spec.get("labels", "own") == "own"}
    sizes = store.table("quantities").query("source == 'model' and gauge == 'paper'")
    roles = _with_roles(sizes)[["key", "class", "role", "n_ces"]]
    return table[table["key"].isin(own)].merge(roles, on=["key", "class"])


def _with_roles(classes: pd.DataFrame) -> pd.DataFrame:
    """Add the role of each class: of k the k // 2 largest are the majority, the k // 2 smallest the minority.

    Of an odd number the middle one is between them.
    """
    sizes = classes[["key", "class", "n_train"]].drop_duplicates(["key", "class"])
    by_run = sizes.groupby("key")["n_train"]
    place, k = by_run.rank(method="first", ascending=False), by_run.transform("size")
    roles = sizes[["key", "class"]].assign(role="between")
    roles["role"] = roles["role"].mask(place <= k // 2, "majority").mask(place > k - k // 2, "minority")
    return classes.merge(roles, on=["key", "class"])
