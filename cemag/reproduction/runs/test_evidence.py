"""From what a record keeps every number of it comes again, without the network and its images."""

import numpy as np
import pytest

from cemag.errors import StoreError
from cemag.metrics import concentration, per_instance, relations
from cemag.reproduction.runs import (
    ImageRunSpec,
    PublishedStore,
    RunSpec,
    RunStore,
    centre_of,
    factors_of,
    run,
    training_view,
)
from cemag.reproduction.runs.images import extract, record_of
from cemag.reproduction.runs.published import write_published

RECIPE = {"epochs": 3, "batch_size": 16, "lr": 0.03, "warmup_epochs": 0, "milestones": (), "crop_padding": 0}
SPEC = ImageRunSpec(
    dataset="digits_images", classes=("0", "6", "1"), imbalance_ratio=4, n_max=24, network="resnet20",
    recipe=RECIPE, head_epochs=3,
)  # fmt: skip
HEADS = ("none", "dsm", "threshold", "tau_norm", "crt")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CEMAG_NETWORKS", str(tmp_path_factory.mktemp("networks")))
        extracted = extract(SPEC, device="cpu")
        yield {name: record_of(SPEC.with_(augmenter=name), extracted, device="cpu") for name in HEADS}


@pytest.fixture(scope="module", params=["working", "published"])
def store(request, records, tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    if request.param == "published":
        write_published(list(records.values()), "cnn-digits_images-0", root)
        return PublishedStore(root)
    store = RunStore(root)
    for record in records.values():
        store.put(record)
    return store


@pytest.mark.parametrize("name", HEADS)
def test_counts_and_shares_come_again_to_the_bit(name, records, store):
    record = store.get(records[name].spec)
    assert record.digest == records[name].digest
    made, kept = factors_of(record, store), record.tables["instances"].to_pandas()
    paper, margin = per_instance(made.ce), per_instance(made.ce, made.ce.margins(centre_of(record)))
    assert list(made.y) == kept["class"].tolist()
    np.testing.assert_array_equal(paper["required_without_bias"].astype(np.float32), kept["required"])
    np.testing.assert_array_equal(margin["required_without_bias"].astype(np.float32), kept["required_margin"])
    np.testing.assert_array_equal(concentration(made.ce).top_share.astype(np.float32), kept["top_share"])
    np.testing.assert_array_equal(np.array(made.class_names)[paper["predicted"]], kept["predicted"])


@pytest.mark.parametrize("name", HEADS)
def test_relations_and_the_centre_come_again_from_the_training_rows(name, records, store):
    record = store.get(records[name].spec)
    made, view = factors_of(record, store), training_view(record, store)
    assert view.ce.n_instances == record.provenance.n_train
    np.testing.assert_allclose(view.ce.class_mean(view.y), centre_of(record), rtol=1e-12)
    again = relations(made.ce, made.y, view, random_state=SPEC.subset_seed).to_pandas()
    np.testing.assert_array_equal(again["estimate"], record.tables["relation"].to_pandas()["estimate"])


def test_an_embedding_is_kept_once_for_all_heads_on_it(records):
    assert [name for name, record in records.items() if "embedding" in record.tables] == ["none"]
    parts = records["none"].tables["embedding"].to_pandas()["part"].value_counts()
    assert parts["train"] == records["none"].provenance.n_train


def test_moving_the_bias_moves_predictions_and_no_ce(records):
    plain, moved = (records[name].tables for name in ("none", "threshold"))
    assert plain["head"].equals(moved["head"])
    assert not plain["classes"]["bias"].equals(moved["classes"]["bias"])
    recalls = [t["per_class"].to_pandas().set_index("class")["recall"] for t in (plain, moved)]
    assert recalls[1]["1"] >= recalls[0]["1"]  # the smallest class


def test_a_missing_extractor_is_named(records, tmp_path):
    with pytest.raises(StoreError, match="no such record"):
        factors_of(records["dsm"], RunStore(tmp_path))


@pytest.mark.parametrize("model", ["logistic", "svm"])
def test_a_model_of_a_table_is_fitted_again_to_the_same_counts(model):
    record = run(RunSpec(dataset="breast_cancer", model=model, augmenter="ros"))
    found = per_instance(factors_of(record).ce)
    kept = record.tables["instances"].to_pandas()
    np.testing.assert_array_equal(found["required_without_bias"].astype(np.float32), kept["required"])
    assert factors_of(record).ce.n_features == record.provenance.n_ces <= record.provenance.n_fitted_ces
