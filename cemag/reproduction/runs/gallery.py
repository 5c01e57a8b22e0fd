"""A few of the images that an augmenter made, beside real ones, small enough to be kept in a record."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from cemag.reproduction.runs.networks import TrainingSet

__all__ = ["gallery"]

EACH = 5  # pictures a class and kind


class Redrawing(Protocol):
    """What passes images through a code and back."""

    def encode(self, X: Any) -> NDArray[np.float32]: ...
    def decode(self, codes: Any) -> NDArray[np.uint8]: ...


def gallery(
    data: TrainingSet, made: NDArray[np.uint8], labels: NDArray[np.int64], maker: Redrawing
) -> pa.Table:
    """Pick the first few images of each class: real, redrawn from their own code, and made.

    Returns
    -------
    pyarrow.Table
        A row a picture: ``class``, ``kind`` (``"real"``, ``"redrawn"`` or ``"made"``), ``place`` within
        the kind, and ``png``, base64 text.
    """
    rows = []
    for label, name in enumerate(data.class_names):
        real = data.X[data.y == label][:EACH]
        of_class = {
            "real": real,
            "redrawn": maker.decode(maker.encode(real)),
            "made": made[labels == label][:EACH],
        }
        for kind, images in of_class.items():
            rows += [
                {"class": name, "kind": kind, "place": place, "png": _png(image)}
                for place, image in enumerate(images)
            ]
    return pa.Table.from_pylist(rows)


def _png(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
