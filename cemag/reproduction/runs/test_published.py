"""Published records: read back to the bit, never rewritten, found out when altered; their frames are tidy."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cemag.errors import StoreError
from cemag.reproduction.runs import (
    PublishedStore,
    RunSpec,
    RunStore,
    publication,
    publish,
    published_classes,
    published_groups,
    published_instances,
    run,
)
from cemag.reproduction.runs.published import METADATA, _metadata, write_published

SPECS = [RunSpec(dataset="breast_cancer", augmenter=name) for name in ("none", "class_weight", "threshold")]
NAME = "logistic-breast_cancer-0"


@pytest.fixture(scope="module")
def records():
    return [run(spec) for spec in SPECS]


@pytest.fixture
def root(records, tmp_path):
    write_published(records, NAME, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def grouped(monkeypatch):
    monkeypatch.setattr(publication, "published_groups", lambda: {NAME: SPECS})


def with_recall_of_one(record):
    table = record.tables["per_class"]
    rows = [row | {"recall": 1.0} for row in table.to_pylist()]
    changed = type(table).from_pylist(rows, schema=table.schema)
    return dataclasses.replace(record, tables={**record.tables, "per_class": changed})


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_384, 3_000_000])
def test_metadata_read_off_the_end_are_what_pyarrow_reads(tmp_path, length):
    path = tmp_path / "any.parquet"
    said = {b"before": b"cemag", METADATA: b"x" * length, b"behind": b"\x18\x05cemag\x18"}
    pq.write_table(pa.table({"cemag": [1, 2]}).replace_schema_metadata(said), path)
    assert _metadata(path, METADATA) == pq.read_metadata(path).metadata[METADATA] == said[METADATA]


def test_what_is_published_reads_back_to_the_bit(root, records):
    store = PublishedStore(root)
    assert store.keys() == sorted(spec.key for spec in SPECS)
    for record in records:
        found = store.get(record.spec)
        assert (found.spec, found.provenance, found.digest) == (record.spec, record.provenance, record.digest)
        assert list(found.tables) == list(record.tables)
        for name, table in record.tables.items():
            assert found.tables[name].schema == table.schema
            assert found.tables[name].to_pandas().equals(table.to_pandas())
    assert store.find(SPECS[1].key[:9]).spec == SPECS[1]


def test_a_summary_needs_no_table(root, records, monkeypatch):
    monkeypatch.setattr(pq, "ParquetFile", lambda *_, **__: pytest.fail("it reads a table"))
    found = {run.key: run for run in PublishedStore(root).summaries()}
    for record in records:
        said = found[record.spec.key]
        assert said.balanced_accuracy == record.tables["performance"]["balanced_accuracy"][0].as_py()
        assert (said.model, said.repetition, said.digest) == ("logistic", 0, record.digest)


def test_each_folder_opens_as_one_parquet_data_set(root, records):
    write_published([dataclasses.replace(records[0], spec=SPECS[0].with_(split=1))], f"{NAME[:-1]}1", root)
    whole = ds.dataset(root / "records").to_table(columns=["table", "key", "class", "recall"]).to_pandas()
    recalls = whole[whole["table"] == "per_class"]
    assert len(recalls) == 2 * 4  # classes, runs
    assert recalls["recall"].between(0, 1).all()
    assert ds.dataset(root / "instances").count_rows() == 4 * 114


def test_a_published_file_is_never_rewritten(root, records):
    before = {path: path.read_bytes() for path in root.rglob("*.parquet")}
    assert write_published(records, NAME, root) == []
    for others in ([with_recall_of_one(records[0]), *records[1:]], records[:2]):
        with pytest.raises(StoreError, match="published with other runs or other values"):
            write_published(others, NAME, root)
    assert {path: path.read_bytes() for path in root.rglob("*.parquet")} == before


def test_an_altered_table_or_specification_is_found_out_and_the_file_named(root):
    path = root / "records" / f"{NAME}.parquet"
    table = pq.read_table(path)
    shares = table["recall"].to_pandas().mul(0.5)
    altered = table.set_column(table.column_names.index("recall"), "recall", [shares.to_numpy()])
    pq.write_table(altered.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(StoreError, match="per_class") as caught:
        PublishedStore(root).get(SPECS[0]).tables["per_class"]
    assert str(path) in str(caught.value)

    said = json.loads(table.schema.metadata[METADATA])
    said["runs"][0]["spec"]["seed"] = 5
    pq.write_table(table.replace_schema_metadata({METADATA: json.dumps(said)}), path)
    with pytest.raises(StoreError, match="was altered"):
        PublishedStore(root).get(SPECS[0])


@pytest.mark.parametrize("content", [b"", b"not a file", None], ids=["empty", "text", "cut short"])
def test_a_damaged_file_is_named(root, content):
    path = root / "records" / f"{NAME}.parquet"
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.raises(StoreError, match=NAME):
        PublishedStore(root).keys()


# ---------------------------------------------------------------------- publishing


def test_a_whole_group_moves_and_part_of_one_waits(grouped, records, tmp_path):
    store, into = RunStore(tmp_path / "store"), tmp_path / "results"
    other = dataclasses.replace(records[0], spec=SPECS[0].with_(seed=9))
    for record in (*records[:2], other):
        store.put(record)
    waits = publish(store, into)
    assert (waits.moved, waits.incomplete, waits.unplanned) == (0, {NAME: 1}, [other.spec.key])
    assert not into.exists()
    store.put(records[2])
    moved = publish(store, into)
    assert (moved.moved, moved.incomplete) == (3, {})
    assert store.keys() == [other.spec.key]
    assert [PublishedStore(into).get(s).digest for s in SPECS] == [r.digest for r in records]
    store.put(records[0])  # computed again, with the same values
    assert publish(store, into).moved == 1
    assert store.keys() == [other.spec.key]


def test_what_conflicts_is_refused_and_stays_where_it_is(grouped, root, records, tmp_path):
    store = RunStore(tmp_path / "store")
    store.put(with_recall_of_one(records[0]))
    with pytest.raises(StoreError, match="never rewritten"):
        publish(store, root)
    assert SPECS[0] in store
    assert PublishedStore(root).get(SPECS[0]).digest == records[0].digest


def test_groups_hold_each_run_of_the_plan_once():
    groups = published_groups()
    keys = [spec.key for specs in groups.values() for spec in specs]
    assert len(keys) == len(set(keys))
    assert len(groups["svm-us_crime-4"]) == 7
    images = [name for name in groups if name.startswith("cnn-") and not name.endswith("-others")]
    assert len(images) == 3 * 12
    assert all(len(groups[name]) == 8 for name in images)
    assert {s.labels for s in groups["cnn-cifar10-0-others"]} == {"own", "shuffled"}


# ---------------------------------------------------------------------- frames


def test_classes_are_the_records_own_numbers(root, records):
    frame = published_classes(root)
    by = ["key", "source", "gauge", "class"]
    assert not frame.duplicated(by).any()
    assert set(frame["source"]) == {"model", "permuted_weights", "shuffled_labels"}
    assert set(frame.loc[frame["source"] != "model", "augmenter"]) == {"none"}
    for record in records:
        own = frame.query("key == @record.spec.key and source == 'model' and gauge == 'paper'").set_index(
            "class"
        )
        scores = record.tables["per_class"].to_pandas().set_index("class")
        assert own["recall"].to_dict() == scores["recall"].to_dict()
        strict = record.tables["required"].to_pandas().set_index("class")
        strict = strict.query(
            "ranking == 'magnitude' and sufficiency == 'shared' and stability == 'stable' and not bias"
        )
        # that table is over what the CEs alone predict correctly: with these models nearly the same
        np.testing.assert_allclose(own["required"], strict["mean"] / 30, atol=0.05)
    assert frame.set_index("class")["role"].to_dict() == {"0": "majority", "1": "minority"}


def test_draws_of_a_null_are_averaged(root, records):
    chosen = "source == 'permuted_weights' and gauge == 'paper'"
    null = published_classes(root).query(chosen).set_index("class")
    drawn = records[0].tables["quantities"].to_pandas()
    drawn = drawn.query(chosen).groupby("class")
    assert set(null["draws"]) == {20}
    for name in ("required", "top_share", "c5a"):
        np.testing.assert_allclose(null[name], drawn[name].mean())
        np.testing.assert_allclose(null[f"sd_{name}"], drawn[name].std())


def test_instances_pair_up_and_give_the_means_of_their_class(root):
    rows = published_instances(root)
    assert not rows.duplicated(["key", "instance"]).any()
    assert rows.groupby("instance")["key"].nunique().eq(3).all()
    assert rows.groupby("instance")["class"].nunique().eq(1).all()
    right = rows[rows["correct"]]
    means = (right["required"] / right["n_ces"]).groupby([right["key"], right["class"]]).mean()
    classes = published_classes(root).query("source == 'model' and gauge == 'paper'")
    np.testing.assert_allclose(
        means.sort_index(), classes.set_index(["key", "class"])["required"].sort_index(), rtol=1e-6
    )


def test_moving_the_threshold_changes_no_ce(root):
    rows = published_instances(root).set_index(["augmenter", "instance"])
    plain, moved = rows.loc["none"], rows.loc["threshold"]
    assert (plain["predicted"] != moved["predicted"]).any()
    same = plain["predicted"] == moved["predicted"]
    np.testing.assert_array_equal(plain.loc[same, "top_share"], moved.loc[same, "top_share"])
