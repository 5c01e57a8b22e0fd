"""uint8 images of any usual layout, and the normalisation that makes a network's input of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cemag.errors import DataError, extra

with extra("torch"):
    import torch
    from torch import Tensor

__all__ = ["CIFAR10", "Normalisation", "image_tensor"]

CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and standard deviation of images on a scale from 0 to 1.

    Examples
    --------
    >>> Normalisation((0.5,), (0.25,))(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item()
    2.0
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: Tensor) -> Normalisation:
        """Take the statistics of uint8 images (n, h, w, c); a constant channel gets std 1."""
        levels = torch.arange(256, dtype=torch.float64)
        mean, std = [], []
        for channel in range(images.shape[-1]):
            share = torch.bincount(images[..., channel].reshape(-1), minlength=256).double().cpu()
            share /= share.sum()
            centre = float(share @ levels)
            mean.append(centre / 255)
            std.append(float(share @ (levels - centre) ** 2) ** 0.5 / 255 or 1.0)
        return cls(tuple(mean), tuple(std))

    def __call__(self, images: Tensor) -> Tensor:
        """Map uint8 images (n, h, w, c) to float32 (n, c, h, w), channels last in memory."""
        if images.shape[-1] != len(self.mean):
            raise DataError(
                f"images have {images.shape[-1]} channel(s), and the mean to subtract has {len(self.mean)}"
            )
        mean, std = (
            torch.tensor(v, dtype=torch.float32, device=images.device) for v in (self.mean, self.std)
        )
        # the operations and their order are torchvision's: the values are equal to the last bit
        return images.to(torch.float32).div_(255).sub_(mean).div_(std).permute(0, 3, 1, 2)


CIFAR10 = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


def image_tensor(X: Any) -> Tensor:
    """Return uint8 images of any usual layout as a tensor (n, h, w, c).

    Parameters
    ----------
    X : array_like or Tensor of shape (n, h, w, c), (n, c, h, w) or (n, h, w)
        Of dtype uint8, with 1, 3 or 4 channels; the last axis is tried first.

    Raises
    ------
    DataError
        If the dtype or the shape is another.

    Examples
    --------
    >>> image_tensor(np.zeros((2, 3, 32, 32), dtype=np.uint8)).shape
    torch.Size([2, 32, 32, 3])
    """
    images = X if isinstance(X, Tensor) else torch.from_numpy(np.require(X, requirements=["C", "W"]))
    if images.dtype != torch.uint8:
        raise DataError(f"images are of dtype {str(images.dtype).removeprefix('torch.')}: uint8 is needed")
    if images.ndim == 3:
        return images[..., None].contiguous()
    if images.ndim == 4 and images.shape[3] in CHANNELS:
        return images.contiguous()
    if images.ndim == 4 and images.shape[1] in CHANNELS:
        return images.permute(0, 2, 3, 1).contiguous()
    raise DataError(
        f"images have shape {tuple(images.shape)}: (n, h, w), (n, h, w, c) or (n, c, h, w) is needed, "
        "with c one of 1, 3, 4"
    )
