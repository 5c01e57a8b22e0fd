"""The state of a training in a file: written whole or not at all, read without running code, checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cemag.errors import CemagError

__all__ = ["read_checkpoint", "tensors_digest", "write_checkpoint"]

FORMAT = 1


def tensors_digest(*parts: str | Mapping[str, Tensor]) -> str:
    """SHA-256 of texts and of named tensors, values and shapes.

    Examples
    --------
    >>> tensors_digest("a", {"x": torch.zeros(2)}) == tensors_digest("a", {"x": torch.zeros(1, 2)})
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(f"{len(part)}:{part}".encode())
            continue
        for name, tensor in part.items():
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(values.numpy().data)
    return digest.hexdigest()


def write_checkpoint(path: Path, digest: str, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values, beside the file first, then in its place.

    Raises
    ------
    CemagError
        If the file cannot be written.
    """
    scratch = path.with_name(f".{path.name}.tmp")  # one training writes it: a killed one's is overwritten
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as file:
                torch.save({"format": FORMAT, "digest": digest, **state}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise CemagError(f"{path}: checkpoint cannot be written ({error.strerror or error})") from None


def read_checkpoint(path: Path, digest: str) -> dict[str, Any] | None:
    """Read a state back; None if there is no file.

    Raises
    ------
    CemagError
        If the file is damaged, holds pickled code, or was written by a training of other data,
        recipe, seed or initial weights.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        intact = state["format"] == FORMAT
    except Exception as error:  # a damaged file makes its reader raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CemagError(
            f"{path}: not a checkpoint of a training ({first}); delete it to start anew"
        ) from None
    if not intact or state["digest"] != digest:
        raise CemagError(
            f"{path}: belongs to a training of other data, recipe, seed, sampling or initial weights; "
            "delete it, or train with resume=False"
        )
    return state
