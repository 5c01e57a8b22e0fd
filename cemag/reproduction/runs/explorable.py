"""What the book's explorer shows: real instances with their CEs under every model of one repetition.

Heads and embeddings of networks are those of the published records. What those do not keep, pictures and the
features and weights of logistic regressions, stands in ``results/explorer``;
``python -m cemag.reproduction.runs.explorable results/explorer`` makes it, and needs the data sets.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import StoreError
from cemag.reproduction.runs.evidence import factors_of
from cemag.reproduction.runs.image_spec import ImageRunSpec
from cemag.reproduction.runs.keyed import log_read
from cemag.reproduction.runs.published import PublishedStore, published_store
from cemag.reproduction.runs.record import RunRecord
from cemag.reproduction.runs.spec import RunSpec

__all__ = ["Explorable", "explorables", "keep_explorables"]

PER_CLASS = 100  # instances of each class, the first of those that its CEs are judged by
PICTURES = 8  # of each class, half of them recognised where there are as many
VECTOR = pa.list_(pa.float32())


@dataclass(frozen=True, eq=False)
class Explorable:
    """Instances of one data set, and their CEs under each model of one repetition.

    Attributes
    ----------
    dataset, family : str
    class_names : tuple of str
        The largest class first.
    n_train : tuple of int
        Training instances of each class.
    labels : ndarray of shape (n,)
        Number of each instance's class.
    instances : ndarray of shape (n,)
        Row of each in the data set, or in its test part.
    models : mapping of augmenter to ClassificationEmbeddings
        All of these instances.
    keys : mapping of augmenter to str
        Key of each model's record.
    pictures : mapping of int to bytes
        WebP of some of the images, by place among the instances.
    """

    dataset: str
    family: str
    class_names: tuple[str, ...]
    n_train: tuple[int, ...]
    labels: NDArray[np.intp]
    instances: NDArray[np.intp]
    models: Mapping[str, ClassificationEmbeddings]
    keys: Mapping[str, str]
    pictures: Mapping[int, bytes]

    @property
    def minority(self) -> tuple[int, ...]:
        """Numbers of the smaller half of the classes."""
        by_size = sorted(range(len(self.n_train)), key=lambda c: -self.n_train[c])
        return tuple(sorted(by_size[-(len(by_size) // 2) :]))


def explorables(root: str | os.PathLike[str] | None = None) -> list[Explorable]:
    """Every data set of the published records that can be explored; nothing is computed.

    Parameters
    ----------
    root : path, optional
        Folder of published records; that of `published_store` when not given.

    Examples
    --------
    >>> explorables("no/such/folder")
    []
    """
    store = published_store() if root is None else PublishedStore(root)
    kept = store.root / "explorer"
    pictures = _read(kept / "pictures.parquet")
    found = [_of_images(runs, store, pictures) for runs in _first_repetitions(store, of_images=True)]
    rows, heads = _read(kept / "instances.parquet"), _read(kept / "heads.parquet")
    if len(rows):
        found += [_of_table(runs, rows, heads) for runs in _first_repetitions(store, of_images=False)]
    return found


Runs = dict[str, RunRecord]


def _first_repetitions(store: PublishedStore, *, of_images: bool) -> Iterator[Runs]:
    """Of every data set and family, the runs of the first repetition that has one without augmentation."""
    groups: dict[str, dict[int, list[str]]] = {}
    for run in store.summaries():
        usual = run.treatment in (run.spec["augmenter"], f"{run.spec['augmenter']}, authors' network")
        if usual and run.of_images == of_images and run.model != "svm":
            family = store.path(run.key).stem.partition("-")[0]
            of_set = groups.setdefault(f"{family} {run.spec['dataset']}", {})
            of_set.setdefault(run.repetition, []).append(run.key)
    for _, repetitions in sorted(groups.items()):
        for _, keys in sorted(repetitions.items()):
            runs = {record.spec.augmenter: record for record in map(store.get, keys)}
            if "none" in runs:
                yield {"none": runs.pop("none"), **dict(sorted(runs.items()))}
                break


def _first_of_each(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Rows of the first instances of each class, in order."""
    rows = [np.flatnonzero(labels == label)[:PER_CLASS] for label in np.unique(labels)]
    return np.sort(np.concatenate(rows))


def _sizes(record: RunRecord) -> dict[str, int]:
    table = record.tables["quantities"].to_pandas()
    sizes = table[table["source"] == "model"].drop_duplicates("class").set_index("class")["n_train"]
    return {str(name): int(n) for name, n in sizes.items()}


# ---------------------------------------------------------------------- images


def _of_images(runs: Runs, store: PublishedStore, pictures: pd.DataFrame) -> Explorable:
    plain = runs["none"]
    models: dict[str, ClassificationEmbeddings] = {}
    labels: NDArray[Any] = np.empty(0)
    instances: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    for name, record in runs.items():
        made = factors_of(record, store)
        rows = _first_of_each(made.y)
        owner = record if "embedding" in record.tables else plain
        numbers = _tested(owner)[rows]
        if name == "none":
            labels, instances = made.y[rows], numbers
        elif not (np.array_equal(labels, made.y[rows]) and np.array_equal(instances, numbers)):
            raise StoreError(f"{record.spec.label}: keeps other test images than {plain.spec.label}")
        models[name] = made.ce.take(rows)
    names = [str(name) for name in models["none"].classes]
    place = {number: row for row, number in enumerate(instances.tolist())}
    own = pictures[pictures["dataset"] == plain.spec.dataset] if len(pictures) else pictures
    shown = zip(own["instance"], own["picture"], strict=True) if len(own) else ()
    return Explorable(
        dataset=plain.spec.dataset,
        family="authors" if getattr(plain.spec, "weights", "") == "authors" else "cnn",
        class_names=tuple(names),
        n_train=tuple(_sizes(plain)[name] for name in names),
        labels=np.array([names.index(str(label)) for label in labels]),
        instances=instances,
        models=models,
        keys={name: record.spec.key for name, record in runs.items()},
        pictures={place[number]: picture for number, picture in shown if number in place},
    )


