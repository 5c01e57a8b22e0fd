"""The notebooks that a reader downloads from the pages: glued numbers are numbers in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["with_numbers", "write_downloads"]

GLUED = re.compile(r"\{glue:(?:text)?\}`([^`]+)`")
INSTALL = """\
# In Colab or Binder, where the package is not installed yet:
# %pip install "cemag[book] @ git+{repository}"
"""


def write_downloads(folder: Path, repository: str = "") -> None:
    """Bring the notebooks that finished pages offer to what a reader can read, in place.

    Parameters
    ----------
    folder : Path
        Of the finished pages.
    repository : str
        Address of the project, for a first cell that says how to install it.
    """
    for path in sorted((folder / "_sources").rglob("*.ipynb")):
        notebook = with_numbers(json.loads(path.read_text(encoding="utf-8")))
        if repository and notebook["cells"][0].get("id") != "cemag-install":
            notebook["cells"].insert(0, _install_cell(repository))
        path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def with_numbers(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook with each glued value in place of the role that asks for it.

    Examples
    --------
    >>> output = {"metadata": {"scrapbook": {"name": "n"}}, "data": {"text/plain": "'5'"}}
    >>> cells = [{"cell_type": "code", "outputs": [output]},
    ...          {"cell_type": "markdown", "source": ["There are {glue:text}`n` folds."]}]
    >>> with_numbers({"cells": cells})["cells"][1]["source"]
    'There are 5 folds.'
    """
    values = dict(_glued(notebook))

    def value(found: re.Match[str]) -> str:
        return values.get(found[1].partition(":")[0], found[0])

    cells = [
        {**cell, "source": GLUED.sub(value, "".join(cell["source"]))}
        if cell["cell_type"] == "markdown"
        else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def _glued(notebook: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and text of each value that the notebook's outputs hold for its prose."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            data = {key.rpartition("/")[2]: text for key, text in output.get("data", {}).items()}
            if name and "plain" in data:
                text = "".join(data["plain"])
                found.append((name, text[1:-1] if text[:1] in "'\"" and text[:1] == text[-1:] else text))
    return found


def _install_cell(repository: str) -> dict[str, Any]:
    source = INSTALL.format(repository=repository)
    return {
        "cell_type": "code",
        "id": "cemag-install",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }
