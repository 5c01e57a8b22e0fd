"""Reading each layout of image files: names, labels and encoded images. Reads files, decodes nothing."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cemag.errors import DataError, one_line
from cemag.reproduction.datasets.image_sources import CIFAR10_BATCHES, CIFAR10_MD5, Found

__all__ = ["Encoded", "encoded_files", "read_batches", "read_binary", "read_digits", "read_pack"]

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Arrays = tuple[Pixels, Labels, Pixels, Labels]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})
CIFAR10_RECORD = 1 + 3 * 32 * 32
TAXA = frozenset({"Actinopterygii", "Amphibia", "Arachnida", "Aves", "Insecta", "Mammalia", "Reptilia"})


@dataclass(frozen=True, eq=False)
class Encoded:
    """Images of one part, still as files, with what an error calls each of them.

    Attributes
    ----------
    images : sequence of bytes or of Path
        The encoded image or the file that holds it; of length n.
    labels : ndarray of shape (n,), int64
    describe : callable
        From a row to its description in an error.
    """

    images: Sequence[bytes | Path]
    labels: Labels
    describe: Callable[[int], str]


def read_pack(name: str, path: Path) -> tuple[Encoded, tuple[str, ...]]:
    """Read one part of a pack in Hugging Face's layout, and the class names in its schema.

    Parameters
    ----------
    name : str
        The set, for errors.
    path : Path
        Parquet file with columns ``image: struct{bytes, path}`` and ``label``.

    Returns
    -------
    encoded : Encoded
    class_names : tuple of str

    Raises
    ------
    DataError
        If the file is damaged or has another layout.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except Exception as error:  # pyarrow raises ArrowInvalid, OSError and others on damaged bytes
        raise DataError(
            f"{name}: cannot read {path}, which is cut short or damaged ({one_line(error)}): restore the file"
        ) from error
    try:
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        class_names = tuple(map(str, features["label"]["names"]))
        images, paths = (pc.struct_field(table["image"], field).to_pylist() for field in ("bytes", "path"))
        labels = table.column("label").to_numpy().astype(np.int64, casting="safe")
    except Exception as error:  # a missing key, column or field, or one of another type
        raise DataError(
            f"{name}: {path} is not in Hugging Face's image layout ({type(error).__name__}: {error}): "
            "columns image: struct{bytes, path} and label, class names in the schema's huggingface metadata"
        ) from error
    outside = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
    if outside.size:
        row = int(outside[0])
        raise DataError(f"{name}: {path}, row {row}: label {labels[row]} of {len(class_names)} classes")

    def describe(row: int) -> str:
        return f"{path}, row {row}" + (f" ({paths[row]})" if paths[row] else "")

    return Encoded(images, labels, describe), class_names


def encoded_files(name: str, found: Found) -> tuple[Encoded, Encoded, tuple[str, ...]]:
    """List the training and test images of a folder layout, in sorted order.

    Parameters
    ----------
    name : str
        The set, for errors.
    found : Found
        Of layout ``"places"``, ``"inaturalist"`` or ``"folder"``.

    Returns
    -------
    train, test : Encoded
    class_names : tuple of str
        Sorted, but for Places, which has an order of its own.

    Raises
    ------
    DataError
        If a folder is empty, or a list or a name is not in the layout.
    """
    if found.layout == "places":
        return _places(name, found)
    group = _iconic_taxon if found.layout == "inaturalist" else str
    train, test = (_by_class(name, part, group) for part in (found.train, found.test))
    class_names = tuple(sorted(train))
    if strange := sorted(set(test) - set(train)):
        raise DataError(f"{name}: {found.test} has class {strange[0]!r}, which {found.train} has not")
    return _listed(train, class_names), _listed(test, class_names), class_names


