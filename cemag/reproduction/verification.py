"""Do the published numbers still hold here? What is stored is looked at, measured again, and trained again.

Reads; writes nothing but `write_manifest`'s one file. A check never raises for what it finds: it says so.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cemag.errors import CemagError, DataError, SpecError, StoreError, one_line
from cemag.files import file_digest, written_whole

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cemag.reproduction.runs import RunRecord

    Tables = Mapping[str, pa.Table]

__all__ = ["LEVELS", "Check", "chosen_keys", "status_of", "stored", "verify", "write_manifest"]

Level = Literal["stored", "measured again", "trained again"]
Outcome = Literal["confirmed", "not confirmed", "data missing"]
LEVELS: tuple[Level, ...] = ("stored", "measured again", "trained again")
MANIFEST = "manifest.json"
ROOM = Path(__file__).parent
PLANS = ("claims/plan.yml", "claims/paper.yml", "experiments/plan.yml")
# Another kernel of the BLAS stops a solver elsewhere within its own tolerance. These are twice the largest
# differences that were met between OpenBLAS's kernels for Haswell and for Prescott over 34 drawn runs
# (2026-11-28): of standardised tables, and of tables as they come, on which lbfgs stops at its limit.
ELSEWHERE = {
    "balanced_accuracy": (0.01, 0.011),
    "required": (0.013, 0.11),
    "common_subset": (0.16, 0.16),
    "top_share": (0.01, 0.083),
    "c5a": (0.015, 0.095),
    "c5b": (0.01, 0.22),
}
RTOL, ATOL, ROWS_THAT_MAY_DIFFER = 1e-3, 1e-5, 0.01  # of sums over a stored embedding
BETWEEN_NETWORKS = 0.05  # balanced accuracy; networks of one seed trained on two kinds of processors
WITHOUT_AUGMENTATION = ("C1", "C2", "C3", "C5a", "C5b")


@dataclass(frozen=True)
class Check:
    """One thing that was held against what is published.

    Attributes
    ----------
    level : {"stored", "measured again", "trained again"}
    name : str
        What was looked at.
    outcome : {"confirmed", "not confirmed", "data missing"}
    said : str
        How exactly it agrees, or the first thing that does not.
    seconds : float
    """

    level: Level
    name: str
    outcome: Outcome
    said: str
    seconds: float


def verify(
    *,
    sample: int = 0,
    claims: Sequence[str] = (),
    retrain: bool = False,
    budget: float = float("inf"),
    random_state: int = 0,
) -> Iterator[Check]:
    """Hold what is published against itself, and as much of it as is asked for against what comes out now.

    Parameters
    ----------
    sample : int, default=0
        So many published runs are drawn and measured again: models of tables are fitted anew, networks
        measured on their stored embeddings. -1 for all.
    claims : sequence of str
        Only runs that these claims rest on; all when not given.
    retrain : bool, default=False
        Train the drawn networks anew as well, which takes minutes to hours each.
    budget : float, optional
        Seconds after which no further run is begun.
    random_state : int, default=0
        Which runs are drawn.

    Yields
    ------
    Check
        As each is done.

    Raises
    ------
    CemagError
        Before any work, for a parameter out of range, or where nothing is published.
    """
    keys = chosen_keys(sample, claims, random_state)
    end = time.monotonic() + budget
    yield from stored()
    for number, key in enumerate(keys):
        if time.monotonic() > end:
            left = f"{len(keys) - number} of {len(keys)} runs: the time given is over"
            yield Check("measured again", left, "data missing", "not looked at", 0.0)
            return
        yield from _of_run(key, retrain)


def status_of(checks: Sequence[Check]) -> int:
    """Exit status: 0 where all is confirmed, 1 where something is not, 2 where only data is missing.

    Examples
    --------
    >>> status_of([Check("stored", "records", "confirmed", "", 0.1)])
    0
    """
    outcomes = {check.outcome for check in checks}
    return 1 if "not confirmed" in outcomes else 2 if "data missing" in outcomes else 0


# ---------------------------------------------------------------------- stored


def stored() -> Iterator[Check]:
    """Look at every stored file, every table of every run, every verdict, and the book that is built here."""
    yield from _files()
    yield _timed("stored", "tables of all runs", _tables)
    yield _timed("stored", "verdicts", _verdicts)
    yield from _book()


def write_manifest() -> Path:
    """Write down the digest of every stored file, and of the plans that they are judged by."""
    path = _results() / MANIFEST
    with written_whole(path, StoreError) as scratch:
        scratch.write_text(json.dumps(_digests(), indent=1) + "\n", encoding="utf-8")
    return path


def _results() -> Path:
    from cemag.reproduction.runs import published_store

    return Path(published_store().root)


def _digests() -> dict[str, str]:
    results = _results()
    files = {
        f"results/{path.relative_to(results).as_posix()}": path
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    }
    files |= {f"cemag/reproduction/{name}": ROOM / name for name in PLANS}
    return {name: digest for name, path in files.items() if (digest := file_digest(path))}


def _files() -> Iterator[Check]:
    """One check per folder of stored files."""
    start = time.perf_counter()
    try:
        then = json.loads((_results() / MANIFEST).read_text(encoding="utf-8"))
        then = {str(name): str(digest) for name, digest in then.items()}
    except (OSError, ValueError, AttributeError) as error:
        said = f"results/{MANIFEST} cannot be read ({one_line(error)}); 'cemag claims --write' makes it"
        yield Check("stored", "files", "not confirmed", said, time.perf_counter() - start)
        return
    now = _digests()
    folders: dict[str, list[str]] = {}
    for name in sorted({*then, *now}):
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    for folder, names in folders.items():
        wrong = [name for name in names if then.get(name) != now.get(name)]
        said = f"{len(names)} files as in the manifest"
        if wrong:
            name = wrong[0]
            how = (
                "is missing"
                if name not in now
                else "is not in the manifest"
                if name not in then
                else "was altered"
            )
            said = f"{name} {how}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
        outcome: Outcome = "not confirmed" if wrong else "confirmed"
        yield Check("stored", f"files in {folder}", outcome, said, time.perf_counter() - start)
        start = time.perf_counter()


def _how(name: str, then: Mapping[str, str], now: Mapping[str, str]) -> str:
    if name not in now:
        return "is missing"
    return "was altered" if name in then else "is not in the manifest"


def _and_more(found: Sequence[str]) -> str:
    return f", and {len(found) - 1} more" if len(found) > 1 else ""


def _tables() -> tuple[Outcome, str]:
    from cemag.reproduction.runs import published_store

    store, n = published_store(), 0
    for key in store.keys():  # noqa: SIM118 - a method
        for table in store.get(key).tables.values():  # each is held against its digest when it is read
            n += len(table) > 0
    return "confirmed", f"{n} tables of {len(store)} runs have their digests"


def _verdicts() -> tuple[Outcome, str]:
    from cemag.reproduction.claims import changed_verdicts, from_records

    rows = from_records()
    if changed := changed_verdicts(rows):
        return "not confirmed", changed[0] + _and_more(changed)
    return "confirmed", f"{len(rows)} verdicts are what the records give"


def _book() -> Iterator[Check]:
    """The executed notebooks and rendered pages of this clone, where there are any."""
    from cemag.reproduction.runs.keyed import project_root

    root = project_root()
    if root is None or not (root / "_build" / "executed").is_dir():
        return
    try:
        from cemag.reproduction.publishing import altered_copies, altered_pages, html_folder
    except CemagError:  # the book's libraries are not installed: nothing was built with them
        return
    for profile in sorted(path for path in (root / "_build" / "executed").iterdir() if path.is_dir()):
        what = f"{len(list(profile.glob('*.ipynb')))} notebooks"
        look = partial(_unaltered, partial(altered_copies, profile), what)
        yield _timed("stored", f"executed notebooks ({profile.name})", look)
    pages = html_folder(root)
    if pages.is_dir():
        what = f"{len(list(pages.rglob('*.html')))} pages"
        yield _timed("stored", "rendered pages", partial(_unaltered, partial(altered_pages, root), what))


def _unaltered(find: Callable[[], Sequence[str]], what: str) -> tuple[Outcome, str]:
    if altered := find():
        return "not confirmed", f"{altered[0]} was altered or removed; 'cemag book' makes it again"
    return "confirmed", f"{what} as they were written"


def _timed(level: Level, name: str, look: Callable[[], tuple[Outcome, str]]) -> Check:
    start = time.perf_counter()
    try:
        outcome, said = look()
    except StoreError as error:
        outcome, said = "not confirmed", str(error)
    except CemagError as error:
        outcome, said = "data missing", str(error)
    return Check(level, name, outcome, " ".join(said.split()), time.perf_counter() - start)


# ---------------------------------------------------------------------- measured and trained again


def chosen_keys(sample: int, claims: Sequence[str] = (), random_state: int = 0) -> list[str]:
    """Draw published runs, evenly over all that the claims rest on.

    Raises
    ------
    SpecError, UnknownNameError, StoreError
        If `sample` is below -1, a claim is unknown, or nothing is published.
    """
    from cemag.errors import check_known
    from cemag.reproduction.claims import PLAN
    from cemag.reproduction.runs import published_store

    for claim in claims:
        check_known("claim", claim, list(PLAN.claims))
    if sample < -1:
        raise SpecError(f"sample is {sample}: a number of runs is needed, or -1 for all")
    store = published_store()
    plain = bool(claims) and set(claims) <= set(WITHOUT_AUGMENTATION)
    keys = [run.key for run in store.summaries() if not plain or run.spec["augmenter"] == "none"]
    if not keys:
        raise StoreError(f"{store.root}: no published records")
    if sample == -1 or sample >= len(keys):
        return keys
    drawn = np.random.default_rng(random_state).choice(len(keys), sample, replace=False)
    return [keys[i] for i in sorted(drawn)]


def _of_run(key: str, retrain: bool) -> Iterator[Check]:
    from cemag.reproduction.runs import published_store

    record = published_store().get(key)
    name = f"{record.spec.label} ({key[:10]})"
    of_images = hasattr(record.spec, "network")
    again = _instances_again if of_images else _fitted_again
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solvers that stop at their limit, as they did before
        yield _timed("measured again", name, partial(again, record))
        if retrain and of_images:
            yield _timed("trained again", name, partial(_trained_again, record))


def _fitted_again(record: RunRecord) -> tuple[Outcome, str]:
    from cemag.reproduction.runs import run

    found = run(record.spec)
    if found.provenance.data_fingerprint != record.provenance.data_fingerprint:
        raise DataError(f"{record.spec.dataset} is other data here than the record was made from")
    if found.digest == record.digest:
        return "confirmed", "equal to the last bit"
    return near(record.tables, found.tables, getattr(record.spec, "standardise", True))


def near(then: Tables, now: Tables, standardise: bool) -> tuple[Outcome, str]:
    """Whether the plan's quantities of a model are what another processor may make of them: `ELSEWHERE`."""
    largest = 0.0
    for quantity, (scaled, unscaled) in ELSEWHERE.items():
        allowed = scaled if standardise else unscaled
        old, new = (_values(tables, quantity) for tables in (then, now))
        if old.shape != new.shape:
            return "not confirmed", f"{quantity} has {len(new)} values, published {len(old)}"
        off = np.where(np.isnan(old) == np.isnan(new), np.nan_to_num(np.abs(new - old)), np.inf)
        row = int(off.argmax())
        if off[row] > allowed:
            said = f"{quantity} {new[row]:.4g}, published {old[row]:.4g}"
            return "not confirmed", f"{said}: another processor moves it by {allowed:g} at most"
        largest = max(largest, off[row] / allowed)
    return "confirmed", f"within what another processor does ({100 * largest:.0f} % of it)"


