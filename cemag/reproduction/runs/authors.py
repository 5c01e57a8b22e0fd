"""The network that the paper's first author published, and the head that EOS made for it. Imports torch.

Read from ``authors/`` under ``CEMAG_DATA``, else from the per-user cache, into which they are downloaded from
their public repository; the content is verified whichever way it came.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import torch
from numpy.typing import NDArray

from cemag.errors import DataError, one_line
from cemag.files import written_whole
from cemag.models.resnet import ResNet, checkpoint_model

__all__ = ["EOS_NOTE", "NOTE", "eos_head", "network"]

REPOSITORY = "https://github.com/dd1github/EOS/raw/7eabb610/models"
FILES = {
    "cifar10_lt100_resnet32.pth": (
        "CEbal_133_None_res32_best.pth",
        "28c9d4539d6961ac2ad1d2d3aafdf6e6dba8bdee8f60c48219cb7991a66f1341",
    ),
    "cifar10_lt100_eos_head.pth": (
        "CE_cif_trn_EOS1_6_best.pth",
        "181b64ae8844d7687370eec5d236cf7e5052670436c96acaae64e475b894c099",
    ),
}
NOTE = "network of the repository dd1github/EOS; its training images are drawn anew, as many of each class"
EOS_NOTE = "head of the same repository, which EOS made there"
TIMEOUT = 60.0  # seconds


def network() -> ResNet:
    """Return the published ResNet-32, trained on CIFAR-10 at 100:1."""
    return checkpoint_model(_obtain("cifar10_lt100_resnet32.pth"), "resnet32", 10)


def eos_head() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (10, 64) and bias (10,) of the head that EOS made for it."""
    state = torch.load(_obtain("cifar10_lt100_eos_head.pth"), map_location="cpu", weights_only=True)
    weights, bias = (state[f"linear.{part}"].float().numpy() for part in ("weight", "bias"))
    return weights, bias


def _obtain(name: str) -> Path:
    """Return a published file, verified; downloaded where it is not on this machine."""
    from platformdirs import user_cache_path

    cached = user_cache_path("cemag") / "data" / "authors" / name
    given = os.environ.get("CEMAG_DATA")
    places = [Path(given).expanduser() / "authors" / name] if given else []
    path = next((place for place in (*places, cached) if place.is_file()), None)
    if path is None:
        _download(name, cached)
        path = cached
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != FILES[name][1]:
        raise DataError(f"{path}: has SHA-256 {found[:12]}, expected {FILES[name][1][:12]}: restore the file")
    return path


def _download(name: str, target: Path) -> None:
    url = f"{REPOSITORY}/{FILES[name][0]}"
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            content = answer.read()
    except OSError as error:
        raise DataError(
            f"{name}: neither in authors/ under CEMAG_DATA nor in {target.parent}, and the download of {url} "
            f"failed ({one_line(error)})"
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target, DataError) as scratch:
        scratch.write_bytes(content)
