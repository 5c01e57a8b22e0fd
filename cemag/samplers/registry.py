"""The augmenters by name, in the paper's order. Builds samplers; draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from cemag.errors import check_known, extra

__all__ = ["AUGMENTERS", "Augmenter", "get_augmenter"]


@dataclass(frozen=True)
class Augmenter:
    """One way to treat an imbalanced training set.

    Parameters
    ----------
    name : str
        As a specification spells it.
    title : str
        As a chart spells it.
    reference : str
        Key in ``book/references.bib``; empty when there is nothing to cite.
    description : str
        What it does, in one line.
    kind : {"none", "sampler", "weights", "threshold"}
        Whether it changes nothing, the rows, their weights, or only the fitted model's threshold.
    factory : callable, optional
        ``factory(random_state, k_neighbors)`` returns a new imbalanced-learn sampler; only of kind
        ``"sampler"``.
    uses_neighbors : bool, default=False
        Whether each class that it over-samples needs ``k_neighbors + 1`` points.

    Examples
    --------
    >>> get_augmenter("smote").title
    'SMOTE'
    """

    name: str
    title: str
    reference: str
    description: str
    kind: Literal["none", "sampler", "weights", "threshold"]
    factory: Callable[[int | None, int], Any] | None = None
    uses_neighbors: bool = False


def _imbalanced_learn() -> Any:
    with extra("samplers"):
        from imblearn import over_sampling
    return over_sampling


def _ros(random_state: int | None, k_neighbors: int) -> Any:
    return _imbalanced_learn().RandomOverSampler(random_state=random_state)


def _smote(random_state: int | None, k_neighbors: int) -> Any:
    return _imbalanced_learn().SMOTE(random_state=random_state, k_neighbors=k_neighbors)


def _adasyn(random_state: int | None, k_neighbors: int) -> Any:
    return _imbalanced_learn().ADASYN(random_state=random_state, n_neighbors=k_neighbors)


def _remix(random_state: int | None, k_neighbors: int) -> Any:
    from cemag.samplers.remix import Remix

    return Remix(random_state=random_state)


def _rebalanced_mixup(random_state: int | None, k_neighbors: int) -> Any:
    from cemag.samplers.mixup import RebalancedMixup

    return RebalancedMixup(random_state=random_state)


_ALL = (
    Augmenter("none", "none", "", "The training set as it is.", "none"),
    Augmenter(
        "ros",
        "ROS",
        "batista2004study",
        "Random over-sampling: copies of random rows until the classes are equal in size.",
        "sampler",
        _ros,
    ),
    Augmenter(
        "smote",
        "SMOTE",
        "chawla2002smote",
        "New points between a minority point and one of its nearest neighbours in its class.",
        "sampler",
        _smote,
        uses_neighbors=True,
    ),
    Augmenter(
        "adasyn",
        "ADASYN",
        "he2008adasyn",
        "As SMOTE, with more new points where neighbours are of other classes.",
        "sampler",
        _adasyn,
        uses_neighbors=True,
    ),
    Augmenter(
        "remix",
        "REMIX",
        "bellinger2020remix",
        "Random over-sampling, then every row is mixed with another one, features and label alike.",
        "sampler",
        _remix,
    ),
    Augmenter(
        "rebalanced_mixup",
        "Rebalanced Mixup",
        "chou2020remix",
        "Every row is mixed with another one; a much rarer class takes the whole label.",
        "sampler",
        _rebalanced_mixup,
    ),
    Augmenter(
        "class_weight",
        "class weights",
        "king2001logistic",
        "No new rows: each weighs in inverse proportion to its class's size.",
        "weights",
    ),
    Augmenter(
        "threshold",
        "threshold moved",
        "menon2021long",
        "The training set as it is; the fitted model's threshold is moved against the imbalance, and no CE.",
        "threshold",
    ),
)

AUGMENTERS: Mapping[str, Augmenter] = MappingProxyType({augmenter.name: augmenter for augmenter in _ALL})


def get_augmenter(name: str) -> Augmenter:
    """Return the augmenter of that name.

    Raises
    ------
    UnknownNameError
        If there is none.

    Examples
    --------
    >>> get_augmenter("adaysn")
    Traceback (most recent call last):
    ...
    cemag.errors.UnknownNameError: unknown augmenter 'adaysn': did you mean 'adasyn'? known: none, ros, ...
    """
    return AUGMENTERS[check_known("augmenter", name, AUGMENTERS)]
