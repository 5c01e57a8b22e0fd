"""Local processes behind the Executor interface: a cell may time out or die, and costs itself alone."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from pebble import ProcessPool

__all__ = ["LocalExecutor"]


class LocalExecutor(Executor):
    """Run each submitted call in a worker process; a worker that dies costs its own call alone.

    Parameters
    ----------
    jobs : int
        Worker processes.
    timeout : float, optional
        Seconds after which a call's process is killed.

    Examples
    --------
    >>> with LocalExecutor(1) as pool:
    ...     pool.submit(abs, -3).result()
    3
    """

    def __init__(self, jobs: int, timeout: float | None = None) -> None:
        self._timeout = timeout
        self._jobs = jobs
        self._closed = False
        self._pool = self._start()

    def _start(self) -> ProcessPool:
        return ProcessPool(max_workers=self._jobs, initializer=_end_with_parent, context=_context())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call."""
        if not (self._pool.active or self._closed):  # broken: a worker died when no call was running
            self._pool.join()
            self._pool = self._start()
        future: Future[Any] = self._pool.schedule(fn, args=args, kwargs=kwargs, timeout=self._timeout)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the workers, after what is submitted is done, or at once with `cancel_futures`."""
        self._closed = True
        if cancel_futures:
            self._pool.stop()
        else:
            self._pool.close()
        if wait:
            self._pool.join()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.shutdown(cancel_futures=kind is not None)


def _end_with_parent() -> None:
    """In a worker: end when the process that owns the pool does, even if by SIGKILL and within a call."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(owner: multiprocessing.process.BaseProcess) -> None:
        owner.join()
        os._exit(1)

    threading.Thread(target=watch, args=[parent], daemon=True).start()


def _context() -> Any:
    """Fork from a server that has the libraries loaded already; threads of the parent are not copied."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = _Context()
    context.set_forkserver_preload(
        ["cemag.reproduction.runs.execute", "sklearn.svm", "sklearn.linear_model", "imblearn.over_sampling"]
    )
    return context


class _Process(ForkServerProcess):
    """A worker that does not import the caller's script again, so that it needs no ``__main__`` guard."""

    @staticmethod
    def _Popen(process: Any) -> Any:  # the hook that the standard library's own contexts override
        main = sys.modules["__main__"]
        hidden: dict[str, Any] = {
            name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
        }
        main.__spec__ = None
        try:
            return ForkServerProcess._Popen(process)
        finally:
            main.__dict__.update(hidden)


class _Context(ForkServerContext):
    Process = _Process
