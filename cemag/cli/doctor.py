"""``cemag doctor``: what is installed, which data is within reach, CPU or GPU, where records lie."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table

import cemag

NEEDED = (
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "pyarrow",
    "pydantic",
    "altair",
    "torch",
    "torchvision",
)
FOR_BOOK = ("jupyter-book", "jupytext", "papermill", "ipykernel", "vl-convert-python")
OPTIONAL = ("dask", "distributed", "captum", "shap", "playwright")


def show_health() -> None:
    """Print the state of this installation."""
    console = Console()
    console.print(
        f"cemag {cemag.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, {_gpu()}"
    )
    for title, names in (("needed", NEEDED), ("for the book", FOR_BOOK), ("optional", OPTIONAL)):
        console.print(f"{title}: " + ", ".join(f"{name} {_version(name)}" for name in names), soft_wrap=True)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    console.print(f"browser for the tests: {browser or 'none found'}")
    console.print(_data())
    console.print(*_stores(), sep="\n", soft_wrap=True)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "[red]missing[/]"


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "torch missing"
    if not torch.cuda.is_available():
        return "no GPU"
    return f"GPU {torch.cuda.get_device_name()}"


def _data() -> Table:
    from cemag.reproduction.datasets import DATASETS, dataset_status

    table = Table(
        title=f"data sets (CEMAG_DATA={os.environ.get('CEMAG_DATA', 'not set')})", title_justify="left"
    )
    for heading in ("name", "where", "rows", "features", "imbalance"):
        table.add_column(
            heading, justify="left" if heading in ("name", "where") else "right", overflow="fold"
        )
    for name, info in DATASETS.items():
        majority, minority = info.class_counts
        table.add_row(
            name,
            str(dataset_status(name)),
            str(info.n_samples),
            str(info.n_features),
            f"{majority / minority:.1f}",
        )
    return table


def _stores() -> list[str]:
    from cemag.reproduction.runs import default_store, published_store

    stores = {"records of this source": default_store(), "published records": published_store()}
    return [f"{title}: {len(store)} in {store.root}" for title, store in stores.items()]
