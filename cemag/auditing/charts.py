"""The charts of an audit, in the book's theme. Draws; computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from cemag.charts.theme import NULL_COLOUR

if TYPE_CHECKING:
    from cemag.auditing.result import Audit

__all__ = ["AuditCharts"]

WIDTH, ROW_HEIGHT, MOST_ROWS = 560, 18, 30
ROLES = {  # colour, shape and dash of each
    "majority": ("#0072B2", "circle", [1, 0]),
    "minority": ("#D55E00", "diamond", [5, 2]),
    "between": ("#009E73", "square", [1, 2]),
    "not known": ("#0072B2", "circle", [1, 0]),
}
NULL_DASHES = {"permuted weights": [5, 3], "half normal": [1, 2], "non zero": [8, 2]}


class AuditCharts:
    """The charts of one audit.

    Attributes
    ----------
    required, concentration, ablation, distribution, shared
        Altair charts.

    Parameters
    ----------
    audit : Audit
    """

    NAMES = ("required", "concentration", "ablation", "distribution", "shared")

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        table = audit.per_class.loc[:, ~audit.per_class.columns.str.startswith("margin")]
        table = table.assign(role=table["role"].replace("", "not known"))
        self._classes = _short(table[table["n_correct"] > 0])
        self._null = audit.null.set_index(["source", "quantity"])

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in self.NAMES)

    def __repr__(self) -> str:
        return f"AuditCharts({', '.join(self.NAMES)})"

    @property
    def required(self) -> Any:
        """CEs that each class requires without the bias, against its size, and what permuted weights do."""
        return self._against_size(
            "required",
            "CEs required without the bias (mean)",
            "CEs required by class",
            ["permuted_weights"],
        )

    @property
    def concentration(self) -> Any:
        """Share of the magnitude in the top 10 %, against class size, with its nulls."""
        return self._against_size(
            "top_share",
            "share of the top 10 % of the CEs",
            "Concentration by class",
            ["permuted_weights", "half_normal", "non_zero"],
        )

    @property
    def ablation(self) -> Any:
        """Recall with and without each class's top feature, the largest losses first."""
        table = self._classes.nlargest(MOST_ROWS, "recall_lost")
        base = alt.Chart(table)
        y = alt.Y("class:N").title(None).sort(list(table["class"])).axis(labelLimit=160)
        x = alt.X("recall:Q").title("recall").scale(domain=[0, 1])
        tips = _tips("class", "top_feature", "recall", "recall_without_top", *self._ends("recall_lost"), "n")
        rules = base.mark_rule().encode(x=x, x2="recall_without_top:Q", y=y)
        with_top = base.mark_point(filled=True, size=60).encode(
            x="recall:Q", y=y, color=self._colour, shape=self._shape, tooltip=tips
        )
        without = base.mark_tick(thickness=3, size=12, color=NULL_COLOUR).encode(
            x="recall_without_top:Q", y=y, tooltip=tips
        )
        subtitle = "mark: as it is; grey tick: with its top feature held at the mean"
        if len(self._classes) > MOST_ROWS:
            subtitle += f"; the {MOST_ROWS} largest losses of {len(self._classes)} classes"
        return _titled(
            alt.layer(rules, without, with_top), "A class without its top feature", subtitle
        ).properties(width=WIDTH - 120, height=alt.Step(ROW_HEIGHT))

    @property
    def distribution(self) -> Any:
        """Share of the correct predictions that the k largest CEs give for good, by role."""
        table = self._audit.per_instance
        correct = table[table["correct"] & table["required_without_bias"].notna()]
        role = self._audit.per_class.set_index("class")["role"].replace("", "not known")
        by_role = correct["label"].map(role).astype(object)
        parts = [_cumulative(part, name) for name, part in correct["required_without_bias"].groupby(by_role)]
        data = pd.concat(parts) if parts else pd.DataFrame(columns=["role", "k", "share", "n"])
        chart = (
            alt.Chart(_short(data))
            .mark_line(interpolate="step-after", point=False, strokeWidth=2)
            .encode(
                x=alt.X("k:Q")
                .title("CEs kept, largest magnitude first, without the bias")
                .scale(type="symlog"),
                y=alt.Y("share:Q").title("share of correct predictions").scale(domain=[0, 1]),
                color=self._colour,
                strokeDash=alt.StrokeDash("role:N").scale(self._of_roles(2)).title(None),
                tooltip=_tips("role", "k", "share", "n"),
            )
        )
        subtitle = f"{len(correct):,} correct predictions that the CEs give without the bias"
        return _titled(chart, "How many CEs a prediction needs", subtitle).properties(width=WIDTH, height=230)

    @property
    def shared(self) -> Any:
        """The features on which most classes rest."""
        data = _short(self._audit.shared_features.head(MOST_ROWS))
        chart = (
            alt.Chart(data)
            .mark_bar(color="#0072B2")
            .encode(
                x=alt.X("n_classes:Q").title("classes").axis(tickMinStep=1),
                y=alt.Y("feature:N").title(None).sort(list(data["feature"])).axis(labelLimit=200),
                tooltip=_tips("feature", "n_classes", "share_of_classes", "classes"),
            )
        )
        subtitle = "classes in which a feature is among the top 10 % of at least half of the instances"
        return _titled(chart, "Features that several classes share", subtitle).properties(
            width=WIDTH - 120, height=alt.Step(ROW_HEIGHT)
        )

    def _of_roles(self, which: int) -> alt.Scale:
        """Scale of the roles that there are, so that a legend names no other."""
        present = [role for role in ROLES if role in set(self._classes["role"])]
        return alt.Scale(domain=present, range=[ROLES[role][which] for role in present])

    @property
    def _colour(self) -> alt.Color:
        return alt.Color("role:N").scale(self._of_roles(0)).title(None)

    @property
    def _shape(self) -> alt.Shape:
        return alt.Shape("role:N").scale(self._of_roles(1)).title(None)

    def _ends(self, quantity: str) -> list[str]:
        """Names of the ends of its interval, where the audit has them."""
        return [name for name in (f"{quantity}_low", f"{quantity}_high") if name in self._classes]

    def _against_size(self, quantity: str, words: str, title: str, nulls: list[str]) -> Any:
        log, ends = self._classes["size"].min() > 0, self._ends(quantity)
        base = alt.Chart(self._classes).encode(
            x=alt.X("size:Q")
            .title("instances of the class")
            .scale(type="log" if log else "linear", nice=False, padding=18),
            color=self._colour,
        )
        told = (
            "class",
            "size",
            "n",
            "recall",
            "by_bias",
            quantity,
            *ends,
            "features_for_half",
            "top_feature",
        )
        points = base.mark_point(filled=True, size=70, opacity=0.85).encode(
            y=alt.Y(f"{quantity}:Q").title(words), shape=self._shape, tooltip=_tips(*told)
        )
        layers = [*self._levels(quantity, nulls), points]
        if ends:
            layers.insert(-1, base.mark_rule(opacity=0.6).encode(y=f"{ends[0]}:Q", y2=f"{ends[1]}:Q"))
        subtitle = f"{len(self._classes)} classes; hover for the class; grey: nothing learned"
        if ends:
            subtitle += "; bars: 95 % intervals, band: middle 95 % of the permutations"
        return _titled(alt.layer(*layers), title, subtitle).properties(width=WIDTH, height=260)

    def _levels(self, quantity: str, nulls: list[str]) -> list[Any]:
        """Lines of the nulls, and the band in which those of permuted weights lie."""
        found = self._null.xs(quantity, level="quantity").loc[nulls]
        rows = zip(found.index.str.replace("_", " "), found["mean"], 1.96 * found["sd"], strict=True)
        levels = pd.DataFrame(
            [
                {"null": name, "value": mean, "from": mean - half, "to": mean + half}
                for name, mean, half in rows
            ]
        ).dropna(subset=["value"])
        base = alt.Chart(levels)
        band = (
            alt.Chart(levels.dropna())
            .mark_rect(color=NULL_COLOUR, opacity=0.15)
            .encode(y="from:Q", y2="to:Q", tooltip=_tips("null", "value"))
        )
        line = base.mark_rule(color=NULL_COLOUR, strokeWidth=1.5).encode(
            y="value:Q",
            strokeDash=alt.StrokeDash("null:N")
            .title("null")
            .scale(domain=list(levels["null"]), range=[NULL_DASHES[name] for name in levels["null"]]),
            tooltip=_tips("null", "value"),
        )
        return [band, line]