def _values(tables: Tables, quantity: str) -> NDArray[np.float64]:
    """A quantity of the model, one per class; or of all of it."""
    import pyarrow.compute as pc

    if quantity in tables["performance"].column_names:
        return tables["performance"][quantity].to_numpy().astype(float)
    of = tables["quantities"]
    rows = of.filter(pc.and_(pc.equal(of["source"], "model"), pc.equal(of["gauge"], "paper")))
    return rows[quantity].to_numpy().astype(float)


def _instances_again(record: RunRecord) -> tuple[Outcome, str]:
    from cemag.metrics import TrainingView
    from cemag.reproduction.runs import centre_of, factors_of
    from cemag.reproduction.runs.quantities import Judged, instances_table

    made = factors_of(record)
    judged = Judged(made.ce, made.y, TrainingView(made.ce, made.y), centre_of(record))
    kept = record.tables["instances"]
    return compared({"instances": kept}, {"instances": instances_table(judged, kept["instance"].to_numpy())})


def _trained_again(record: RunRecord) -> tuple[Outcome, str]:
    from cemag.reproduction.runs import run

    before = os.environ.get("CEMAG_NETWORKS")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CEMAG_NETWORKS"] = folder  # where no state of an earlier training is
        try:
            found = run(record.spec, device="cpu")
        finally:
            os.environ.pop("CEMAG_NETWORKS")
            if before is not None:
                os.environ["CEMAG_NETWORKS"] = before
    if found.digest == record.digest:
        return "confirmed", "equal to the last bit"
    then, now = (one.tables["performance"]["balanced_accuracy"][0].as_py() for one in (record, found))
    said = f"balanced accuracy {now:.3f}, published {then:.3f}"
    return ("confirmed" if abs(now - then) <= BETWEEN_NETWORKS else "not confirmed"), said


