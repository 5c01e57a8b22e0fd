"""LocalExecutor: a call that dies or hangs costs itself alone, and no worker outlives its owner."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import TimeoutError

import psutil
import pytest
from pebble import ProcessExpired

from cemag.reproduction.runs.local import LocalExecutor

DEADLINE = 20.0  # seconds, with two busy cores


def ended(processes):
    """Whether all processes end within the deadline."""
    _, alive = psutil.wait_procs(processes, timeout=DEADLINE)
    return not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def pool():
    with LocalExecutor(1) as pool:
        yield pool


def test_results_come_back_from_another_process(pool):
    assert pool.submit(abs, -3).result() == 3
    assert pool.submit(int, "11", base=2).result() == 3
    assert pool.submit(os.getpid).result() != os.getpid()
    assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_an_error_in_a_call_is_that_calls_error(pool):
    with pytest.raises(ValueError, match="invalid literal"):
        pool.submit(int, "x").result()
    assert pool.submit(abs, -1).result() == 1


def test_a_call_that_dies_costs_itself_alone(pool):
    killed = pool.submit(signal.raise_signal, signal.SIGKILL)
    others = [pool.submit(abs, -n) for n in range(5)]
    with pytest.raises(ProcessExpired):
        killed.result(DEADLINE)
    assert [call.result(DEADLINE) for call in others] == [0, 1, 2, 3, 4]


def test_a_worker_that_dies_idle_is_replaced(pool):
    os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
    time.sleep(0.5)
    assert pool.submit(abs, -3).result(DEADLINE) == 3


def test_a_call_beyond_its_time_is_killed_and_the_next_one_runs():
    with LocalExecutor(1, timeout=0.5) as pool:
        started = time.monotonic()
        hung, later = pool.submit(time.sleep, 600), pool.submit(abs, -3)
        with pytest.raises(TimeoutError):
            hung.result(DEADLINE)
        assert later.result(DEADLINE) == 3
        assert time.monotonic() - started < DEADLINE


def test_leaving_by_an_error_does_not_wait_for_what_runs():
    started = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt), LocalExecutor(1) as pool:
        pool.submit(abs, -1).result()
        pool.submit(time.sleep, 600)
        raise KeyboardInterrupt
    assert time.monotonic() - started < DEADLINE


def test_nothing_is_accepted_after_shutdown():
    pool = LocalExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(abs, -1)


def test_workers_end_with_a_killed_owner_even_one_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from cemag.reproduction.runs.local import LocalExecutor\n"
        "print('started', flush=True)\n"
        "with LocalExecutor(2) as pool:\n"
        "    print(pool.submit(abs, -3).result(), flush=True)\n"
        "    for _ in range(4): pool.submit(time.sleep, 600)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert [owner.stdout.readline() for _ in range(2)] == ["started\n", "3\n"]
        time.sleep(0.5)  # both workers are in a long call
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) >= 4  # two workers, what forks them, and a tracker
    finally:
        owner.kill()
        owner.wait()
    assert ended(family)
    assert owner.stdout.read() == ""  # no worker ran the script again
    owner.stdout.close()
