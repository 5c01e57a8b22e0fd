"""Notebooks are checked before they run, re-used only while nothing changed, and named when they fail."""

import json
import re
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from cemag.charts.renderer import _to_html
from cemag.errors import CemagError, NotebookError, SpecError, UnknownNameError
from cemag.reproduction.publishing import build_book, run_notebook
from cemag.reproduction.publishing.cache import Cache, dependencies
from cemag.reproduction.publishing.execution import execute_all
from cemag.reproduction.publishing.notebooks import TextNotebook, find_notebooks, share_parameters
from cemag.reproduction.publishing.profiles import load_profile
from cemag.reproduction.publishing.serve import make_server, serve
from cemag.reproduction.publishing.sphinx_ext import vega_bundle

ROOT = Path(__file__).parents[3]

HEADER = """---
jupytext: {{text_representation: {{extension: .md, format_name: myst, format_version: 0.13}}}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
{extra}---
# {name}

"""
PARAMETERS = """```{code-cell} ipython3
:tags: [parameters]

number: int = 1  # a number
ratio: float | None = None  # a ratio
names: list[str] = ["a"]  # names
```

"""


def write(folder, name, code, extra="", parameters=PARAMETERS):
    folder.mkdir(parents=True, exist_ok=True)
    cell = f"```{{code-cell}} ipython3\n{code}\n```\n"
    path = folder / f"{name}.md"
    path.write_text(HEADER.format(name=name, extra=extra) + parameters + cell)
    return path


@pytest.fixture
def project(tmp_path):
    """A book of two notebooks and a page, with a package beside it to hash."""
    write(tmp_path / "notebooks", "first", "number + 1")
    write(tmp_path / "notebooks", "second", "'second'", extra="cemag: {after: [first]}\n")
    (tmp_path / "notebooks" / "profiles").mkdir()
    (tmp_path / "notebooks" / "profiles" / "quick.yml").write_text(
        "description: small\nparameters: {all: {number: 2}, second: {names: [b]}}\n"
    )
    (tmp_path / "cemag" / "metrics").mkdir(parents=True)
    (tmp_path / "cemag" / "metrics" / "some.py").write_text("x = 1\n")
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
    (tmp_path / "book" / "references.bib").write_text("")
    (tmp_path / "book" / "index.md").write_text(
        "# Book\n\nMath $a_1$ and\n\n```{math}\n:label: one\n\\frac{a}{b}\n```\n"
    )
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters: [{file: notebooks/first}, {file: notebooks/second}]\n"
    )
    shutil.copy(ROOT / "_config.yml", tmp_path)
    return tmp_path


def test_parameters_are_found_with_their_types(project):
    notebook = TextNotebook(project / "notebooks" / "first.md")
    assert notebook.declared == {"number": "int", "ratio": "float | None", "names": "list[str]"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"numbr": 3}, "unknown parameter of first 'numbr': did you mean 'number'"),
        ({"number": "three"}, "parameter number of first is 'three': int is needed"),
        ({"number": True}, "parameter number of first is True: int is needed"),
        ({"names": "a"}, "parameter names of first is 'a': list"),
        ({"names": [1]}, "parameter names of first"),
        ({"ratio": "big"}, "parameter ratio of first is 'big': float"),
    ],
)
def test_unknown_names_and_wrong_types_are_refused(project, parameters, message):
    with pytest.raises(CemagError, match=re.escape(message)):
        TextNotebook(project / "notebooks" / "first.md").check(parameters)


def test_right_types_pass(project):
    TextNotebook(project / "notebooks" / "first.md").check({"number": 3, "ratio": 2, "names": []})
    TextNotebook(project / "notebooks" / "first.md").check({"ratio": None})


