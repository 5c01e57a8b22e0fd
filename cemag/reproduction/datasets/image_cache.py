"""Decoded images kept in the per-user cache, so that they are decoded once. Reads and writes that cache.

Two files a set, size and state of its files, with a checksum and nothing pickled: the pixels, which are
mapped and not copied, so that processes share them, and the rest. Both are written whole; what is damaged is
decoded anew. The last used few of each set stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cemag.errors import CemagError, one_line
from cemag.files import written_whole
from cemag.reproduction.datasets import sources

__all__ = ["Decoded", "digest", "kept_or_made", "stamp"]

VERSION = 1  # raise it when decoding comes to mean other pixels
KEPT = 4  # entries a set

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Decoded:
    """A whole set as arrays, with the format that its images came in.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n, h, w, c), uint8
    y_train, y_test : ndarray of shape (n,), int64
    class_names : tuple of str
    format : str
        ``"JPEG"`` where the first training image is one, else ``"lossless"``.
    digest : str
        `digest` of the four arrays, in this order with their labels, and of the class names.
    """

    X_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]
    format: str
    digest: str


def digest(arrays: Sequence[NDArray], class_names: Sequence[str]) -> str:
    """SHA-256 over shapes, types and bytes of arrays, and over names; threads hash beside each other.

    Parameters
    ----------
    arrays : sequence of ndarray
    class_names : sequence of str

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> digest([np.arange(2)], "ab") == digest([np.arange(2)], "ba")
    False
    """
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(_hashed, arrays))
    return hashlib.sha256(json.dumps([parts, list(class_names)]).encode()).hexdigest()


def stamp(paths: Sequence[Path]) -> str:
    """Identify files by path, size and time of change: it differs when any of them does.

    Parameters
    ----------
    paths : sequence of Path

    Returns
    -------
    str
    """
    hashed = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        hashed.update(f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return hashed.hexdigest()


def kept_or_made(name: str, key: Mapping[str, object], make: Callable[[], Decoded]) -> Decoded:
    """Return what the cache keeps under a key, or make it and keep it.

    Parameters
    ----------
    name : str
        The set.
    key : mapping
        What the arrays depend on; values that JSON can write.
    make : callable

    Returns
    -------
    Decoded
    """
    text = json.dumps({"version": VERSION, "name": name, **key}, sort_keys=True)
    folder = sources._cache() / "decoded"
    path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.npz"
    if (kept := _read(path)) is not None:
        return kept
    made = make()
    try:
        _write(path, made)
        _prune(folder, name)
    except (OSError, CemagError) as error:  # a full or read-only disk costs time, not the result
        _log.warning("%s: decoded images are not kept for the next time (%s)", name, error)
    return made


def _read(path: Path) -> Decoded | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as members:
            about = json.loads(str(members["about"]))
            y_train, y_test = members["y_train"], members["y_test"]
        pixels = np.asarray(np.load(_pixels(path), mmap_mode="r", allow_pickle=False))
        X_train, X_test = pixels[: len(y_train)], pixels[len(y_train) :]
        class_names = tuple(about["class_names"])
        if digest([X_train, y_train, X_test, y_test], class_names) != about["digest"]:
            raise ValueError("checksum differs")
    except Exception as error:  # on damaged bytes zipfile and NumPy raise some ten kinds between them
        _log.warning("%s is damaged (%s): decoding anew", path, one_line(error))
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the last used stay
    return Decoded(X_train, y_train, X_test, y_test, class_names, about["format"], about["digest"])


def _write(path: Path, made: Decoded) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"class_names": made.class_names, "format": made.format, "digest": made.digest}
    shape = (len(made.X_train) + len(made.X_test), *made.X_train.shape[1:])
    with written_whole(_pixels(path)) as scratch, scratch.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in (made.X_train, made.X_test):
            file.write(np.ascontiguousarray(part).data)
    with written_whole(path) as scratch, scratch.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), y_train=made.y_train, y_test=made.y_test)


def _pixels(path: Path) -> Path:
    return path.with_suffix(".npy")


def _prune(folder: Path, name: str) -> None:
    entries = sorted(folder.glob(f"{name}-*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in entries[KEPT:]:
        with contextlib.suppress(OSError):
            old.unlink()
            _pixels(old).unlink()


def _hashed(array: NDArray) -> str:
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    hashed = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    hashed.update(array.data)
    return hashed.hexdigest()
