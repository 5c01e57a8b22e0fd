"""The published records are whole, complete, and what this code computes."""

import os
from pathlib import Path

import numpy as np
import pytest

from cemag.metrics import per_instance
from cemag.reproduction.charts import learning_curve
from cemag.reproduction.datasets import class_counts, dataset_status
from cemag.reproduction.runs import (
    SCALES,
    PublishedStore,
    factors_of,
    grid_specs,
    image_specs,
    published_groups,
    run,
)
from cemag.reproduction.training import RECIPES

ROOT = Path(__file__).parents[1]
STORE = PublishedStore(ROOT / "results")
TABLES = {name: g for name, g in published_groups().items() if name.startswith(("logistic-", "svm-"))}


def test_the_paper_s_tables_are_complete():
    missing = [name for name, specs in TABLES.items() if not all(spec in STORE for spec in specs)]
    assert missing == []
    assert sum(map(len, TABLES.values())) == 2 * 5 * 5 * 7 + 5 * 5 * 7  # and without scaling


def test_each_published_file_holds_a_whole_group_and_no_other_run():
    groups = published_groups()
    for path in sorted((ROOT / "results" / "records").glob("*.parquet")):
        specs = groups[path.stem]
        assert {STORE.path(spec) for spec in specs} == {path}
        assert (ROOT / "results" / "instances" / path.name).is_file()
    assert len(STORE) == sum(len(specs) for specs in groups.values() if specs[0] in STORE)


def test_published_records_verify():
    for key in STORE.keys()[:: max(1, len(STORE) // 40)]:
        record = STORE.get(key)
        assert record.digest
        assert all(len(table) for table in record.tables.values())  # reading verifies


@pytest.mark.parametrize("dataset", SCALES["cpu"].datasets)
def test_image_records_of_one_repetition_are_of_the_same_images_and_of_the_sizes_asked_for(dataset):
    for seed in SCALES["cpu"].seeds[dataset]:
        specs = image_specs("cpu", datasets=[dataset], augmenters=["paper", "moved"], seeds=[seed])
        records = [STORE.get(spec) for spec in specs if spec in STORE]
        if not records:
            continue
        assert len({record.provenance.data_fingerprint for record in records}) == 1
        sizes = {tuple(record.tables["classes"]["n_train"].to_pylist()) for record in records}
        assert len(sizes) == 1
        (sizes,) = sizes
        spec = records[0].spec
        if spec.imbalance == "exp":
            assert list(sizes) == list(class_counts(spec.n_max, len(sizes), spec.imbalance_ratio, "exp"))
        assert max(sizes) == spec.n_max


def test_a_published_network_is_measured_again_from_its_evidence():
    specs = [s for s in image_specs("cpu", augmenters=["none", "dsm", "threshold"]) if s in STORE][:3]
    for spec in specs:
        record = STORE.get(spec)
        found = per_instance(factors_of(record, STORE).ce)["required_without_bias"]
        kept = record.tables["instances"]["required"].to_numpy()
        np.testing.assert_array_equal(found.astype(np.float32), kept)


def test_the_stored_run_of_the_standard_recipe_is_whole_and_a_few_points_below_the_literature():
    curve = learning_curve()
    recipe = RECIPES["long_tailed_200"]
    assert set(curve["recipe"]) == {"long_tailed_200"}
    assert set(curve["n_train"]) == {sum(class_counts(5000, 10, 100, "exp"))}
    assert curve["epoch"].is_monotonic_increasing
    assert curve["epoch"].iloc[-1] == recipe.epochs
    assert list(curve["lr"]) == [recipe.learning_rate(epoch - 1) for epoch in curve["epoch"]]
    np.testing.assert_allclose(curve["recall"].map(np.mean), curve["test_accuracy"], atol=2e-4)  # balanced
    assert 0.64 < curve["test_accuracy"].iloc[-1] < 0.72


def test_published_records_are_small_enough_to_keep():
    assert sum(path.stat().st_size for path in STORE.root.rglob("*.*")) < 45 * 2**20


@pytest.mark.parametrize(("model", "augmenter"), [("logistic", "smote"), ("svm", "none")])
def test_a_published_record_is_what_this_code_computes(model, augmenter, monkeypatch):
    if "CEMAG_DATA" not in os.environ and (ROOT.parent / "shared" / "data").is_dir():
        monkeypatch.setenv("CEMAG_DATA", str(ROOT.parent / "shared" / "data"))
    if not dataset_status("us_crime").available:
        pytest.skip("us_crime is not on this machine: set CEMAG_DATA")
    (spec,) = grid_specs(["us_crime"], [model], [augmenter])[:1]
    published, found = STORE.get(spec), run(spec)
    assert found.provenance.data_fingerprint == published.provenance.data_fingerprint
    for name, table in published.tables.items():
        for column in table.column_names:
            old, new = table[column].to_numpy(), found.tables[name][column].to_numpy()
            if old.dtype.kind == "f":
                # another CPU's BLAS stops the solver elsewhere within its own tolerance
                np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-5, err_msg=f"{name}.{column}")
            else:
                np.testing.assert_array_equal(new, old, err_msg=f"{name}.{column}")
