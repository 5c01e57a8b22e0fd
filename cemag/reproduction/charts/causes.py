"""Charts of the planted features: dose and response, what is tested, and the pictures themselves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import altair as alt
import numpy as np
import pandas as pd

from cemag.charts.theme import NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.experiments import Cell
from cemag.reproduction.experiments.answers import Answer
from cemag.reproduction.experiments.estimates import mean_and_interval
from cemag.reproduction.experiments.slopes import contrasts

__all__ = ["CausalAnswers", "PlantedGallery", "deletions", "dose_response", "planted_contrasts"]


def dose_response(effects: pd.DataFrame) -> Figure:
    """Effect of switching a feature on against its training frequency, one line per evidence.

    Mean over seeds and textures of one weight decay at a time, which the reader chooses, with 95 % interval;
    dashed what it would be if nothing were shrunk.
    """
    rows = []
    keys = ["balance", "weight_decay", "evidence", "frequency"]
    for cell, of_cell in effects.groupby(keys):
        one = mean_and_interval(of_cell["effect"])
        found = {"mean": one.value, "low": one.low, "high": one.high, "n": one.n}
        rows.append(dict(zip(keys, cell, strict=True)) | found | {"ceiling": of_cell["ceiling"].iloc[0]})
    data = pd.DataFrame(rows)
    decays = sorted(data["weight_decay"].unique())
    names = {decay: f"{decay:g}" for decay in decays}
    data = data.assign(decay=data["weight_decay"].map(names), L=[f"L = {v:g}" for v in data["evidence"]])
    choice = alt.param(
        name="decay",
        value=names[decays[len(decays) // 2]],
        bind=alt.binding_select(options=list(names.values()), name="weight decay "),
    )
    x = alt.X("frequency:Q").title("share of its class that has the feature").scale(type="log", nice=False)
    colour = alt.Color("L:N").title("evidence")
    base = alt.Chart(data).transform_filter("datum.decay == decay")
    y = alt.Y("mean:Q").title("what it adds to the lead of its class")
    tips = [
        *("balance:N", "L:N", "n:Q"),
        *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("frequency", "mean", "low", "high", "ceiling")),
    ]
    chart = alt.layer(
        base.mark_line(strokeDash=[4, 3], opacity=0.6).encode(x=x, y="ceiling:Q", color=colour),
        base.mark_rule(strokeWidth=1.5).encode(x=x, y="low:Q", y2="high:Q", color=colour),
        base.mark_line(point=True).encode(
            x=x, y=y, color=colour, shape=alt.Shape("L:N").title("evidence"), tooltip=tips
        ),
    ).properties(width=290, height=270)
    facets = chart.facet(alt.Facet("balance:N").title(None).sort("descending"))
    return Figure(facets.add_params(choice), data.drop(columns="decay"))


def planted_contrasts(effects: pd.DataFrame) -> Figure:
    """Slope per doubling of the frequency, and minus that at evidence 1, in every cell; 95 % intervals."""
    data = contrasts(effects)
    cells = zip(data["kind"], data["balance"], data["weight_decay"], strict=True)
    named = {"networks": "weight decay", "tables": "lambda"}
    data = data.assign(
        cell=[f"{kind}, {balance}, {named[kind]} {decay:g}" for kind, balance, decay in cells],
        L=[f"L = {v:g}" for v in data["evidence"]],
    )
    base = alt.Chart(data)
    y = alt.Y("cell:N").title(None).axis(labelLimit=260)
    offset = alt.YOffset("L:N")
    colour = alt.Color("L:N").title("evidence")
    zero = base.mark_rule(color=NULL_COLOUR).encode(x=alt.datum(0))
    rules = base.mark_rule(strokeWidth=1.5).encode(
        x=alt.X("low:Q").title("per doubling of the frequency"),
        x2="high:Q",
        y=y,
        yOffset=offset,
        color=colour,
    )
    tips = ["cell:N", "L:N", "n:Q", *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("mean", "low", "high"))]
    points = base.mark_point(filled=True, size=50).encode(
        x="mean:Q", y=y, yOffset=offset, color=colour, shape=alt.Shape("L:N").title("evidence"), tooltip=tips
    )
    chart = alt.layer(zero, rules, points).properties(width=240, height=alt.Step(11))
    facet = alt.Facet("quantity:N").title(None)
    return Figure(chart.facet(facet, columns=2).resolve_scale(x="independent"), data)


def deletions(effects: pd.DataFrame) -> Figure:
    """What a class's leading feature adds to it, as rows are left out where it is high, or at random.

    Mean over classes and networks, as a share of the effect with all rows; 95 % interval over networks.
    """
    keys = ["dataset", "repetition", "class"]
    start = effects[effects["dose"] == 0].groupby([*keys, "arm"])["effect"].mean().rename("start")
    share = effects.join(start, on=[*keys, "arm"]).assign(
        share=lambda table: table["effect"] / table["start"]
    )
    of_network = share.groupby(["dataset", "repetition", "arm", "dose"])["share"].mean().reset_index()
    rows = []
    for (dataset, arm, dose), of_one in of_network.groupby(["dataset", "arm", "dose"]):
        one = mean_and_interval(of_one["share"])
        found = {"dataset": dataset, "arm": arm, "dose": dose, "mean": one.value, "n": one.n}
        rows.append(found | {"low": one.low, "high": one.high})
    data = pd.DataFrame(rows, columns=["dataset", "arm", "dose", "mean", "low", "high", "n"])
    x = alt.X("dose:Q").title("share of the class's rows left out")
    colour = alt.Color("arm:N").title("left out")
    base = alt.Chart(data)
    tips = ["dataset:N", "arm:N", "n:Q", *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("dose", "mean"))]
    y = alt.Y("mean:Q").title("effect / effect with all rows")
    chart = alt.layer(
        base.mark_rule(strokeWidth=1.5).encode(x=x, y="low:Q", y2="high:Q", color=colour),
        base.mark_line(point=True).encode(x=x, y=y, color=colour, tooltip=tips),
    ).properties(width=230, height=220)
    return Figure(chart.facet(alt.Facet("dataset:N").title(None), columns=3), data)


@dataclass(frozen=True)
class CausalAnswers:
    """The causal questions and their answers, one row each.

    Parameters
    ----------
    answers : sequence of Answer
        From `cemag.reproduction.experiments.answers`.
    """

    answers: Sequence[Answer]

    def __repr__(self) -> str:
        return "\n".join(map(str, self.answers))

    def _repr_html_(self) -> str:
        rows = [
            (one.question, one.design, *_told(one), f"<b>{escape(one.verdict)}</b>") for one in self.answers
        ]
        heads = ("question", "design", "effect (95 % interval)", "n", "verdict")
        head = "".join(f"<th>{name}</th>" for name in heads)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table class='cemag-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _told(answer: Answer) -> tuple[str, str]:
    """Effect with its unit, and how many repetitions it is over."""
    if answer.effect is None:
        return "–", "–"
    return f"{answer.effect} {escape(answer.unit)}", str(answer.effect.n)


@dataclass(frozen=True)
class PlantedGallery:
    """Training images of one seed with each texture, one row per texture.

    Parameters
    ----------
    cell : Cell
    seed : int, default=0
    shown : int, default=6
        Images of each texture.
    """

    cell: Cell
    seed: int = 0
    shown: int = 6

    def __repr__(self) -> str:
        return f"PlantedGallery({self.cell.name}, seed {self.seed})"

    def _repr_html_(self) -> str:
        from cemag.reproduction.experiments.planted import planted_digits, textures

        made = planted_digits(self.cell, self.seed)
        rows = []
        for k, (own, f) in enumerate(zip(made.classes, self.cell.frequency_of(self.seed), strict=True)):
            has = [made.X[n] for n in np.flatnonzero(made.on[:, k])[: self.shown]]
            pictures = "".join(_picture(image, f"digit with texture {k + 1}") for image in has)
            texture = _picture(textures()[k], f"texture {k + 1}")
            rows.append(
                f"<tr><th scope='row'>{texture}</th><td>{own}</td><td>{f:g}</td>"
                f"<td>{f / self.cell.evidence:.3g}</td><td>{pictures}</td></tr>"
            )
        heads = ("texture", "its class", "share there", "share elsewhere", "images that have it")
        head = "".join(f"<th>{escape(one)}</th>" for one in heads)
        caption = f"<caption>{escape(self.cell.name)}, seed {self.seed}</caption>"
        body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f"<table class='cemag-gallery'>{caption}{body}</table>"


def _picture(image: np.ndarray, words: str) -> str:
    from PIL import Image

    grey = Image.fromarray((255 * np.clip(image, 0, 1)).astype(np.uint8))
    held = io.BytesIO()
    grey.resize((48, 48), Image.Resampling.NEAREST).save(held, "PNG")
    coded = base64.b64encode(held.getvalue()).decode()
    return f"<img alt='{escape(words)}' src='data:image/png;base64,{coded}'>"
