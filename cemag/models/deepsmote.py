"""DeepSMOTE: an encoder and decoder of images, and SMOTE in the code between them.

Imports torch: the tabular half never imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import CemagError, DataError, check_known, extra
from cemag.models.images import image_tensor

with extra("samplers"):
    from imblearn.over_sampling import SMOTE

with extra("torch"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

__all__ = ["DeepSMOTE", "EpochLosses", "train_deepsmote"]

VARIANTS = ("paper", "published_code", "none")
SMALLEST, LARGEST = 8, 64  # side of an image
Images = NDArray[np.uint8]
Progress = Callable[[int, "EpochLosses"], None]


@dataclass(frozen=True)
class EpochLosses:
    """Mean squared errors of one epoch, per pixel on a scale from -1 to 1."""

    reconstruction: float
    penalty: float


class DeepSMOTE(nn.Module):
    """Convolutional encoder and decoder, and new images from mixed codes.

    After the authors' program [2]_: convolutions of 4 x 4 with stride 2 and doubling width halve the
    image while its side is at least 4 (four of them for 32 pixels), a linear layer makes the code; the
    decoder is its mirror image and ends in tanh. Images are read and written on a scale from -1 to 1.

    Parameters
    ----------
    image_shape : tuple of int (h, w, c)
        h = w, from 8 to 64.
    code_size : int, default=300
        Numbers in a code.
    width : int, default=64
        Channels of the first convolution; the widest has 8 times as many.

    Attributes
    ----------
    history : list of EpochLosses
        One an epoch; empty before training.

    References
    ----------
    .. [1] D. Dablain, B. Krawczyk, N. V. Chawla, "DeepSMOTE: Fusing Deep Learning and SMOTE for
       Imbalanced Data", IEEE Transactions on Neural Networks and Learning Systems, 2022,
       arXiv:2105.02340.
    .. [2] https://github.com/dd1github/DeepSMOTE

    Examples
    --------
    >>> model = DeepSMOTE((8, 8, 1), code_size=5, width=4)
    >>> model.encode(np.zeros((3, 8, 8, 1), dtype=np.uint8)).shape
    (3, 5)
    >>> model.decode(np.zeros((2, 5))).shape
    (2, 8, 8, 1)
    """

    def __init__(self, image_shape: tuple[int, int, int], *, code_size: int = 300, width: int = 64) -> None:
        super().__init__()
        h, w, c = image_shape
        if h != w or not SMALLEST <= h <= LARGEST:
            raise DataError(
                f"images are {h} x {w}: DeepSMOTE takes square ones of {SMALLEST} to {LARGEST} pixels a side"
            )
        _check_positive(code_size=code_size, width=width)
        self.image_shape, self.code_size, self.history = (h, w, c), code_size, list[EpochLosses]()
        sides = [h]
        while sides[-1] >= 4:
            sides.append(sides[-1] // 2)
        widths = [c, *(width * min(2**i, 8) for i in range(len(sides) - 1))]
        self.inner = (widths[-1], sides[-1], sides[-1])
        n_inner = widths[-1] * sides[-1] ** 2
        down: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            down.append(nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, bias=False))
            down += [nn.BatchNorm2d(n_out)] * (i > 0) + [nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(n_inner, code_size))
        self.widen = nn.Sequential(nn.Linear(code_size, n_inner), nn.ReLU())
        up: list[nn.Module] = []
        for i in reversed(range(len(widths) - 1)):
            odd = sides[i] % 2
            up.append(
                nn.ConvTranspose2d(
                    widths[i + 1], widths[i], 4, stride=2, padding=1, output_padding=odd, bias=i == 0
                )
            )
            up += [nn.BatchNorm2d(widths[i]), nn.ReLU()] if i > 0 else [nn.Tanh()]
        self.decoder = nn.Sequential(*up)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) from -1 to 1 to their reconstructions."""
        return self.pictures(self.encoder(x))

    def pictures(self, codes: Tensor) -> Tensor:
        """Map codes (n, code_size) to images (n, c, h, w) from -1 to 1."""
        return self.decoder(self.widen(codes).unflatten(1, self.inner))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew, from the distributions that torch draws from by default."""
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()
            elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                fan_in = part.weight[0].numel()
                for values in (part.weight, part.bias):
                    if values is not None:
                        nn.init.uniform_(values, -(fan_in**-0.5), fan_in**-0.5, generator=generator)

    def encode(self, X: Any, *, batch_size: int = 512) -> NDArray[np.float32]:
        """Codes (n, code_size) of uint8 images in any usual layout."""
        images, where = self._checked(X), self._device()
        return self._batched(images, lambda rows: self.encoder(_scaled(rows.to(where))), batch_size).numpy()

    def decode(self, codes: ArrayLike, *, batch_size: int = 512) -> Images:
        """Images (n, h, w, c), uint8, of codes (n, code_size)."""
        values, where = torch.as_tensor(np.asarray(codes, dtype=np.float32)), self._device()
        if values.ndim != 2 or values.shape[1] != self.code_size:
            raise DataError(f"codes have shape {tuple(values.shape)}: (n, {self.code_size}) is needed")
        return self._batched(values, lambda rows: _pixels(self.pictures(rows.to(where))), batch_size).numpy()

    def generate(
        self, X: Any, y: ArrayLike, random_state: int | None = 0, *, n_neighbors: int = 5
    ) -> tuple[Images, NDArray[Any]]:
        """Make the images that bring each class to the size of the largest.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, h, w, c), uint8
            Images that the model was trained on.
        y : array_like of shape (n,)
            Their classes.
        random_state : int, default=0
            Seed of what SMOTE draws.
        n_neighbors : int, default=5
            Neighbours in the same class, by their codes, to draw from.

        Returns
        -------
        images : ndarray of shape (m, h, w, c), uint8
            New images alone, class after class.
        labels : ndarray of shape (m,)
            Their classes.

        Raises
        ------
        DataError
            If a class to be filled up has not more images than `n_neighbors`; names each.
        """
        images, labels, classes, counts = _labelled(X, y)
        _check_positive(n_neighbors=n_neighbors)
        if len(classes) < 2 or (counts == counts.max()).all():
            return np.empty((0, *self.image_shape), dtype=np.uint8), labels[:0]
        _check_counts(classes, counts, (counts < counts.max()) & (counts <= n_neighbors), n_neighbors + 1)
        smote = SMOTE(k_neighbors=n_neighbors, random_state=random_state)
        codes, mixed = smote.fit_resample(self.encode(images), labels)  # the images' own codes come first
        return self.decode(codes[len(labels) :]), mixed[len(labels) :]

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _checked(self, X: Any) -> Tensor:
        images = image_tensor(X)
        if tuple(images.shape[1:]) != self.image_shape:
            raise DataError(f"images are {tuple(images.shape[1:])}: the model is for {self.image_shape}")
        return images

    def _batched(self, rows: Tensor, work: Callable[[Tensor], Tensor], batch_size: int) -> Tensor:
        _check_positive(batch_size=batch_size)
        was, _ = self.training, self.eval()
        try:
            with torch.inference_mode():
                parts = [
                    work(rows[i : i + batch_size]).cpu() for i in range(0, max(len(rows), 1), batch_size)
                ]
        finally:
            self.train(was)
        return torch.cat(parts)


def train_deepsmote(
    X: Any,
    y: ArrayLike,
    *,
    epochs: int = 200,
    code_size: int = 300,
    lr: float = 2e-4,
    batch_size: int = 100,
    width: int = 64,
    variant: Literal["paper", "published_code", "none"] = "paper",
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> DeepSMOTE:
    """Train the encoder and decoder of DeepSMOTE on imbalanced images.

    The loss of a step is the reconstruction error of a batch plus a penalty [1]_, both mean squared
    errors: up to `batch_size` images of one class, the class drawn at random with all classes alike,
    are encoded, their codes are permuted, and what is decoded is compared with the images in their
    first order. The decoder so learns to draw an image from the code of another one of its class, as
    it must when SMOTE mixes two. Defaults are those of the authors' program [2]_.

    Parameters
    ----------
    X : array_like or Tensor of shape (n, h, w, c), uint8
        Images, h = w, from 8 to 64; other usual layouts are taken too.
    y : array_like of shape (n,)
        Their classes; at least 2 images each.
    epochs : int, default=200
        Passes over the images.
    code_size : int, default=300
        Numbers in a code.
    lr : float, default=2e-4
        Adam's step.
    batch_size : int, default=100
        Images a step, and as many again for the penalty.
    width : int, default=64
        Channels of the first convolution. Time goes with its square.
    variant : {"paper", "published_code", "none"}, default="paper"
        The penalty; see Notes. ``"none"`` is a plain encoder and decoder.
    seed : int, default=0
        Seed of weights, order and penalty; torch's global generator is neither used nor moved.
    device : str or torch.device, default="cpu"
        Where to train; the images are kept there as uint8.
    progress : callable, optional
        Called after each epoch with its number, from 1, and its `EpochLosses`.

    Returns
    -------
    DeepSMOTE
        In evaluation mode, on `device`.

    Raises
    ------
    DataError
        If images or classes are unfit; names the class that is too small.
    CemagError
        If an option is out of range, or a GPU is asked for and absent.

    Notes
    -----
    *The published code* permutes the images that it compares with in the same way as the codes, and
    passes the codes through NumPy, which stops the gradient. The permutation then changes nothing, and
    the penalty is one more reconstruction error, of a batch of one class, for the decoder alone. Users
    pointed that out [3]_ and a later study compares both forms. It is here as ``"published_code"``.
    Against another image of the class the least error is half way to the mean of the class: with
    ``"paper"`` images are smoother, and the reconstruction error ends higher.

    *Permutation.* The images are drawn in random order, and the codes moved on by one place, as in the
    published code; none keeps its own.

    *Weights kept* are those of the last epoch; the published code keeps those of the lowest training
    loss.

    On the CPU, the same arguments give the same weights to the last bit on one machine and number of threads.

    References
    ----------
    .. [1] D. Dablain, B. Krawczyk, N. V. Chawla, "DeepSMOTE: Fusing Deep Learning and SMOTE for
       Imbalanced Data", IEEE Transactions on Neural Networks and Learning Systems, 2022,
       arXiv:2105.02340.
    .. [2] https://github.com/dd1github/DeepSMOTE
    .. [3] https://github.com/dd1github/DeepSMOTE/issues/3 and /12, and /pull/5

    Examples
    --------
    >>> X = np.random.default_rng(0).integers(0, 256, (18, 8, 8, 1), dtype=np.uint8)
    >>> y = np.repeat(["common", "rare"], [12, 6])
    >>> model = train_deepsmote(X, y, epochs=1, code_size=4, width=4)
    >>> images, labels = model.generate(X, y)
    >>> images.shape, images.dtype, labels.tolist()
    ((6, 8, 8, 1), dtype('uint8'), ['rare', 'rare', 'rare', 'rare', 'rare', 'rare'])
    """
    check_known("DeepSMOTE variant", variant, VARIANTS)
    _check_positive(epochs=epochs, batch_size=batch_size)
    if batch_size < 2:
        raise CemagError(f"batch_size is {batch_size}: at least 2 images are needed to permute them")
    if not (np.isfinite(lr) and lr > 0):
        raise CemagError(f"lr is {lr}: it must be positive and finite")
    images, labels, classes, counts = _labelled(X, y)
    _check_counts(classes, counts, counts < 2, 2)
    where = torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise CemagError(f"device {str(device)!r} was asked for, but PyTorch finds no GPU: use 'cpu'")

    with torch.random.fork_rng(devices=[]):  # constructors of layers draw from the global generator
        h, w, c = images.shape[1:]
        model = DeepSMOTE((h, w, c), code_size=code_size, width=width)
    draws = torch.Generator().manual_seed(seed)
    model.reset_parameters(draws)
    model.to(where).to(memory_format=torch.channels_last).train()
    images = images.to(where)
    members = [torch.from_numpy(np.flatnonzero(labels == c)) for c in classes]
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(1, epochs + 1):
        sums = torch.zeros(2, device=where)
        for batch in torch.randperm(len(images), generator=draws).split(batch_size):
            reconstruction = _reconstruction_error(model, images, batch)
            penalty = reconstruction.new_zeros(())
            if variant != "none":
                own = members[int(torch.randint(len(members), (), generator=draws))]
                drawn = own[torch.randperm(len(own), generator=draws)[:batch_size]]
                penalty = _penalty(model, images, drawn, variant)
            optimiser.zero_grad()
            (reconstruction + penalty).backward()
            optimiser.step()
            sums += len(batch) * torch.stack([reconstruction, penalty]).detach()
        model.history.append(EpochLosses(*(sums / len(images)).tolist()))
        if progress is not None:
            progress(epoch, model.history[-1])
    return model.eval()


def _reconstruction_error(model: DeepSMOTE, images: Tensor, batch: Tensor) -> Tensor:
    x = _scaled(images[batch.to(images.device)])
    return F.mse_loss(model(x), x)


def _penalty(model: DeepSMOTE, images: Tensor, drawn: Tensor, variant: str) -> Tensor:
    x = _scaled(images[drawn.to(images.device)])
    codes = model.encoder(x)
    if variant == "published_code":
        return F.mse_loss(model.pictures(codes.detach().roll(-1, 0)), x.roll(-1, 0))
    return F.mse_loss(model.pictures(codes.roll(-1, 0)), x)


def _scaled(images: Tensor) -> Tensor:
    """Map uint8 images (n, h, w, c) to float32 (n, c, h, w) from -1 to 1, channels last in memory."""
    return images.to(torch.float32).div_(127.5).sub_(1).permute(0, 3, 1, 2)


def _pixels(pictures: Tensor) -> Tensor:
    """Map float32 (n, c, h, w) from -1 to 1 to uint8 images (n, h, w, c)."""
    levels = pictures.add(1).mul_(127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _labelled(X: Any, y: ArrayLike) -> tuple[Tensor, NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    images, labels = image_tensor(X), np.asarray(y)
    if labels.shape != (len(images),) or len(images) == 0:
        raise DataError(f"labels have shape {labels.shape}: one for each of {len(images)} images is needed")
    classes, counts = np.unique(labels, return_counts=True)
    return images, labels, classes, counts


def _check_counts(
    classes: NDArray[Any], counts: NDArray[np.intp], too_few: NDArray[np.bool_], least: int
) -> None:
    if too_few.any():
        listed = ", ".join(
            f"class {c} has {n}" for c, n in zip(classes[too_few], counts[too_few], strict=True)
        )
        raise DataError(f"too few images for DeepSMOTE: {listed}, at least {least} are needed")


def _check_positive(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise CemagError(f"{name} is {value}: at least 1 is needed")
