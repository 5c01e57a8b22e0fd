"""The project keeps its shape: environment in step, text the only source of notebooks, imports one way."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import jupytext
import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.md"))
SOURCES = sorted(p for p in (ROOT / "cemag").rglob("*.py") if not p.name.startswith("test_"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# a room may import from those further down; rooms on one line do not import each other
ORDER = [
    {"__main__"},
    {"cli"},
    {"publishing", "auditing"},
    {"charts"},
    {"claims"},
    {"runs"},
    {"training"},
    {"models", "samplers", "datasets", "metrics"},
    {"embeddings"},
    {"errors"},
]


IMAGE_NAMES = {  # what `image_glued` gives; test_images_of_claims checks that it does
    *("init-low", "init-high", "model-low", "model-high", "init-share", "active-share"),
}

OWN_NAMES = {"cnn-standard", "score-depends"}  # glued by the page itself, as are those of an audit


def test_environment_yml_is_in_step_with_pyproject():
    wanted = {
        r.replace("torch>", "pytorch>") if r.startswith("torch>") else r for r in PROJECT["dependencies"]
    }
    wanted |= set(PROJECT["optional-dependencies"]["book"]) | {f"python{PROJECT['requires-python']}", "pip"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = {requirement for requirement in wanted if requirement.startswith("py3langid")}
    assert {entry for entry in listed if isinstance(entry, str)} == wanted - from_pip
    assert listed[-1] == {"pip": [*from_pip, "--editable ."]}


def test_lock_pins_every_requirement_exactly_and_names_no_index():
    lines = (ROOT / "requirements.lock").read_text().split("\n")
    pins = [line for line in lines if line.strip()]
    assert all(re.match(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .+)?$", line) for line in pins)
    names = {re.split(r"[\[=]", line)[0].lower() for line in pins}
    asked = PROJECT["dependencies"] + [
        r for extra in PROJECT["optional-dependencies"].values() for r in extra
    ]
    assert {re.split(r"[<>=\[]", r)[0].lower().replace("_", "-") for r in asked} <= names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_text_round_trips(path):
    text = path.read_text()
    notebook = jupytext.reads(text, fmt="md:myst")
    again = jupytext.writes(notebook, fmt="md:myst")
    second = jupytext.writes(jupytext.reads(again, fmt="md:myst"), fmt="md:myst")
    assert [c.source for c in notebook.cells] == [
        c.source for c in jupytext.reads(again, fmt="md:myst").cells
    ]
    assert again == second
    assert notebook.metadata.kernelspec.language == "python"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_cells_are_short_and_parameters_typed_and_explained(path):
    cells = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) <= 1
    for line in "\n".join(c.source for c in tagged).splitlines():
        assert re.match(r"^\w+: .+ = .+  # .+$", line), line
    for cell in cells:
        if cell not in tagged:
            assert len(cell.source.splitlines()) <= 8, cell.source


def test_no_generated_notebook_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(
        ["git", "ls-files", "*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout == ""


def room(path):
    inside = path.relative_to(ROOT / "cemag").parts
    return inside[0].removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("cemag."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    level = {name: depth for depth, names in enumerate(ORDER) for name in names}
    here = room(path)
    if here == "__init__":
        return
    for other in imported_rooms(path):
        assert other == here or level[other] > level[here], f"{here} imports {other}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_one_room_each(path):
    assert len(path.read_text().splitlines()) <= 400


def test_every_citation_key_has_an_entry():
    from cemag.datasets import DATASETS, IMAGE_DATASETS
    from cemag.samplers import AUGMENTERS, IMAGE_AUGMENTERS

    entries = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(), re.M))
    keys = {info.bib_key for info in (*DATASETS.values(), *IMAGE_DATASETS.values())} | {
        a.reference for a in (*AUGMENTERS.values(), *IMAGE_AUGMENTERS.values())
    } - {""}
    for path in [*NOTEBOOKS, *(ROOT / "book").glob("*.md")]:
        for cited in re.findall(r"\{cite:\w+\}`([^`]+)`", path.read_text()):
            keys |= {key.strip() for key in cited.split(",")}
    assert keys <= entries


def test_every_glued_number_in_prose_is_one_that_the_chapters_glue():
    from cemag.claims import MARGINS, glued, judge
    from cemag.runs import open_study
    from cemag.runs.grid import grid_specs

    study = open_study(grid_specs(["us_crime"], ["logistic"], ["none", "ros"]), compute=False)
    if study.not_run:
        pytest.skip("no published records")
    names = set(glued(study, judge(study))) | IMAGE_NAMES
    for path in NOTEBOOKS:
        for key in re.findall(r"\{glue:text\}`([^`]+)`", path.read_text()):
            if key in OWN_NAMES or key.startswith(("audit-", "score-power-")):
                continue
            bare = re.sub(r"^(both-)?(logistic|svm|cnn(-required|-frequency)?)-", "", key)
            assert bare in names | {"n-splits"} | {m.replace(" ", "-") for m in MARGINS}, (
                f"{path.name}: {key}"
            )
