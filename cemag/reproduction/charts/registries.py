"""The registries of data sets, recipes and augmenters as tables for the set-up page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from cemag.reproduction.datasets import DATASETS, IMAGE_DATASETS, DatasetInfo, ImageInfo
from cemag.reproduction.training import RECIPES
from cemag.samplers import AUGMENTERS, IMAGE_AUGMENTERS

__all__ = [
    "PlainTable",
    "augmenters_table",
    "datasets_table",
    "image_augmenters_table",
    "image_datasets_table",
    "recipes_table",
    "sources_table",
]

PAPER_IMAGES = ("cifar10", "places", "inaturalist")
STAGES = {"training": "batches", "embedding": "embedding", "images": "images"}


@dataclass(frozen=True)
class PlainTable:
    """A DataFrame shown without its index, cells escaped."""

    frame: pd.DataFrame

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(str(name))}</th>" for name in self.frame.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in self.frame.itertuples(index=False)
        )
        return f"<table class='cemag-table'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def datasets_table(imbalance_ratio: float | None = None) -> PlainTable:
    """Every registered data set: size, imbalance, what the minority is, whether the paper has it.

    Parameters
    ----------
    imbalance_ratio : float, optional
        To which the embedded sets are thinned where their own is lower.
    """
    rows = [
        {
            "name": info.name,
            "data set": info.title,
            "rows": f"{info.n_samples:,}",
            "features": info.n_features,
            "imbalance": f"{info.imbalance_ratio:.1f}:1",
            "thinned to": _thinned(info.imbalance_ratio, imbalance_ratio) if info.embedded else "",
            "the minority is": info.positive,
            "in the paper": "no" if info.embedded else "yes",
        }
        for info in DATASETS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def sources_table() -> PlainTable:
    """Where every registered data set is from, under which licence, and what to know of it."""
    infos: list[DatasetInfo | ImageInfo] = [*DATASETS.values(), *IMAGE_DATASETS.values()]
    rows = [
        {"name": info.name, "source": info.source, "licence": info.licence, "note": info.notes}
        for info in infos
    ]
    return PlainTable(pd.DataFrame(rows))


def image_datasets_table() -> PlainTable:
    """Every registered image set: classes, images and size as they come, whether the paper has it."""
    rows = [
        {
            "name": info.name,
            "image set": info.title,
            "classes": len(info.class_names) or "as chosen",
            "training images": f"{sum(info.train_counts):,}" if info.train_counts else "as chosen",
            "test images": f"{sum(info.test_counts):,}" if info.test_counts else "as chosen",
            "pixels": f"{info.native_size}" if info.native_size else "any",
            "in the paper": "yes" if info.name in PAPER_IMAGES else "no",
        }
        for info in IMAGE_DATASETS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def recipes_table() -> PlainTable:
    """Every named recipe: how long, in what batches, with what learning rate."""
    rows = [
        {
            "recipe": name,
            "epochs": recipe.epochs,
            "batch": recipe.batch_size,
            "learning rate": f"{recipe.lr:g}, x {recipe.lr_factor:g} from epochs "
            + ", ".join(str(mark) for mark in recipe.milestones),
            "warm-up": f"{recipe.warmup_epochs} epochs",
            "weight decay": f"{recipe.weight_decay:g}",
            "images": f"crop of +-{recipe.crop_padding} pixels" + (", mirrored" if recipe.flip else ""),
        }
        for name, recipe in RECIPES.items()
    ]
    return PlainTable(pd.DataFrame(rows))


def image_augmenters_table() -> PlainTable:
    """Every augmenter of images: where it acts, and what it does."""
    rows = [
        {"name": a.name, "in charts": a.title, "acts on": STAGES[a.stage], "what it does": a.description}
        for a in IMAGE_AUGMENTERS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def augmenters_table() -> PlainTable:
    """Every registered augmenter: its name in a specification, and what it does."""
    rows = [
        {"name": a.name, "in charts": a.title, "what it does": a.description} for a in AUGMENTERS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def _thinned(own: float, asked: float | None) -> str:
    return f"{asked:g}:1" if asked is not None and asked > own else ""