def test_profiles_share_what_notebooks_declare_and_refuse_what_none_does(project):
    notebooks = find_notebooks(project / "notebooks")
    assert [n.name for n in notebooks] == ["first", "second"]
    given = share_parameters(notebooks, {"number": 5}, {"second": {"names": ["c"]}})
    assert given == {"first": {"number": 5}, "second": {"number": 5, "names": ["c"]}}
    with pytest.raises(UnknownNameError, match="unknown parameter 'nmber'"):
        share_parameters(notebooks, {"nmber": 5}, {})
    with pytest.raises(UnknownNameError, match="unknown notebook 'third'"):
        share_parameters(notebooks, {}, {"third": {}})
    with pytest.raises(UnknownNameError, match="unknown profile 'qick': did you mean 'quick'"):
        load_profile(project / "notebooks" / "profiles", "qick")
    (project / "notebooks" / "profiles" / "odd.yml").write_text("parameters: 3")
    with pytest.raises(SpecError, match=r"odd\.yml: not a profile"):
        load_profile(project / "notebooks" / "profiles", "odd")


def test_what_is_asked_for_wins_over_the_profile(project):
    notebooks = find_notebooks(project / "notebooks")
    given = share_parameters(notebooks, {"number": 1}, {"second": {"number": 2}}, {"number": 3})
    assert given == {"first": {"number": 3}, "second": {"number": 3}}
    with pytest.raises(UnknownNameError, match="unknown parameter 'nmber'"):
        share_parameters(notebooks, {}, {}, {"nmber": 5})


@pytest.mark.parametrize("line", ["plain = 1", "plain: Path = 1", "plain: 'Literal[1]' = 1"])
def test_a_parameter_without_a_simple_type_takes_any_value(tmp_path, line):
    cell = f"```{{code-cell}} ipython3\n:tags: [parameters]\n\n{line}\n```\n"
    path = write(tmp_path, "plain", "1", parameters=cell)
    TextNotebook(path).check({"plain": "anything"})
    with pytest.raises(UnknownNameError, match="did you mean 'plain'"):
        TextNotebook(path).check({"plane": 1})


def test_a_folder_without_notebooks_and_parameters_that_are_no_python_are_refused(tmp_path):
    with pytest.raises(NotebookError, match="no notebooks"):
        find_notebooks(tmp_path)
    cell = "```{code-cell} ipython3\n:tags: [parameters]\n\nnumber: int =\n```\n"
    odd = write(tmp_path, "odd", "1", parameters=cell)
    with pytest.raises(NotebookError, match=r"odd\.md: its parameters cell is not Python"):
        TextNotebook(odd).check({"number": 1})


def test_notebooks_that_wait_for_one_another_are_refused(project):
    write(project / "notebooks", "first", "1", extra="cemag: {after: [second]}\n")
    with pytest.raises(NotebookError, match="wait for one another: first, second"):
        find_notebooks(project / "notebooks")


def test_every_shipped_profile_fits_the_notebooks():
    notebooks = find_notebooks(ROOT / "notebooks")
    for path in (ROOT / "notebooks" / "profiles").glob("*.yml"):
        profile = load_profile(path.parent, path.stem)
        share_parameters(notebooks, profile.shared, profile.own)


