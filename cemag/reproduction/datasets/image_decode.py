"""From encoded images to one uint8 array: PIL in a thread pool. Reads image files; writes nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cemag.errors import DataError, one_line
from cemag.reproduction.datasets.image_layouts import Encoded

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["decode_images", "resize_images"]

Pixels = NDArray[np.uint8]

CHUNK = 256  # images a task: many enough for every core, few enough calls
MAX_BYTES = 8 * 1024**3


def decode_images(name: str, encoded: Encoded, *, size: int | None, channels: int) -> Pixels:
    """Decode images into one array, in order.

    Parameters
    ----------
    name : str
        The set, for errors.
    encoded : Encoded
        n images, at least one.
    size : int or None
        Side in pixels. An image of another size is cut to its central square and resized (bilinear, with
        antialiasing); None takes them as they are, and then all must have one size.
    channels : {1, 3}
        Grey or RGB; an image of another mode is converted.

    Returns
    -------
    ndarray of shape (n, h, w, channels), uint8

    Raises
    ------
    DataError
        If an image does not decode (named by file and row), if sizes differ and none is asked, or if the
        array would not fit 8 GiB.

    Examples
    --------
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (6, 4), "red").save(file, "PNG")
    >>> encoded = Encoded([file.getvalue()], np.zeros(1, np.int64), "row {}".format)
    >>> decode_images("a set", encoded, size=2, channels=3).tolist()
    [[[[255, 0, 0], [255, 0, 0]], [[255, 0, 0], [255, 0, 0]]]]
    """
    first = _decoded(name, encoded, 0, size, channels)
    shape = (len(encoded.images), *first.shape)
    _check_memory(name, shape)
    pixels = np.empty(shape, np.uint8)

    def fill(rows: range) -> None:
        for row in rows:
            image = _decoded(name, encoded, row, size, channels)
            if image.shape != first.shape:
                (h, w, _), (first_h, first_w, _) = image.shape, first.shape
                raise DataError(
                    f"{name}: images differ in size ({encoded.describe(0)} is {first_w}x{first_h}, "
                    f"{encoded.describe(row)} is {w}x{h}): give a size"
                )
            pixels[row] = image

    _in_threads(fill, len(pixels))
    return pixels


def resize_images(pixels: Pixels, size: int | None) -> Pixels:
    """Resize decoded images, as `decode_images` does; the same array if there is nothing to do.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c), uint8
    size : int or None
        Side in pixels.

    Returns
    -------
    ndarray of shape (n, size, size, c), uint8

    Examples
    --------
    >>> resize_images(np.zeros((2, 8, 8, 1), np.uint8), 16).shape
    (2, 16, 16, 1)
    """
    from PIL import Image

    n, h, w, channels = pixels.shape
    if size is None or (h, w) == (size, size):
        return pixels
    _check_memory("images", (n, size, size, channels))
    resized = np.empty((n, size, size, channels), np.uint8)

    def fill(rows: range) -> None:
        for row in rows:
            image = Image.fromarray(pixels[row, :, :, 0] if channels == 1 else pixels[row])
            resized[row] = np.asarray(_squared(image, size)).reshape(size, size, channels)

    _in_threads(fill, n)
    return resized


def _decoded(name: str, encoded: Encoded, row: int, size: int | None, channels: int) -> Pixels:
    from PIL import Image

    content = encoded.images[row]
    try:
        if content is None:
            raise ValueError("no bytes")
        file: io.BytesIO | Path = io.BytesIO(content) if isinstance(content, bytes) else content
        with Image.open(file) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
    except Exception as error:  # PIL raises UnidentifiedImageError, OSError, SyntaxError, struct.error, ...
        reason = one_line(error)
        if isinstance(content, bytes):  # PIL names a buffer by its address, which says nothing
            reason = reason.split(" <_io.BytesIO")[0]
        raise DataError(f"{name}: {encoded.describe(row)} does not decode ({reason}): restore it") from error
    if size is not None and image.size != (size, size):
        image = _squared(image, size)
    return np.asarray(image).reshape(image.height, image.width, channels)


def _squared(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((size, size), Image.Resampling.BILINEAR)


def _in_threads(fill: Callable[[range], None], n: int) -> None:
    """Run `fill` over all rows; of several errors the one of the first rows is raised."""
    chunks: Iterable[range] = [range(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]
    pool = ThreadPoolExecutor(_n_threads())
    try:
        for _ in pool.map(fill, chunks):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _n_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


def _check_memory(name: str, shape: tuple[int, ...]) -> None:
    if (needed := int(np.prod(shape, dtype=np.int64))) > MAX_BYTES:
        raise DataError(
            f"{name}: {shape[0]} images of {shape[2]}x{shape[1]} need {needed / 1024**3:.1f} GiB, at most "
            f"{MAX_BYTES / 1024**3:.0f} are allowed: choose classes or a smaller size"
        )