def compared(then: Tables, now: Tables) -> tuple[Outcome, str]:
    """Compare tables: equal to the last bit, within what another processor does, or neither.

    Parameters
    ----------
    then, now : mapping of str to pyarrow.Table
        As published, and as found; each of `then` is looked for in `now`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> compared({"a": pa.table({"x": [1.0, 2.0]})}, {"a": pa.table({"x": [1.0, 2.1]})})
    ('not confirmed', 'a.x in row 1: 2.1, published 2')
    """
    from cemag.reproduction.runs.record import table_digest

    largest = 0.0
    for name, table in then.items():
        if name in now and table_digest(table) == table_digest(now[name]):
            continue
        for column in table.column_names:
            if name not in now or column not in now[name].column_names or len(now[name]) != len(table):
                return "not confirmed", f"{name}.{column} is of another shape"
            difference = _difference(table[column], now[name][column])
            if isinstance(difference, str):
                return "not confirmed", f"{name}.{column} in row {difference}"
            largest = max(largest, difference)
    if largest == 0:
        return "confirmed", "equal to the last bit"
    return "confirmed", f"within what another processor does ({largest:.0e} of a value)"


def _difference(then: pa.ChunkedArray, now: pa.ChunkedArray) -> float | str:
    """Largest relative difference of two columns, or the first row in which they differ by too much."""
    old, new = (np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False)) for column in (then, now))
    if old.dtype.kind != "f":
        differs = old != new
    else:
        differs = ~np.isclose(new, old, rtol=RTOL, atol=ATOL, equal_nan=True)
    if np.count_nonzero(differs) > ROWS_THAT_MAY_DIFFER * len(old):
        row = int(np.flatnonzero(differs)[0])
        shown = [f"{one:.7g}" if old.dtype.kind == "f" else str(one) for one in (new[row], old[row])]
        return f"{row}: {shown[0]}, published {shown[1]}"
    if old.dtype.kind != "f":
        return float(differs.any()) * RTOL
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(new - old) / np.maximum(np.abs(old), ATOL)
    return float(np.nan_to_num(np.where(differs, 0, off)).max(initial=0))


