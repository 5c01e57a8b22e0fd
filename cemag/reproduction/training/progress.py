"""A progress bar for `train`: accuracy, images/s and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    from cemag.reproduction.training.result import Progress as Report

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(title: str, console: Console | None = None) -> Iterator[Callable[[Report], None]]:
    """Show a bar from the first report on; what it yields is the `progress` argument of `train`.

    Parameters
    ----------
    title : str
        What is being trained.
    console : rich.console.Console, optional
        Standard error when not given.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        console=console or Console(stderr=True),
    )
    task = bar.add_task(title, total=None, state="")

    def show(report: Report) -> None:
        bar.start()
        minutes, seconds = divmod(round(report.seconds_left), 60)
        state = (
            f"epoch {report.epoch}/{report.epochs}  loss {report.loss:.3f}  "
            f"accuracy {report.accuracy:.1%}  {report.images_per_second:,.0f} images/s  "
            f"{minutes}:{seconds:02d} left"
        )
        done = (report.epoch - 1) * report.steps + report.step
        bar.update(task, completed=done, total=report.epochs * report.steps, state=state)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
