"""RunStore: what goes in comes out to the bit, and a damaged file is found out and named."""

import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pyarrow.parquet as pq
import pytest

from cemag.errors import StoreError
from cemag.reproduction.runs import RunSpec, RunStore, default_store, published_store, run
from cemag.reproduction.runs import source as source_module
from cemag.reproduction.runs import store as store_module

SPECS = [RunSpec(dataset="breast_cancer", augmenter=name) for name in ("none", "ros", "smote")]


@pytest.fixture(scope="module")
def records():
    return [run(spec) for spec in SPECS]


@pytest.fixture
def record(records):
    return records[0]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "store")


def bits(record):
    """Every value of every table, NaN included, as bytes."""
    return {
        (name, column): table[column].combine_chunks().to_numpy(zero_copy_only=False).tobytes()
        if table[column].type != "string"
        else tuple(table[column].to_pylist())
        for name, table in record.tables.items()
        for column in table.column_names
    }


def complaint(store, key):
    with pytest.raises(StoreError) as caught:
        store.get(key)
    message = str(caught.value)
    assert str(store.path(key)) in message
    assert "\n" not in message
    return message


def with_value(record, table, column, row, value):
    """The record with one value of one table changed."""
    rows = record.tables[table].to_pylist()
    rows[row][column] = value
    changed = type(record.tables[table]).from_pylist(rows, schema=record.tables[table].schema)
    return dataclasses.replace(record, tables={**record.tables, table: changed})


def test_what_goes_in_comes_out_to_the_bit(store, records):
    for record in records:
        path = store.put(record)
        found = store.get(record.spec)
        assert path.name == f"{record.spec.key}.parquet"
        assert found.spec == record.spec
        assert found.provenance == record.provenance
        assert found.digest == record.digest
        assert list(found.tables) == list(record.tables)
        assert bits(found) == bits(record)
        assert all(found.tables[name].schema == table.schema for name, table in record.tables.items())
    assert store.keys() == sorted(spec.key for spec in SPECS)
    assert {found.spec for found in store} == set(SPECS)


def test_the_same_record_is_the_same_file_however_often_it_is_put(store, record):
    first = store.put(record).read_bytes()
    assert store.put(store.get(record.spec)).read_bytes() == first
    assert [path.name for path in store.root.iterdir()] == [f"{record.spec.key}.parquet"]


def test_the_digest_covers_every_value_and_column(record):
    digests = {record.digest}
    for table in record.tables:
        for column in record.tables[table].column_names:
            old = record.tables[table][column][0].as_py()
            new = "other" if isinstance(old, str) else (not old) if isinstance(old, bool) else (old + 1)
            if new == new:  # NaN + 1 is NaN
                digests.add(with_value(record, table, column, 0, new).digest)
    changed = record.provenance.model_copy(update={"data_fingerprint": "0" * 64})
    digests.add(dataclasses.replace(record, provenance=changed).digest)
    n_columns = sum(len(table.column_names) for table in record.tables.values())
    assert len(digests) == n_columns + 2


def test_the_digest_does_not_cover_when_and_how_fast(record):
    changed = record.provenance.model_copy(update={"started": "2000-01-01", "fit_seconds": 99.0})
    assert dataclasses.replace(record, provenance=changed).digest == record.digest


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_found_out(store, record, share):
    path = store.put(record)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "delete it to run it again" in complaint(store, record.spec.key)


def test_a_flipped_bit_anywhere_is_found_out_or_changes_nothing(store, record):
    path = store.put(record)
    whole, expected = path.read_bytes(), bits(record)
    draw = random.Random(0)
    # the start holds the specification and the provenance, the end the names of everything
    places = [*range(4, 700, 3), *draw.choices(range(len(whole)), k=250)]
    messages = []
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            found = store.get(record.spec)
        except StoreError as error:
            messages.append(str(error))
        else:
            assert (found.spec, found.provenance) == (record.spec, record.provenance)
            assert bits(found) == expected
    assert len(messages) > len(places) / 2
    assert all(str(path) in message and "\n" not in message for message in messages)


def test_a_record_under_another_key_is_found_out(store, records):
    path = store.put(records[0])
    shutil.copy(path, store.path(SPECS[1]))
    assert "misplaced" in complaint(store, SPECS[1].key)
    shutil.copy(path, store.path("abc"))
    complaint(store, "abc")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("performance", "accuracy", 1.0), ("per_class", "n", 7), ("required", "ranking", "magnitudE")],
)
def test_a_value_that_was_changed_under_the_old_digest_is_found_out(store, record, table, column, value):
    path = store.put(record)
    metadata = pq.read_table(path).schema.metadata
    store.put(with_value(record, table, column, 0, value))
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    assert "altered" in complaint(store, record.spec.key)


def test_a_file_of_another_kind_is_found_out(store, record):
    path = store.put(record)
    pq.write_table(record.tables["required"], path)
    complaint(store, record.spec.key)
    path.write_text("not parquet")
    complaint(store, record.spec.key)


