"""The scorecard: plan and claims fit, words follow cases, and what is published is what the records give."""

import dataclasses
import math
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from cemag.errors import CemagError, StoreError, UnknownNameError
from cemag.reproduction.claims import (
    CLAIMS,
    FAMILIES,
    PLAN,
    changed_verdicts,
    from_records,
    get_claim,
    glued_verdicts,
    markdown,
    published_rows,
    scorecard,
    sentence,
    write_verdicts,
)
from cemag.reproduction.claims.answers import answer
from cemag.reproduction.claims.contrasts import PlannedRuns
from cemag.reproduction.claims.inference import of_repetitions
from cemag.reproduction.claims.plan import load_plan
from cemag.reproduction.claims.sentences import cases_in_words
from cemag.reproduction.claims.verdicts import Case, word_from_counts, word_of

ROOT = Path(__file__).parents[3]
published = pytest.mark.skipif(not (ROOT / "results/verdicts.json").is_file(), reason="no published records")


def test_the_plan_and_the_paper_speak_of_the_same_claims():
    assert list(CLAIMS) == list(PLAN.claims) == ["C1", "C2", "C3", "C4a", "C4b", "C5a", "C5b"]
    introduction = (ROOT / "book/introduction.md").read_text()
    for name, claim in CLAIMS.items():
        assert claim.statement.endswith(".")
        assert claim.unstated
        assert f"**{name[:2]}.**" in introduction
        assert PLAN.claims[name].augments == (PLAN.primary_null(name) is None)
    with pytest.raises(UnknownNameError, match="did you mean 'C4"):
        get_claim("C4")


def test_bounds_and_sides_are_read_from_the_plans_words():
    assert PLAN.claims["C1"].direction == "below"
    assert PLAN.claims["C3"].direction == "above"
    assert PLAN.claims["C4b"].bound == pytest.approx(math.log(1.25))


def test_a_plan_that_says_what_no_plan_says_is_refused(tmp_path):
    text = (Path(__file__).parent / "plan.yml").read_text()
    bad = tmp_path / "plan.yml"
    bad.write_text(text.replace("gauge: paper", "gauge: imperial"))
    with pytest.raises(CemagError, match=r"plan\.yml: not an analysis plan.*\n?.*gauge"):
        load_plan(bad)
    with pytest.raises(CemagError, match="not an analysis plan"):
        load_plan(tmp_path / "nowhere.yml")


# ---------------------------------------------------------------------- words


def case(p_holds, p_fails, *, n_run=12, measurable=True):
    estimate = of_repetitions([0.0, 1.0])
    return Case("set", "minority", "", estimate, p_holds, p_fails, n_run, 12, measurable, 0.0, 0.0)


HOLDS, FAILS, OPEN = case(0.001, 0.999), case(0.999, 0.001), case(0.4, 0.6)
NOT_RUN, UNMEASURED = case(math.nan, math.nan, n_run=0), case(math.nan, math.nan, measurable=False)


@pytest.mark.parametrize(
    ("cases", "pooled", "word"),
    [
        ([HOLDS] * 6, (True, False), "holds"),
        ([HOLDS] * 5 + [OPEN], (True, False), "mostly holds"),
        ([HOLDS] * 5 + [OPEN], (False, False), "open"),
        ([HOLDS] * 3 + [OPEN] * 3, (True, False), "open"),
        ([HOLDS] * 5 + [FAILS], (True, False), "mixed"),
        ([FAILS] * 5 + [OPEN], (False, True), "mostly fails"),
        ([FAILS] * 6, (False, True), "fails"),
        ([OPEN] * 6, (False, False), "open"),
        ([HOLDS] * 2 + [UNMEASURED] * 4, (True, False), "not measurable"),
        ([HOLDS] * 4 + [UNMEASURED] * 2, (True, False), "holds"),
        ([NOT_RUN] * 6, (False, False), "not run"),
        ([HOLDS] * 4 + [NOT_RUN] * 2, (True, False), "mostly holds"),
        ([HOLDS] * 2 + [NOT_RUN] * 4, (True, False), "open"),
        ([UNMEASURED] * 6, (False, False), "not measurable"),
    ],
)
def test_the_word_is_the_plans(cases, pooled, word):
    assert word_of(cases, *pooled).word == word


