"""The project keeps its shape: environment in step, text the only source of notebooks, imports one way."""

import ast
import re
import subprocess
import sys
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
    {"reproduction.verification"},
    {"reproduction.publishing", "reproduction.languages"},
    {"reproduction.charts"},
    {"reproduction.claims"},
    {"reproduction.experiments"},
    {"reproduction.runs"},
    {"reproduction.training"},
    {"reproduction.datasets"},
    {"reproduction"},
    {"auditing"},  # above this line the book, from here on what others install
    {"charts", "theory"},
    {"models", "samplers", "metrics"},
    {"embeddings"},
    {"files"},
    {"errors", "settings"},
]


IMAGE_NAMES = {  # what `image_glued` gives; test_images_of_claims checks that it does
    *("init-low", "init-high", "model-low", "model-high", "init-share", "active-share"),
}

BROUGHT_BY = {
    "imblearn": "imbalanced-learn",
    "nbformat": "jupytext",
    "pybtex": "jupyter-book",
}  # packages by another's name

OWN_PREFIXES = (
    *("audit-", "plan-", "score-power-", "theory-", "causes-"),
    *("concentration-", "authors-", "augmenters-", "explorer-"),
)
OWN_NAMES = {"cnn-standard", "score-depends", "score-missing"}  # glued by the page itself


def requirements(*extras):
    """What an installation with these extras asks for; an extra may name others of this package."""
    asked, waiting = set(PROJECT["dependencies"]), [f"cemag[{','.join(extras)}]"]
    while waiting:
        requirement = waiting.pop()
        if named := re.fullmatch(r"cemag\[(.*)\]", requirement):
            waiting += [r for extra in named[1].split(",") for r in PROJECT["optional-dependencies"][extra]]
        else:
            asked.add(requirement)
    return asked


def test_environment_yml_is_in_step_with_pyproject():
    wanted = {r.replace("torch>", "pytorch>") if r.startswith("torch>") else r for r in requirements("book")}
    wanted |= {f"python{PROJECT['requires-python']}", "pip"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = {requirement for requirement in wanted if requirement.startswith("py3langid")}
    assert {entry for entry in listed if isinstance(entry, str)} == wanted - from_pip
    assert listed[-1] == {"pip": [*from_pip, "--editable ."]}


def test_lock_pins_every_requirement_by_version_and_hash_and_names_no_index():
    entries = (ROOT / "requirements.lock").read_text().replace("\\\n", "").strip().split("\n")
    pins = [entry.partition(" --hash=")[0].strip() for entry in entries]
    assert all(re.match(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .+)?$", pin) for pin in pins)
    assert all(re.search(r"( +--hash=sha256:[0-9a-f]{64})+$", entry) for entry in entries)
    names = {re.split(r"[\[=]", line)[0].lower() for line in pins}
    asked = requirements("all")
    assert asked == requirements(*PROJECT["optional-dependencies"])
    assert {re.split(r"[<>=\[]", r)[0].lower().replace("_", "-") for r in asked} <= names


def test_every_extra_that_the_code_names_exists_and_brings_what_is_imported():
    named = {
        (match[1], package)
        for path in SOURCES
        for match in re.finditer(r'^ *with extra\("(\w+)"\):\n((?: +\S.*\n)+)', path.read_text(), re.M)
        for package in re.findall(r"^ +(?:import|from) (\w+)", match[2], re.M)
    }
    assert {("torch", "torch"), ("samplers", "imblearn")} <= named
    for extra, package in named:
        project = BROUGHT_BY.get(package, package)
        assert any(re.match(rf"{project}\b", requirement) for requirement in requirements(extra)), package


def test_every_setting_that_the_code_reads_is_in_the_one_table():
    from cemag.settings import SETTINGS

    texts = {path: path.read_text() for path in SOURCES if path.name != "settings.py"}
    read = {name for text in texts.values() for name in re.findall(r"CEMAG_[A-Z_]+", text)}
    assert read == set(SETTINGS)
    rows = "\n".join(f"| `{name}` | {one.sets} | {one.default} |" for name, one in SETTINGS.items())
    assert rows in (ROOT / "README.md").read_text()


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


def test_conf_py_is_what_jupyter_book_makes_of_its_configuration(tmp_path):
    for name in ("_config.yml", "_toc.yml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    command = "import sys; from jupyter_book.cli.main import main; sys.exit(main(['config', 'sphinx', '.']))"
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "conf.py").read_text() == (ROOT / "conf.py").read_text(), "make conf renews it"


def module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in SOURCES}


def room(name):
    parts = name.split(".")[1:]
    return ".".join(parts[: 2 if parts[:1] == ["reproduction"] else 1])


def imported(path):
    """Modules of the package that a file imports, at its top or when called; not those for types alone."""
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cemag":
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "cemag")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    level = {name: depth for depth, names in enumerate(ORDER) for name in names}
    here = room(name)
    for other in map(room, imported(MODULES[name])):
        if other and here and other != here:
            assert level[other] > level[here], f"{here} imports {other}"


def test_importing_the_package_imports_none_of_the_machinery_of_the_book():
    code = (
        "import sys, cemag; [getattr(cemag, name) for name in cemag.__all__]\n"
        "above = ('cemag.reproduction', 'cemag.cli', 'torch')\n"
        "print([name for name in sys.modules if name.startswith(above)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_command_line_imports_the_machinery_of_the_book():
    for name, path in MODULES.items():
        if room(name).split(".")[0] not in ("reproduction", "cli"):
            assert not any(room(other).startswith("reproduction") for other in imported(path)), name


def test_no_module_imports_itself_by_way_of_others():
    edges = {name: set(imported(path)) - {name} for name, path in MODULES.items()}
    done = set()

    def follow(name, above):
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in edges.get(name, ()):
                follow(other, [*above, name])
            done.add(name)

    for name in MODULES:
        follow(name, [])


def test_every_citation_key_has_an_entry():
    from cemag.reproduction.datasets import DATASETS, IMAGE_DATASETS
    from cemag.samplers import AUGMENTERS, IMAGE_AUGMENTERS

    listed = re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(), re.M)
    entries = set(listed)
    assert len(entries) == len(listed)
    keys = {info.bib_key for info in (*DATASETS.values(), *IMAGE_DATASETS.values())} | {
        a.reference for a in (*AUGMENTERS.values(), *IMAGE_AUGMENTERS.values())
    } - {""}
    for path in [*NOTEBOOKS, *(ROOT / "book").glob("*.md")]:
        for cited in re.findall(r"\{cite:\w+\}`([^`]+)`", path.read_text()):
            keys |= {key.strip() for key in cited.split(",")}
    assert keys <= entries


def test_every_glued_number_in_prose_is_one_that_the_chapters_glue():
    from cemag.reproduction.claims import CLAIMS, glued
    from cemag.reproduction.runs import open_study
    from cemag.reproduction.runs.grid import grid_specs

    study = open_study(grid_specs(["us_crime"], ["logistic"], ["none", "ros"]), compute=False)
    if study.not_run:
        pytest.skip("no published records")
    names = set(glued(study)) | set(CLAIMS) | {f"{claim}-finding" for claim in CLAIMS} | IMAGE_NAMES
    for path in NOTEBOOKS:
        for key in re.findall(r"\{glue:text\}`([^`]+)`", path.read_text()):
            if key in OWN_NAMES or key.startswith(OWN_PREFIXES):
                continue
            bare = re.sub(r"^(both-)?(logistic|svm|cnn(-required|-frequency)?)-", "", key)
            assert bare in names | {"n-splits"}, f"{path.name}: {key}"
