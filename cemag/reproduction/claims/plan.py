"""The analysis plan: what is asked of the records, and how it is answered. Reads ``plan.yml``, the plan."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from cemag.errors import CemagError, check_known

__all__ = ["FAMILIES", "PLAN", "Contrast", "Family", "Plan", "load_plan"]

Family = Literal["logistic", "svm", "cnn"]
FAMILIES: Mapping[str, str] = {"logistic": "logistic regression", "svm": "SVM", "cnn": "CNN"}
TEST_FACTOR = "variance factor of the folds for what is measured on test rows"
WEIGHTS_FACTOR = "variance factor of the folds for statistics of the weights"
PLAN_FILE = Path(__file__).parent / "plan.yml"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableUnits(_Frozen):
    """The runs on tables: the folds of one cross-validation of each set."""

    sets: tuple[str, ...]
    repetitions: int
    judged: int
    seen_before: str


class ImageSet(_Frozen):
    """The seeds of one image set, and how it is thinned."""

    seeds: tuple[int, ...]
    n_max: int
    imbalance_ratio: float | None = None
    imbalance: str | None = None


class ImageUnits(_Frozen):
    """The runs on images: networks, each with a training subset of its own."""

    sets: dict[str, ImageSet]
    repetitions: int
    other_methods: int
    judged: int
    seen_before: str
    why_30: str


class Units(_Frozen):
    """What is repeated, and what is left out of every verdict."""

    tables: TableUnits
    images: ImageUnits
    authors_networks: dict[str, str]
    embedded_sets: dict[str, str]


class Counting(_Frozen):
    """How CEs are counted where a verdict is given."""

    rule: dict[str, str]
    why: str
    gauge: Literal["paper", "margin"]
    other_gauge: Literal["paper", "margin"]
    support_vectors: str
    over: str
    classes: str

    @property
    def rule_in_words(self) -> str:
        """The four choices of the rule, as the records' frames name it."""
        return ", ".join(self.rule.values()) + " bias"


class Measurable(_Frozen):
    """From how many correctly predicted instances on a class is measured at all."""

    instances: int
    repetitions: float
    otherwise: str


class Null(_Frozen):
    """A model that learned nothing, and the claims that are held against it."""

    for_: tuple[str, ...]
    primary: bool
    draws: int | None = None
    of: str | None = None
    value: float | None = None

    @classmethod
    def of_mapping(cls, values: Mapping[str, Any]) -> Null:
        """Read a null of the YAML, where the claims stand under ``for``."""
        return cls.model_validate({("for_" if name == "for" else name): v for name, v in values.items()})


class PlainReading(_Frozen):
    """The paper's words with a number in place of "few" or "most": a second line, never the verdict."""

    bound: float
    unit: str
    side: Literal["above", "below"]
    note: str = ""


class Contrast(_Frozen):
    """What is measured for one claim and what it is compared with.

    Attributes
    ----------
    quantity, contrast : str
        In words.
    side : str
        ``"above 0"``, ``"below 0"`` or ``"below log(1.25)"``: where the claim has the contrast.
    plain_reading : PlainReading, optional
    beside : tuple of str
        What is shown with it.
    equivalence : str
        What is said to be no change, for a claim of "not much".
    """

    quantity: str
    contrast: str
    side: str
    plain_reading: PlainReading | None = None
    beside: tuple[str, ...] = ()
    equivalence: str = ""

    @property
    def direction(self) -> Literal["above", "below"]:
        """On which side of the bound the claim lies."""
        return "above" if self.side.startswith("above") else "below"

    @property
    def bound(self) -> float:
        """The bound of the contrast as a number."""
        number = self.side.split(maxsplit=1)[1]
        return math.log(float(number[4:-1])) if number.startswith("log(") else float(number)

    @property
    def ratio(self) -> bool:
        """Whether the contrast is the log of a ratio."""
        return self.contrast.startswith("log")

    @property
    def augments(self) -> bool:
        """Whether it compares with the same model without augmentation, so that a case is an augmenter."""
        return "without augmentation" in self.contrast


class Change(_Frozen):
    """A choice that was fixed only after data had been seen; `value` is the number, where it is one."""

    what: str
    value: float | None = None
    fixed: datetime.date
    note: str
    commit: str = ""


class Plan(_Frozen):
    """The whole plan; see ``plan.yml``, which has its words."""

    plan: int
    date: datetime.date
    units: Units
    counting: Counting
    measurable: Measurable
    nulls: dict[str, Null]
    claims: dict[str, Contrast]
    cases: dict[str, Any]
    pooled: dict[str, Any]
    words: dict[str, str]
    changed_after_data: tuple[Change, ...]

    def sets(self, family: str) -> tuple[str, ...]:
        """Data sets whose runs answer for a family of models.

        Examples
        --------
        >>> PLAN.sets("cnn")
        ('cifar10', 'miniplaces', 'tiny_imagenet_taxa')
        """
        check_known("family", family, FAMILIES)
        return tuple(self.units.images.sets) if family == "cnn" else self.units.tables.sets

    def repetitions(self, family: str) -> int:
        """Planned number of repetitions of each set: folds of tables, networks of images.

        Examples
        --------
        >>> PLAN.repetitions("svm"), PLAN.repetitions("cnn")
        (5, 12)
        """
        check_known("family", family, FAMILIES)
        return self.units.images.repetitions if family == "cnn" else self.units.tables.repetitions

    def repeats(self, family: str, dataset: str) -> tuple[int, ...]:
        """The folds or seeds that take part in the verdicts."""
        if family == "cnn":
            return self.units.images.sets[dataset].seeds
        return tuple(range(self.units.tables.repetitions))

    def fold_factor(self, of: Literal["test", "weights"], claim: str = "") -> float:
        """What sharing training rows adds to the variance of a mean over folds, beyond ``1 / k``.

        Parameters
        ----------
        of : {"test", "weights"}
            What is measured on test rows alone (recall), or depends on the weights (every CE).
        claim : str, optional
            Some have a factor of their own, and so has ``"recall"`` itself.

        Examples
        --------
        >>> PLAN.fold_factor("test"), PLAN.fold_factor("weights"), PLAN.fold_factor("weights", "C3")
        (0.25, 1.25, 3.0)
        >>> PLAN.fold_factor("test", "recall")
        0.5
        """
        values = {c.what: c.value for c in self.changed_after_data if c.value is not None}
        if of == "test":
            return values.get(f"{TEST_FACTOR}, {claim}", 1 / (self.units.tables.repetitions - 1))
        return values.get(f"{WEIGHTS_FACTOR}, {claim}", values[WEIGHTS_FACTOR])

    def primary_null(self, claim: str) -> str | None:
        """Name of the null that a claim is held against; none for claims about augmentation."""
        return next((n for n, null in self.nulls.items() if null.primary and claim in null.for_), None)


@lru_cache(maxsize=2)
def load_plan(path: Path = PLAN_FILE) -> Plan:
    """Read and validate a plan.

    Raises
    ------
    CemagError
        If the file is missing or says something that no plan says; names the file and the field.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        nulls = {name: Null.of_mapping(null) for name, null in values["nulls"].items()}
        return Plan.model_validate({**values, "nulls": nulls})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CemagError(f"{path}: not an analysis plan: {error}") from None


PLAN = load_plan()
