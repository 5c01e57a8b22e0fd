"""The wheel in an environment of its own, with nothing that only an extra brings."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ONLY_BY_EXTRAS = ("torch", "torchvision", "imblearn", "statsmodels", "notebook", "jupyter_book", "filelock")
OFFLINE = ("network", "connect", "fetch", "offline", "error sending request")

AUDIT = """
import importlib.util, sys
import cemag
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_digits(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:900], y[:900])
found = cemag.audit(model, X[900:], y[900:])
assert not found.per_class.empty and list(found.charts)
found.report(sys.argv[1])
found.to_parquet(sys.argv[2])
print(cemag.__file__, [name for name in sys.argv[3:] if importlib.util.find_spec(name)])
"""

ASK = """
import json, sys
answers = {}
for code in json.loads(sys.argv[1]):
    try:
        exec(code)
    except Exception as error:
        answers[code] = type(error).__name__, str(error)
print(json.dumps(answers))
"""

# what asks for a package that is not there, and the extra that brings it
ASKED = {
    "import cemag.models.resnet": "torch",
    "import cemag.models.heads": "torch",
    "import cemag.models.images": "torch",
    "from cemag.auditing import torch_factors": "torch",
    "from cemag.samplers import EOS": "samplers",
    "from cemag.samplers import Remix": "samplers",
    "from cemag.samplers import RebalancedMixup": "samplers",
    "import cemag.samplers as s; s.augment('ros', [[0], [1], [2]], [0, 0, 1], random_state=0)": "samplers",
    "import cemag.models.deepsmote": "torch",
    "import cemag.reproduction.runs": "reproduction",
}
COMMANDS = {
    ("audit", "--checkpoint", "a.pt"): "torch",
    ("run", "-p", "dataset=digits"): "reproduction",
    ("book",): "reproduction",
}


def uv():
    """The installer that `make` sets up, or None: pip of this environment may be absent."""
    return shutil.which("uv") or next(map(str, (ROOT / "_build/uv/bin").glob("uv")), None)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Folder of the commands of an environment that holds the wheel and what its metadata asks for."""
    if not (tool := uv()):
        pytest.skip("no uv: `make test` sets it up")
    home = tmp_path_factory.mktemp("light")
    variables = {**os.environ, "UV_LINK_MODE": "hardlink", "VIRTUAL_ENV": str(home / "env")}

    def call(*arguments):
        done = subprocess.run(
            [tool, *map(str, arguments)], env=variables, cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode and any(word in done.stderr.lower() for word in OFFLINE):
            pytest.skip(f"no package index within reach: {done.stderr.strip().splitlines()[-1]}")
        assert not done.returncode, done.stderr

    call("build", "--quiet", "--wheel", "--out-dir", home)
    call("venv", "--quiet", "--python", sys.executable, home / "env")
    (wheel,) = home.glob("*.whl")
    call("pip", "install", "--quiet", "--constraint", "requirements.lock", wheel)
    return home / "env" / ("Scripts" if os.name == "nt" else "bin")


def outside(environment, *command):
    """Run where no source of the package can be found by accident, as a user without this clone would."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CEMAG"))}
    return subprocess.run(
        [environment / command[0], *command[1:]],
        cwd=environment.parents[1], env=clean, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_pipeline_is_audited_and_reported_without_what_the_extras_bring(environment, tmp_path):
    report, tables = tmp_path / "audit.html", tmp_path / "tables"
    done = outside(environment, "python", "-c", AUDIT, report, tables, *ONLY_BY_EXTRAS)
    assert done.returncode == 0, done.stderr
    file, importable = done.stdout.split(maxsplit=1)
    assert Path(file).is_relative_to(environment.parent)
    assert importable.strip() == "[]"
    assert "<svg" in report.read_text() or "vegaEmbed" in report.read_text()
    compared = outside(environment, "cemag", "compare", tables, tables)
    assert compared.returncode == 0, compared.stderr


@pytest.fixture(scope="module")
def answers(environment):
    """What each line of `ASKED` raises, asked in one process."""
    done = outside(environment, "python", "-c", ASK, json.dumps(list(ASKED)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("code", "extra"), ASKED.items(), ids=ASKED)
def test_what_needs_an_extra_names_it_in_one_line(answers, code, extra):
    kind, text = answers[code]
    assert kind == "MissingExtraError"
    assert text.endswith(f' is not installed: pip install "cemag[{extra}]"')


@pytest.mark.parametrize(("command", "extra"), COMMANDS.items(), ids=map(" ".join, COMMANDS))
def test_a_command_that_needs_an_extra_names_it_in_one_line(environment, command, extra):
    done = outside(environment, "cemag", *command)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f'"cemag[{extra}]"' in done.stderr


def test_the_doctor_tells_which_extras_are_missing(environment):
    done = outside(environment, "cemag", "doctor")
    assert done.returncode == 0, done.stderr
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in {"torch", "samplers", "reproduction", "book"} & set(extras):
        assert f'pip install "cemag[{extra}]"' in done.stdout
