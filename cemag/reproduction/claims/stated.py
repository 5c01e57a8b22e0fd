"""The paper's claims as it states them, read from ``paper.yml``. How they are answered is the plan's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from cemag.errors import check_known
from cemag.reproduction.claims.plan import Family

__all__ = ["CLAIMS", "Claim", "get_claim"]


class Claim(BaseModel):
    """One claim of the paper.

    Attributes
    ----------
    id, title, statement : str
        Short name, a few words, and the claim in ours.
    where : str
        In the paper.
    paper_says : dict
        Verdict of the paper for each family of models.
    unstated : tuple of str
        What the paper leaves open and a check has to choose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    statement: str
    where: str
    paper_says: dict[Family, Literal["holds", "fails"]]
    unstated: tuple[str, ...]


def _claims() -> Mapping[str, Claim]:
    values = yaml.safe_load((Path(__file__).parent / "paper.yml").read_text(encoding="utf-8"))
    return MappingProxyType({name: Claim.model_validate({"id": name, **v}) for name, v in values.items()})


CLAIMS: Mapping[str, Claim] = _claims()


def get_claim(name: str) -> Claim:
    """Return a claim by its short name.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest.

    Examples
    --------
    >>> get_claim("C1").title
    'CEs that an instance requires'
    """
    return CLAIMS[check_known("claim", name, CLAIMS)]