def test_words_are_symmetric_and_say_one_thing():
    swap = {"holds": "fails", "mostly holds": "mostly fails"}
    swap |= {b: a for a, b in swap.items()} | {"mixed": "mixed", "open": "open"}
    for n, u, v, ph, pf in product(range(1, 6), range(6), range(6), (True, False), (True, False)):
        if u + v <= n:
            assert word_from_counts(n, v, u, pf, ph) == swap[word_from_counts(n, u, v, ph, pf)]


# ---------------------------------------------------------------------- from frames


def test_every_claim_and_family_has_a_row_that_holds_where_everything_does(made):
    rows = scorecard(made.classes, made.instances)
    assert [(row.claim, row.family) for row in rows] == list(product(CLAIMS, FAMILIES))
    assert {row.verdict.word for row in rows} <= {"holds", "mostly holds", "open"}
    holding = {(row.claim, row.family) for row in rows if row.verdict.word == "holds"}
    assert {(claim, "cnn") for claim in CLAIMS} <= holding
    row = next(r for r in rows if (r.claim, r.family) == ("C1", "cnn"))
    assert row.quantity.mean == pytest.approx(10, rel=0.02)
    assert row.reference.mean == pytest.approx(20, rel=0.02)
    assert math.exp(row.pooled["both roles"].mean) == pytest.approx(0.5, rel=0.02)
    assert "10 %" in sentence(row)
    assert "permuted weights 20 %" in sentence(row)


@pytest.mark.parametrize("n_seeds", [0, 1, 3, 11])
def test_records_may_arrive_seed_by_seed(made, n_seeds):
    seeds = PLAN.repeats("cnn", "cifar10")[:n_seeds]
    other = made.classes["dataset"] != "cifar10"
    classes = made.classes[other | made.classes["repetition"].isin(seeds)]
    row = answer("C3", PlannedRuns("cnn", classes, made.instances))
    of_set = [c for c in row.cases if c.dataset == "cifar10"]
    assert {c.n_run for c in of_set} == {n_seeds}
    assert {c.n_planned for c in of_set} == {12}
    assert {c.decision for c in of_set} == {"holds" if n_seeds > 1 else "not run"}
    assert row.verdict.word == ("holds" if n_seeds > 1 else "mostly holds")
    assert (f"cifar10 ({n_seeds} of 12)" in cases_in_words(row)) == (n_seeds < 12)


def test_seeds_that_had_been_seen_and_sets_that_demonstrate_enter_no_verdict(made):
    seen = made.classes[made.rows(family="cnn", dataset="miniplaces", repetition=3)]
    demonstrated = made.classes[made.rows(family="cnn", dataset="cifar10", repetition=3)]
    more = [
        made.classes,
        seen.assign(repetition=0, top_share=0.0),
        demonstrated.assign(dataset="digits_images"),
    ]
    import pandas as pd

    before, after = (
        answer("C3", PlannedRuns("cnn", frame, made.instances)) for frame in (made.classes, pd.concat(more))
    )
    assert before == after


def test_two_runs_of_one_place_are_refused(made):
    import pandas as pd

    twice = pd.concat([made.classes, made.classes.iloc[:1].assign(key="another")])
    with pytest.raises(CemagError, match="two published runs of none"):
        PlannedRuns("logistic", twice, made.instances)


def test_a_class_that_is_measurable_in_too_few_repetitions_takes_no_part(made):
    chosen = {"family": "cnn", "source": "model", "role": "minority", "class_": "2"}
    made.set("n_correct", 3, **chosen, repetition=[0, 1, 2])
    made.set("top_share", 0.01, **chosen)
    row = answer("C3", PlannedRuns("cnn", made.classes, made.instances))
    means = {(c.dataset, c.role): c.value for c in row.cases}
    assert means["cifar10", "minority"] == pytest.approx(0.6, abs=0.02)  # the other class alone
    # seeds 3 to 14: all twelve count, and the class takes part
    assert means["miniplaces", "minority"] == pytest.approx((0.6 + 0.01) / 2, abs=0.02)


def test_the_pooled_contrast_is_the_mean_of_sets_by_hand(made):
    row = answer("C3", PlannedRuns("svm", made.classes, made.instances))
    table = made.classes[made.rows(family="svm", gauge="paper", augmenter="none")]
    wide = table.pivot(index=["dataset", "repetition", "role"], columns="source", values="top_share")
    by_repetition = (wide["model"] - wide["permuted_weights"]).groupby(["dataset", "repetition"]).mean()
    sets = by_repetition.groupby("dataset")
    variance = ((1 / 5 + PLAN.fold_factor("weights", "C3")) * sets.var()).sum() / 25
    assert row.pooled["both roles"].mean == pytest.approx(sets.mean().mean())
    assert row.pooled["both roles"].variance == pytest.approx(variance)


