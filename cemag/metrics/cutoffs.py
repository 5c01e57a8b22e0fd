"""What changes when another share of the features than 10 % counts as the top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics.concentration import concentration
from cemag.metrics.frequency import frequency
from cemag.metrics.measure import TrainingView
from cemag.metrics.relation import relation

__all__ = ["OTHER_SHARES", "cutoffs"]

OTHER_SHARES = (0.05, 0.20)


def cutoffs(
    ce: ClassificationEmbeddings,
    y: ArrayLike,
    *,
    train: TrainingView | None = None,
    shares: Sequence[float] = OTHER_SHARES,
) -> pa.Table:
    """Measure top share and circular correlation again, with other cut-offs of "the top".

    Parameters
    ----------
    ce, y, train
        As for `cemag.metrics.measure`.
    shares : sequence of float
        Shares of the features that count as the top, above 0 and at most 1.

    Returns
    -------
    pyarrow.Table
        A row a class, share and quantity: ``top_share``, mean over the class's correctly predicted
        instances, and ``top_frequency``, Spearman's correlation over features of frequency among the
        top with mean magnitude, both in the training set. `n` counts instances, or features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 40)), rng.normal(size=(3, 40)))
    >>> table = cutoffs(ce, ce.predictions)
    >>> table.num_rows, table["quantity"].unique().to_pylist()
    (12, ['top_share', 'top_frequency'])
    """
    labels = ce.label_indices(y)
    train = train or TrainingView(ce, np.asarray(y))
    rows = []
    for share in shares:
        top = concentration(ce, share).top_share
        seen = frequency(train.ce, train.y, baseline=train.baseline, tolerance=train.tolerance, share=share)
        for label, name in enumerate(ce.classes):
            values = top[(labels == label) & (ce.predictions == label)]
            values = values[np.isfinite(values)]
            mean = float(values.mean()) if len(values) else float("nan")
            found = relation(seen.top_frequency[label], seen.mean_magnitude[label], n_resamples=1)
            of_class = {"class": str(name), "share": share}
            rows.append(of_class | {"quantity": "top_share", "n": len(values), "value": mean})
            rows.append(of_class | {"quantity": "top_frequency", "n": found.n, "value": found.estimate})
    return pa.Table.from_pylist(rows)