def _titled(chart: Any, title: str, subtitle: str) -> Any:
    return chart.properties(title=alt.Title(title, subtitle=subtitle))


def _cumulative(required: pd.Series, role: str) -> pd.DataFrame:
    """Share of the predictions that k CEs or fewer give, at most 200 values of k."""
    k, counts = np.unique(required.to_numpy(), return_counts=True)
    keep = np.unique(np.linspace(0, len(k) - 1, 200).round().astype(int))
    share = np.cumsum(counts) / len(required)
    return pd.DataFrame({"role": role, "k": k[keep], "share": share[keep], "n": len(required)})


def _tips(*fields: str) -> list[alt.Tooltip]:
    texts = {"class", "role", "null", "feature", "top_feature", "classes"}
    whole = {"n", "size", "k", "n_classes", "features_for_half"}
    return [
        alt.Tooltip(f"{name}:N")
        if name in texts
        else alt.Tooltip(f"{name}:Q", format="," if name in whole else ".3g")
        for name in fields
    ]


def _short(data: pd.DataFrame) -> pd.DataFrame:
    """Four digits: the page carries the data of its charts."""
    numbers = [name for name in data.columns if data[name].dtype.kind == "f"]
    return data.assign(**{name: [float(f"{v:.4g}") for v in data[name]] for name in numbers})
