"""RunSpec: everything that a run on a table depends on, validated before any work starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cemag.errors import CemagError, SpecError, check_known
from cemag.models import MODELS, LogisticModel, ModelSpec, Number, Whole

__all__ = ["RECORD_VERSION", "RunSpec", "Spec", "digest_of", "essentials"]

RECORD_VERSION = 2  # raise it when the same specification no longer means the same numbers


def essentials(model: BaseModel) -> dict[str, Any]:
    """Fields of a model that are not at their default, nested ones alike; its name always.

    Examples
    --------
    >>> essentials(RunSpec(dataset="digits", model="svm", split=0, n_splits=5))
    {'dataset': 'digits', 'model': {'name': 'svm'}}
    """
    found = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name == "name" or value != field.get_default(call_default_factory=True):
            found[name] = essentials(value) if isinstance(value, BaseModel) else value
    return found


def digest_of(values: Mapping[str, Any]) -> str:
    """Digest of a mapping of plain values: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class Spec(BaseModel):
    """What all specifications share: frozen, unknown fields refused, an address made of the content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def key(self) -> str:
        """Content address: 32 hexadecimal digits of a SHA-256 over the fields that are not at their default.

        So a field that is added later changes no key of what was run before.
        """
        return digest_of({"record": RECORD_VERSION, "spec": essentials(self)})

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "specification") -> Self:
        """Validate a mapping; every fault in it becomes one line of a SpecError.

        Examples
        --------
        >>> RunSpec.parse({"dataset": "breast_cancer", "splits": 3})
        Traceback (most recent call last):
        ...
        cemag.errors.SpecError: specification: unknown field 'splits': did you mean 'split'? known: ...
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SpecError(f"{where}: {_faults(cls, error.errors())}") from None

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated again."""
        return self.parse(self.model_dump() | changes)


class RunSpec(Spec):
    """One run on a table: a data set, its imbalance and split, a model, an augmenter, and the seeds.

    Frozen, and unknown fields are refused. Two equal specifications have the same `key`, and give
    the same record.

    Parameters
    ----------
    dataset : str
        Name in ``cemag.reproduction.datasets.DATASETS``.
    model : LogisticModel or SVMModel, or the name of one
        Model and its settings.
    augmenter : str, default="none"
        Name in ``cemag.samplers.AUGMENTERS``.
    imbalance_ratio : float, optional
        Majority over minority to thin the minority to; the set's own when not given.
    split, n_splits : int, default=0, 5
        Which of how many stratified folds is the test set.
    data_seed : int, default=0
        Draws the imbalanced subset and the folds.
    seed : int, default=0
        Draws what the augmenter and the model draw; kept apart from `data_seed`.
    k_neighbors : int, default=5
        Neighbours of SMOTE and ADASYN.
    standardise : bool, default=True
        Whether features are standardised with the training rows' mean and deviation.

    Raises
    ------
    SpecError
        From `parse` and `with_`, in one line; the constructor itself raises pydantic's error.

    Examples
    --------
    >>> spec = RunSpec(dataset="breast_cancer", model="svm", augmenter="smote")
    >>> spec.model.gamma, len(spec.key)
    ('scale', 32)
    """

    dataset: str
    model: ModelSpec = LogisticModel()
    augmenter: str = "none"
    imbalance_ratio: Number | None = Field(default=None, ge=1, allow_inf_nan=False)
    split: Whole = Field(default=0, ge=0)
    n_splits: Whole = Field(default=5, ge=2, le=50)
    data_seed: Whole = Field(default=0, ge=0, lt=2**32)
    seed: Whole = Field(default=0, ge=0, lt=2**32)
    k_neighbors: Whole = Field(default=5, ge=1)
    standardise: bool = True

    @property
    def model_name(self) -> str:
        """What was fitted, in one word."""
        return self.model.name

    @property
    def repeat(self) -> int:
        """Number of the repetition that this run is: here the split."""
        return self.split

    @property
    def label(self) -> str:
        """The run in a few words."""
        return (
            f"{self.dataset}, {self.model.name}, {self.augmenter}, "
            f"split {self.split} of {self.n_splits}, seed {self.seed}"
            f"{'' if self.standardise else ', not standardised'}"
        )

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and "name" in value:
            check_known("model", value["name"], MODELS)
        elif not isinstance(value, BaseModel):
            raise ValueError(f"model is {_short(value)}: a name is needed, of {', '.join(MODELS)}")
        return value

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        from cemag.reproduction.datasets import DATASETS

        return check_known("data set", value, DATASETS)

    @field_validator("augmenter")
    @classmethod
    def _known_augmenter(cls, value: str) -> str:
        from cemag.samplers import AUGMENTERS

        return check_known("augmenter", value, AUGMENTERS)

    @model_validator(mode="after")
    def _split_in_range(self) -> Self:
        if self.split >= self.n_splits:
            raise ValueError(f"split is {self.split}: it must be below n_splits, which is {self.n_splits}")
        return self


def _faults(model: type[BaseModel], errors: Sequence[Any]) -> str:
    """Pydantic's errors in our words: each field once, its value, what is allowed."""
    found: dict[str, list[str]] = {}
    for error in errors:
        place, kind = error["loc"], error["type"]
        of_union = len(place) > 1 and place[0] == "model"  # its second part says which of the types
        field = ".".join(str(part) for part in (place[:1] + place[2:3] if of_union else place[:2]))
        message = error["msg"].removeprefix("Value error, ")
        if kind == "value_error":
            found[message] = []
        elif kind == "missing":
            found[f"{field} is missing"] = []
        elif kind == "extra_forbidden":
            found[_unknown_field(model, place)] = []
        else:
            allowed = found.setdefault(f"{field} is {_short(error['input'])}", [])
            allowed.append(f"{message[0].lower()}{message[1:]}")
    return "; ".join(
        ": ".join(filter(None, [what, ", or ".join(allowed)])) for what, allowed in found.items()
    )


def _unknown_field(model: type[BaseModel], place: tuple[Any, ...]) -> str:
    owner, kind = model, "field"
    if len(place) > 1 and place[0] == "model":
        owner, kind = MODELS[place[1]], f"field of {place[1]}"
    elif len(place) > 1:
        inner = model.model_fields[place[0]].annotation
        owner, kind = inner if isinstance(inner, type) else model, f"field of {place[0]}"
    try:
        return check_known(kind, place[-1], owner.model_fields)
    except CemagError as unknown:
        return str(unknown)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
