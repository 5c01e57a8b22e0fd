"""What a model's CEs are to be held against: the same network without what it learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from cemag.embeddings import ClassificationEmbeddings
from cemag.embeddings.features import SparseFeatures
from cemag.metrics.concentration import CONCENTRATION_NAMES, concentration
from cemag.metrics.required import required
from cemag.metrics.rules import Rule, rules_for

__all__ = ["concentration_against", "permuted_weights", "required_against"]


def permuted_weights(ce: ClassificationEmbeddings, *, random_state: int = 0) -> ClassificationEmbeddings:
    """Deal each class's weights to the features at random: the same values, in no relation.

    Of sparse features only those that are stored in any row are dealt a weight: others change no sum.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]])
    >>> sorted(permuted_weights(ce).weights[0].tolist())
    [0.0, 1.0]
    """
    rng = np.random.default_rng(random_state)
    if not isinstance(ce.features, SparseFeatures):
        return replace(ce, weights=rng.permuted(ce.weights, axis=1))
    columns = ce.features.active(slice(None))
    weights = np.zeros_like(ce.weights)
    for own, dealt in zip(ce.weights, weights, strict=True):
        dealt[columns] = rng.choice(own, len(columns), replace=False)
    return replace(ce, weights=weights)


def required_against(
    sources: Mapping[str, ClassificationEmbeddings], rules: Sequence[Rule] | None = None
) -> pa.Table:
    """Count the CEs that each of several models requires for its own predictions, right or wrong.

    A model that learned nothing has no correct predictions to speak of, so here, unlike in
    `measure`, the class is the predicted one and every instance counts.

    Parameters
    ----------
    sources : mapping of str to ClassificationEmbeddings
        Models by what they are called: the trained one, and its nulls.
    rules : sequence of Rule, optional
        All rules that differ for each model when not given.

    Returns
    -------
    pyarrow.Table
        A row a source and rule: the rule's choices, number of instances, features, and the mean,
        standard deviation and median number of CEs required.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 8)), rng.normal(size=(3, 8)))
    >>> table = required_against({"model": ce, "permuted_weights": permuted_weights(ce)})
    >>> table.num_rows, table["n"][0].as_py()
    (32, 50)
    """
    rows = []
    for source, ce in sources.items():
        chosen = rules_for(ce) if rules is None else tuple(rules)
        found = required(ce, ce.classes[ce.predictions], chosen).per_instance
        for rule in chosen:
            k = found[rule]
            rows.append(
                {
                    "source": source,
                    "ranking": rule.ranking,
                    "sufficiency": rule.sufficiency,
                    "stability": rule.stability,
                    "bias": rule.bias,
                    "n": len(k),
                    "n_ces": ce.n_features,
                    "mean": float(k.mean()),
                    "sd": float(k.std(ddof=1)) if len(k) > 1 else float("nan"),
                    "median": float(np.median(k)),
                }
            )
    return pa.Table.from_pylist(rows)


def concentration_against(sources: Mapping[str, ClassificationEmbeddings]) -> pa.Table:
    """Measure how concentrated the CEs towards the predicted class are, in each of several models.

    Parameters
    ----------
    sources : mapping of str to ClassificationEmbeddings
        As for `required_against`.

    Returns
    -------
    pyarrow.Table
        A row a source and quantity: number of instances, mean and standard deviation.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 8)), rng.normal(size=(3, 8)))
    >>> concentration_against({"model": ce})["quantity"].to_pylist()
    ['top_share', 'participation_ratio', 'gini', 'entropy']
    """
    rows = []
    for source, ce in sources.items():
        found = concentration(ce)
        for quantity in CONCENTRATION_NAMES:
            values = getattr(found, quantity)
            values = values[np.isfinite(values)]
            row = {"source": source, "quantity": quantity, "n": len(values)}
            sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            rows.append(row | {"mean": float(values.mean()) if len(values) else float("nan"), "sd": sd})
    return pa.Table.from_pylist(rows)
