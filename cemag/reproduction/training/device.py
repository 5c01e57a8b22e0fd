"""Where to compute, and what to say when its memory is full."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from cemag.errors import CemagError, check_known

__all__ = ["choose_device", "explain_out_of_memory", "keep_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose_device(name: Literal["auto", "cpu", "cuda"] | str = "auto") -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
        ``"auto"`` takes a GPU where there is one.

    Raises
    ------
    CemagError
        If a GPU is asked for and absent.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    check_known("device", name, ["auto", "cpu", "cuda"])
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = "PyTorch finds none" if torch.version.cuda else "this PyTorch is built without CUDA"
        raise CemagError(f"device 'cuda' was asked for, but there is no GPU ({built}): use 'auto' or 'cpu'")
    return torch.device("cuda", torch.cuda.current_device())


@contextmanager
def explain_out_of_memory(batch_size: int | None, device: torch.device) -> Iterator[None]:
    """Turn running out of memory into a CemagError that suggests the batch that would fit.

    Half the batch, or less where what was allocated beside what was there before (data set, weights)
    says that half of it would not fit either.

    Parameters
    ----------
    batch_size : int or None
        Images a step; None while the data set and the network are moved to the device.
    device : torch.device
        Whose memory is watched.
    """
    before = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and "can't allocate memory" not in str(error):
            raise
        raise CemagError(_advice(batch_size, device, before)) from None


def _advice(batch_size: int | None, device: torch.device, before: int) -> str:
    place, held, suggested = "memory", "", (batch_size or 0) // 2
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        peak = torch.cuda.max_memory_allocated(device)
        place = "the GPU's memory"
        held = f" ({peak / 2**30:.1f} of {total / 2**30:.1f} GiB were allocated, {before / 2**30:.1f} before)"
        needed = (peak - before) / 2
        while suggested > 2 and needed > total - before:
            suggested, needed = suggested // 2, needed / 2
    if batch_size is None:
        return f"the data set and the network do not fit in {place}{held}: use device='cpu', or fewer images"
    return f"a batch of {batch_size} images does not fit in {place}{held}: try batch_size={max(2, suggested)}"


@contextmanager
def keep_memory(device: torch.device) -> Iterator[None]:
    """Keep freed memory in the process for the time of a training on the CPU (glibc only).

    A step frees and takes the same few hundred megabytes; handed back to the kernel in between,
    each page of them is zeroed and mapped anew, which costs a tenth of the time. No result changes.
    """
    libc = _glibc() if device.type == "cpu" else None
    if libc is None:
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:  # where glibc's own adaptive rule ends up after large arrays
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