# ---------------------------------------------------------------------- reports


def as_json(checks: Sequence[Check]) -> str:
    """The checks, and what they were made with."""
    import platform

    from cemag import __version__
    from cemag.reproduction.runs.source import package_versions

    about = {
        "status": status_of(checks),
        "cemag": __version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "versions": package_versions(),
        "checks": [asdict(check) for check in checks],
    }
    return json.dumps(about, indent=1) + "\n"


def as_junit(checks: Sequence[Check]) -> str:
    """The checks as test cases, one suite per level: what CI servers read."""
    from xml.etree import ElementTree as tree

    suites = tree.Element("testsuites", name="cemag verify")
    for level in LEVELS:
        of_level = [check for check in checks if check.level == level]
        suite = tree.SubElement(
            suites,
            "testsuite",
            name=level,
            tests=str(len(of_level)),
            failures=str(sum(check.outcome == "not confirmed" for check in of_level)),
            skipped=str(sum(check.outcome == "data missing" for check in of_level)),
        )
        for check in of_level:
            case = tree.SubElement(
                suite, "testcase", classname=level, name=check.name, time=f"{check.seconds:.3f}"
            )
            if check.outcome != "confirmed":
                tag = "failure" if check.outcome == "not confirmed" else "skipped"
                tree.SubElement(case, tag, message=check.said)
    tree.indent(suites)
    return tree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
