"""A profile: nothing more than a named set of notebook parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cemag.errors import SpecError, check_known, one_line

__all__ = ["Profile", "load_profile"]


class Profile(BaseModel):
    """Parameters for all notebooks that declare them (``all``), and for single ones by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    parameters: dict[str, dict[str, Any]] = {}

    @property
    def shared(self) -> dict[str, Any]:
        """Parameters for every notebook that declares them."""
        return self.parameters.get("all", {})

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """Parameters of single notebooks."""
        return {name: values for name, values in self.parameters.items() if name != "all"}


def load_profile(folder: Path, name: str) -> Profile:
    """Read ``<folder>/<name>.yml``.

    Raises
    ------
    UnknownNameError
        If there is none, with those that there are.
    SpecError
        If it is not a profile.
    """
    check_known("profile", name, sorted(path.stem for path in folder.glob("*.yml")))
    path = folder / f"{name}.yml"
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise SpecError(f"{path}: not a profile ({one_line(error)})") from None
