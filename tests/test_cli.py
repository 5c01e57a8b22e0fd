"""The command line: one line and status 2 for bad input, and a start that loads no heavy library."""

import json
import os
import subprocess
import sys

import pytest

from cemag.cli import main
from cemag.runs import RunSpec, RunStore, run

SPEC = RunSpec(dataset="breast_cancer", augmenter="ros")


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory):
    """Let the processes that these tests start share byte code, even where none is kept."""
    return {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode")), "PYTHONDONTWRITEBYTECODE": ""}


@pytest.fixture(scope="module")
def record():
    return run(SPEC)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "store")


@pytest.fixture
def cemag(monkeypatch, capsys, store):
    """Run a command in this process, on a store of its own: status, standard output, standard error."""
    monkeypatch.setenv("CEMAG_STORE", str(store.root))

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["cemag", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return end.value.code or 0, shown.out, shown.err

    return command


def refused(outcome, *says):
    status, out, err = outcome
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("cemag: ")
    assert "Traceback" not in err
    for part in says:
        assert part in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "-p", "dataset=brest_cancer"], ["unknown data set 'brest_cancer'", "'breast_cancer'?"]),
        (["run", "-p", "dataset=digits", "-p", "splt=1"], ["unknown field 'splt'", "'split'?"]),
        (["run", "-p", "dataset=digits", "-p", "augmenter=smoet"], ["'smoet'", "'smote'?"]),
        (["run", "-p", "dataset=digits", "-p", "split=5"], ["split is 5", "below n_splits"]),
        (["run", "-p", "dataset=digits", "-p", "split=yes"], ["split is True", "a number"]),
        (["run", "-p", "dataset=digits", "-p", "model={name: svm, gama: 1}"], ["'gama'", "'gamma'?"]),
        (["run", "-p", "dataset"], ["'dataset'", "NAME=VALUE"]),
        (["run", "-p", "=digits"], ["'=digits'", "NAME=VALUE"]),
        (["run", "-p", "dataset=[digits"], ["dataset is '[digits'", "YAML"]),
        (["run", "-p", "dataset=2001-99-99"], ["dataset is '2001-99-99'", "YAML"]),
        (["run"], ["dataset is missing"]),
        (["run", "none.json"], ["none.json", "No such file"]),
        (
            ["run", "-p", "dataset=breast_cancer", "-p", "imbalance_ratio=100"],
            ["breast_cancer: imbalance_ratio is 100", "at most 35.7"],
        ),
        (
            ["run", "-p", "dataset=digits", "-p", "augmenter=smote", "-p", "k_neighbors=500"],
            ["class 1", "500"],
        ),
        (["grid", "--datasets", "quik"], ["unknown data set 'quik'", "'quick'?"]),
        (["grid", "--augmenters", "none,smoet"], ["'smoet'", "'smote'?"]),
        (["grid", "--models", "lgistic"], ["unknown model 'lgistic'", "'logistic'?"]),
        (["grid", "--models", ","], ["','", "one name or more"]),
        (["grid", "--seeds", "0,x"], ["seeds is 'x'", "whole numbers"]),
        (["grid", "--seeds", "-1"], ["seed is -1", "greater than or equal to 0"]),
        (["grid", "-p", "k_neighbours=3"], ["'k_neighbours'", "'k_neighbors'?"]),
        (["show", "xyz"], ["'xyz'", "names no record in"]),
    ],
    ids=lambda value: " ".join(value) if value[0] in ("run", "grid", "show") else "",
)
def test_bad_input_is_one_line_and_status_2_and_nothing_is_stored(cemag, store, arguments, says):
    refused(cemag(*arguments), *says)
    assert not store.root.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"dataset": "breast_cancer", "sede": 1}', "\0"])
def test_a_broken_specification_file_is_named(cemag, store, tmp_path, content):
    path = tmp_path / "spec.json"
    path.write_text(content)
    refused(cemag("run", path), str(path))
    assert not store.root.exists()


def test_a_damaged_record_is_named_by_whatever_reads_it_and_is_left_alone(cemag, store, record):
    path = store.put(record)
    damaged = path.read_bytes()[:-100]
    path.write_bytes(damaged)
    grid = ["grid", "--datasets", SPEC.dataset, "--models", "logistic", "--augmenters", SPEC.augmenter]
    for command in (
        ["show", SPEC.key],
        ["list"],
        ["run", "-p", f"dataset={SPEC.dataset}", "-p", "augmenter=ros"],
        grid,
    ):
        refused(cemag(*command), str(path), "damaged record")
    assert [p.read_bytes() for p in store.root.iterdir()] == [damaged]


def test_a_store_that_is_a_file_is_named(cemag, tmp_path):
    (tmp_path / "file").write_text("mine")
    for command in (["list"], ["grid"], ["run", "-p", "dataset=digits"], ["show", "a"]):
        refused(cemag(*command, "--store", tmp_path / "file"), str(tmp_path / "file"), "a store is a folder")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_data_file_that_is_cut_short_is_named_before_any_work(cemag, store, tmp_path, monkeypatch):
    (tmp_path / "zenodo").mkdir()
    (tmp_path / "zenodo" / "x10data.npz").write_bytes(b"PK\x03\x04")
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path))
    refused(cemag("grid", "--datasets", "us_crime"), "us_crime", "x10data.npz")
    refused(cemag("run", "-p", "dataset=us_crime"), "us_crime", "x10data.npz")
    assert not store.root.exists()


