"""Logistic regression and the RBF-kernel SVM: settings, fitting, and where their CEs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from cemag.embeddings import ClassificationEmbeddings
from cemag.embeddings.from_sklearn import embed_model

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

__all__ = [
    "MODELS",
    "LogisticModel",
    "ModelSpec",
    "Number",
    "SVMModel",
    "Whole",
    "embed",
    "fit_model",
]

Array = NDArray[np.float64]


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "input should be a number")
    return value


# pydantic takes True for 1, and YAML takes "yes" for True
Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool)]
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]


class LogisticModel(BaseModel):
    """Logistic regression with an L2 penalty; the paper gives no settings, these are scikit-learn's.

    Examples
    --------
    >>> LogisticModel().C
    1.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["logistic"] = "logistic"
    C: Positive = 1.0
    max_iter: Whole = Field(default=2000, ge=1)

    def build(self, random_state: int) -> LogisticRegression:
        """Return the unfitted estimator."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.C, max_iter=self.max_iter, random_state=random_state)


class SVMModel(BaseModel):
    """Support vector machine with an RBF kernel; settings are scikit-learn's defaults.

    Examples
    --------
    >>> SVMModel(gamma=0.1).gamma
    0.1
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["svm"] = "svm"
    C: Positive = 1.0
    gamma: Positive | Literal["scale", "auto"] = "scale"

    def build(self, random_state: int) -> SVC:
        """Return the unfitted estimator."""
        from sklearn.svm import SVC

        return SVC(C=self.C, gamma=self.gamma, kernel="rbf", cache_size=1000, random_state=random_state)


ModelSpec = Annotated[LogisticModel | SVMModel, Field(discriminator="name")]
MODELS: dict[str, type[LogisticModel] | type[SVMModel]] = {"logistic": LogisticModel, "svm": SVMModel}


def fit_model(
    model: LogisticModel | SVMModel,
    X: Array,
    y: NDArray[Any],
    sample_weight: Array | None,
    *,
    random_state: int,
) -> LogisticRegression | SVC:
    """Fit one of the models to rows (n, d), labels (n,) and weights (n,)."""
    return model.build(random_state).fit(X, y, sample_weight=sample_weight)


def embed(fitted: LogisticRegression | SVC, X: Array) -> ClassificationEmbeddings:
    """CEs of a fitted model: one per input feature, or one per support vector."""
    return embed_model(fitted, X)
