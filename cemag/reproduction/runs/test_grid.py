"""run_grid: skips what is stored, refuses bad input before work, and one bad cell costs itself alone."""

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from cemag.errors import DataError, SpecError, StoreError, UnknownNameError
from cemag.reproduction.runs import RunSpec, RunStore, grid_specs, run, run_grid
from cemag.reproduction.runs.selection import choose_augmenters, choose_datasets

SPECS = grid_specs(["breast_cancer"], ["logistic"], ["none", "ros"], n_splits=2)


class Calls(Executor):
    """Runs each call at once, in this process; the first `lost` of them are lost instead."""

    def __init__(self, lost=0):
        self.lost, self.calls = lost, []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.calls.append(args)
        if len(self.calls) <= self.lost:
            future.set_exception(OSError("the worker\nis gone"))
            return future
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "store")


def test_grid_specs_are_all_combinations_each_once():
    specs = grid_specs(
        ["breast_cancer", "digits"],
        ["logistic", "svm"],
        ["none", "ros"],
        n_splits=3,
        seeds=[0, 1],
        data_seed=5,
    )
    assert len(specs) == len({spec.key for spec in specs}) == 2 * 2 * 2 * 3 * 2
    assert {(spec.n_splits, spec.data_seed) for spec in specs} == {(3, 5)}


def test_grid_specs_refuses_a_name_or_value_out_of_range():
    with pytest.raises(SpecError, match="did you mean 'digits'"):
        grid_specs(["digit"], ["logistic"], ["none"])
    with pytest.raises(SpecError, match="unknown field 'k_neighbours'"):
        grid_specs(["digits"], ["logistic"], ["none"], k_neighbours=3)
    with pytest.raises(SpecError, match="n_splits is 1"):
        grid_specs(["digits"], ["logistic"], ["none"], n_splits=1)


def test_group_names_stand_for_their_members_in_order_and_once():
    assert choose_datasets(["digits", "quick"]) == ["digits", "breast_cancer"]
    assert choose_datasets(["paper"]) == ["ozone_level", "scene", "coil_2000", "thyroid_sick", "us_crime"]
    assert choose_augmenters(["paper", "rebalanced_mixup", "none"])[-1] == "rebalanced_mixup"
    with pytest.raises(UnknownNameError, match="unknown data set 'papr': did you mean 'paper'"):
        choose_datasets(["papr"])


def test_a_second_start_skips_what_is_stored(store):
    first = run_grid(SPECS[:3], store, executor=Calls())
    assert (set(first.computed), first.skipped, first.failed) == (set(SPECS[:3]), [], {})
    files = {path: path.stat().st_mtime_ns for path in store.root.iterdir()}
    executor = Calls()
    second = run_grid(SPECS, store, executor=executor)
    assert (second.computed, second.skipped) == (SPECS[3:], SPECS[:3])
    assert len(executor.calls) == 1
    assert files.items() <= {path: path.stat().st_mtime_ns for path in store.root.iterdir()}.items()
    third = Calls()
    assert run_grid(SPECS, store, executor=third).skipped == SPECS
    assert third.calls == []


def test_what_a_grid_stores_is_what_run_returns(store):
    run_grid(SPECS, store, executor=Calls())
    assert [store.get(spec).digest for spec in SPECS] == [run(spec).digest for spec in SPECS]


def test_equal_specifications_count_once(store):
    executor = Calls()
    result = run_grid([SPECS[0], SPECS[0], SPECS[0].with_()], store, executor=executor)
    assert len(result.computed) == len(executor.calls) == 1


def test_a_damaged_record_stops_a_grid_before_any_work(store):
    run_grid(SPECS[:2], store, executor=Calls())
    path = store.path(SPECS[1])
    path.write_bytes(path.read_bytes()[:-50])
    executor = Calls()
    with pytest.raises(StoreError, match=path.name):
        run_grid(SPECS, store, executor=executor)
    assert executor.calls == []
    path.unlink()
    assert len(run_grid(SPECS, store, executor=executor).computed) == 3


