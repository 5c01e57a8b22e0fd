"""Planted features: does the frequency of a feature make it large, at evidence that is set? Pure arrays.

A feature has a training frequency f in its class and the likelihood ratio L = P(on | class) / P(on | another
class). A Latin square over seeds gives every feature every frequency, so that no feature's own salience is
taken for an effect of frequency. The outcome is what switching the feature on adds to the lead of its class:
it needs no definition of "active", and no choice of gauge changes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cemag.errors import SpecError

__all__ = ["Cell", "Planted", "bayes_effect", "plant_rows", "planted_digits", "planted_table", "textures"]

Array = NDArray[np.float64]
Images = NDArray[np.float32]
Balance = Literal["balanced", "20:1"]

N_CLASSES, N_MINORITIES = 10, 6  # of the digits; each minority class has one of the six textures
BALANCED, MAJORITY, MINORITY = 172, 400, 20  # images of a class; about as many in all either way
TABLE_ROWS, TABLE_RATIO, NOISE_COLUMNS = 4000, 20, 10
SIDE, CELL = 16, 4  # pixels of an image and of a texture
CONTRAST, NOISE = 1.0, 0.3  # of the digits, and sd of what is added to them: alone they do not decide all


@dataclass(frozen=True)
class Cell:
    """One cell of the experiment: what is set, and the seeds that repeat it.

    Attributes
    ----------
    kind : {"networks", "tables"}
    balance : {"balanced", "20:1"}
        With 20:1 the features belong to minority classes.
    evidence : float
        L, at least 1.
    frequencies : tuple of float
        f of each planted feature, in its class, above 0 and below 1.
    weight_decays : tuple of float
        Of a network's optimiser; of a table the ridge's lambda = 1 / C.
    seeds : tuple of int

    Examples
    --------
    >>> Cell("tables", "balanced", 8.0, (0.1, 0.2), (1.0,), (0, 1)).name
    'tables-balanced-L8'
    """

    kind: Literal["networks", "tables"]
    balance: Balance
    evidence: float
    frequencies: tuple[float, ...]
    weight_decays: tuple[float, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.evidence >= 1:
            raise SpecError(f"evidence is {self.evidence}: a likelihood ratio of at least 1 is needed")
        if not self.frequencies or not all(0 < f < 1 for f in self.frequencies):
            raise SpecError(f"frequencies is {self.frequencies}: some shares above 0 and below 1 are needed")
        if self.kind == "networks" and len(self.frequencies) > N_MINORITIES:
            raise SpecError(
                f"frequencies has {len(self.frequencies)} values: there are {N_MINORITIES} textures"
            )
        if not self.weight_decays or not all(decay >= 0 for decay in self.weight_decays):
            raise SpecError(f"weight_decays is {self.weight_decays}: some numbers of at least 0 are needed")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SpecError(f"seeds is {self.seeds}: at least one, and none twice, is needed")

    @property
    def name(self) -> str:
        """What is set, in a few letters."""
        return f"{self.kind}-{self.balance.replace(':', 'to')}-L{self.evidence:g}"

    def frequency_of(self, seed: int) -> Array:
        """Frequency of each feature in one seed's turn of the Latin square."""
        return np.roll(np.array(self.frequencies), seed)


@dataclass(frozen=True)
class Planted:
    """Training data with planted features, and what was planted.

    Attributes
    ----------
    X : ndarray of shape (N, ...)
    y : ndarray of shape (N,)
    classes : ndarray of shape (K,)
        The class that each feature speaks for.
    on : ndarray of shape (N, K)
        Whether a row has a feature.
    places : ndarray of shape (K,)
        Where it is: a cell of the image, or a column.
    """

    X: NDArray[Any]
    y: NDArray[np.intp]
    classes: NDArray[np.intp]
    on: NDArray[np.bool_]
    places: NDArray[np.intp]


def bayes_effect(frequency: Any, evidence: float) -> Any:
    r"""What switching a feature on adds to the log odds of its class, if nothing is shrunk.

    :math:`\log L + \log \frac{1 - f / L}{1 - f}`: its presence speaks for the class, and its
    absence no longer against it. The second part grows with f, so that a slope alone does not show shrinkage.

    Examples
    --------
    >>> [round(float(bayes_effect(f, 8.0)), 2) for f in (0.02, 0.64)], float(bayes_effect(0.3, 1.0))
    ([2.1, 3.02], 0.0)
    """
    f = np.asarray(frequency, dtype=np.float64)
    return np.log(evidence) + np.log1p(-f / evidence) - np.log1p(-f)


