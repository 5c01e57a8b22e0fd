"""The residual networks for small images of He et al., with the parameter names of published checkpoints.

Imports torch: the tabular half never imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cemag.errors import CemagError, check_known, extra

with extra("torch"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

__all__ = ["RESNETS", "ResNet", "checkpoint_model", "load_checkpoint", "resnet"]

RESNETS: dict[str, int] = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9}  # blocks a stage
WIDTHS = (16, 32, 64)
RUN_CODE = (".pkl", ".pickle", ".joblib")


class PaddedShortcut(nn.Module):
    """Option A: every second pixel, and zero channels on both sides; no parameters."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, c + extra, ceil(h / 2), ceil(w / 2))."""
        before = self.extra // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.extra - before))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and the input added to what they give."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        same = stride == 1 and n_in == n_out
        self.shortcut: nn.Module = nn.Identity() if same else PaddedShortcut(n_out - n_in)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in, h, w) to (n, n_out, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out, inplace=True)


class ResNet(nn.Module):
    """Residual network for images of some 8 to 64 pixels: three stages of 16, 32 and 64 channels.

    As in section 4.2 of [1]_, with its parameter-free shortcuts (option A). The feature embedding
    is the globally averaged output of the last stage, 64 numbers; `linear` makes the logits of it.
    Parameters are named as in the widely used public implementation [2]_.

    Parameters
    ----------
    n_blocks : int
        Blocks a stage; the depth is ``6 * n_blocks + 2``.
    n_classes : int, default=10
        Number of classes C.
    in_channels : int, default=3
        Channels of an image.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
    .. [2] Y. Idelbayev, https://github.com/akamaster/pytorch_resnet_cifar10

    Examples
    --------
    >>> model = ResNet(3, n_classes=5, in_channels=1)
    >>> model(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 5])
    """

    def __init__(self, n_blocks: int, n_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], n_blocks)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], n_blocks)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], n_blocks)
        self.linear = nn.Linear(WIDTHS[2], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, in_channels, h, w) to logits (n, C)."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.layer3(self.layer2(self.layer1(out)))
        return self.linear(out.mean((2, 3)))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew: He's normal for convolutions and the linear layer, as in [2]_."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        bound = self.linear.in_features**-0.5
        nn.init.uniform_(self.linear.bias, -bound, bound, generator=generator)


def _stage(n_in: int, n_out: int, n_blocks: int) -> nn.Sequential:
    first = BasicBlock(n_in, n_out, stride=1 if n_in == n_out else 2)
    return nn.Sequential(first, *(BasicBlock(n_out, n_out, stride=1) for _ in range(n_blocks - 1)))


def resnet(name: str, n_classes: int = 10, in_channels: int = 3, *, seed: int = 0) -> ResNet:
    """Build one of the networks by name, its weights drawn from a generator of its own.

    Parameters
    ----------
    name : {"resnet20", "resnet32", "resnet44", "resnet56"}
        The paper of this book uses ``"resnet32"`` and ``"resnet56"``.
    n_classes : int, default=10
        Number of classes C.
    in_channels : int, default=3
        Channels of an image.
    seed : int, default=0
        Seed of the initial weights; torch's global generator is neither used nor moved.

    Returns
    -------
    ResNet
        In training mode, on the CPU.

    Examples
    --------
    >>> model = resnet("resnet32")
    >>> sum(p.numel() for p in model.parameters())
    464154
    """
    n_blocks = RESNETS[check_known("network", name, RESNETS)]
    for option, value in (("n_classes", n_classes), ("in_channels", in_channels)):
        if value < 1:
            raise CemagError(f"{option} is {value}: at least 1 is needed")
    with torch.random.fork_rng(devices=[]):  # constructors of layers draw from the global generator
        model = ResNet(n_blocks, n_classes, in_channels)
    model.reset_parameters(torch.Generator().manual_seed(seed))
    return model


def load_checkpoint(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Load the weights of a checkpoint file into a model, all of them or none.

    Takes a state dict, or a dict that holds one as ``"state_dict"`` or ``"model"``; a ``module.``
    in front of the names, from data-parallel training, is dropped. Only tensors and plain values
    are read: a file that would run code on loading is refused.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    path : path
        Written by ``torch.save``, or ``.safetensors``.

    Returns
    -------
    nn.Module
        `model`.

    Raises
    ------
    CemagError
        If the file is missing, damaged, holds pickled code, or belongs to another architecture;
        names the file and the first parameter that does not fit.
    """
    _load_state(model, _read_state(Path(path)), path)
    return model


def checkpoint_model(path: str | os.PathLike[str], arch: str, n_classes: int | None = None) -> ResNet:
    """Load a network of this package from a checkpoint of tensors, as many classes and channels as it has.

    Parameters
    ----------
    path : path
        A state dict: ``.safetensors``, or any other name as written by ``torch.save``, of which only
        tensors and plain values are read.
    arch : {"resnet20", "resnet32", "resnet44", "resnet56"}
        The network.
    n_classes : int, optional
        Classes that the checkpoint must have; as many as it has when not given.

    Returns
    -------
    ResNet
        In evaluation mode, on the CPU.

    Raises
    ------
    CemagError
        If the file is missing, damaged, holds pickled code or belongs to another network.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(resnet("resnet20", 5).state_dict(), Path(folder) / "net.pt")
    ...     checkpoint_model(Path(folder) / "net.pt", "resnet20").linear
    Linear(in_features=64, out_features=5, bias=True)
    """
    check_known("network", arch, RESNETS)
    state = _read_state(Path(path))
    head, first = (state.get(name, torch.zeros(())) for name in ("linear.weight", "conv1.weight"))
    if n_classes is None:
        n_classes = len(head) if head.ndim == 2 else 10
    model = resnet(arch, n_classes, first.shape[1] if first.ndim == 4 else 3)
    _load_state(model, state, path)
    model.eval()
    return model


def _load_state(model: nn.Module, state: dict[str, Tensor], path: str | os.PathLike[str]) -> None:
    own = model.state_dict()
    for name, tensor in own.items():
        if name not in state:
            if name.endswith("num_batches_tracked"):  # absent in files from before PyTorch 0.4.1
                state[name] = tensor
                continue
            raise CemagError(f"{path}: another architecture ({name} is missing)")
        if state[name].shape != tensor.shape:
            found, needed = tuple(state[name].shape), tuple(tensor.shape)
            raise CemagError(f"{path}: another architecture ({name} has shape {found}, the model {needed})")
    if extra := [name for name in state if name not in own]:
        raise CemagError(f"{path}: another architecture ({extra[0]} is not in the model)")
    model.load_state_dict(state)


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CemagError(f"{path}: no such checkpoint")
    if path.suffix in RUN_CODE:
        raise CemagError(f"{path}: {path.suffix} files run code when they are opened and are never read")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes its reader raise anything
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise CemagError(f"{path}: holds pickled code, refused (only tensors are read)") from None
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CemagError(f"{path}: not a readable checkpoint ({first})") from None
    for inner in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(inner), Mapping):
            loaded = loaded[inner]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CemagError(f"{path}: holds no state dict (names with tensors)")
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise CemagError(f"{path}: safetensors is not installed; run pip install 'cemag[torch]'") from None
    try:
        return {name.removeprefix("module."): tensor for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise CemagError(f"{path}: not a readable checkpoint ({error})") from None