@pytest.mark.book
def test_execution_is_reused_only_while_nothing_changed(project):
    record = project / "record.parquet"
    record.write_text("one")
    write(
        project / "notebooks",
        "first",
        "import hashlib, json, os\n"
        f"path = {str(record)!r}\n"
        "entry = {'path': path, 'sha256': hashlib.sha256(open(path, 'rb').read()).hexdigest()}\n"
        "open(os.environ['CEMAG_READS'], 'a').write(json.dumps(entry) + '\\n')\n"
        "assert number == 2",
    )
    source, plan = (project / "cemag" / name for name in ("metrics/some.py", "claims/plan.yml"))
    plan.parent.mkdir()
    plan.write_text("C1: {side: below}\n")
    given = {"first": {"number": 2}, "second": {"number": 2}}

    def execute():
        reasons = {}

        def report(line):
            name, reason = re.match(r"running (\w+)\.md \((.+)\)", line).groups()
            reasons[name] = reason

        notebooks = find_notebooks(project / "notebooks")
        execute_all(notebooks, given, cache(), jobs=2, force=False, report=report)
        return reasons

    def cache():
        return Cache(project / "executed", project / "cemag")

    def stale():
        found = {n.name: cache().stale(n, given[n.name]) for n in find_notebooks(project / "notebooks")}
        return {name: reason for name, reason in found.items() if reason}

    @contextmanager
    def written(path, text):
        """A file with other content, or a new one, until the block ends."""
        before = path.read_text() if path.exists() else None
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        yield
        path.unlink() if before is None else path.write_text(before)

    assert execute() == {"first": "never run", "second": "never run"}
    assert execute() == {}
    second, manifest = project / "notebooks" / "second.md", project / "executed" / "first.json"
    copy = project / "executed" / "first.ipynb"
    for path, text, reasons in (
        (record, "two", {"first": "record.parquet changed"}),
        (second, second.read_text() + "\nchanged\n", {"second": "the notebook changed"}),
        (source, "x = 2\n", dict.fromkeys(("first", "second"), "cemag/metrics/some.py changed")),
        (source, '"""What it is for."""\n\nx = 1  # and why\n', {}),
        (plan, "C1: {side: above}\n", dict.fromkeys(("first", "second"), "cemag/claims/plan.yml changed")),
        (copy, copy.read_text().replace("number", "nvmber", 1), {"first": "its executed copy was altered"}),
        (copy, copy.read_text()[:300], {"first": "its executed copy was altered"}),
        (project / "cemag" / "metrics" / "test_some.py", "a test", {}),
        (
            project / "results" / "new.parquet",
            "a record that was not there to be read",
            dict.fromkeys(("first", "second"), "results/new.parquet was published or withdrawn"),
        ),
        (
            manifest,
            json.dumps(
                json.loads(manifest.read_text()) | {"dependencies": dependencies() | {"numpy": "1.0"}}
            ),
            {"first": "numpy changed"},
        ),
        (manifest, manifest.read_text()[:90], {"first": "never run"}),
        (
            manifest,
            json.dumps({"copy": "of an older package"}),
            {"first": "never run"},
        ),
    ):
        with written(path, text):
            assert stale() == reasons
        assert stale() == {}
    given["second"] = {"number": 3}
    assert execute() == {"second": "its parameters changed"}
    assert stale() == {}
    executed = json.loads((project / "executed" / "first.ipynb").read_text())
    assert any("injected-parameters" in c["metadata"].get("tags", []) for c in executed["cells"])


@pytest.mark.book
def test_a_record_that_an_earlier_notebook_rewrites_makes_the_later_run_again(project):
    record = project / "record.parquet"
    reads = (
        "import hashlib, json, os\n"
        f"path = {str(record)!r}\n"
        "entry = {'path': path, 'sha256': hashlib.sha256(open(path, 'rb').read()).hexdigest()}\n"
        "open(os.environ['CEMAG_READS'], 'a').write(json.dumps(entry) + '\\n')"
    )
    write(project / "notebooks", "second", reads, extra="cemag: {after: [first]}\n")
    for text in ("one", "two"):
        write(project / "notebooks", "first", f"open({str(record)!r}, 'w').write({text!r})")
        lines = []
        cache = Cache(project / "executed", project / "cemag")
        notebooks = find_notebooks(project / "notebooks")
        given = {"first": {}, "second": {}}
        executed, _ = execute_all(notebooks, given, cache, jobs=2, force=False, report=lines.append)
        assert executed == ["first", "second"]
    assert lines == ["running first.md (the notebook changed)", "running second.md (record.parquet changed)"]


@pytest.mark.book
def test_a_kernel_that_dies_is_an_error_that_names_its_notebook(project):
    write(project / "notebooks", "first", "import os\nos._exit(3)")
    with pytest.raises(NotebookError, match=r"^first\.md"):
        build_book(project, report=lambda line: None)


