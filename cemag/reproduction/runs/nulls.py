"""What a model without augmentation is held against: itself with nothing learned. Tables of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cemag.metrics import concentration_against, relations, required_against
from cemag.reproduction.runs.quantities import Judged

__all__ = ["null_tables", "shuffled"]


def shuffled(y: NDArray[Any], random_state: int) -> NDArray[Any]:
    """Labels in another order: as many of each, in no relation to the instances."""
    return np.random.default_rng(random_state).permutation(y)


def null_tables(model: Judged, nulls: Mapping[str, Judged], *, random_state: int) -> dict[str, pa.Table]:
    """Measure a model and its nulls alike.

    Parameters
    ----------
    model : Judged
    nulls : mapping of str to Judged
        By name, in addition to ``permuted_weights``.
    random_state : int
        Deals the weights, and draws the bootstrap.

    Returns
    -------
    dict of pyarrow.Table
        ``null_required`` and ``null_concentration`` over all instances and the model's own
        predictions, and ``null_relation`` (of the nulls alone: the model's is in ``relation``), each
        with a column ``source``.
    """
    sources = {"model": model, "permuted_weights": model.with_permuted_weights(random_state), **nulls}
    ces = {name: judged.ce for name, judged in sources.items()}
    found = []
    for name, judged in sources.items():
        if name != "model":
            table = relations(judged.ce, judged.y, judged.train, random_state=random_state)
            found.append(table.append_column("source", pa.array([name] * len(table))))
    return {
        "null_required": required_against(ces),
        "null_concentration": concentration_against(ces),
        "null_relation": pa.concat_tables(found),
    }
