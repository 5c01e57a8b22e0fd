"""The scorecard: claims are well formed, verdicts follow the records, and say so when they change."""

import dataclasses
import inspect
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cemag import metrics
from cemag.errors import CemagError, StoreError, UnknownNameError
from cemag.metrics import Rule
from cemag.reproduction.claims import (
    CLAIMS,
    FAMILIES,
    MARGINS,
    changed_verdicts,
    get_claim,
    judge,
    markdown,
    scorecard,
)
from cemag.reproduction.claims.findings import QUANTITIES, evaluate
from cemag.reproduction.claims.old_inference import ALPHA
from cemag.reproduction.claims.old_scorecard import (
    OTHER_BOUNDS,
    published_verdicts,
    verdicts_of,
    write_verdicts,
)
from cemag.reproduction.runs import RunStore, Study, grid_specs, published_store, published_studies

RESULTS = Path(__file__).parents[3] / "results"

pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="no published records beside the package")


@pytest.fixture(scope="module")
def studies():
    return published_studies()


@pytest.fixture(scope="module")
def rows(studies):
    return scorecard(studies)


def test_claims_are_whole_and_speak_of_what_is_measured():
    assert list(CLAIMS) == ["C1", "C2", "C3", "C4a", "C4b", "C5a", "C5b"]
    introduction = (RESULTS.parent / "book/introduction.md").read_text()
    for claim in CLAIMS.values():
        assert claim.quantity in QUANTITIES
        assert claim.statement.endswith(".")
        assert claim.unstated
        assert f"**{claim.id[:2]}.**" in introduction
    assert {c.bound for c in CLAIMS.values() if isinstance(c.bound, str)} == set(MARGINS) == set(OTHER_BOUNDS)
    with pytest.raises(UnknownNameError, match="did you mean 'C4"):
        get_claim("C4")


def test_rules_of_the_sensitivity_are_those_that_the_metrics_know(rows):
    names = set(inspect.signature(Rule).parameters)
    known = set(metrics.RANKINGS) | set(metrics.STABILITIES) | set(metrics.SUFFICIENCIES)
    for row in rows:
        by_rule = [label for label in row.sensitivity if "," in label]
        expected = 0 if not row.claim.counts_ces else 16 if row.family == "cnn" else 8
        assert len(by_rule) == expected
        for label in by_rule:
            *choices, bias = label.split(", ")
            assert len(choices) + 1 == len(names)
            assert set(choices) <= known
            assert bias in ("with bias", "without bias")


def test_claims_about_a_top_share_are_judged_at_other_cut_offs_too(rows):
    for row in rows:
        tops = [label for label in row.sensitivity if label.startswith("top: ")]
        asked = row.claim.id in ("C3", "C5a")
        assert tops == (["top: 5% in place of 10%", "top: 20% in place of 10%"] if asked else [])
        if asked:
            wider = evaluate(row.claim, row.study, share=0.20)
            assert wider.n == row.finding.n
            assert wider.high > row.finding.high
        else:
            with pytest.raises(CemagError, match="does not speak of a top share"):
                evaluate(row.claim, row.study, share=0.20)


def test_the_parts_of_a_finding_add_up_to_it(rows):
    for row in rows:
        counts = [tuple(map(int, text.split(" of "))) for text in row.finding.parts().values()]
        assert tuple(map(sum, zip(*counts, strict=True))) == (row.finding.holds, row.finding.n)


def test_every_claim_has_a_row_for_every_family_with_records_behind_it(rows):
    assert [(r.claim.id, r.family) for r in rows] == [(c, f) for c in CLAIMS for f in FAMILIES]
    for row in rows:
        assert row.finding.n > 0
        assert row.finding.verdict in row.sensitivity.values()
        assert row.low <= row.mean <= row.high
        assert len(row.study) >= 60


def test_a_row_is_what_the_chapters_say(rows, studies):
    found = {family: judge(study) for family, study in studies.items()}
    for row in rows:
        assert str(row.finding) == str(found[row.family][row.claim.id])


def test_the_mean_of_a_row_is_the_mean_of_its_data_sets_by_hand(rows, studies):
    row = next(r for r in rows if (r.claim.id, r.family) == ("C3", "logistic"))
    by_set = {}
    for record in studies["logistic"].records:
        if record.spec.augmenter == "none":
            for cell in record.tables["concentration"].to_pylist():
                if (cell["quantity"], cell["source"]) == ("top_share", "model"):
                    by_set.setdefault(record.spec.dataset, []).append(100 * cell["mean"])
    assert row.mean == pytest.approx(np.mean([np.nanmean(values) for values in by_set.values()]))