def read_binary(name: str, path: Path, md5: str = CIFAR10_MD5) -> Arrays:
    """Read the official binary archive of CIFAR-10, without unpacking it and with no pickle.

    Parameters
    ----------
    name : str
        The set, for errors.
    path : Path
        ``cifar-10-binary.tar.gz``.
    md5 : str
        Of the archive, as its page states it.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        Images of shape (n, 32, 32, 3), uint8; labels of shape (n,), int64.

    Raises
    ------
    DataError
        If the archive is not the official one.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{name}: cannot read {path} ({error}): restore the file") from error
    if found != md5:
        raise DataError(
            f"{name}: {path} is cut short or altered (MD5 {found}, published {md5}): delete it to "
            "have it downloaded"
        )
    parts: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".bin") and (content := archive.extractfile(member)):
                parts[Path(member.name).stem] = content.read()
    train = b"".join(parts[f"data_batch_{i}"] for i in range(1, 6))
    return *_records(train), *_records(parts["test_batch"])


def read_batches(name: str, root: Path) -> Arrays:
    """Read torchvision's folder of CIFAR-10 through torchvision.

    Its batches are pickles. torchvision compares the MD5 of each with the published one before it
    unpickles any, so no other bytes are ever unpickled.

    Parameters
    ----------
    name : str
        The set, for errors.
    root : Path
        The folder that holds ``cifar-10-batches-py``.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        As `read_binary` returns them.

    Raises
    ------
    DataError
        If a batch is missing or is not the official one.
    """
    from torchvision.datasets import CIFAR10

    try:
        train, test = (CIFAR10(root, train=is_train) for is_train in (True, False))
    except Exception as error:  # RuntimeError where a checksum differs, OSError where a file is unreadable
        raise DataError(
            f"{name}: {root / CIFAR10_BATCHES} is not complete, or not what torchvision unpacks ({error}): "
            "restore the folder"
        ) from error
    return (
        np.ascontiguousarray(train.data, np.uint8),
        np.asarray(train.targets, np.int64),
        np.ascontiguousarray(test.data, np.uint8),
        np.asarray(test.targets, np.int64),
    )


def read_digits() -> Arrays:
    """Read scikit-learn's digits as images, a fifth of each class held out by a fixed seed.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        Images of shape (n, 8, 8, 1), uint8; labels of shape (n,), int64.

    Examples
    --------
    >>> X_train, y_train, X_test, y_test = read_digits()
    >>> X_train.shape, X_test.shape, int(X_train.max())
    ((1438, 8, 8, 1), (359, 8, 8, 1), 255)
    """
    from sklearn.datasets import load_digits

    values, y = load_digits(return_X_y=True)
    X = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    y = y.astype(np.int64)
    held_out = np.zeros(len(y), bool)
    for label in range(10):
        rows = np.random.default_rng([0, label]).permutation(np.flatnonzero(y == label))
        held_out[rows[: round(len(rows) / 5)]] = True
    return X[~held_out], y[~held_out], X[held_out], y[held_out]


def _records(content: bytes) -> tuple[Pixels, Labels]:
    records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR10_RECORD)
    labels = records[:, 0].astype(np.int64)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels


def _by_class(name: str, folder: Path, group: Callable[[str], str | None]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for directory in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        if directory.name.startswith("."):
            continue
        if (class_name := group(directory.name)) is None:
            raise DataError(
                f"{name}: {directory} is not a species of INaturalist 2021: its name needs eight parts"
            )
        images = sorted(p for p in directory.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise DataError(f"{name}: {directory} holds no image: every class needs one")
        files.setdefault(class_name, []).extend(images)
    if not files:
        raise DataError(f"{name}: {folder} holds no class: one folder a class is needed")
    return files


def _iconic_taxon(species: str) -> str | None:
    """INaturalist's own grouping: the kingdom, but for animals the class or phylum that it singles out."""
    pieces = species.split("_")
    if len(pieces) != 8:
        return None
    kingdom, phylum, class_name = pieces[1:4]
    if kingdom != "Animalia":
        return kingdom
    return class_name if class_name in TAXA else phylum if phylum == "Mollusca" else kingdom


def _listed(files: dict[str, list[Path]], class_names: Sequence[str]) -> Encoded:
    images = [path for name in class_names for path in files.get(name, ())]
    counts = [len(files.get(name, ())) for name in class_names]
    labels = np.repeat(np.arange(len(class_names), dtype=np.int64), counts)
    return Encoded(images, labels, lambda row: str(images[row]))


def _places(name: str, found: Found) -> tuple[Encoded, Encoded, tuple[str, ...]]:
    """Places365 as torchvision unpacks it, with its lists of lines ``/a/airfield 0`` and ``/a/x/1.jpg 0``."""
    home = found.train.parent
    where = home / "categories_places365.txt"
    try:
        numbered = {int(number): label for label, number in map(str.split, where.read_text().splitlines())}
        class_names = tuple(numbered[i].lstrip("/").partition("/")[2] for i in range(len(numbered)))
        parts = []
        for part, file in (
            (found.train, "places365_train_standard.txt"),
            (found.test, "places365_val.txt"),
        ):
            where = home / file
            rows = [line.split() for line in where.read_text().splitlines()]
            images: list[bytes | Path] = [part / image.lstrip("/") for image, _ in rows]
            labels = np.array([int(label) for _, label in rows], np.int64)
            if not labels.size or labels.min() < 0 or labels.max() >= len(class_names):
                raise ValueError(f"labels must be 0 to {len(class_names) - 1}")
            parts.append(Encoded(images, labels, lambda row, images=images: str(images[row])))  # type: ignore[misc]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{name}: {where} is not a list of Places365 ({error}): restore the file") from error
    return parts[0], parts[1], class_names
