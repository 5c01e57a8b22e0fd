"""How many CEs are required: per instance, and for a whole class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.metrics.rules import RANKINGS, Ranking, Rule, Sufficiency, rules_for
from cemag.metrics.truncation import Ranked, arrange, first_or_stable, kept_by_k, rank_ces

__all__ = ["Required", "ces_required", "common_subset", "required"]

Index = NDArray[np.intp]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Required:
    """CEs required under several rules.

    Attributes
    ----------
    per_instance : dict of Rule to ndarray of shape (N,)
        Smallest number of CEs that gives the model's own prediction, from 0 (the bias alone gives
        it) to d.
    union : dict of Rule to ndarray of shape (C,)
        Size of the union of those sets over the instances of a class that are predicted correctly:
        CEs that are not zero and at least as large as the last one needed. NaN for a class with none.
    """

    per_instance: dict[Rule, Index]
    union: dict[Rule, Array]


def ces_required(ce: ClassificationEmbeddings, rule: Rule | None = None) -> Index:
    """CEs required for each instance under one rule: (N,), from 0 to d.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        CEs of N instances.
    rule : Rule, optional
        Counting rule; ``Rule()`` when not given.

    References
    ----------
    .. [1] arXiv:2407.10165, the claim that few CEs are needed to predict an instance.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 1.0, 1.0]], [[-3.0, 2.0, 2.0]])
    >>> ces_required(ce, Rule(ranking="signed")), ces_required(ce, Rule(ranking="magnitude"))
    (array([1]), array([3]))
    """
    rule = rule or Rule()
    return required(ce, ce.classes[ce.predictions], [rule]).per_instance[rule]


def required(ce: ClassificationEmbeddings, y: ArrayLike, rules: Sequence[Rule] | None = None) -> Required:
    """CEs required per instance, and the size of their union per class, under several rules at once.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        CEs of N instances, d features, C classes.
    y : array_like of shape (N,)
        True labels, from ``ce.classes``.
    rules : sequence of Rule, optional
        ``rules_for(ce)`` when not given.

    Returns
    -------
    Required

    Notes
    -----
    Works on blocks of rows: peak memory beyond the inputs is a few blocks and the (N,) results.
    """
    rules = rules_for(ce) if rules is None else list(rules)
    labels = ce.label_indices(y)
    models = _by_bias(ce, rules)
    per_instance = {rule: np.zeros(ce.n_instances, dtype=np.intp) for rule in rules}
    union = {rule: np.full(len(ce.classes), np.nan) for rule in rules}
    for label in range(len(ce.classes)):
        of_class = np.flatnonzero(labels == label)
        used = {rule: np.zeros(ce.n_features, dtype=bool) for rule in rules}
        for rows in ce.blocks(of_class):
            for counted in _count_block(models, ce.features[rows], rows, rules):
                for rule, k in counted.k.items():
                    per_instance[rule][counted.rows] = k
                    correct = (counted.labels == label) & (
                        models[rule.bias].predictions[counted.rows] == label
                    )
                    used[rule] |= counted.used(rule.ranking, k, correct)
        for rule in rules:
            if (models[rule.bias].predictions[of_class] == label).any():
                union[rule][label] = used[rule].sum()
    return Required(per_instance, union)


def common_subset(
    ce: ClassificationEmbeddings, y: ArrayLike, rules: Sequence[Rule] | None = None, *, keep: float = 0.95
) -> dict[Rule, Array]:
    """Size of the smallest common subset of CEs that keeps most of a class's correct predictions.

    The features of a class are ranked once for all of its instances, by their mean CE (`signed`) or
    mean magnitude (`magnitude`) over the instances that are predicted correctly. The result is the
    smallest k (`first`, or `stable`) such that the first k of that ranking keep the share `keep` of
    those predictions. Finding the very smallest of all 2^d subsets is a covering problem; this is an
    upper bound of it that uses only the ranking.

    Parameters
    ----------
    ce, y, rules
        As for `required`.
    keep : float, default=0.95
        Share of the correct predictions to keep, above 0 and at most 1.

    Returns
    -------
    dict of Rule to ndarray of shape (C,)
        NaN for a class with no correct prediction.

    Raises
    ------
    DataError
        If `keep` is out of range.
    """
    if not 0 < keep <= 1:
        raise DataError(f"keep is {keep}: it must be above 0 and at most 1")
    rules = rules_for(ce) if rules is None else list(rules)
    labels = ce.label_indices(y)
    sizes = {rule: np.full(len(ce.classes), np.nan) for rule in rules}
    for bias, model in _by_bias(ce, rules).items():
        for label in range(len(ce.classes)):
            correct = np.flatnonzero((labels == label) & (model.predictions == label))
            if len(correct) == 0:
                continue
            for ranking in RANKINGS:
                here = [rule for rule in rules if rule.bias == bias and rule.ranking == ranking]
                kept = _kept_in_common(model, correct, label, ranking) if here else {}
                for rule in here:
                    enough = _of(kept, rule) >= keep * len(correct)
                    sizes[rule][label] = first_or_stable(enough, rule.stability)
    return sizes


def _by_bias(ce: ClassificationEmbeddings, rules: Sequence[Rule]) -> dict[bool, ClassificationEmbeddings]:
    wanted = {rule.bias for rule in rules}
    return {bias: ce if bias else ce.without_bias() for bias in (True, False) if bias in wanted}


@dataclass(frozen=True)
class _Counted:
    """Counts of one block: rows and the class counted for (n,), their CEs, k by rule (n,).

    Where `labels` is not what the model predicts without its bias, a later block counts that row again.
    """

    rows: Index
    labels: Index
    ces: Array
    ranked: dict[Ranking, Ranked]
    k: dict[Rule, Index]

    def used(self, ranking: Ranking, k: Index, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Features among the k first of any chosen row: (d,)."""
        if not chosen.any():
            return np.zeros(self.ces.shape[1], dtype=bool)
        signed = ranking == "signed"
        last = self.ranked[ranking].values[chosen, np.maximum(k[chosen] - 1, 0)]
        edge = np.where(k[chosen] > 0, last if signed else np.abs(last), np.inf)[:, None]
        ces = self.ces[chosen]
        return (((ces if signed else np.abs(ces)) >= edge) & (ces != 0)).any(axis=0)


