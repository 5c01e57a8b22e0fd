"""The text notebooks and the parameters that they declare; nothing runs here."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from cemag.errors import NotebookError, SpecError, check_known, extra, one_line

with extra("book"):
    import jupytext
    from nbformat import NotebookNode

__all__ = ["TextNotebook", "find_notebooks", "share_parameters"]


@dataclass(frozen=True)
class TextNotebook:
    """A notebook kept as MyST text.

    Attributes
    ----------
    path : Path
        The ``.md`` file.
    """

    path: Path

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.stem

    @cached_property
    def text(self) -> str:
        """Content of the file."""
        try:
            return self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise SpecError(f"{self.path}: not a readable notebook ({one_line(error)})") from None

    def read(self) -> NotebookNode:
        """Return a fresh notebook object."""
        node = jupytext.reads(self.text, fmt="md:myst")
        node.metadata.setdefault("kernelspec", {}).update(name="python3", language="python")
        return node

    @cached_property
    def after(self) -> tuple[str, ...]:
        """Names of the notebooks to execute before this one, from ``cemag: {after: [...]}`` in the header."""
        return tuple(self.read().metadata.get("cemag", {}).get("after", ()))

    @cached_property
    def declared(self) -> dict[str, str]:
        """Parameters that the notebook declares, and the type that each is given."""
        # papermill's own inspection does not see annotations such as `int | None`
        cells = [c for c in self.read().cells if "parameters" in c.metadata.get("tags", [])]
        try:
            statements = [s for cell in cells for s in ast.parse(cell.source).body]
        except SyntaxError as error:
            raise NotebookError(f"{self.path.name}: its parameters cell is not Python: {error.msg}") from None
        found = {}
        for statement in statements:
            if isinstance(statement, ast.AnnAssign):
                found[ast.unparse(statement.target)] = ast.unparse(statement.annotation)
            elif isinstance(statement, ast.Assign):
                found |= {ast.unparse(target): "" for target in statement.targets}
        return found

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse a parameter that the notebook does not declare, or a value of another type.

        Raises
        ------
        UnknownNameError, SpecError
        """
        for name, value in parameters.items():
            check_known(f"parameter of {self.name}", name, self.declared)
            _check_type(self.name, name, value, self.declared[name])


def find_notebooks(folder: Path) -> list[TextNotebook]:
    """All notebooks of a folder, each after those that it names.

    Raises
    ------
    NotebookError
        If there are none, or they wait for one another in a circle.
    """
    waiting = {path.stem: TextNotebook(path) for path in sorted(folder.glob("*.md"))}
    if not waiting:
        raise NotebookError(f"{folder}: no notebooks (*.md) there")
    for notebook in waiting.values():
        for name in notebook.after:
            check_known(f"notebook for {notebook.name} to run after", name, waiting)
    ordered: list[TextNotebook] = []
    while waiting:
        ready = [n for n in waiting.values() if not any(name in waiting for name in n.after)]
        if not ready:
            raise NotebookError(f"notebooks wait for one another: {', '.join(waiting)}")
        ordered += ready
        for notebook in ready:
            del waiting[notebook.name]
    return ordered


def share_parameters(
    notebooks: Sequence[TextNotebook],
    shared: Mapping[str, Any],
    own: Mapping[str, Mapping[str, Any]],
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Give each notebook the shared parameters that it declares, and its own, all checked.

    Parameters
    ----------
    notebooks : sequence of TextNotebook
    shared : mapping
        For every notebook that declares them; one that none declares is an error.
    own : mapping of notebook name to mapping
        For that notebook alone.
    overrides : mapping, optional
        As `shared`, and over all else: what was asked for on the command line.

    Raises
    ------
    UnknownNameError, SpecError
        Before anything runs.
    """
    known = sorted({name for notebook in notebooks for name in notebook.declared})
    for name in (*shared, *(overrides or {})):
        check_known("parameter", name, known)
    for name in own:
        check_known("notebook", name, [notebook.name for notebook in notebooks])
    given = {}
    for notebook in notebooks:
        given[notebook.name] = (
            _declared_by(notebook, shared)
            | dict(own.get(notebook.name, {}))
            | _declared_by(notebook, overrides or {})
        )
        notebook.check(given[notebook.name])
    return given


def _declared_by(notebook: TextNotebook, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name in notebook.declared}


def _check_type(notebook: str, name: str, value: Any, annotation: str) -> None:
    names = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
    try:
        known = eval(annotation, {"__builtins__": {}}, names)
        TypeAdapter(known, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError:
        raise SpecError(f"parameter {name} of {notebook} is {value!r}: {annotation} is needed") from None
    except (NameError, SyntaxError, TypeError, PydanticUserError):
        return  # no annotation, or not a simple one: any value will do