def test_a_record_that_is_not_there_is_named(store):
    assert "no such record" in complaint(store, SPECS[0].key)
    assert SPECS[0] not in store
    assert not store.root.exists()


def test_a_writer_killed_before_the_end_leaves_no_record(store, records, tmp_path):
    source = RunStore(tmp_path / "source")
    source.put(records[0])
    code = (
        "import os, signal, sys\n"
        "from cemag.reproduction.runs.store import RunStore\n"
        "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        "(record,) = RunStore(sys.argv[1])\n"
        "RunStore(sys.argv[2]).put(record)"
    )
    command = [sys.executable, "-c", code, str(source.root), str(store.root)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (scratch,) = store.root.iterdir()
    assert len(store) == 0
    assert SPECS[0] not in store
    assert store.matches("") == []

    store.put(records[1])  # a young scratch file may have a living writer
    assert scratch.exists()
    hours_ago = time.time() - 2 * 3600
    os.utime(scratch, (hours_ago, hours_ago))
    store.put(records[0])
    assert not scratch.exists()
    assert len(store) == 2


def test_a_write_that_fails_leaves_what_was_there(store, records, monkeypatch):
    store.put(records[0])
    before = store.path(SPECS[0]).read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StoreError, match=r"cannot be written \(.*No space left"):
        store.put(records[0])
    monkeypatch.undo()
    assert [path.read_bytes() for path in store.root.iterdir()] == [before]


def test_a_store_that_is_a_file_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file: a store is a folder"):
        RunStore(tmp_path / "file")


def test_find_wants_a_prefix_of_one_key(store, records):
    for record in records:
        store.put(record)
    key = SPECS[0].key
    alone = next(key[:n] for n in range(1, 33) if len(store.matches(key[:n])) == 1)
    assert store.find(alone).spec == SPECS[0]
    assert store.find(key).digest == records[0].digest
    with pytest.raises(StoreError, match="key '' names 3 of the 3 records"):
        store.find("")
    for unknown in ("zz", f"{key}0", "../x", "*"):
        with pytest.raises(StoreError, match="names 0 of the 3 records"):
            store.find(unknown)


def test_every_read_is_logged_for_the_book(store, record, tmp_path, monkeypatch):
    log = tmp_path / "reads"
    path = store.put(record)
    store.get(record.spec)
    monkeypatch.setenv("CEMAG_READS", str(log))
    store.get(record.spec)
    store.find(record.spec.key[:6])
    expected = {"path": str(path.resolve()), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert [json.loads(line) for line in log.read_text().splitlines()] == [expected, expected]


def test_the_default_store_is_a_store_a_version_of_the_source(tmp_path, monkeypatch):
    monkeypatch.delenv("CEMAG_STORE", raising=False)
    (tmp_path / "cemag").mkdir()
    (tmp_path / "_toc.yml").write_text("")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    roots = []
    for digest in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        monkeypatch.setattr(store_module, "source_digest", lambda digest=digest: digest)
        roots.append(default_store().root)
    assert roots == [tmp_path / "_build" / "runs" / digest for digest in ("aaaaaaaaaaaa", "bbbbbbbbbbbb")]
    assert published_store().root == tmp_path / "results"
    monkeypatch.setenv("CEMAG_STORE", str(tmp_path / "elsewhere"))
    assert default_store().root == tmp_path / "elsewhere"


def test_the_default_store_outside_a_project_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("CEMAG_STORE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    root = default_store().root
    assert root.name == source_module.source_digest()
    assert tmp_path not in root.parents or (tmp_path / "cache") in root.parents


def test_the_source_digest_follows_what_computes_runs_and_nothing_else(tmp_path, monkeypatch):
    home = tmp_path / "cemag"
    for room in (*source_module.COMPUTING_ROOMS, "charts"):
        (home / room).mkdir(parents=True)
        (home / room / "a.py").write_text("1\n")
    monkeypatch.setattr(source_module, "__file__", str(home / "reproduction" / "runs" / "record.py"))
    digest = source_module.source_digest.__wrapped__
    before = digest()
    (home / "charts" / "a.py").write_text("2\n")
    (home / "metrics" / "test_a.py").write_text("2\n")
    assert digest() == before
    seen = {before}
    for room in source_module.COMPUTING_ROOMS:
        (home / room / "a.py").write_text("2\n")
        seen.add(digest())
    (home / "metrics" / "a.py").rename(home / "metrics" / "b.py")
    seen.add(digest())
    assert len(seen) == len(source_module.COMPUTING_ROOMS) + 2


def test_a_record_that_is_put_again_while_it_is_read_is_read_whole(store, record):
    """Two processes may compute one run at a time; bytes of the two files must not be mixed."""
    store.put(record)
    stop = threading.Event()

    def put_again():
        for n in range(10_000):
            if stop.is_set():
                return
            provenance = record.provenance.model_copy(update={"note": "x" * (n % 500)})
            store.put(dataclasses.replace(record, provenance=provenance))

    writer = threading.Thread(target=put_again)
    writer.start()
    try:
        for _ in range(200):
            assert store.get(record.spec).digest == record.digest
    finally:
        stop.set()
        writer.join()
