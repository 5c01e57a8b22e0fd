"""run: one specification in, one record out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cemag.errors import check_known
from cemag.reproduction.runs.image_spec import AnySpec, ImageRunSpec
from cemag.reproduction.runs.record import RunRecord
from cemag.reproduction.runs.tabular import run_tabular

if TYPE_CHECKING:
    from cemag.reproduction.training import Progress

__all__ = ["run"]


def run(
    spec: AnySpec, *, device: str = "auto", progress: Callable[[Progress], None] | None = None
) -> RunRecord:
    """Fit the model that a specification names and measure its CEs.

    Reads the data set. A run on images keeps the state of its training, so that it goes on where it
    was stopped; see `cemag.reproduction.runs.networks`. Nothing else is written.

    Parameters
    ----------
    spec : RunSpec or ImageRunSpec
        What to run.
    device : {"auto", "cpu", "cuda"}
        Where networks are trained; models of tables are always fitted on the CPU.
    progress : callable, optional
        Called while a network is trained; `cemag.reproduction.training.progress_bar` makes one.

    Returns
    -------
    RunRecord
        The same tables, value for value, whenever specification and device are the same.

    Raises
    ------
    CemagError
        If the data is missing or altered, or unfit for the imbalance, the folds or the augmenter, or
        the device is absent or its memory too small.

    Examples
    --------
    >>> from cemag.reproduction.runs import RunSpec
    >>> record = run(RunSpec(dataset="breast_cancer", augmenter="ros"))
    >>> record.tables["performance"]["balanced_accuracy"][0].as_py() > 0.9
    True
    """
    check_known("device", device, ["auto", "cpu", "cuda"])
    if isinstance(spec, ImageRunSpec):
        from cemag.reproduction.runs.images import run_images

        return run_images(spec, device=device, progress=progress)
    return run_tabular(spec)