def _tested(record: RunRecord) -> NDArray[np.intp]:
    """Number of each test image whose embedding a record keeps."""
    table = record.tables["embedding"].select(["part", "instance"]).to_pandas()
    return table.loc[table["part"] == "test", "instance"].to_numpy()


# ---------------------------------------------------------------------- tables


def _of_table(runs: Runs, rows: pd.DataFrame, heads: pd.DataFrame) -> Explorable:
    plain = runs["none"]
    own = rows[rows["dataset"] == plain.spec.dataset]
    features = np.stack(own["features"].to_list())
    models = {}
    for name in runs:
        head = heads[(heads["dataset"] == plain.spec.dataset) & (heads["augmenter"] == name)].iloc[0]
        weights = np.asarray(head["weights"], dtype=float)[None]
        models[name] = ClassificationEmbeddings(features, weights, np.array([head["bias"]]))
    sizes = _sizes(plain)
    return Explorable(
        dataset=plain.spec.dataset,
        family="logistic",
        class_names=("majority", "minority"),
        n_train=(sizes["0"], sizes["1"]),
        labels=own["class"].to_numpy(),
        instances=own["instance"].to_numpy(),
        models=models,
        keys={name: record.spec.key for name, record in runs.items()},
        pictures={},
    )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame()
    log_read(path)
    return pd.read_parquet(path)


# ---------------------------------------------------------------------- keeping


def keep_explorables(root: Path) -> list[Path]:
    """Write what the published records do not keep: pictures, and the features and weights of tables.

    Parameters
    ----------
    root : Path
        Folder for the three files.

    Raises
    ------
    DataError
        If a data set is not on this machine.
    """
    store = published_store()
    pictures = [row for one in explorables() if one.family != "logistic" for row in _pictures_of(one, store)]
    rows, heads = [], []
    for runs in _first_repetitions(store, of_images=False):
        of_set = _fitted(runs)
        rows += of_set[0]
        heads += of_set[1]
    root.mkdir(parents=True, exist_ok=True)
    vectors = {"features": pa.array([row.pop("features") for row in rows], VECTOR)}
    weights = {"weights": pa.array([head.pop("weights") for head in heads], VECTOR)}
    tables = {
        "pictures": pa.Table.from_pylist(pictures),
        "instances": pa.table({**_columns(rows), **vectors}),
        "heads": pa.table({**_columns(heads), **weights}),
    }
    for name, table in tables.items():
        pq.write_table(table, root / f"{name}.parquet", compression="zstd", compression_level=19)
    return [root / f"{name}.parquet" for name in tables]


def _columns(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    return {name: pa.array([row[name] for row in rows]) for name in rows[0]}


def _pictures_of(one: Explorable, store: PublishedStore) -> Iterator[dict[str, Any]]:
    """Some images of each class, half of them recognised without augmentation where there are as many."""
    from cemag.reproduction.datasets import load_images

    spec = store.get(one.keys["none"]).spec
    assert isinstance(spec, ImageRunSpec)
    data = load_images(spec.dataset, classes=spec.classes, size=spec.size)
    right = one.models["none"].predictions == one.labels
    for label in range(len(one.class_names)):
        of_class = np.flatnonzero(one.labels == label)
        known, missed = of_class[right[of_class]], of_class[~right[of_class]]
        n_known = min(len(known), max(PICTURES // 2, PICTURES - len(missed)))
        for row in sorted([*known[:n_known], *missed[: PICTURES - n_known]]):
            number = int(one.instances[row])
            assert data.class_names[data.y_test[number]] == one.class_names[label]
            yield {"dataset": spec.dataset, "instance": number, "picture": _webp(data.X_test[number])}


def _webp(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=80, method=6)
    return file.getvalue()


def _fitted(runs: Runs) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of instances and of heads of one table, its models fitted again."""
    from cemag.reproduction.runs.tabular import fit_table

    rows: list[dict[str, Any]] = []
    heads = []
    for name, record in runs.items():
        spec = record.spec
        assert isinstance(spec, RunSpec)
        fitted = fit_table(spec)
        judged = fitted.judged_rows(spec.data_seed)
        kept = judged[_first_of_each(fitted.split.y_test[judged])]
        ce = fitted.ce.take(kept)
        if name == "none":
            numbers = fitted.rows[fitted.split.test_rows[kept]]
            columns = zip(numbers, fitted.split.y_test[kept], ce.features[:].astype(np.float32), strict=True)
            rows = [
                {"dataset": spec.dataset, "instance": int(number), "class": int(label), "features": list(x)}
                for number, label, x in columns
            ]
        heads.append(
            {
                "dataset": spec.dataset,
                "augmenter": name,
                "bias": float(ce.bias[0]),
                "weights": ce.weights[0].tolist(),
            }
        )
    return rows, heads


if __name__ == "__main__":
    print(*keep_explorables(Path(sys.argv[1])), sep="\n")
