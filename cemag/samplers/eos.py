"""Over-sampling in an embedding: EOS between a class and its nearest enemies, SMOTE within a class.

Both are imbalanced-learn over-samplers of any rows, made for the input of a network's last layer.
"""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from cemag.errors import DataError, extra
from cemag.samplers.mixing import mix_rows

with extra("samplers"):
    from imblearn.over_sampling import SMOTE
    from imblearn.over_sampling.base import BaseOverSampler

__all__ = ["EOS", "EmbeddingSMOTE"]

Indices = NDArray[np.intp]


class EOS(BaseOverSampler):
    """Expansive Over-Sampling: new points between the points of a class and their nearest enemies.

    The method of [1]_, for each class to be over-sampled: the `n_neighbors` nearest neighbours of
    each of its points are looked for among all points; those of another class are its *enemies*. A
    new point takes a base at random among the class's points that have an enemy, one of the base's
    enemies at random, and lies on the segment between them: ``base + r * (enemy - base)``, r uniform
    in [0, 1). It has the base's class. So, unlike SMOTE, a class grows beyond its own hull.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many points to make of each class, as in imbalanced-learn's over-samplers; ``"auto"``
        brings each class to the size of the largest.
    n_neighbors : int, default=10
        Neighbours of a point among which to look for enemies, the point itself not counted.
    variant : {"paper", "published_code"}, default="paper"
        ``"published_code"`` ends each segment where the authors' program [2]_ does: one place further
        up in the list of neighbours than the enemy that was drawn. See Notes.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Attributes
    ----------
    sampling_strategy_ : dict
        How many points were made of each class.
    pairs_ : ndarray of shape (n, 2)
        Numbers of the two rows between which each of the n new points lies; the base comes first.
    steps_ : ndarray of shape (n,)
        How far from the base, as a share of the segment.
    n_bases_ : dict
        How many points of each class have an enemy among their neighbours.
    fallback_classes_ : ndarray of shape (m,)
        Classes of which no point has one; mostly empty. See Notes.

    Raises
    ------
    DataError
        If there are not more points than `n_neighbors`; names the classes to be over-sampled.

    Warns
    -----
    UserWarning
        For each class in `fallback_classes_`.

    See Also
    --------
    EmbeddingSMOTE : Points between neighbours of one class.

    Notes
    -----
    *Weights.* A base is drawn uniformly, then one of its enemies uniformly: an enemy's weight is 1 over
    the number of enemies among the base's neighbours. Distances play no part.

    *The published code.* It takes these weights from the neighbours without the point itself, but then
    applies them to the list in which the point itself comes first. The drawn enemy in place j is so
    replaced by the neighbour in place j - 1: often one of the base's own class, which makes it SMOTE,
    and for j = 1 the base itself, whose copy is then "made". Bases, drawn places and steps of the two
    variants are equal for a seed, so that what the shift changes is seen point by point.

    *No enemies.* A class that lies apart has none among its neighbours, and the method, like the
    published code, then makes nothing. Here each of its points is given its `n_neighbors` nearest
    enemies at any distance (all of them if there are fewer), with a warning; in both variants.

    *Equal points.* Of several rows at one place, the row itself never counts as its own neighbour,
    the others do. Ties are broken as scikit-learn does.

    Integer features become floating-point ones, except in a data frame: there imbalanced-learn
    restores the column types, and so truncates the new points, as it does for SMOTE.

    References
    ----------
    .. [1] D. Dablain, C. Bellinger, B. Krawczyk, N. Chawla, "Efficient Augmentation for Imbalanced
       Deep Learning", arXiv:2207.06080, 2022.
    .. [2] https://github.com/dd1github/EOS

    Examples
    --------
    >>> import numpy as np
    >>> from cemag.samplers import EOS
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]]), np.array([0, 0, 0, 0, 1])
    >>> sampler = EOS(n_neighbors=1, random_state=0)
    >>> X_new, y_new = sampler.fit_resample(X, y)
    >>> y_new, sampler.pairs_.tolist()  # the only point of class 1, and its nearest enemy
    (array([0, 0, 0, 0, 1, 1, 1, 1]), [[4, 3], [4, 3], [4, 3]])
    >>> bool(((X_new[5:] > 3) & (X_new[5:] <= 9)).all())
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseOverSampler._parameter_constraints,
        "n_neighbors": [Interval(numbers.Integral, 1, None, closed="left")],
        "variant": [StrOptions({"paper", "published_code"})],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        n_neighbors: int = 10,
        variant: str = "paper",
        random_state: Any = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.n_neighbors = n_neighbors
        self.variant = variant
        self.random_state = random_state

    def _fit_resample(self, X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        wanted = {c: n for c, n in self.sampling_strategy_.items() if n > 0}
        if wanted and len(y) <= self.n_neighbors:
            raise DataError(
                f"EOS looks at {self.n_neighbors} neighbours of each point, and there are {len(y)} points in "
                f"all; classes to over-sample: {_counted(wanted, y)}; at least {self.n_neighbors + 1} points "
                f"or a smaller n_neighbors are needed"
            )
        if not np.issubdtype(X.dtype, np.floating):
            X = X.astype(np.float64)  # a point between two of whole numbers is not one
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))

        rows = np.flatnonzero(np.isin(y, list(wanted)))
        near = _neighbours(X, rows, self.n_neighbors) if len(rows) else np.empty((0, 1), dtype=np.intp)
        is_enemy = y[near] != y[rows, None]
        ends = near if self.variant == "paper" else np.column_stack([rows, near[:, :-1]])

        self.n_bases_: dict[Any, int] = {}
        pairs, lonely = [np.empty((0, 2), dtype=np.intp)], []
        for c, n in wanted.items():
            of_class = y[rows] == c
            base = np.flatnonzero(of_class & is_enemy.any(axis=1))
            self.n_bases_[c] = len(base)
            if len(base):
                pairs.append(_draw(rng, n, rows[base], ends[base], is_enemy[base]))
            else:
                lonely.append(c)
                own = rows[of_class]
                enemies = _nearest_enemies(X, own, np.flatnonzero(y != c), self.n_neighbors)
                pairs.append(_draw(rng, n, own, enemies, np.ones(enemies.shape, dtype=bool)))
        self.fallback_classes_ = np.array(lonely, dtype=y.dtype)
        if lonely:
            warnings.warn(
                f"no point of {_counted(lonely, y)} has a point of another class among its "
                f"{self.n_neighbors} nearest neighbours: EOS uses its nearest enemies at any distance",
                UserWarning,
                stacklevel=2,
            )

        self.pairs_ = np.concatenate(pairs)
        self.steps_ = rng.random(len(self.pairs_))
        made = mix_rows(X, self.pairs_[:, 1], self.pairs_[:, 0], self.steps_)
        labels = np.repeat(np.array(list(wanted), dtype=y.dtype), list(wanted.values()))
        if sparse.issparse(X):
            return sparse.vstack([X, made], format=X.format), np.concatenate([y, labels])
        return np.concatenate([X, made]), np.concatenate([y, labels])


class EmbeddingSMOTE(SMOTE):
    """SMOTE, with an error that names the class that is too small: the paper's DSM, on an embedding.

    The paper over-samples the input of a network's last layer with SMOTE [1]_, fits a new last layer
    to the balanced embedding and puts it back on the network. The sampler in it is imbalanced-learn's
    SMOTE, number by number; all classes are balanced, each with its own points alone.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many points to make of each class; ``"auto"`` brings each class to the size of the largest.
    random_state : int, RandomState instance or None, default=None
        Seed.
    k_neighbors : int or object, default=5
        Neighbours of the same class to draw from, as in imbalanced-learn.

    Raises
    ------
    DataError
        If a class to be over-sampled has not more points than `k_neighbors`, before any work is done;
        names each with its count.

    See Also
    --------
    EOS : Points between a class and its nearest enemies.
    cemag.models.deepsmote.train_deepsmote : SMOTE in the code of an encoder and decoder, for images.

    References
    ----------
    .. [1] N. V. Chawla, K. W. Bowyer, L. O. Hall, W. P. Kegelmeyer, "SMOTE: synthetic minority
       over-sampling technique", Journal of Artificial Intelligence Research 16, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from cemag.samplers import EmbeddingSMOTE
    >>> EmbeddingSMOTE().fit_resample(np.zeros((12, 2)), ["common"] * 9 + ["rare"] * 3)
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: SMOTE draws from 5 neighbours of the same class: class rare (3 points) needs
    more than 5 points
    """

    def _fit_resample(self, X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        self._validate_estimator()
        k = self.nn_k_.n_neighbors - 1  # its list has the point itself in front
        small = [c for c, n in self.sampling_strategy_.items() if n > 0 and (y == c).sum() <= k]
        if small:
            raise DataError(
                f"SMOTE draws from {k} neighbours of the same class: {_counted(small, y)} "
                f"need{'s' if len(small) == 1 else ''} more than {k} points"
            )
        return super()._fit_resample(X, y)


def _counted(classes: Any, y: NDArray[Any]) -> str:
    """Classes with their numbers of points, for a message."""
    counts = [(c, int((y == c).sum())) for c in classes]
    return ", ".join(f"class {c} ({n} point{'s' if n != 1 else ''})" for c, n in counts)


def _neighbours(X: Any, rows: Indices, k: int) -> Indices:
    """Nearest other rows (m, k) of some `rows` (m,) of `X`, nearest first."""
    found = NearestNeighbors(n_neighbors=k + 1).fit(X).kneighbors(X[rows], return_distance=False)
    is_self = found == rows[:, None]
    is_self[~is_self.any(axis=1), -1] = True  # crowded out by rows at the same place
    return found[~is_self].reshape(len(rows), k)


def _nearest_enemies(X: Any, rows: Indices, others: Indices, k: int) -> Indices:
    """Nearest of the rows `others` (m, at most k) of each of some `rows` (m,), nearest first."""
    search = NearestNeighbors(n_neighbors=min(k, len(others))).fit(X[others])
    return others[search.kneighbors(X[rows], return_distance=False)]


def _draw(
    rng: np.random.Generator, n: int, bases: Indices, ends: Indices, allowed: NDArray[np.bool_]
) -> Indices:
    """Draw n bases of `bases` (m,), each with one of the places `allowed` (m, k) in its `ends` (m, k).

    Returns the pairs of row numbers (n, 2).
    """
    base = rng.integers(len(bases), size=n)
    places = np.argsort(~allowed, axis=1, kind="stable")  # the allowed ones first, nearest first
    place = places[base, rng.integers(allowed.sum(axis=1)[base])]
    return np.column_stack([bases[base], ends[base, place]])
