"""Commands and their options; what they do lives in the rooms that they import when called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cemag.cli.audit import audit, compare
from cemag.errors import CemagError, NotebookError, SpecError
from cemag.files import refuse_target, written_whole

if TYPE_CHECKING:
    from cemag.reproduction.runs import AnySpec, RunRecord

app = typer.Typer(
    help="How few features carry the minority classes? An executable reproduction of arXiv 2407.10165.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a field or parameter."),
]
StoreOption = Annotated[Path | None, typer.Option("--store", help="Folder of run records.")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; one a core by default.")]

INTERRUPTED = 130
Device = Annotated[str, typer.Option(help="Where networks are trained: auto, cpu or cuda.")]


def main() -> None:
    """Run the command line."""
    try:
        status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if status == INTERRUPTED:  # typer's own answer to Ctrl-C, without a word
            raise KeyboardInterrupt
    except NotebookError as error:
        status = _complain(str(error), 1)
    except CemagError as error:
        status = _complain(str(error), 2)
    except KeyboardInterrupt:
        said = "interrupted; what is stored stays, and the same command goes on from there"
        status = _complain(said, INTERRUPTED)
    except ModuleNotFoundError as error:  # `extra` names those that this package asks for
        status = _complain(f'{error.name or error} is not installed: pip install "cemag[all]"', 2)
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer says of unknown options and the like
            status = _complain(error.format_message(), 2)
        elif os.environ.get("CEMAG_TRACEBACK"):
            raise
        else:
            said = f"{type(error).__name__}: {error}"
            status = _complain(f"unexpected {said} (a bug: CEMAG_TRACEBACK=1 shows where)", 70)
    sys.exit(status or 0)


def _complain(message: str, status: int) -> int:
    print(f"cemag: {' '.join(message.split())}", file=sys.stderr)
    return status


def parse_parameters(given: list[str] | None) -> dict[str, Any]:
    """Read ``name=value`` pairs, values as YAML.

    Examples
    --------
    >>> parse_parameters(["split=2", "datasets=[ozone_level, scene]"])
    {'split': 2, 'datasets': ['ozone_level', 'scene']}
    """
    import yaml

    values = {}
    for pair in given or []:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise SpecError(f"parameter {pair!r}: NAME=VALUE is needed")
        try:
            values[name.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):  # a date like 2001-99-99 is a ValueError
            raise SpecError(f"parameter {name} is {text!r}: not a YAML value") from None
    return values


@app.command()
def run(
    target: Annotated[
        Path | None, typer.Argument(help="A specification (JSON) or a notebook (.md); none: -p alone.")
    ] = None,
    parameter: Parameters = None,
    store: StoreOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where an executed notebook goes (.ipynb).")
    ] = None,
    device: Device = "auto",
) -> None:
    """Run one specification and store its record, or run one notebook with other parameters."""
    parameters = parse_parameters(parameter)
    if target is not None and target.suffix == ".md":
        output = output or Path(f"{target.stem}.ipynb")
        refuse_target(output)  # here too: the next line takes seconds
        from cemag.reproduction.publishing import run_notebook

        written = run_notebook(target, parameters, output)
        print(f"wrote {written}")
        return
    if output:
        raise SpecError(f"output is {str(output)!r}: only a notebook is written; a record goes to --store")
    from cemag.cli.reports import show_record
    from cemag.reproduction.runs import RunStore, default_store, parse_spec, read_spec

    spec = read_spec(target, **parameters) if target else parse_spec(parameters)
    home = RunStore(store) if store else default_store()
    if spec not in home:
        home.put(_compute(spec, device))
    show_record(home.get(spec), home.path(spec))


def _compute(spec: AnySpec, device: str) -> RunRecord:
    """Run, with a progress bar where a network is trained."""
    from cemag.reproduction.runs import ImageRunSpec
    from cemag.reproduction.runs import run as compute

    if not isinstance(spec, ImageRunSpec):
        return compute(spec)
    from cemag.reproduction.training import progress_bar

    with progress_bar(spec.label) as progress:
        return compute(spec, device=device, progress=progress)


@app.command()
def grid(
    datasets: Annotated[str, typer.Option(help="Names, 'quick' (embedded) or 'paper', by commas.")] = "quick",
    models: Annotated[str, typer.Option(help="Names by commas.")] = "logistic,svm",
    augmenters: Annotated[str, typer.Option(help="Names by commas, or 'paper'.")] = "paper",
    n_splits: Annotated[int, typer.Option(min=2, max=50, help="Stratified folds.")] = 5,
    seeds: Annotated[str, typer.Option(help="Seeds by commas.")] = "0",
    parameter: Parameters = None,
    store: StoreOption = None,
    jobs: Jobs = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which a run is killed; hours if not given.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Compute every run of a grid that is not stored yet; safe to kill and start again."""
    from cemag.reproduction.runs import grid_specs
    from cemag.reproduction.runs.selection import choose_augmenters, choose_datasets

    specs = grid_specs(
        choose_datasets(_names(datasets)),
        _names(models),
        choose_augmenters(_names(augmenters)),
        n_splits=n_splits,
        seeds=[_integer("seeds", seed) for seed in _names(seeds)],
        **parse_parameters(parameter),
    )
    _run_grid(specs, store, jobs, timeout, device)


