"""A training that is killed at any moment and resumed ends with the weights of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cemag.errors import CemagError
from cemag.models.resnet import resnet
from cemag.reproduction.training import Recipe, checkpoint, train

RECIPE = Recipe(epochs=6, batch_size=32, warmup_epochs=1, milestones=(4,), crop_padding=1)
OPTIONS = {"seed": 3, "device": "cpu", "mixing": "remix", "checkpoint_every": 2}
CHILD = """
import sys, torch
torch.set_num_threads(int(sys.argv[2]))
from cemag.reproduction.training import test_resume
test_resume.go(sys.argv[1], progress=lambda p: print(p.epoch, p.step, flush=True))
"""


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On shared cores, threads that wait for each other after each of many small steps take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def go(path=None, **changes):
    X, y = load_digits(return_X_y=True)
    images = (X * 15).astype(np.uint8).reshape(-1, 8, 8)[:300]
    model = resnet("resnet20", in_channels=1)
    return train(model, images, y[:300], changes.pop("recipe", RECIPE), checkpoint=path, **OPTIONS | changes)


def assert_same(found, expected):
    state = expected.model.state_dict()
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert [epoch[:3] for epoch in found.history] == [epoch[:3] for epoch in expected.history]


@pytest.fixture(scope="module")
def undisturbed():
    return go()


def test_killed_again_and_again_it_ends_with_the_same_weights(tmp_path, undisturbed):
    path = tmp_path / "checkpoint.pt"
    for kill_after in (1, 5):  # epochs seen: before the first checkpoint is there, and after two
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(torch.get_num_threads())],
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in child.stdout:
            if int(line.split()[0]) >= kill_after:
                break
        time.sleep(0.02)  # well within the next epoch, or within a write
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert child.returncode == -signal.SIGKILL
        assert path.exists() == (kill_after > 2)
    seen = []
    resumed = go(path, progress=lambda p: seen.append(p.epoch))
    assert min(seen) == 5
    assert_same(resumed, undisturbed)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_stopped_by_a_callback_or_within_a_write_it_goes_on(tmp_path, undisturbed, monkeypatch):
    path = tmp_path / "folder" / "checkpoint.pt"

    def stop(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(path, progress=stop)
    kept = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "replace", full)
        with pytest.raises(CemagError, match=r"cannot be written \(No space left"):
            go(path)
    assert path.read_bytes() == kept
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert_same(go(path), undisturbed)
    calls = []
    assert_same(go(path, progress=calls.append), undisturbed)  # complete: nothing is trained again
    assert not calls


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    short = RECIPE.model_copy(update={"epochs": 1, "milestones": ()})
    go(path, recipe=short)
    for changes in ({"seed": 4}, {"mixing": None}, {"recipe": RECIPE}):
        with pytest.raises(CemagError, match="belongs to a training of other data, recipe, seed"):
            go(path, **{"recipe": short, **changes})
    go(path, recipe=short, seed=4, resume=False)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CemagError, match="not a checkpoint of a training"):
        go(path, recipe=short, seed=4)
    torch.save({"format": 1, "code": resnet}, path)
    with pytest.raises(CemagError, match="not a checkpoint of a training"):
        go(path, recipe=short, seed=4)
