"""A grid that is killed by SIGKILL and started again ends with the records of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time

import psutil

from cemag.reproduction.runs import RunStore, grid_specs, run
from cemag.reproduction.runs.selection import PAPER_AUGMENTERS

DATASET, MODELS = "breast_cancer", ["logistic", "svm"]
ARGUMENTS = ["--datasets", DATASET, "--models", ",".join(MODELS), "--augmenters", "paper", "--jobs", "2"]
KILL_AT = (0, 3, 20)  # records stored
PATIENCE = 60.0


def start(store):
    return subprocess.Popen(
        [sys.executable, "-m", "cemag", "grid", *ARGUMENTS, "--store", str(store.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONHASHSEED": "1"},
    )


def wait_until(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.005)


def session(leader):
    """Every living process that the grid started: they share its session, whoever their parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_killed_at_several_moments_it_ends_with_the_records_of_an_undisturbed_one(tmp_path):
    store = RunStore(tmp_path / "store")
    specs = grid_specs([DATASET], MODELS, PAPER_AUGMENTERS)
    for n_records in KILL_AT:
        grid = start(store)
        wait_until(lambda n=n_records: len(store) >= n)  # before any work, and well within it
        if n_records == 0:
            wait_until(lambda pid=grid.pid: len(session(pid)) >= 4)  # workers are up, and at work
        assert grid.poll() is None
        grid.send_signal(signal.SIGKILL)
        grid.communicate()
        wait_until(lambda pid=grid.pid: not session(pid), seconds=15)
        for record in store:  # what is there is whole
            assert record.spec in specs
    n_before = len(store)
    assert KILL_AT[-1] <= n_before < len(specs)

    last = start(store)
    out, err = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, err
    assert f"{len(specs) - n_before} computed, {n_before} stored already, 0 failed" in out
    undisturbed = {spec.key: run(spec).digest for spec in specs}
    assert {record.spec.key: record.digest for record in store} == undisturbed