@app.command()
def images(
    scale: Annotated[str, typer.Option(help="Size of the experiments: quick, cpu or paper.")] = "quick",
    datasets: Annotated[str | None, typer.Option(help="Names by commas; the scale's own if none.")] = None,
    augmenters: Annotated[
        str | None, typer.Option(help="Names by commas, 'paper' or 'all'; the scale's own if none.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds by commas; the scale's own if none.")] = None,
    parameter: Parameters = None,
    store: StoreOption = None,
    jobs: Jobs = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which a run is killed; hours if not given.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Compute every image run of a scale that is not stored yet; safe to kill and start again."""
    from cemag.reproduction.runs import image_specs

    specs = image_specs(
        scale,
        datasets=_names(datasets) if datasets else None,
        augmenters=_names(augmenters) if augmenters else None,
        seeds=[_integer("seeds", seed) for seed in _names(seeds)] if seeds else None,
        **parse_parameters(parameter),
    )
    _run_grid(specs, store, jobs, timeout, device)


@app.command()
def causes(store: StoreOption = None) -> None:
    """Compute what the causal experiments need and is not stored; safe to kill and start again."""
    from cemag.reproduction.experiments import causes_answers, folders_of_causes

    for line in causes_answers([store / "causes"] if store else folders_of_causes()):
        print(line, flush=True)


def _run_grid(
    specs: Sequence[AnySpec], store: Path | None, jobs: int | None, timeout: float | None, device: str
) -> None:
    from cemag.cli.reports import show_grid
    from cemag.reproduction.runs import RunStore, default_store, run_grid

    home = RunStore(store) if store else default_store()
    result = run_grid(specs, home, jobs=jobs, timeout=timeout, progress=sys.stderr.isatty(), device=device)
    show_grid(result, home)
    if result.failed:
        raise typer.Exit(1)


@app.command()
def claims(
    check: Annotated[
        bool,
        typer.Option("--check", help="Fail where a published verdict or the README's table is out of date."),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Publish the verdicts, and the table in the README.")
    ] = False,
) -> None:
    """Print every claim with its published verdict; with --check or --write, judge the records anew."""
    from cemag.cli.reports import check_claims, show_claims, write_claims
    from cemag.reproduction.claims import from_records, published_rows

    rows = from_records() if check or write else published_rows()
    if write:
        write_claims(rows)
    show_claims(rows)
    if check and not check_claims(rows):
        raise typer.Exit(1)


@app.command()
def verify(
    sample: Annotated[int, typer.Option(min=0, help="Published runs that are drawn and measured again.")] = 0,
    all_: Annotated[bool, typer.Option("--all", help="Measure all of them again.")] = False,
    claim: Annotated[list[str] | None, typer.Option(help="Only runs that this claim rests on.")] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train the drawn networks anew: minutes to hours each.")
    ] = False,
    budget: Annotated[str, typer.Option(help="Begin no run after so long, such as 90s, 10m or 2h.")] = "",
    random_state: Annotated[int, typer.Option(min=0, help="Which runs are drawn.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the checks here.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write them here as JUnit XML.")] = None,
) -> None:
    """Hold the published numbers against the stored records, and drawn records against what comes out now.

    Exit status: 0 where all is confirmed, 1 where something is not, 2 where data is missing.
    """
    from cemag.cli.reports import console, show_check
    from cemag.reproduction import verification

    seconds = _seconds(budget)
    for target in (json_file, junit):
        if target is not None:
            refuse_target(target)
    n = -1 if all_ else sample
    checks = []
    for check in verification.verify(
        sample=n, claims=claim or (), retrain=retrain, budget=seconds, random_state=random_state
    ):
        show_check(check)
        checks.append(check)
    for target, text in ((json_file, verification.as_json), (junit, verification.as_junit)):
        if target is not None:
            with written_whole(target) as scratch:
                scratch.write_text(text(checks), encoding="utf-8")
    confirmed = sum(check.outcome == "confirmed" for check in checks)
    console().print(f"{confirmed} of {len(checks)} confirmed")
    raise typer.Exit(verification.status_of(checks))


@app.command("list")
def list_(store: StoreOption = None) -> None:
    """List the stored runs."""
    from cemag.cli.homes import homes
    from cemag.cli.reports import show_runs

    for home in homes(store):
        show_runs(home)


@app.command()
def publish(
    store: StoreOption = None,
    into: Annotated[
        Path | None, typer.Option(help="Folder of the published records; results/ of the project if none.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave them in the working store as well.")] = False,
) -> None:
    """Move complete groups of stored runs into the published files, which are never rewritten."""
    from cemag.cli.reports import show_published
    from cemag.reproduction.runs import RunStore, default_store, published_store
    from cemag.reproduction.runs import publish as move

    home = RunStore(store) if store else default_store()
    show_published(move(home, into or published_store().root, keep=keep), home)


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="Key of a run, or its first digits.")], store: StoreOption = None
) -> None:
    """Show one stored run: what was run, what was found, where it came from."""
    from cemag.cli.homes import home_of
    from cemag.cli.reports import show_record

    home = home_of(key, store)
    record = home.find(key)
    show_record(record, home.path(record.spec))


@app.command()
def book(
    profile: Annotated[str, typer.Option(help="Named set of parameters in notebooks/profiles/.")] = "quick",
    parameter: Parameters = None,
    jobs: Jobs = None,
    force: Annotated[bool, typer.Option("--force", help="Run every notebook again.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the whole book to a PDF as well.")] = False,
) -> None:
    """Execute the notebooks whose inputs changed and render the book."""
    from cemag.reproduction.publishing import build_book, html_folder, write_pdf

    root = _root()
    result = build_book(
        profile=profile, overrides=parse_parameters(parameter), jobs=jobs or 2, force=force, root=root
    )
    print(f"book: {result.index}")
    print(f"open it in a browser, or serve it: cemag serve  ({result.seconds:.1f} s)")
    if pdf:
        print(f"pdf: {write_pdf(html_folder(root), root / '_build' / 'cemag.pdf')}")


@app.command()
def why(
    page: Annotated[str, typer.Argument(help="A page of the book that is a notebook, such as logistic.")],
    profile: Annotated[str, typer.Option(help="Named set of parameters in notebooks/profiles/.")] = "quick",
    parameter: Parameters = None,
) -> None:
    """Say whether the next build would run a page's notebook again, and because of what."""
    from cemag.reproduction import publishing

    reason = publishing.why(_root(), page, profile=profile, overrides=parse_parameters(parameter))
    print(f"{Path(page).stem} would run again: {reason}" if reason else f"{Path(page).stem} is up to date")


@app.command()
def serve(port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine.")] = 8000) -> None:
    """Serve the built book on this machine."""
    from cemag.reproduction.publishing import html_folder, serve

    serve(html_folder(_root()), port)


app.command()(audit)
app.command()(compare)


@app.command()
def doctor() -> None:
    """Tell what is installed, which data is within reach, and whether there is a GPU."""
    from cemag.cli.doctor import show_health

    show_health()


def _root() -> Path:
    from cemag.reproduction.runs.keyed import project_root

    root = project_root()
    if root is None:
        raise CemagError(
            f"no cemag project at or above {Path.cwd()}: run this inside a clone of the repository"
        )
    return root


def _seconds(text: str) -> float:
    """Read 90s, 10m or 2h; infinite when empty."""
    if not text:
        return float("inf")
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise SpecError(f"budget is {text!r}: a whole number and s, m or h is needed, such as 10m")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SpecError(f"{text!r} names nothing: give one name or more, by commas")
    return names


def _integer(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SpecError(f"{field} is {text!r}: whole numbers by commas are needed") from None
