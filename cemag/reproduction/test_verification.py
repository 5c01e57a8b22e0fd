"""What is altered is found, what is missing is said to be, and what is confirmed was computed again."""

import json
import shutil
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cemag.errors import SpecError, StoreError, UnknownNameError
from cemag.reproduction import verification
from cemag.reproduction.claims import from_records, write_verdicts
from cemag.reproduction.runs import ImageRunSpec, RunSpec, published_store, run
from cemag.reproduction.verification import (
    Check,
    as_json,
    as_junit,
    chosen_keys,
    compared,
    near,
    status_of,
    stored,
    verify,
    write_manifest,
)

PART = "cnn-miniplaces-3.parquet"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small set of published records, with its verdicts and manifest."""
    published, results = published_store().root, tmp_path_factory.mktemp("results")
    for kind in ("records", "instances", "evidence"):
        (results / kind).mkdir()
        shutil.copy(published / kind / PART, results / kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CEMAG_RESULTS", str(results))
        write_verdicts(from_records())
        write_manifest()
    return results


@pytest.fixture
def results(whole, tmp_path, monkeypatch):
    """A copy of it to alter, in a project in which nothing is built."""
    project = tmp_path / "project"
    (project / "cemag").mkdir(parents=True)
    (project / "_toc.yml").write_text("")
    monkeypatch.chdir(project)
    copy = shutil.copytree(whole, project / "results")
    monkeypatch.setenv("CEMAG_RESULTS", str(copy))
    return copy


def failed(checks):
    return {check.name: check.said for check in checks if check.outcome != "confirmed"}


def test_what_is_as_it_was_published_is_confirmed_and_networks_are_measured_again(results):
    checks = list(verify(sample=3))
    assert failed(checks) == {}
    assert status_of(checks) == 0
    again = [check.said for check in checks if check.level == "measured again"]
    assert again == ["equal to the last bit"] * 3


def test_a_value_altered_in_its_fourth_digit_is_found_by_the_manifest_and_by_the_tables_own_digest(results):
    path = results / "records" / PART
    table = pq.read_table(path)
    values = table["balanced_accuracy"].to_pylist()
    row = next(i for i, value in enumerate(values) if value is not None)
    values[row] += 1e-4
    place = table.column_names.index("balanced_accuracy")
    pq.write_table(
        table.set_column(place, table.field(place), pa.array(values, table.field(place).type)), path
    )
    found = failed(stored())
    assert found["files in results/records"] == f"results/records/{PART} was altered"
    assert "altered" in found["tables of all runs"] or "not what was published" in found["tables of all runs"]
    assert status_of(list(stored())) == 1


def test_an_altered_verdict_a_missing_file_and_one_that_nobody_knows_are_named(results):
    verdicts = results / "verdicts.json"
    verdicts.write_text(verdicts.read_text().replace('"not run"', '"holds"', 1))
    (results / "instances" / PART).unlink()
    (results / "causes").mkdir()
    (results / "causes" / "new.parquet").write_bytes(b"")
    found = failed(stored())
    assert found["files in results"] == "results/verdicts.json was altered"
    assert found["files in results/instances"] == f"results/instances/{PART} is missing"
    assert found["files in results/causes"] == "results/causes/new.parquet is not in the manifest"
    assert PART in found["tables of all runs"]
    (results / "manifest.json").write_text("[]")
    assert "'cemag claims --write' makes it" in failed(stored())["files"]


def test_an_altered_claim_is_found(results, tmp_path, monkeypatch):
    room = tmp_path / "room"
    for name in verification.PLANS:
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(verification.ROOM / name, room / name)
    monkeypatch.setattr(verification, "ROOM", room)
    assert failed(stored()) == {}
    plan = room / "claims" / "plan.yml"
    plan.write_text(plan.read_text().replace("side: below", "side: above", 1))
    assert failed(stored()) == {
        "files in cemag/reproduction/claims": "cemag/reproduction/claims/plan.yml was altered"
    }


def test_an_altered_executed_notebook_and_an_altered_page_are_found(results):
    from hashlib import sha256

    executed = results.parent / "_build" / "executed" / "quick"
    site = results.parent / "_build" / "site" / "_build"
    executed.mkdir(parents=True)
    (site / "html").mkdir(parents=True)
    (executed / "svm.ipynb").write_text("74 %")
    (executed / "svm.json").write_text(json.dumps({"copy": sha256(b"74 %").hexdigest()}))
    (site / "html" / "svm.html").write_text("74 %")
    (site / "rendered.json").write_text(json.dumps({"pages": {"svm.html": sha256(b"74 %").hexdigest()}}))
    assert failed(stored()) == {}
    (executed / "svm.ipynb").write_text("47 %")
    (site / "html" / "svm.html").write_text("47 %")
    assert failed(stored()) == {
        "executed notebooks (quick)": "svm.ipynb was altered or removed; 'cemag book' makes it again",
        "rendered pages": "svm.html was altered or removed; 'cemag book' makes it again",
    }


def test_runs_are_drawn_the_same_way_each_time_and_by_the_claim(results):
    assert chosen_keys(4) == chosen_keys(4)
    assert chosen_keys(4) != chosen_keys(4, random_state=1)
    assert set(chosen_keys(-1, ["C3"])) < set(chosen_keys(-1)) == set(published_store().keys())
    assert {published_store().get(key).spec.augmenter for key in chosen_keys(-1, ["C3"])} == {"none"}
    with pytest.raises(UnknownNameError, match="unknown claim 'C9'"):
        chosen_keys(1, ["C9"])
    with pytest.raises(SpecError, match="sample is -2"):
        chosen_keys(-2)


def test_no_records_are_no_confirmation(tmp_path, monkeypatch):
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match="no published records"):
        chosen_keys(1)


def test_missing_data_is_no_failure_and_no_success(results, monkeypatch):
    from cemag.errors import DataError

    def missing(record):
        raise DataError("us_crime: missing")

    monkeypatch.setattr(verification, "_instances_again", missing)
    checks = list(verify(sample=1))
    assert failed(checks).popitem()[1] == "us_crime: missing"
    assert status_of(checks) == 2
    assert status_of([*checks, Check("stored", "a", "not confirmed", "", 0.0)]) == 1
    assert [check.said for check in verify(sample=2, budget=0.0)][-1] == "not looked at"


def test_a_network_is_trained_again_apart_from_what_was_trained_before(results, monkeypatch):
    asked = []

    def again(spec, device):
        asked.append((spec, device, verification.os.environ["CEMAG_NETWORKS"]))
        return published_store().get(spec)

    monkeypatch.setenv("CEMAG_NETWORKS", "earlier")
    monkeypatch.setattr("cemag.reproduction.runs.run", again)
    checks = [check for check in verify(sample=1, retrain=True) if check.level == "trained again"]
    assert [(check.outcome, check.said) for check in checks] == [("confirmed", "equal to the last bit")]
    ((spec, device, folder),) = asked
    assert isinstance(spec, ImageRunSpec)
    assert device == "cpu"
    assert folder != "earlier"
    assert verification.os.environ["CEMAG_NETWORKS"] == "earlier"


def test_reports_say_what_the_checks_say():
    checks = [
        Check("stored", "files", "confirmed", "all", 0.5),
        Check("stored", "verdicts", "not confirmed", 'C1: "open" < "holds"', 0.25),
        Check("measured again", "us_crime", "data missing", "not here", 0.0),
    ]
    told = json.loads(as_json(checks))
    assert (told["status"], len(told["checks"]), told["checks"][1]["said"]) == (1, 3, checks[1].said)
    suites = ElementTree.fromstring(as_junit(checks))
    assert [(s.get("name"), s.get("tests"), s.get("failures"), s.get("skipped")) for s in suites] == [
        ("stored", "2", "1", "0"),
        ("measured again", "1", "0", "1"),
        ("trained again", "0", "0", "0"),
    ]
    assert suites.find(".//failure").get("message") == checks[1].said


def test_tables_are_equal_near_or_neither():
    then = {"performance": pa.table({"recall": [0.5, 0.25], "n": [10, 20]})}
    assert compared(then, then) == ("confirmed", "equal to the last bit")
    for table, outcome in (
        (pa.table({"recall": [0.5 + 1e-7, 0.25], "n": [10, 20]}), "confirmed"),
        (pa.table({"recall": [0.6, 0.25], "n": [10, 20]}), "not confirmed"),
        (pa.table({"recall": [0.5, None], "n": [10, 20]}), "not confirmed"),
        (pa.table({"recall": [0.5], "n": [10]}), "not confirmed"),
        (pa.table({"recall": [0.5, 0.25]}), "not confirmed"),
    ):
        assert compared(then, {"performance": table})[0] == outcome


@pytest.mark.parametrize(("standardise", "outcome"), [(True, "not confirmed"), (False, "confirmed")])
def test_a_model_that_another_processor_fits_is_near_by_the_plans_quantities(standardise, outcome):
    record = run(RunSpec(dataset="breast_cancer"))
    quantities = record.tables["quantities"].to_pandas()

    def moved(by):
        return {
            **record.tables,
            "quantities": pa.table(quantities.assign(required=quantities["required"] + by)),
        }

    assert near(record.tables, moved(0.005), standardise)[0] == "confirmed"
    found, said = near(record.tables, moved(0.05), standardise)
    assert found == outcome
    assert ("required" in said) == standardise
    assert near(record.tables, moved(float("nan")), standardise)[0] == "not confirmed"