def test_margin_ces_that_say_otherwise_are_marked(made):
    made.set("required", 0.3, family="cnn", gauge="margin", source="model")
    row = answer("C1", PlannedRuns("cnn", made.classes, made.instances))
    assert row.verdict.word == "holds"
    assert row.other["gauge"] == {"margin CEs": "fails"}
    assert "gauge" in row.depends_on


def by_rules(made, shares, n=100):
    """A frame as `published_required` gives it: every rule's share in all runs without augmentation."""
    import pandas as pd

    none = made.classes[made.rows(augmenter="none", source="model", gauge="paper")]
    parts = [
        none.assign(rule=rule, n=n, required=share, common_subset=share) for rule, share in shares.items()
    ]
    frame = pd.concat(parts, ignore_index=True)
    spread = np.exp(np.random.default_rng(0).normal(0, 0.02, len(frame)))
    return frame.assign(required=frame["required"] * spread, common_subset=frame["common_subset"] * spread)


def test_other_rules_give_words_of_the_plain_reading(made):
    shares = {PLAN.counting.rule_in_words: 0.01, "mild": 0.05, "harsh": 0.5}
    for row in scorecard(made.classes, made.instances, by_rules(made, shares)):
        if row.claim in ("C1", "C2"):
            assert row.plain.word == "holds"
            assert row.other["rule"] == {"mild": "holds", "harsh": "fails"}
            assert "rule" in row.depends_on
        else:
            assert "rule" not in row.other


def test_a_rule_under_which_few_instances_are_right_is_not_measurable(made):
    (row, *_) = scorecard(made.classes, made.instances, by_rules(made, {"mild": 0.05}, n=3))
    assert row.other["rule"] == {"mild": "not measurable"}


# ---------------------------------------------------------------------- what is published


@published
def test_published_verdicts_and_the_readme_are_what_the_records_give():
    rows = from_records()
    assert changed_verdicts(rows) == []
    assert [row.other for row in rows] == [row.other for row in published_rows()]
    readme = (ROOT / "README.md").read_text()
    assert markdown(rows) in readme
    assert len(re.findall(r"^\| \*\*C\d", readme, re.M)) == len(CLAIMS)


@published
def test_chapters_show_the_published_words():
    for family in FAMILIES:
        texts = glued_verdicts(family)
        assert set(texts) == {*CLAIMS, *(f"{claim}-finding" for claim in CLAIMS)}
        for row in published_rows():
            if row.family == family:
                assert texts[row.claim].startswith(f"{row.verdict.word} (")


def test_what_is_written_is_what_is_read_and_a_change_is_named(made, tmp_path, monkeypatch):
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path))
    rows = scorecard(made.classes, made.instances)
    write_verdicts(rows)
    back = published_rows()
    assert [(r.claim, r.family, r.verdict) for r in back] == [(r.claim, r.family, r.verdict) for r in rows]
    assert [sentence(r) for r in back] == [sentence(r) for r in rows]
    assert changed_verdicts(rows) == []
    other = dataclasses.replace(rows[0], verdict=dataclasses.replace(rows[0].verdict, word="open"))
    (line,) = changed_verdicts([other, *rows[1:]])
    assert line.startswith(f"C1/logistic: published {rows[0].verdict.word} (")
    assert "the records give open" in line


@pytest.mark.parametrize("text", ["[1, 2]", '{"C1/svm": 3}', "{"])
def test_verdicts_that_cannot_be_read_are_named(text, tmp_path, monkeypatch):
    (tmp_path / "verdicts.json").write_text(text)
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match=r"verdicts\.json: no readable verdicts"):
        published_rows()
    monkeypatch.setenv("CEMAG_RESULTS", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="no readable verdicts"):
        published_rows()
    with pytest.raises(StoreError, match="cannot be written"):
        write_verdicts([])


def test_what_was_not_run_is_said_to_be_so(made):
    rows = scorecard(made.classes[made.rows(family=["logistic", "svm"])], made.instances)
    of_images = [row for row in rows if row.family == "cnn"]
    assert {row.verdict.word for row in of_images} == {"not run"}
    assert {sentence(row) for row in of_images} == {"Not run."}
    assert np.isnan(of_images[0].quantity.mean)
