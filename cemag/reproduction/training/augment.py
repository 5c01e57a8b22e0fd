"""Random crops, flips and normalisation of a whole batch at once, on the device, from uint8 images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cemag.models.images import Normalisation

__all__ = ["AugmentDraws", "BatchAugment"]


@dataclass(frozen=True)
class AugmentDraws:
    """Where each image is cropped and whether it is mirrored: three tensors of shape (n,).

    Examples
    --------
    >>> draws = AugmentDraws.draw(5, padding=4, flip=True, generator=torch.Generator().manual_seed(0))
    >>> draws.top.shape, int(draws.top.max()) <= 8, draws.flip.dtype
    (torch.Size([5]), True, torch.bool)
    """

    top: Tensor
    left: Tensor
    flip: Tensor

    @classmethod
    def draw(cls, n: int, *, padding: int, flip: bool, generator: torch.Generator) -> AugmentDraws:
        """Draw for n images: each of the ``2 * padding + 1`` offsets alike, mirrored with probability 1/2."""
        offsets = torch.randint(0, 2 * padding + 1, (2, n), generator=generator)
        mirrored = torch.randint(0, 2, (n,), generator=generator).bool() & flip
        return cls(offsets[0], offsets[1], mirrored)

    def to(self, device: torch.device) -> AugmentDraws:
        """Move to a device."""
        return AugmentDraws(*(t.to(device, non_blocking=True) for t in (self.top, self.left, self.flip)))

    def __getitem__(self, rows: slice) -> AugmentDraws:
        return AugmentDraws(self.top[rows], self.left[rows], self.flip[rows])


class BatchAugment:
    """A data set of images, held padded as uint8 on the device, from which augmented batches are read.

    A crop, a flip and a gather by number are one indexing operation over the batch. The outcome is
    that of torchvision's ``crop(pad(image, padding), top, left, h, w)``, then ``hflip``, ``ToTensor``
    and ``Normalize``, image by image.

    Parameters
    ----------
    images : Tensor of shape (n, h, w, c)
        uint8, on the device.
    normalisation : Normalisation
        Applied last.
    padding : int
        Zero pixels on each side.

    Examples
    --------
    >>> images = torch.arange(4, dtype=torch.uint8).reshape(1, 2, 2, 1)
    >>> batches = BatchAugment(images, Normalisation((0.0,), (1 / 255,)), padding=1)
    >>> zero, one = torch.tensor([0]), torch.tensor([1])
    >>> batches(zero, AugmentDraws(zero, one, zero.bool()))[0, 0].round()
    tensor([[0., 0.],
            [0., 1.]])
    """

    def __init__(self, images: Tensor, normalisation: Normalisation, padding: int) -> None:
        self.height, self.width = images.shape[1:3]
        self.padded = F.pad(images, (0, 0, padding, padding, padding, padding))
        self.normalisation = normalisation
        self._rows = torch.arange(self.height, device=images.device)
        self._columns = torch.arange(self.width, device=images.device)

    def __call__(self, numbers: Tensor, draws: AugmentDraws) -> Tensor:
        """Return images by number (b,), augmented: float32 (b, c, h, w), channels last in memory."""
        rows = draws.top[:, None] + self._rows
        columns = torch.where(draws.flip[:, None], self.width - 1 - self._columns, self._columns)
        columns = columns + draws.left[:, None]
        batch = self.padded[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]
        return self.normalisation(batch)
