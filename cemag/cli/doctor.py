"""``cemag doctor``: what is installed and set, which data is within reach, CPU or GPU, where records lie."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import cemag
from cemag.errors import MissingExtraError
from cemag.settings import SETTINGS


def show_health() -> None:
    """Print the state of this installation."""
    console = Console()
    console.print(
        f"cemag {cemag.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, {_gpu()}"
    )
    for extra, names in _wanted().items():
        found = {name: _version(name) for name in names}
        said = ", ".join(f"{name} {number or '[red]missing[/]'}" for name, number in found.items())
        remedy = "" if all(found.values()) else escape(f'; pip install "cemag[{extra}]"')
        console.print(f"{extra or 'needed'}: {said}{remedy}", soft_wrap=True)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    console.print(f"browser for the tests: {browser or 'none found'}")
    console.print(_settings())
    try:
        console.print(_data())
        console.print(*_stores(), sep="\n", soft_wrap=True)
    except MissingExtraError as error:
        console.print(escape(f"no data sets and no records of the book: {error}"), soft_wrap=True)


def _wanted() -> dict[str, list[str]]:
    """Packages that each extra brings, by the metadata of this installation; those of none under ""."""
    wanted: dict[str, list[str]] = {}
    for requirement in requires("cemag") or []:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        if name and name[0] != "cemag":  # an extra may name others
            wanted.setdefault(extra[1] if extra else "", []).append(name[0])
    return wanted


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _settings() -> Table:
    table = Table(title="settings (environment variables)", title_justify="left")
    for heading in ("variable", "value", "what it sets", "without it"):
        table.add_column(heading, overflow="fold")
    for name, setting in SETTINGS.items():
        table.add_row(name, escape(os.environ.get(name, "")), setting.sets, setting.default)
    return table


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

    table = Table(title="data sets", title_justify="left")
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