def test_published_verdicts_are_what_the_records_give(rows):
    assert published_verdicts() == verdicts_of(rows)
    assert changed_verdicts(rows) == []


def kept(study, keep):
    return dataclasses.replace(study, records=tuple(r for r in study.records if keep(r.spec)))


def test_fewer_runs_never_make_a_claim_hold(studies):
    cnn = studies["cnn"]
    whole = {name: evaluate(claim, cnn) for name, claim in CLAIMS.items()}
    fewer = {
        "one seed of one set": kept(cnn, lambda spec: spec.dataset != "cifar10" or spec.seed == 0),
        "one seed": kept(cnn, lambda spec: spec.seed == 0),
    }
    for label, study in fewer.items():
        for name, claim in CLAIMS.items():
            found = evaluate(claim, study)
            assert found.n == whole[name].n, (label, name)
            assert found.holds <= whole[name].holds or found.verdict != "holds", (label, name)
    assert {evaluate(claim, fewer["one seed"]).verdict for claim in CLAIMS.values()} == {"undecided"}
    assert evaluate(get_claim("C1"), fewer["one seed"]).unmeasured == 6


def test_how_many_changes_are_equivalent_to_none_is_counted(rows):
    for row in rows:
        cases = row.finding.cases
        if row.claim.id != "C4b":
            assert row.finding.equivalent is None
            continue
        within = cases[cases["p_equivalent"] < ALPHA]
        assert row.finding.equivalent == len(within) <= row.finding.holds
        assert (within["mean"].abs() < row.claim.value).all()


def test_cases_without_a_value_are_undecided_and_counted(rows):
    row = next(r for r in rows if (r.claim.id, r.family) == ("C4b", "svm"))
    assert row.finding.n == 25
    assert 0 < row.finding.unmeasured <= row.finding.undecided


@pytest.mark.parametrize("text", ["[1, 2]", '{"C1/svm": 3}', '{"C1/svm": {"verdict": "holds"}}', "{"])
def test_verdicts_that_cannot_be_read_are_named(text, tmp_path, monkeypatch):
    (tmp_path / "verdicts.json").write_text(text)
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match=r"verdicts\.json: no readable verdicts"):
        published_verdicts()
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="cannot be written"):
        write_verdicts([])


def test_the_readme_has_the_generated_table(rows):
    readme = (RESULTS.parent / "README.md").read_text()
    assert markdown(rows) in readme
    assert len(re.findall(r"^\| \*\*C\d", readme, re.M)) == len(CLAIMS)


def spoilt(record):
    """The record with a minority that is never recognised."""
    table = record.tables["per_class"]
    recall = [
        0.0 if name == "1" else value
        for name, value in zip(*(table[c].to_pylist() for c in ("class", "recall")), strict=True)
    ]
    changed = table.set_column(table.column_names.index("recall"), "recall", pa.array(recall))
    return dataclasses.replace(record, tables={**record.tables, "per_class": changed})


def test_one_changed_record_changes_a_verdict_which_is_then_named(tmp_path, monkeypatch):
    shutil.copytree(RESULTS, tmp_path / "results")
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path / "results"))
    store = published_store()
    assert store.root == tmp_path / "results"
    (spec,) = [s for s in grid_specs(["us_crime"], ["logistic"], ["ros"]) if s.split == 0]
    store.put(spoilt(store.get(spec)))
    changed = changed_verdicts(scorecard(published_studies()))
    assert len(changed) == 1
    assert changed[0].startswith("C4a/logistic: published holds")


def test_missing_or_damaged_verdicts_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match=r"verdicts\.json: no readable verdicts"):
        published_verdicts()
    (tmp_path / "verdicts.json").write_text("{")
    with pytest.raises(StoreError, match=r"verdicts\.json"):
        published_verdicts()


def test_what_was_not_run_is_said_to_be_so(studies):
    rows = scorecard({**studies, "cnn": Study((), {})})
    assert {row.finding.verdict for row in rows if row.family == "cnn"} == {"not run"}
    assert "| not run |" in markdown(rows)


def test_records_are_only_read(rows):
    before = {path.name: path.stat().st_mtime_ns for path in RESULTS.glob("*.parquet")}
    scorecard(published_studies())
    assert {path.name: path.stat().st_mtime_ns for path in RESULTS.glob("*.parquet")} == before
    assert len(RunStore(RESULTS)) == len(before)