@pytest.mark.book
def test_a_failing_notebook_fails_the_build_every_time_and_names_the_cell(project):
    write(project / "notebooks", "first", "number = 2\nraise ValueError('no such\\nluck')")
    for _ in range(2):
        with pytest.raises(  # the heading, the parameters, and then it: as in the file, on one line
            NotebookError, match=r"first\.md, cell 3 \('number = 2'\): ValueError: no such luck$"
        ):
            build_book(project, report=lambda line: None)
        assert not list((project / "_build").rglob("first.ipynb"))
        assert not (project / "_build" / "site").exists()


@pytest.mark.book
def test_a_book_is_rendered_once_and_a_warning_fails_it_every_time(project):
    lines = []
    first = build_book(project, report=lines.append)
    assert first.executed == ("first", "second")
    assert first.rendered
    page = (project / "_build/site/_build/html/book/index.html").read_text()
    assert "<mfrac>" in page
    assert "cdn" not in page
    second = build_book(project, report=lines.append)
    assert (second.executed, second.rendered) == ((), False)
    assert lines[-1] == "nothing changed since the last build"
    shown = project / "_build/site/_build/html/notebooks/second.html"
    shown.write_text(shown.read_text().replace("second", "altered"))
    third = build_book(project, report=lines.append)
    assert (third.executed, third.rendered) == ((), True)
    assert lines[-1] == "rendering (notebooks/second.html was altered or removed)"
    assert "altered" not in shown.read_text()
    (project / "book" / "index.md").write_text("# Book\n\n{ref}`nowhere`\n")
    for _ in range(2):
        with pytest.raises(NotebookError, match=r"does not render: .*nowhere"):
            build_book(project, report=lines.append)


def test_unknown_overrides_are_refused_before_anything_runs(project):
    with pytest.raises(UnknownNameError, match="unknown parameter 'sed'"):
        build_book(project, overrides={"sed": 3}, report=lambda line: None)
    assert not (project / "_build").exists()


@pytest.mark.book
def test_one_notebook_runs_alone_with_other_parameters(project, tmp_path):
    output = run_notebook(project / "notebooks" / "first.md", {"number": 41}, tmp_path / "out.ipynb")
    assert '"42"' in output.read_text()
    with pytest.raises(SpecError, match=r"ends in \.ipynb"):
        run_notebook(project / "notebooks" / "first.md", {}, tmp_path / "out.html")
    with pytest.raises(SpecError, match="not a readable notebook"):
        run_notebook(project / "notebooks" / "none.md", {}, tmp_path / "out.ipynb")


@pytest.mark.book
def test_where_a_notebook_failed_is_shown_to_whom_asks(project, tmp_path, monkeypatch, capsys):
    path = write(project / "notebooks", "first", "def inner():\n    return 1 / 0\n\ninner()")
    for asked in ("", "1"):
        monkeypatch.setenv("CEMAG_TRACEBACK", asked)
        with pytest.raises(NotebookError, match=r"ZeroDivisionError: division by zero$"):
            run_notebook(path, {}, tmp_path / "out.ipynb")
        assert ("return" in capsys.readouterr().err) == bool(asked)


def test_serving_needs_a_book_and_a_free_port(tmp_path):
    with pytest.raises(CemagError, match="no book at"):
        serve(tmp_path, 0)
    with make_server(tmp_path) as server, pytest.raises(CemagError, match="choose another with --port"):
        make_server(tmp_path, server.server_address[1])


def test_a_name_that_no_file_can_have_is_not_found(tmp_path, capsys):
    with make_server(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{server.server_address[1]}/%00")
        server.shutdown()
    assert capsys.readouterr().err == ""


def test_two_drawings_of_one_chart_have_places_of_their_own():
    one, other = (_to_html({"mark": "point"})["text/html"] for _ in range(2))
    place = re.compile(r'<div id="([^"]+)"')
    assert place.search(one)[1] != place.search(other)[1]


def test_the_bundle_defines_vega_embed_in_a_scope_of_its_own():
    bundle = vega_bundle()
    assert bundle.startswith("(function(){")
    assert bundle.endswith("})();")
    assert "window.vegaEmbed=" in bundle