def test_a_data_set_that_is_cut_short_stops_a_grid_before_any_work(store, tmp_path, monkeypatch):
    (tmp_path / "zenodo").mkdir()
    (tmp_path / "zenodo" / "x10data.npz").write_bytes(b"PK\x03\x04 and no more")
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path))
    executor = Calls()
    specs = [*SPECS, *grid_specs(["us_crime"], ["logistic"], ["none"])]
    with pytest.raises(DataError, match="us_crime"):
        run_grid(specs, store, executor=executor)
    assert executor.calls == []
    assert not store.root.exists()


def test_a_cell_of_bad_input_is_reported_once_and_the_others_are_done(store):
    bad = RunSpec(dataset="breast_cancer", imbalance_ratio=30, augmenter="smote", k_neighbors=100)
    executor = Calls()
    result = run_grid([bad, *SPECS], store, executor=executor)
    assert set(result.computed) == set(SPECS)
    assert list(result.failed) == [bad]
    assert "class 1" in result.failed[bad]
    assert "\n" not in result.failed[bad]
    assert bad not in store
    assert len(executor.calls) == len(SPECS) + 1  # bad input is not tried again


def test_a_cell_whose_worker_is_lost_is_tried_again(store):
    executor = Calls(lost=2)
    result = run_grid(SPECS, store, executor=executor)
    assert set(result.computed) == set(SPECS)
    assert result.failed == {}
    assert len(executor.calls) == len(SPECS) + 2


@pytest.mark.parametrize("retries", [0, 2])
def test_a_cell_that_is_lost_every_time_is_reported_in_one_line(store, retries):
    executor = Calls(lost=100)
    result = run_grid(SPECS[:1], store, executor=executor, retries=retries)
    assert result.failed == {SPECS[0]: "OSError: the worker is gone"}
    assert len(executor.calls) == retries + 1
    assert len(store) == 0


def test_any_executor_will_do_and_finds_the_same(store):
    with ThreadPoolExecutor(2) as threads:
        result = run_grid(SPECS, store, executor=threads)
        assert threads.submit(abs, -1).result() == 1  # a given executor is left running
    assert len(result.computed) == len(SPECS)
    assert [store.get(spec).digest for spec in SPECS] == [run(spec).digest for spec in SPECS]


def test_a_dask_client_is_such_an_executor(store):
    distributed = pytest.importorskip("distributed")
    bad = RunSpec(dataset="breast_cancer", imbalance_ratio=30, augmenter="smote", k_neighbors=100)
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as client:
        result = run_grid([*SPECS, bad], store, executor=client.get_executor())
    assert set(result.computed) == set(SPECS)
    assert "class 1" in result.failed[bad]
    assert store.get(SPECS[0]).digest == run(SPECS[0]).digest


def test_two_grids_on_one_store_share_its_cells_and_compute_none_twice(store, monkeypatch):
    computed, started = [], threading.Barrier(2)

    def slowly(spec, device):
        computed.append(spec)
        if len(computed) <= 2:
            started.wait(timeout=30)  # both are at work, each on a cell of its own
        return run(spec)

    monkeypatch.setattr("cemag.reproduction.runs.execute.run", slowly)
    monkeypatch.setattr("cemag.reproduction.runs.grid.LOOK_AGAIN", 0.05)
    with ThreadPoolExecutor(2) as pool:
        grids = [pool.submit(run_grid, SPECS, store, executor=ThreadPoolExecutor(1)) for _ in range(2)]
        found = [grid.result() for grid in grids]
    assert sorted(spec.key for spec in computed) == sorted(spec.key for spec in SPECS)
    assert all(grid.computed for grid in found)
    assert sum(len(grid.computed) for grid in found) == len(SPECS)
    assert all(len(grid.computed) + len(grid.skipped) == len(SPECS) for grid in found)
    assert not list(store.root.glob(".*.lock"))


def test_a_bar_is_drawn_on_standard_error_alone(store, capsys):
    run_grid(SPECS[:1], store, executor=Calls(), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1/1" in shown.err
