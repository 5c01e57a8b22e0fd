"""The command line: one line and status 2 for bad input, and a start that loads no heavy library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cemag.reproduction import verification
from cemag.reproduction.runs import ImageRunSpec, PublishedStore, RunSpec, RunStore, image_specs, run

SPEC = RunSpec(dataset="breast_cancer", augmenter="ros")
RECIPE = "{epochs: 2, batch_size: 16, warmup_epochs: 0, milestones: [], crop_padding: 0, flip: false}"
TINY = ["-p", "imbalance_ratio=2", "-p", "n_max=12", "-p", f"recipe={RECIPE}"]
IMAGES = ["run", "-p", "dataset=digits_images"]


@pytest.fixture(scope="module")
def record():
    return run(SPEC)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "store")


@pytest.fixture
def cemag(monkeypatch, command_line, store):
    """Run a command on a store of its own."""
    monkeypatch.setenv("CEMAG_STORE", str(store.root))
    monkeypatch.setenv("CEMAG_NETWORKS", str(store.root.parent / "networks"))
    return command_line


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
        (["run", "-p", "dataset=digits", "-o", "x.ipynb"], ["output is 'x.ipynb'", "--store"]),
        (["run", "notebooks/logistic.md", "-o", "nowhere/x.ipynb"], ["no such folder nowhere"]),
        (["run", "notebooks/logistic.md", "-o", "x.html"], ["output is 'x.html'", ".ipynb"]),
        (["audit", "--factors", "f.npz", "--report", "nowhere/r.html"], ["no such folder nowhere"]),
        (["audit", "--factors", "f.npz", "--tables", "nowhere/t"], ["no such folder nowhere"]),
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
        (IMAGES, ["imbalance_ratio is missing", "'exp' needs one"]),
        (["run", "-p", "dataset=digit_images"], ["'digit_images'", "'digits_images'?"]),
        ([*IMAGES, *TINY, "-p", "network=resnet_20"], ["unknown network 'resnet_20'", "'resnet20'?"]),
        ([*IMAGES, *TINY, "-p", "augmenter=smote"], ["unknown augmenter 'smote'", "deepsmote"]),
        ([*IMAGES, *TINY, "-p", "recipe=digit"], ["unknown recipe 'digit'", "'digits'?"]),
        ([*IMAGES, *TINY, "-p", "recipe={epoch: 3}"], ["field of recipe 'epoch'", "'epochs'?"]),
        ([*IMAGES, *TINY, "-p", "recipe={epochs: 0}"], ["recipe.epochs is 0", "equal to 1"]),
        ([*IMAGES, *TINY, "-p", "imbalance=natural"], ["imbalance_ratio is 2", "'natural'"]),
        ([*IMAGES, *TINY, "-p", "split=1"], ["unknown field 'split'"]),
        ([*IMAGES, *TINY, "-p", "classes=[1, 8]"], ["classes.0 is 1", "string"]),
        ([*IMAGES, *TINY, "-p", "classes=['1', 'x']"], ["unknown class 'x'"]),
        ([*IMAGES, *TINY, "-p", "imbalance_ratio=100"], ["class ", "0 images", "most 12"]),
        (
            [*IMAGES, *TINY, "-p", "augmenter=dsm", "-p", "k_neighbors=6"],
            ["digits_images: dsm", "k_neighbors = 6", "9 has 6"],
        ),
        ([*IMAGES, *TINY, "--device", "gpu"], ["unknown device 'gpu'"]),
        (["images", "--scale", "quik"], ["unknown scale 'quik'", "'quick'?"]),
        (["images", "--datasets", "cifar_10"], ["unknown image set 'cifar_10'", "'cifar10'?"]),
        (["images", "--augmenters", "papr"], ["unknown augmenter 'papr'", "'paper'?"]),
        (["images", "--seeds", "0,x"], ["seeds is 'x'", "whole numbers"]),
        (["images", "--seeds", "-1"], ["seed is -1", "greater than or equal to 0"]),
        (["images", "--seeds", ","], ["','", "one name or more"]),
        (["images", "-p", "nmax=3"], ["unknown field 'nmax'", "'n_max'?"]),
        (["images", "-p", "recipe=digit"], ["unknown recipe 'digit'", "'digits'?"]),
        (["images", "--device", "gpu"], ["unknown device 'gpu'"]),
    ],
    ids=lambda value: (
        " ".join(part for part in value if part not in TINY)
        if value[0] in ("run", "grid", "show", "images")
        else ""
    ),
)
def test_bad_input_is_one_line_and_status_2_and_nothing_is_stored(cemag, store, arguments, says):
    refused(cemag(*arguments), *says)
    assert not store.root.exists()
    assert not list(store.root.parent.rglob("*.pt"))


@pytest.mark.parametrize("command", [[*IMAGES, *TINY], ["images"]], ids=["run", "images"])
def test_a_gpu_that_is_absent_is_named_and_nothing_is_stored(cemag, store, monkeypatch, command):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(cemag(*command, "--device", "cuda"), "device 'cuda'", "there is no GPU")
    assert not store.root.exists()
    assert not list(store.root.parent.rglob("*.pt"))


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


def test_publish_moves_what_is_whole_and_tells_what_waits(cemag, store, record, tmp_path, monkeypatch):
    waiting = SPEC.with_(split=1)
    groups = {"logistic-breast_cancer-0": [SPEC], "logistic-breast_cancer-1": [waiting, SPEC.with_(split=2)]}
    monkeypatch.setattr("cemag.reproduction.runs.publication.published_groups", lambda: groups)
    store.put(record)
    store.put(run(waiting))
    status, out, _ = cemag("publish", "--into", tmp_path / "results")
    assert status == 0
    assert "1 records published, 2 files written" in out
    assert "not whole: logistic-breast_cancer-1 waits for 1 run(s)" in out
    status, out, _ = cemag("list", "--store", tmp_path / "results")
    assert (status, SPEC.key[:10] in out) == (0, True)
    status, out, _ = cemag("show", SPEC.key[:6], "--store", tmp_path / "results")
    assert record.digest[:16] in out


def test_a_stored_run_is_audited_by_its_key(cemag, store, record):
    store.put(record)
    status, out, _ = cemag("audit", "--record", SPEC.key[:8])
    assert status == 0
    assert SPEC.label in out
    status, _, err = cemag("audit", "--record", SPEC.key[:8], "--factors", "model.npz")
    assert (status, "given beside it: --factors" in err) == (2, True)


def test_a_list_imports_nothing_that_computes(tmp_path):
    code = (
        "import sys\nfrom cemag.cli.homes import homes\nfrom cemag.cli.reports import show_runs\n"
        "for home in homes(None): show_runs(home)\n"
        "slow = {'torch', 'pandas', 'scipy', 'sklearn', 'pyarrow', 'numpy', 'rich'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    results = Path(__file__).parents[1] / "results"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CEMAG_STORE": str(tmp_path), "CEMAG_RESULTS": str(results)},
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, slow = done.stdout.splitlines()
    assert slow == "[]"
    assert len(lines) > len(PublishedStore(results)) > 0


def test_grid_tells_what_it_computed_skipped_and_failed(cemag, store, record):
    store.put(record)
    arguments = ["grid", "--datasets", "breast_cancer", "--models", "logistic", "--augmenters", "ros,smote"]
    status, out, _ = cemag(*arguments, "--n-splits", "5", "--jobs", "1", "-p", "k_neighbors=500")
    assert status == 1
    assert "5 computed, 0 stored already, 5 failed; 6 records" in out  # k_neighbors makes ros another run
    assert out.count("failed: breast_cancer, logistic, smote, split") == 5
    status, out, _ = cemag(*arguments[:-1], "ros", "--n-splits", "5", "-p", "k_neighbors=500")
    assert (status, "0 computed, 5 stored already, 0 failed" in out) == (0, True)


def test_run_on_images_stores_a_record_and_shows_it_and_does_not_train_again(cemag, store, monkeypatch):
    arguments = [*IMAGES, *TINY, "-p", "network=resnet20", "-p", "augmenter=dsm", "-p", "seed=3"]
    status, out, err = cemag(*arguments, "--device", "cpu")
    assert status == 0
    assert "epoch 2/2" in err  # the bar
    (record,) = store
    spec = record.spec
    assert isinstance(spec, ImageRunSpec)
    assert (spec.augmenter, spec.seed, spec.n_max, spec.recipe.epochs) == ("dsm", 3, 12, 2)
    accuracy = record.tables["performance"]["accuracy"][0].as_py()
    for part in (spec.key, "digits_images, resnet20, dsm, seed 3", f"accuracy {accuracy:.3f}", "64 CEs"):
        assert part in out
    (network,) = store.root.parent.rglob("*.pt")
    written = network.stat().st_mtime_ns
    assert cemag(*arguments) == (0, out, "")
    assert network.stat().st_mtime_ns == written
    status, out, _ = cemag("list")
    for part in ("digits_images", "resnet20", "dsm", spec.key[:10]):
        assert part in out
    assert run(spec, device="cpu").digest == record.digest


def test_images_tells_what_it_computed_skipped_and_failed(cemag, store):
    arguments = ["images", "--seeds", "0", "--jobs", "1", "--device", "cpu", *TINY, "-p", "k_neighbors=6"]
    arguments.append("--augmenters")
    done = subprocess.run(
        [sys.executable, "-m", "cemag", *arguments, "none,dsm"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,  # with the store and the networks of this test
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "1 computed, 0 stored already, 1 failed; 1 records" in done.stdout
    assert "failed: digits_images, resnet20, dsm, seed 0: " in done.stdout
    assert "k_neighbors = 6" in done.stdout
    status, out, err = cemag(*arguments, "none")
    assert (status, err) == (0, "")
    assert "0 computed, 1 stored already, 0 failed; 1 records" in out
    (record,) = store
    changes = {"imbalance_ratio": 2, "n_max": 12, "k_neighbors": 6, "recipe": record.spec.recipe}
    assert [record.spec] == image_specs("quick", augmenters=["none"], seeds=[0], **changes)
    assert run(record.spec, device="cpu").digest == record.digest  # of another process


def test_doctor_tells_of_data_and_stores(cemag, store, record):
    store.put(record)
    status, out, _ = cemag("doctor")
    assert status == 0
    for part in ("numpy", "breast_cancer", "us_crime", "records of this source: 1 in"):
        assert part in out


def test_an_interrupted_command_says_that_it_goes_on_from_there(cemag, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("cemag.reproduction.runs.run_grid", interrupted)
    status, out, err = cemag("grid", "--datasets", "breast_cancer")
    assert (status, out) == (130, "")
    assert err == "cemag: interrupted; what is stored stays, and the same command goes on from there\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify", "--budget", "ten"], ["budget is 'ten'", "such as 10m"]),
        (["verify", "--claim", "C9"], ["unknown claim 'C9'"]),
        (["verify", "--json", "nowhere/a.json"], ["no such folder nowhere"]),
        (["verify", "--junit", "."], ["is not a regular file"]),
        (["why", "logistik"], ["unknown notebook 'logistik'", "'logistic'?"]),
    ],
)
def test_what_cannot_be_verified_or_asked_is_refused_before_any_check(cemag, arguments, says):
    refused(cemag(*arguments), *says)


def test_what_is_verified_is_written_for_people_and_for_machines(cemag, monkeypatch, tmp_path):
    checks = [verification.Check("stored", "verdicts", "not confirmed", "C1: open, now holds", 0.1)]
    monkeypatch.setattr(verification, "verify", lambda **asked: iter(checks))
    status, out, _ = cemag("verify", "--json", str(tmp_path / "a.json"), "--junit", str(tmp_path / "a.xml"))
    assert status == 1
    assert "not confirmed stored          verdicts: C1: open, now holds" in out
    assert "0 of 1 confirmed" in out
    assert json.loads((tmp_path / "a.json").read_text())["status"] == 1
    assert 'failures="1"' in (tmp_path / "a.xml").read_text()


def test_help_of_every_command_is_there(cemag):
    status, out, _ = cemag("--help")
    assert status == 0
    commands = (
        "run",
        "grid",
        "images",
        "list",
        "show",
        "publish",
        "verify",
        "book",
        "why",
        "serve",
        "doctor",
    )
    for command in commands:
        assert command in out
        assert cemag(command, "-h")[0] == 0


def test_an_unknown_command_or_option_has_status_2_and_no_traceback(cemag):
    for arguments in (["grdi"], ["run", "--frob"], ["grid", "--jobs", "0"], ["grid", "--n-splits", "x"]):
        status, _, err = cemag(*arguments)
        assert status == 2
        assert "Traceback" not in err


def test_python_m_cemag_is_the_same_command(store):
    done = subprocess.run(
        [sys.executable, "-m", "cemag", "run", "-p", "dataset=brest_cancer", "--store", str(store.root)],
        capture_output=True,
        text=True,
        env=os.environ,
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
            "import cemag.metrics, cemag.samplers, cemag.models\n"
            "import cemag.reproduction.runs, cemag.reproduction.datasets",
            ["torch", "sklearn"],
        ),
        ("import cemag.reproduction.claims, cemag.reproduction.charts", ["torch"]),
        (
            "import sys; sys.argv = ['cemag', '--help']\nfrom cemag.cli import main\n"
            "try: main()\nexcept SystemExit as end: assert not end.code",
            ["torch", "sklearn", "pandas", "scipy", "pyarrow", "imblearn"],
        ),
        (
            "from cemag.reproduction.runs import RunSpec, run\n"
            "run(RunSpec(dataset='breast_cancer', augmenter='smote'))",
            ["torch"],
        ),
    ],
    ids=["import", "rooms", "claims", "help", "run"],
)
def test_heavy_libraries_are_imported_only_where_they_are_used(code, without):
    report = f"\nimport sys\nprint('loaded:', sorted({set(without)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded: []"
