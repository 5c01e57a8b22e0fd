"""load_images: an image set as uint8 arrays, whatever it came in. Reads files and the per-user cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cemag.errors import DataError, SpecError, check_known
from cemag.reproduction.datasets import image_layouts as layouts
from cemag.reproduction.datasets.image_cache import Decoded, digest, kept_or_made, stamp
from cemag.reproduction.datasets.image_decode import decode_images, resize_images
from cemag.reproduction.datasets.image_layouts import Encoded
from cemag.reproduction.datasets.image_registry import JPEG_COPY, ImageInfo, get_image_info
from cemag.reproduction.datasets.image_sources import CIFAR10_BATCHES, Found, find_images

__all__ = ["ImageDataset", "load_images"]

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

SIZES = (4, 1024)


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """An image set with its own split into training and test part, not thinned.

    Attributes
    ----------
    info : ImageInfo
        Class names and counts are those of the arrays; the notes say what was read in place of the original.
    X_train, X_test : ndarray of shape (n, h, w, c), uint8, read-only
    y_train, y_test : ndarray of shape (n,), int64, read-only
        0..k-1.
    class_names : tuple of str
    fingerprint : str
        SHA-256 over pixels, labels and class names.
    source : str
        What was read, in words, with its path.

    Examples
    --------
    >>> data = load_images("digits_images")
    >>> data.X_train.shape, data.info.train_counts[8], data.source
    ((1438, 8, 8, 1), 139, 'shipped with scikit-learn')
    """

    info: ImageInfo
    X_train: Pixels
    y_train: Labels
    X_test: Pixels
    y_test: Labels
    class_names: tuple[str, ...]
    fingerprint: str
    source: str


def load_images(
    name: str,
    *,
    classes: Sequence[str | int] | None = None,
    size: int | None = None,
    data_home: str | os.PathLike[str] | None = None,
) -> ImageDataset:
    """Load an image set, or chosen classes of it, at its own or at another size.

    What is decoded stays in the per-user cache until a file of the set changes; the second load of
    CIFAR-10 takes a fraction of a second. CIFAR-10 is read lossless where the official binary archive or
    torchvision's folder is there; a Parquet pack may be a JPEG copy, and `info.notes` then says so.

    Parameters
    ----------
    name : str
        Name in `IMAGE_DATASETS`.
    classes : sequence of str or int, optional
        Classes to keep, by name or by number in the whole set, at least two. They are numbered 0..k-1 in
        the order given; images stay in the order of the set.
    size : int, optional
        Side in pixels, 4 to 1024. An image of another size is cut to its central square and resized with
        antialiasing. By default the size of the files, which must then be one for all.
    data_home : path, optional
        Folder that holds the set's folder, and no other is looked in. By default ``$CEMAG_DATA``, then the
        per-user cache, into which a missing CIFAR-10 is downloaded (through torchvision, MD5 checked).

    Returns
    -------
    ImageDataset

    Raises
    ------
    UnknownNameError
        If there is no such set or class; the nearest known name is suggested.
    SpecError
        If classes are repeated or fewer than two, or a number is out of its range.
    DataError
        If the set is missing, cut short or not what the registry records, or if an image does not
        decode: names the file and the row, counted from 0.

    Examples
    --------
    >>> data = load_images("digits_images", classes=["8", "1"], size=16)
    >>> data.X_test.shape, data.class_names, np.bincount(data.y_test).tolist()
    ((71, 16, 16, 1), ('8', '1'), [35, 36])
    """
    info = get_image_info(name)
    _check_size(size)
    found = find_images(info, data_home)
    try:
        whole = _decoded(info, found, classes, size)
    except OSError as error:
        raise DataError(f"{name}: cannot read {found} ({error}): restore its files") from error
    data = _narrowed_arrays(whole, classes)
    for array in (data.X_train, data.y_train, data.X_test, data.y_test):
        array.flags.writeable = False
    source, notes = str(found), info.notes
    if data.format == "JPEG":
        source = f"{source} (JPEG)"
        if name == "cifar10":
            notes = f"{JPEG_COPY} {notes}"
    k = len(data.class_names)
    info = replace(
        info,
        class_names=data.class_names,
        train_counts=tuple(np.bincount(data.y_train, minlength=k).tolist()),
        test_counts=tuple(np.bincount(data.y_test, minlength=k).tolist()),
        notes=notes,
    )
    arrays = (data.X_train, data.y_train, data.X_test, data.y_test)
    return ImageDataset(info, *arrays, data.class_names, data.digest, source)


def _decoded(info: ImageInfo, found: Found, classes: Sequence[str | int] | None, size: int | None) -> Decoded:
    """The set as arrays; of folders, which may be far larger than memory, the chosen classes alone."""
    if found.layout == "embedded":
        return _from_arrays(info, layouts.read_digits(), size)
    key: dict[str, object] = {"size": size, "layout": found.layout}
    match found.layout:
        case "pack":
            key["files"] = stamp([found.train, found.test])
            return kept_or_made(info.name, key, lambda: _from_pack(info, found, size))
        case "binary":
            key["files"] = stamp([found.train])
            return kept_or_made(
                info.name,
                key,
                lambda: _from_arrays(info, layouts.read_binary(info.name, found.train), size),
            )
        case "batches":
            key["files"] = stamp(sorted((found.train / CIFAR10_BATCHES).iterdir()))
            return kept_or_made(
                info.name,
                key,
                lambda: _from_arrays(info, layouts.read_batches(info.name, found.train), size),
            )
    train, test, class_names = layouts.encoded_files(info.name, found)
    chosen = sorted(_chosen(class_names, classes))
    class_names = tuple(class_names[i] for i in chosen)
    train, test = _narrowed(train, chosen), _narrowed(test, chosen)
    key |= {"classes": class_names}
    key["files"] = stamp([path for path in (*train.images, *test.images) if isinstance(path, Path)])
    return kept_or_made(info.name, key, lambda: _from_encoded(info, train, test, class_names, size))


def _from_pack(info: ImageInfo, found: Found, size: int | None) -> Decoded:
    train, class_names = layouts.read_pack(info.name, found.train)
    test, test_names = layouts.read_pack(info.name, found.test)
    if class_names != test_names:
        raise DataError(f"{info.name}: {found.train} and {found.test} name different classes")
    if info.class_names and class_names != info.class_names:
        raise DataError(
            f"{info.name}: {found.train} has classes {', '.join(class_names)}: expected "
            f"{', '.join(info.class_names)}"
        )
    for part, path, counts in (
        (train, found.train, info.train_counts),
        (test, found.test, info.test_counts),
    ):
        there = np.bincount(part.labels, minlength=len(class_names))
        for label, (count, name) in enumerate(zip(there, class_names, strict=True)):
            if counts and count != counts[label]:
                raise DataError(
                    f"{info.name}: {path} has {count} images of class {name}, {counts[label]} expected: "
                    "restore the file"
                )
    return _from_encoded(info, train, test, class_names, size)


def _from_encoded(
    info: ImageInfo, train: Encoded, test: Encoded, class_names: tuple[str, ...], size: int | None
) -> Decoded:
    for part, what in ((train, "training"), (test, "test")):
        counts = np.bincount(part.labels, minlength=len(class_names))
        if not counts.all():
            raise DataError(f"{info.name}: no {what} image of class {class_names[int(counts.argmin())]}")
    pixels = [decode_images(info.name, part, size=size, channels=info.channels) for part in (train, test)]
    if pixels[0].shape[1:] != pixels[1].shape[1:]:
        raise DataError(
            f"{info.name}: training images are {pixels[0].shape[2]}x{pixels[0].shape[1]}, test images "
            f"{pixels[1].shape[2]}x{pixels[1].shape[1]}: give a size"
        )
    first = train.images[0]
    head = first if isinstance(first, bytes) else first.read_bytes()
    arrays = (pixels[0], train.labels, pixels[1], test.labels)
    return Decoded(
        *arrays,
        class_names,
        "JPEG" if head.startswith(b"\xff\xd8") else "lossless",
        digest(arrays, class_names),
    )


def _from_arrays(info: ImageInfo, arrays: layouts.Arrays, size: int | None) -> Decoded:
    X_train, y_train, X_test, y_test = arrays
    resized = (resize_images(X_train, size), y_train, resize_images(X_test, size), y_test)
    return Decoded(*resized, info.class_names, "lossless", digest(resized, info.class_names))


def _chosen(class_names: Sequence[str], classes: Sequence[str | int] | None) -> list[int]:
    """Numbers of the chosen classes, in the order given."""
    if classes is None:
        return list(range(len(class_names)))
    if isinstance(classes, str):
        raise SpecError(f"classes is {classes!r}: it must be a list of names or numbers")
    chosen: list[int] = []
    for wanted in classes:
        if isinstance(wanted, str):
            chosen.append(list(class_names).index(check_known("class", wanted, class_names)))
        elif isinstance(wanted, bool) or not isinstance(wanted, Integral):
            raise SpecError(f"classes has {wanted!r}: each must be a name or a number")
        elif not 0 <= wanted < len(class_names):
            raise SpecError(f"classes has {wanted}: it must be 0 to {len(class_names) - 1}")
        else:
            chosen.append(int(wanted))
    if len(set(chosen)) < len(chosen):
        repeated = next(class_names[i] for i in chosen if chosen.count(i) > 1)
        raise SpecError(f"classes has {repeated!r} twice: each may be there once")
    if len(chosen) < 2:
        raise SpecError(f"classes has {len(chosen)} of the {len(class_names)}: at least 2 are needed")
    return chosen


def _numbered(labels: Labels, chosen: Sequence[int]) -> tuple[NDArray[np.intp], Labels]:
    """Rows of the chosen classes, ascending, and their new labels."""
    numbers = np.full(int(max(labels.max(initial=0), *chosen)) + 1, -1, np.int64)
    numbers[list(chosen)] = np.arange(len(chosen))
    new = numbers[labels]
    rows = np.flatnonzero(new >= 0)
    return rows, new[rows]


def _narrowed_arrays(whole: Decoded, classes: Sequence[str | int] | None) -> Decoded:
    chosen = _chosen(whole.class_names, classes)
    class_names = tuple(whole.class_names[i] for i in chosen)
    if class_names == whole.class_names:
        return whole
    (train, y_train), (test, y_test) = (_numbered(y, chosen) for y in (whole.y_train, whole.y_test))
    arrays = (whole.X_train[train], y_train, whole.X_test[test], y_test)
    return Decoded(*arrays, class_names, whole.format, digest(arrays, class_names))


def _narrowed(part: Encoded, chosen: Sequence[int]) -> Encoded:
    rows, new = _numbered(part.labels, chosen)
    images = [part.images[row] for row in rows]
    return Encoded(images, new, lambda row: part.describe(int(rows[row])))


def _check_size(size: object) -> None:
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, Integral) or not SIZES[0] <= int(size) <= SIZES[1]:
        raise SpecError(f"size is {size!r}: it must be an integer from {SIZES[0]} to {SIZES[1]}, or None")