def plant_rows(
    y: NDArray[np.intp],
    classes: NDArray[np.intp],
    frequency: Array,
    evidence: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw which rows have which feature (N, K): exact shares of each class, up to one row by chance."""
    on = np.zeros((len(y), len(classes)), dtype=bool)
    for k, own in enumerate(classes):
        for label in np.unique(y):
            rows = np.flatnonzero(y == label)
            share = frequency[k] / (1 if label == own else evidence)
            n_on = int(np.floor(share * len(rows) + rng.random()))
            on[rng.permutation(rows)[:n_on], k] = True
    return on


def textures() -> Images:
    """Six 4x4 textures of one contrast (6, 4, 4), orthogonal to one another: Walsh functions."""
    signs = np.array([[1]])
    for _ in range(4):
        signs = np.block([[signs, signs], [signs, -signs]])
    return ((signs[[5, 6, 9, 10, 15, 3]].reshape(6, CELL, CELL) + 1) / 2).astype(np.float32)


def digits(seed: int) -> tuple[Images, NDArray[np.intp], Images, NDArray[np.intp]]:
    """Handwritten digits at 16 pixels: training images and labels, test images and labels."""
    from cemag.reproduction.datasets import load_images

    data = load_images("digits_images")
    train, test = (
        np.kron(images.reshape(len(images), 8, 8).astype(np.float32) / 255, np.ones((1, 2, 2), np.float32))
        for images in (data.X_train, data.X_test)
    )
    order = np.random.default_rng(seed).permutation(len(train))
    return train[order], data.y_train[order].astype(np.intp), test, data.y_test.astype(np.intp)


def planted_digits(cell: Cell, seed: int) -> Planted:
    """Digits of one repetition, shifted by up to a pixel, each texture in a place of its own."""
    rng = np.random.default_rng((seed, 1))
    shown, labels, _, _ = digits(seed)
    own = rng.permutation(N_CLASSES)[: len(cell.frequencies)]
    X, y = [], []
    for label in range(N_CLASSES):
        of_class = shown[labels == label]
        n = BALANCED if cell.balance == "balanced" else MINORITY if label in own else MAJORITY
        X.append(of_class[np.arange(n) % len(of_class)])
        y.append(np.full(n, label))
    images, target = np.concatenate(X), np.concatenate(y)
    shift = rng.integers(-1, 2, size=(len(images), 2))
    images = np.stack([np.roll(image, step, axis=(0, 1)) for image, step in zip(images, shift, strict=True)])
    places = rng.permutation((SIDE // CELL) ** 2)[: len(own)]
    on = plant_rows(target, own, cell.frequency_of(seed), cell.evidence, rng)
    return Planted(paste(blurred(images, rng), on, places), target, own, on, places)


def blurred(images: Images, rng: np.random.Generator) -> Images:
    """Images of less contrast, with noise on them."""
    noise = NOISE * rng.standard_normal(images.shape, dtype=np.float32)
    return CONTRAST * images + noise


def paste(images: Images, on: NDArray[np.bool_], places: NDArray[np.intp]) -> Images:
    """Images with textures (N, 16, 16), each feature's in a cell of its own: `places` (K,) from 0 to 15."""
    pasted, across = images.copy(), SIDE // CELL
    for pattern, rows, place in zip(textures(), on.T, places, strict=False):
        row, column = CELL * (place // across), CELL * (place % across)
        pasted[rows, row : row + CELL, column : column + CELL] = pattern
    return pasted


def planted_table(cell: Cell, seed: int) -> Planted:
    """Binary columns of two classes: the planted ones, which speak for class 1, and noise."""
    rng = np.random.default_rng((seed, 2))
    n_minority = TABLE_ROWS // (2 if cell.balance == "balanced" else 1 + TABLE_RATIO)
    y = np.repeat(np.array([0, 1], dtype=np.intp), [TABLE_ROWS - n_minority, n_minority])
    own = np.ones(len(cell.frequencies), dtype=np.intp)
    on = plant_rows(y, own, cell.frequency_of(seed), cell.evidence, rng)
    noise = rng.random((TABLE_ROWS, NOISE_COLUMNS)) < rng.uniform(0.05, 0.5, NOISE_COLUMNS)
    return Planted(np.column_stack([on, noise]).astype(np.float64), y, own, on, np.arange(len(own)))
