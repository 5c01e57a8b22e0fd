"""Study: where records come from, what is listed as not run, and tables that carry their run."""

import dataclasses

import pandas as pd
import pytest

from cemag.errors import CemagError, SpecError, StoreError, UnknownNameError
from cemag.reproduction import claims
from cemag.reproduction.claims.tables import performance_by_class
from cemag.reproduction.runs import (
    GridResult,
    RunSpec,
    RunStore,
    grid_specs,
    image_study,
    open_study,
    published_studies,
    run,
    tabular_study,
)
from cemag.reproduction.runs import study as study_module

SPECS = grid_specs(["breast_cancer"], ["logistic"], ["none", "ros"], n_splits=3)


@pytest.fixture(scope="module")
def records():
    return {spec: run(spec) for spec in SPECS}


@pytest.fixture
def stores(tmp_path):
    return {"store": RunStore(tmp_path / "store"), "published": RunStore(tmp_path / "published")}


def noted(record, note):
    return dataclasses.replace(record, provenance=record.provenance.model_copy(update={"note": note}))


def test_a_published_record_is_preferred_and_said_to_be(stores, records):
    for spec in SPECS:
        stores["store"].put(noted(records[spec], "here"))
    stores["published"].put(noted(records[SPECS[0]], "published"))
    study = open_study(SPECS, **stores, compute=False)
    runs = study.runs.set_index("key")
    assert runs.loc[SPECS[0].key, ["origin", "note"]].tolist() == ["published record", "published"]
    others = runs.drop(SPECS[0].key)
    assert set(others["origin"]) == {"this build"}
    assert set(others["note"]) == {"here"}
    assert study.not_run == ()


def test_what_is_stored_nowhere_is_listed_when_nothing_is_to_be_computed(stores, records):
    stores["store"].put(records[SPECS[1]])
    study = open_study(SPECS, **stores, compute=False)
    assert [record.spec for record in study.records] == [SPECS[1]]
    assert study.not_run == tuple(spec for spec in SPECS if spec != SPECS[1])
    assert len(study) == 1


def test_what_is_missing_is_computed_into_the_store_and_never_into_the_published(
    stores, records, monkeypatch
):
    asked = []

    def compute(specs, store, **_):
        asked.extend(specs)
        for spec in specs:
            store.put(records[spec])
        return GridResult(computed=list(specs))

    monkeypatch.setattr(study_module, "run_grid", compute)
    stores["published"].put(records[SPECS[0]])
    study = open_study([*SPECS, SPECS[0]], **stores)
    assert set(asked) == set(SPECS[1:])
    assert [record.spec for record in study.records] == SPECS
    assert len(stores["published"]) == 1
    assert len(stores["store"]) == len(SPECS) - 1


def test_each_row_of_a_table_carries_the_run_that_it_belongs_to(stores, records):
    for spec in SPECS:
        stores["store"].put(records[spec])
    study = open_study(SPECS, **stores, compute=False)
    assert len(study.runs) == len(SPECS)
    for name in records[SPECS[0]].tables:
        table = study.table(name)
        having = [spec for spec in SPECS if name in records[spec].tables]
        assert len(table) == sum(len(records[spec].tables[name]) for spec in having)
        for spec in having:
            rows = table[table["key"] == spec.key]
            for column in ("dataset", "augmenter", "split", "seed"):
                assert set(rows[column]) == {getattr(spec, column)}
            assert set(rows["model"]) == {"logistic"}
            own = records[spec].tables[name].to_pandas()
            pd.testing.assert_frame_equal(rows[own.columns].reset_index(drop=True), own, check_dtype=False)


def test_a_run_that_fails_is_named_and_the_others_are_kept(stores):
    bad = RunSpec(dataset="breast_cancer", imbalance_ratio=30, augmenter="smote", k_neighbors=100, split=2)
    with pytest.raises(CemagError) as caught:
        open_study([bad, SPECS[0]], **stores, jobs=1)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("1 run(s) failed", "breast_cancer", "logistic", "smote", "split 2", "class 1"):
        assert part in message
    assert stores["store"].keys() == [SPECS[0].key]


@pytest.mark.parametrize("home", ["store", "published"])
def test_a_damaged_record_in_either_store_is_named(stores, records, home):
    path = stores[home].put(records[SPECS[0]])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=path.name):
        open_study(SPECS[:1], **stores)