def test_run_stores_a_record_and_shows_it_and_does_not_compute_it_again(cemag, store, record, monkeypatch):
    arguments = ["run", "-p", f"dataset={SPEC.dataset}", "-p", f"augmenter={SPEC.augmenter}"]
    status, out, err = cemag(*arguments)
    assert (status, err) == (0, "")
    assert SPEC.key in out
    assert store.get(SPEC).digest == record.digest
    accuracy = record.tables["performance"]["accuracy"][0].as_py()
    assert f"accuracy {accuracy:.3f}" in out
    written = store.path(SPEC).stat().st_mtime_ns
    assert cemag(*arguments) == (status, out, err)
    assert store.path(SPEC).stat().st_mtime_ns == written


def test_run_takes_a_file_and_parameters_on_top_of_it(cemag, store, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"dataset": "breast_cancer", "seed": 1, "model": "svm"}))
    status, _, _ = cemag("run", path, "-p", "seed=2", "--store", tmp_path / "other")
    assert status == 0
    (found,) = RunStore(tmp_path / "other")
    assert found.spec == RunSpec(dataset="breast_cancer", seed=2, model="svm")
    assert not store.root.exists()


def test_list_and_show_tell_of_what_is_stored(cemag, store, record):
    store.put(record)
    status, out, _ = cemag("list", "--store", store.root)
    assert status == 0
    for part in ("(1 records)", SPEC.key[:10], "breast_cancer", "logistic", "ros", "balanced accuracy"):
        assert part in out  # whole, though no terminal is that wide
    status, out, _ = cemag("show", SPEC.key[:6])
    assert status == 0
    for part in (SPEC.key, str(store.path(SPEC)), record.digest[:16], "split 0 of 5"):
        assert part in out
    for row in record.tables["per_class"].to_pylist():
        assert f"{row['recall']:.3f}" in out


def test_grid_tells_what_it_computed_skipped_and_failed(cemag, store, record):
    store.put(record)
    arguments = ["grid", "--datasets", "breast_cancer", "--models", "logistic", "--augmenters", "ros,smote"]
    status, out, _ = cemag(*arguments, "--n-splits", "5", "--jobs", "1", "-p", "k_neighbors=500")
    assert status == 1
    assert "5 computed, 0 stored already, 5 failed; 6 records" in out  # k_neighbors makes ros another run
    assert out.count("failed: breast_cancer, logistic, smote, split") == 5
    status, out, _ = cemag(*arguments[:-1], "ros", "--n-splits", "5", "-p", "k_neighbors=500")
    assert (status, "0 computed, 5 stored already, 0 failed" in out) == (0, True)


def test_doctor_tells_of_data_and_stores(cemag, store, record):
    store.put(record)
    status, out, _ = cemag("doctor")
    assert status == 0
    for part in ("numpy", "breast_cancer", "us_crime", "records of this source: 1 in"):
        assert part in out


def test_help_of_every_command_is_there(cemag):
    status, out, _ = cemag("--help")
    assert status == 0
    for command in ("run", "grid", "list", "show", "book", "serve", "doctor"):
        assert command in out
        assert cemag(command, "-h")[0] == 0


def test_an_unknown_command_or_option_has_status_2_and_no_traceback(cemag):
    for arguments in (["grdi"], ["run", "--frob"], ["grid", "--jobs", "0"], ["grid", "--n-splits", "x"]):
        status, _, err = cemag(*arguments)
        assert status == 2
        assert "Traceback" not in err


def test_python_m_cemag_is_the_same_command(store, bytecode):
    done = subprocess.run(
        [sys.executable, "-m", "cemag", "run", "-p", "dataset=brest_cancer", "--store", str(store.root)],
        capture_output=True,
        text=True,
        env=os.environ | bytecode,
        check=False,
    )
    refused(
        (done.returncode, done.stdout, done.stderr), "unknown data set 'brest_cancer'", "'breast_cancer'?"
    )
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("import cemag", ["torch", "sklearn", "pandas", "scipy", "pyarrow", "numpy"]),
        (
            "import cemag.metrics, cemag.runs, cemag.samplers, cemag.datasets, cemag.models",
            ["torch", "sklearn"],
        ),
        ("import cemag.claims, cemag.charts", ["torch"]),
        (
            "import sys; sys.argv = ['cemag', '--help']\nfrom cemag.cli import main\n"
            "try: main()\nexcept SystemExit as end: assert not end.code",
            ["torch", "sklearn", "pandas", "scipy", "pyarrow", "imblearn"],
        ),
        (
            "from cemag.runs import RunSpec, run\nrun(RunSpec(dataset='breast_cancer', augmenter='smote'))",
            ["torch"],
        ),
    ],
    ids=["import", "rooms", "claims", "help", "run"],
)
def test_heavy_libraries_are_imported_only_where_they_are_used(code, without, bytecode):
    report = f"\nimport sys\nprint('loaded:', sorted({set(without)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        capture_output=True,
        text=True,
        env=os.environ | bytecode,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded: []"
