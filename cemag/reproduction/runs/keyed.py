"""What working and published records have in common: keys, and what is said of a run without its tables."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cemag.errors import StoreError

if TYPE_CHECKING:
    from cemag.reproduction.runs.image_spec import AnySpec
    from cemag.reproduction.runs.record import RunRecord

__all__ = ["KeyedRecords", "RunSummary", "log_read", "project_root"]

UNUSUAL = (
    ("labels", "own", "shuffled labels"),
    ("weights", "trained", "authors' network"),
    ("standardise", True, "not standardised"),
)


@dataclass(frozen=True)
class RunSummary:
    """What is said of a run without its tables being read.

    Attributes
    ----------
    key, digest : str
    spec, provenance : dict
        As JSON has them.
    tables : dict of str to str
        Digest of each table.
    balanced_accuracy : float
    """

    key: str
    digest: str
    spec: dict[str, Any]
    provenance: dict[str, Any]
    tables: dict[str, str]
    balanced_accuracy: float

    @property
    def of_images(self) -> bool:
        """Whether a network was run."""
        return "network" in self.spec

    @property
    def model(self) -> str:
        """What was fitted, in one word."""
        return str(self.spec["network"] if self.of_images else self.spec["model"]["name"])

    @property
    def treatment(self) -> str:
        """The augmenter, and what else sets the run apart from the usual ones."""
        apart = [said for field, usual, said in UNUSUAL if self.spec.get(field, usual) != usual]
        return ", ".join([self.spec["augmenter"], *apart])

    @property
    def repetition(self) -> int:
        """Seed of a network, split of a table."""
        return int(self.spec["seed"] if self.of_images else self.spec["split"])


class KeyedRecords(ABC):
    """Records under the keys of their specifications, in a folder."""

    root: Path

    @abstractmethod
    def keys(self) -> list[str]:
        """Return the keys of all records, sorted."""

    @abstractmethod
    def get(self, spec: AnySpec | str) -> RunRecord:
        """Read and verify the record of a specification or key."""

    @abstractmethod
    def path(self, spec: AnySpec | str) -> Path:
        """File of a specification's (or key's) record."""

    @abstractmethod
    def summaries(self) -> Iterator[RunSummary]:
        """What is said of each run, without its tables being read."""

    def __contains__(self, spec: AnySpec | str) -> bool:
        return (spec if isinstance(spec, str) else spec.key) in self.keys()

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[RunRecord]:
        return (self.get(key) for key in self.keys())

    def matches(self, prefix: str) -> list[str]:
        """Return the keys that start so."""
        return [key for key in self.keys() if key.startswith(prefix)]

    def find(self, prefix: str) -> RunRecord:
        """Return the one record whose key starts so.

        Raises
        ------
        StoreError
            If none does, or several do.
        """
        found = self.matches(prefix)
        if len(found) != 1:
            raise StoreError(f"key {prefix!r} names {len(found)} of the {len(self)} records in {self.root}")
        return self.get(found[0])


def log_read(path: Path, content: bytes | None = None) -> None:
    """Tell the book which records a notebook read, so that it runs again when one of them changes."""
    if log := os.environ.get("CEMAG_READS"):
        content = path.read_bytes() if content is None else content
        entry = {"path": str(path.resolve()), "sha256": sha256(content).hexdigest()}
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def project_root(start: Path | None = None) -> Path | None:
    """Return the nearest folder at or above `start` that holds a cemag project, if any."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").is_file() and (folder / "cemag").is_dir():
            return folder
    return None