def test_tabular_study_thins_only_sets_whose_own_ratio_is_lower(monkeypatch):
    asked = {}
    monkeypatch.setattr(study_module, "open_study", lambda specs, **_: asked.update(specs=specs))
    tabular_study(
        "svm",
        ["breast_cancer", "digits"],
        ["none"],
        imbalance_ratio=5.0,
        n_splits=3,
        seed=4,
        with_published=False,
    )
    assert {(s.dataset, s.imbalance_ratio) for s in asked["specs"]} == {
        ("breast_cancer", 5.0),
        ("digits", None),
    }
    assert {(s.model.name, s.seed, s.n_splits) for s in asked["specs"]} == {("svm", 4, 3)}
    assert sorted(s.split for s in asked["specs"]) == [0, 0, 1, 1, 2, 2]


def test_tabular_study_refuses_unknown_names_before_any_work(monkeypatch):
    monkeypatch.setattr(study_module, "open_study", lambda *_, **__: pytest.fail("it starts work"))
    with pytest.raises(UnknownNameError, match="unknown augmenter 'smoet': did you mean 'smote'"):
        tabular_study("logistic", augmenters=["smoet"])
    with pytest.raises(UnknownNameError, match="unknown data set 'quik': did you mean 'quick'"):
        tabular_study("logistic", ["quik"])
    with pytest.raises(CemagError, match="unknown model 'lgistic': did you mean 'logistic'"):
        tabular_study("lgistic")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("sweep"))
    names = ["breast_cancer"], ["logistic"], ["none", "ros"]
    specs = [s for ratio in (None, 5.0, 10.0) for s in grid_specs(*names, n_splits=2, imbalance_ratio=ratio)]
    specs += grid_specs(["digits"], *names[1:], n_splits=2)
    for spec in specs:
        store.put(run(spec))
    return specs, store


def test_what_varies_is_kept_apart(swept):
    specs, store = swept
    study = open_study(specs, store=store, published=store, compute=False)
    assert study.dimensions == {"breast_cancer": ("imbalance_ratio",)}
    cases = ["breast_cancer, its own ratio", "breast_cancer, 5:1", "breast_cancer, 10:1", "digits"]
    assert study.runs["dataset"].unique().tolist() == cases
    assert study.runs["ratio"].round(1).unique().tolist() == [1.7, 5.0, 10.0, 9.3]
    for ratio, case in zip((None, 5.0), cases, strict=False):  # as if the others were not there
        alone = open_study(
            [s for s in specs if s.dataset != "digits" and s.imbalance_ratio == ratio],
            store=store, published=store, compute=False,
        )  # fmt: skip
        assert alone.dimensions == {}
        together = performance_by_class(study).set_index("dataset").loc[case]
        expected = performance_by_class(alone)
        assert together["recall"].tolist() == expected["recall"].tolist()
    assert "breast_cancer 1.68:1 by nature and 5:1 and 10:1; digits 9.3" in claims.glued(study)["ratios"]


def test_every_field_that_varies_is_a_dimension(swept, tmp_path):
    specs, store = swept
    other = RunStore(tmp_path)
    model = {"name": "logistic", "C": 100.0}
    stronger = grid_specs(["breast_cancer"], [model], ["none", "ros"], n_splits=2)
    for spec in stronger:
        other.put(run(spec))
    natural = [s for s in specs if s.dataset == "breast_cancer" and s.imbalance_ratio is None]
    study = open_study([*natural, *stronger], store=other, published=store, compute=False)
    assert study.runs["dataset"].unique().tolist() == ["breast_cancer, C 1.0", "breast_cancer, C 100.0"]


def test_what_is_published_varies_in_nothing():
    assert {name: study.dimensions for name, study in published_studies().items()} == {
        "logistic": {}, "svm": {}, "cnn": {}
    }  # fmt: skip


def test_several_ratios_are_asked_for_once_each(monkeypatch):
    asked = {}
    monkeypatch.setattr(study_module, "open_study", lambda specs, **_: asked.update(specs=specs))
    sets = ["breast_cancer", "digits"]
    tabular_study("svm", sets, ["none"], imbalance_ratio=[5, 8, 20], n_splits=2, with_published=False)
    ratios = [(s.dataset, s.imbalance_ratio) for s in asked["specs"] if s.split == 0]
    own = [("digits", None), ("digits", 20.0)]  # 5 and 8 are below its own 9.3
    assert ratios == [*(("breast_cancer", r) for r in (5.0, 8.0, 20.0)), *own]


def test_a_study_without_none_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(study_module, "open_study", lambda *_, **__: pytest.fail("it starts work"))
    for ask in (
        lambda: tabular_study("svm", augmenters=["ros"]),
        lambda: image_study("quick", None, ["ros"]),
    ):
        with pytest.raises(SpecError, match="augmenters are ros: 'none' is needed among them"):
            ask()