def _count_block(
    models: dict[bool, ClassificationEmbeddings], features: Array, rows: Index, rules: Sequence[Rule]
) -> Iterator[_Counted]:
    """Count every rule on a block, sorting and summing once where the bias changes no prediction."""
    biases = list(models)
    labels = models[biases[0]].predictions[rows]
    yield from _count_rankings(models, biases, features, rows, labels, rules)
    for bias in biases[1:]:
        other = models[bias].predictions[rows]
        if (changed := other != labels).any():
            yield from _count_rankings(
                models, [bias], features[changed], rows[changed], other[changed], rules
            )


def _count_rankings(
    models: dict[bool, ClassificationEmbeddings],
    biases: Sequence[bool],
    features: Array,
    rows: Index,
    labels: Index,
    rules: Sequence[Rule],
) -> Iterator[_Counted]:
    model = models[biases[0]]
    ces = model.weigh(features, labels)
    ranked = rank_ces(ces, with_order=not model.single_sum)
    k: dict[Rule, Index] = {}
    for ranking, in_order in ranked.items():
        here = [rule for rule in rules if rule.ranking == ranking and rule.bias in biases]
        if not here:
            continue
        kept = kept_by_k(model, features, labels, in_order, [models[bias].bias for bias in biases])
        by_bias = dict(zip(biases, kept, strict=True))
        k |= {rule: first_or_stable(_of(by_bias[rule.bias], rule), rule.stability) for rule in here}
    yield _Counted(rows, labels, ces, ranked, k)


def _of(kept: dict[Sufficiency, NDArray[Any]], rule: Rule) -> NDArray[Any]:
    """Return the flags or counts of a rule; with a single sum `target` is `shared`."""
    return kept.get(rule.sufficiency, kept["shared"])


def _kept_in_common(
    model: ClassificationEmbeddings, rows: Index, label: int, ranking: Ranking
) -> dict[Sufficiency, NDArray[np.intp]]:
    """Number of rows whose prediction the first k features of one common ranking keep: (d + 1,) each."""
    total = np.zeros(model.n_features)
    for block in model.blocks(rows):
        features = model.features[block]
        total += (np.abs(features) if ranking == "magnitude" else features).sum(axis=0)
    order = rank_ces(model.weigh(total[None], label), with_order=True)[ranking].order
    assert order is not None
    kept: dict[Sufficiency, NDArray[np.intp]] = {}
    for block in model.blocks(rows):
        features, labels = model.features[block], np.full(len(block), label)
        ranked = Ranked(arrange(model.weigh(features, label), order[0]), order[0])
        for name, flags in kept_by_k(model, features, labels, ranked, [model.bias])[0].items():
            kept[name] = kept.get(name, 0) + flags.sum(axis=0)
    return kept
