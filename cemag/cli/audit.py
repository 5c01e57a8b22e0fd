"""`cemag audit` and `cemag compare`: a model that is given as files, never unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cemag.errors import CemagError, SpecError, check_known
from cemag.files import refuse_target

if TYPE_CHECKING:
    from cemag.auditing import Factors

__all__ = ["audit", "compare"]

IMAGES_AT_ONCE = 512  # what a network takes at a time
Names = Annotated[Path | None, typer.Option(help="Class names, a line each.", show_default=False)]


def audit(
    features: Annotated[
        Path | None, typer.Option(help="Input of the last linear step: .npy, .npz, .parquet, .csv.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Its weights, a row a class.")] = None,
    bias: Annotated[Path | None, typer.Option(help="Its bias; zero if none.")] = None,
    labels: Annotated[Path | None, typer.Option(help="True labels.")] = None,
    names: Names = None,
    factors: Annotated[Path | None, typer.Option(help="All of that in one .npz file.")] = None,
    record: Annotated[
        str | None, typer.Option(help="Key of a stored run, or its first digits.", show_default=False)
    ] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Folder of run records.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of a network (.pt, .safetensors).")] = None,
    arch: Annotated[str, typer.Option(help="Its architecture: resnet20, 32, 44 or 56.")] = "resnet32",
    data: Annotated[str, typer.Option(help="Image set whose test part it is audited on.")] = "cifar10",
    counts: Annotated[
        str | None, typer.Option(help="Training instances of each class, by commas, in their order.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Write the tables as Parquet into a new folder.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Permutes the weights of the null.")] = 0,
) -> None:
    """Say how few features carry each class of a model of your own."""
    from cemag.auditing import audit_factors

    _check_targets(report, tables)
    plain = {"features": features, "weights": weights, "bias": bias, "labels": labels, "names": names}
    class_counts: list[int] | None
    if record:
        others = {**plain, "factors": factors, "checkpoint": checkpoint}
        given = [name for name, value in others.items() if value]
        if given:
            raise CemagError(f"--record is a model already; given beside it: --{', --'.join(given)}")
        made, recorded = _recorded(record, store)
        class_counts = _counts(counts) or recorded
    else:
        made, class_counts = _factors(plain, factors, checkpoint, arch, data), _counts(counts)
    found = audit_factors(made, class_counts=class_counts, random_state=seed)
    print(found.summary())
    if report:
        print(f"report: {found.report(report)}")
    if tables:
        print(f"tables: {found.to_parquet(tables)}")


def compare(
    before: Annotated[Path, typer.Argument(help="Folder that cemag audit --tables wrote.")],
    after: Annotated[Path, typer.Argument(help="Another, of a model with the same classes.")],
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    paired: Annotated[
        bool | None,
        typer.Option(help="Whether both are of the same instances; judged by the labels if none."),
    ] = None,
) -> None:
    """Say what differs between two audits, with intervals."""
    from cemag.auditing import compare as compare_audits
    from cemag.auditing import read_audit

    audits = read_audit(before), read_audit(after)
    print(compare_audits(*audits, paired=paired, confidence=confidence).summary())


def _check_targets(report: Path | None, tables: Path | None) -> None:
    """Before minutes of work: can what is asked for be written?"""
    if report:
        refuse_target(report)
    if tables and tables.exists():
        raise CemagError(f"{tables}: exists already; an audit is written into a new folder")
    if tables:
        refuse_target(tables)


def _factors(
    files: dict[str, Path | None], factors: Path | None, checkpoint: Path | None, arch: str, data: str
) -> Factors:
    from cemag.auditing import load_factors

    plain = {name: path for name, path in files.items() if path is not None}
    asked = [name for name, value in (("--factors", factors), ("--checkpoint", checkpoint)) if value]
    asked += ["--features and the like"] if plain else []
    if len(asked) != 1:
        raise CemagError(
            "one of --features with --weights and --labels, --factors, --record, or --checkpoint is needed"
            + (f"; given: {', '.join(asked)}" if asked else "")
        )
    if checkpoint:
        return _network(checkpoint, arch, data)
    if factors:
        return load_factors(factors)
    missing = [f"--{name}" for name in ("features", "weights", "labels") if name not in plain]
    if missing:
        raise CemagError(f"{', '.join(missing)} missing: factors are features, weights and labels")
    return load_factors(
        plain["features"], plain["weights"], plain["labels"], plain.get("bias"), plain.get("names")
    )


def _network(checkpoint: Path, arch: str, data: str) -> Factors:
    from cemag.auditing import torch_factors
    from cemag.models.images import CIFAR10, Normalisation, image_tensor
    from cemag.models.resnet import checkpoint_model
    from cemag.reproduction.datasets import IMAGE_DATASETS, load_images

    check_known("image set", data, IMAGE_DATASETS)
    model = checkpoint_model(checkpoint, arch)  # before the data, which may have to be downloaded
    images = load_images(data)
    if model.linear.out_features != len(images.class_names):
        raise CemagError(
            f"{checkpoint}: a network of {model.linear.out_features} classes, "
            f"and {data} has {len(images.class_names)}"
        )
    channels = images.X_test.shape[-1]
    if model.conv1.in_channels != channels:
        raise CemagError(
            f"{checkpoint}: a network of {model.conv1.in_channels} channels, and {data} has {channels}"
        )
    own = CIFAR10 if data == "cifar10" else Normalisation.of(image_tensor(images.X_train))
    X, y = image_tensor(images.X_test), images.y_test
    starts = range(0, len(X), IMAGES_AT_ONCE)
    return torch_factors(
        model,
        ((own(X[i : i + IMAGES_AT_ONCE]), y[i : i + IMAGES_AT_ONCE]) for i in starts),
        class_names=images.class_names,
        model_name=f"{arch} from {checkpoint.name}, on the test part of {data}",
    )


def _recorded(key: str, store: Path | None) -> tuple[Factors, list[int]]:
    """A stored run on the instances that judged it, and how many of each class it was trained on."""
    from cemag.cli.homes import home_of
    from cemag.reproduction.runs import factors_of

    home = home_of(key, store)
    found = home.find(key)
    made = factors_of(found, home)
    rows = found.tables["quantities"].to_pylist()
    n_train = {row["class"]: row["n_train"] for row in rows}
    return made, [n_train[name] for name in made.class_names]


def _counts(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(f"counts is {text!r}: whole numbers by commas are needed") from None
