"""Training learns, is the same for a seed, and refuses what it cannot do."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from rich.console import Console
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from cemag.errors import CemagError, DataError, UnknownNameError
from cemag.models.resnet import resnet
from cemag.reproduction.training import (
    RECIPES,
    Recipe,
    choose_device,
    class_accuracy,
    get_recipe,
    predict_logits,
    progress_bar,
    train,
    train_head,
)
from cemag.reproduction.training import device as device_module
from cemag.reproduction.training.device import explain_out_of_memory

SHORT = Recipe(epochs=2, batch_size=32, warmup_epochs=0, milestones=(1,), crop_padding=1)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On shared cores, threads that wait for each other after each of many small steps take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X * 15).astype(np.uint8).reshape(-1, 8, 8), y


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_resnet_learns_the_digits_in_seconds(digits):
    X, y = digits
    reports = []
    model = resnet("resnet20", in_channels=1)
    trained = train(model, X[:1300], y[:1300], RECIPES["digits"], device="cpu", progress=reports.append)
    logits = predict_logits(trained.model, X[1300:], trained.normalisation)
    assert (logits.argmax(1) == y[1300:]).mean() > 0.9
    assert class_accuracy(logits, y[1300:]).min() > 0.6
    assert len(trained.history) == RECIPES["digits"].epochs
    assert trained.history[-1].loss < trained.history[0].loss / 5
    assert trained.model is model
    assert not model.training
    last = reports[-1]
    assert (last.epoch, last.step) == (last.epochs, last.steps) == (8, RECIPES["digits"].steps(1300))
    assert last.seconds_left == pytest.approx(0)
    assert (last.loss, last.accuracy) == trained.history[-1][:2]


METHODS = [(None, None), ("class_balanced", None), (None, "remix"), (None, "rebalanced_mixup")]


@pytest.mark.parametrize(("sampling", "mixing"), METHODS)
def test_a_seed_gives_the_same_weights_whatever_the_global_generators(digits, sampling, mixing):
    X, y = digits[0][:100], digits[1][:100]
    outcomes = []
    for noise, seed in [(0, 0), (1, 0), (1, 1)]:
        torch.manual_seed(noise)
        np.random.seed(noise)  # noqa: NPY002
        before = torch.get_rng_state()
        model = resnet("resnet20", in_channels=1)
        done = train(model, X, y, SHORT, seed=seed, device="cpu", sampling=sampling, mixing=mixing)
        assert torch.equal(torch.get_rng_state(), before)
        assert np.isfinite([epoch.loss for epoch in done.history]).all()
        outcomes.append(weights(model))
    assert same(outcomes[0], outcomes[1])
    assert not same(outcomes[0], outcomes[2])


def test_soft_labels_of_unmixed_images_are_hard_labels(digits, monkeypatch):
    X, y = digits[0][:64], digits[1][:64]
    monkeypatch.setitem(sys.modules["cemag.reproduction.training.batches"].ALPHA, "rebalanced_mixup", 0.0)
    plain, mixed = (
        weights(train(resnet("resnet20", in_channels=1), X, y, SHORT, device="cpu", mixing=m).model)
        for m in (None, "rebalanced_mixup")
    )
    for name, tensor in plain.items():
        torch.testing.assert_close(mixed[name], tensor, rtol=1e-3, atol=1e-4)


class Counting(nn.Module):
    """A small network that counts the images and batches that it is trained on."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.sizes = []

    def forward(self, x):
        if self.training:
            self.sizes.append(len(x))
        return self.linear(x.flatten(1))


def test_every_method_takes_the_same_number_of_steps(digits):
    X, y = digits[0][:100], digits[1][:100]
    sizes = []
    for sampling, mixing in METHODS:
        model = Counting()
        train(model, X, y, SHORT, device="cpu", sampling=sampling, mixing=mixing)
        sizes.append(model.sizes)
    assert sizes == [[32, 32, 32, 4] * 2] * len(METHODS)


def test_images_that_were_added_leave_the_number_of_steps_as_it_was(digits):
    X, y = digits[0][:180], digits[1][:180]
    for sampling, mixing in METHODS:
        model, reports = Counting(), []
        trained = train(
            model, X, y, SHORT, device="cpu", sampling=sampling, mixing=mixing, images_per_epoch=100,
            progress=reports.append,
        )  # fmt: skip
        assert model.sizes == [32, 32, 32, 4] * 2
        assert len(trained.history) == 2
        assert (reports[-1].step, reports[-1].steps) == (4, SHORT.steps(100)) == (4, 4)
        assert reports[-1].seconds_left == pytest.approx(0)
        assert all(0 <= epoch.accuracy <= 1 for epoch in trained.history)
        shown = sum(100 / epoch.images_per_second for epoch in trained.history)
        assert trained.seconds == pytest.approx(shown)


def test_the_number_of_images_an_epoch_is_part_of_what_a_checkpoint_belongs_to(digits, tmp_path):
    X, y, path = digits[0][:60], digits[1][:60], tmp_path / "checkpoint.pt"
    train(Counting(), X, y, SHORT, device="cpu", checkpoint=path, images_per_epoch=40)
    with pytest.raises(CemagError, match="belongs to a training of other data"):
        train(Counting(), X, y, SHORT, device="cpu", checkpoint=path)


def test_all_images_an_epoch_train_as_if_no_number_was_given(digits):
    X, y = digits[0][:80], digits[1][:80]
    whole, asked, part = (
        weights(train(resnet("resnet20", in_channels=1), X, y, SHORT, device="cpu", images_per_epoch=n).model)
        for n in (None, 80, 40)
    )
    assert same(whole, asked)
    assert not same(whole, part)


def test_what_does_not_fit_is_refused_before_work(digits):
    X, y = digits[0][:20], digits[1][:20]
    model = resnet("resnet20", in_channels=1)
    before = weights(model)

    def refused(message, X=X, y=y, recipe=SHORT, kind=CemagError, **options):
        with pytest.raises(kind, match=message) as caught:
            train(model, X, y, recipe, **{"device": "cpu", **options})
        assert "\n" not in str(caught.value)

    refused("dtype float64: uint8", X=X / 255, kind=DataError)
    refused(r"X has 20 images and y shape \(19,\)", y=y[:19], kind=DataError)
    refused("y is from 2 to 11: the network has classes 0 to 9", y=y + 2, kind=DataError)
    refused("class numbers from 0", y=y / 2, kind=DataError)
    refused("does not take images of shape", X=np.zeros((20, 8, 8, 3), np.uint8))
    refused(r"1 channel\(s\)", recipe=RECIPES["long_tailed_30"], kind=DataError)
    refused("unknown sampling 'balanced'", sampling="balanced", kind=UnknownNameError)
    refused("unknown mixing 'mixup'", mixing="mixup", kind=UnknownNameError)
    refused("sampling 'instance' does not go with it", sampling="instance", mixing="remix")
    refused("images_per_epoch is 0: it must be a whole number from 1 to 20", images_per_epoch=0)
    refused("images_per_epoch is 21: it must be a whole number from 1 to 20", images_per_epoch=21)
    refused("images_per_epoch is -1: it must be a whole number from 1 to 20", images_per_epoch=-1)
    refused("class 9 has no image", y=y.clip(max=8), sampling="class_balanced", kind=DataError)
    assert same(weights(model), before)


def test_a_loss_that_is_not_finite_stops_the_training(digits):
    recipe = Recipe(epochs=3, batch_size=32, lr=1e30, warmup_epochs=0, milestones=())
    with pytest.raises(CemagError, match=r"the loss is (nan|inf) in epoch 1: a smaller lr"):
        train(resnet("resnet20", in_channels=1), digits[0][:96], digits[1][:96], recipe, device="cpu")


def test_an_absent_gpu_is_named_before_work(digits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CemagError, match="'cuda' was asked for, but there is no GPU"):
        train(resnet("resnet20", in_channels=1), *digits, SHORT, device="cuda")
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(CemagError, match="unknown device 'gpu'"):
        choose_device("gpu")


class Full(Counting):
    def forward(self, x):
        if self.training:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")
        return super().forward(x)


def test_running_out_of_memory_suggests_a_batch(digits, monkeypatch):
    with pytest.raises(CemagError, match=r"a batch of 32 images .* try batch_size=16$"):
        train(Full(), *digits, SHORT, device="cpu")
    gib, allocated = 2**30, [1 * 2**30, 15 * 2**30]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: allocated[0])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: allocated[1])
    properties = type("Properties", (), {"total_memory": 16 * gib})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    gpu = torch.device("cuda")
    with (
        pytest.raises(CemagError, match=r"GPU's memory \(15.0 of 16.0 GiB .* before\): try batch_size=64$"),
        explain_out_of_memory(128, gpu),
    ):
        raise torch.OutOfMemoryError("full")
    allocated[:] = [12 * gib, 28 * gib]
    with pytest.raises(CemagError, match=r"try batch_size=32$"), explain_out_of_memory(128, gpu):
        raise torch.OutOfMemoryError("full")
    with (
        pytest.raises(CemagError, match="network do not fit"),
        explain_out_of_memory(None, gpu),
    ):
        raise torch.OutOfMemoryError("full")
    with pytest.raises(RuntimeError, match="something else"), explain_out_of_memory(128, gpu):
        raise RuntimeError("something else")


def test_without_glibc_memory_is_simply_not_kept(monkeypatch):
    monkeypatch.setattr(device_module.sys, "platform", "darwin")
    with device_module.keep_memory(torch.device("cpu")):
        pass


def test_learning_rates_are_those_of_the_long_tailed_literature():
    recipe = RECIPES["long_tailed_200"]
    rates = [recipe.learning_rate(epoch) for epoch in range(200)]
    np.testing.assert_allclose(rates[:6], [0.02, 0.04, 0.06, 0.08, 0.1, 0.1])
    np.testing.assert_allclose(rates[159:161], [0.1, 0.001])
    np.testing.assert_allclose(rates[179:181], [0.001, 1e-5])
    assert (recipe.momentum, recipe.weight_decay, recipe.batch_size) == (0.9, 2e-4, 128)
    assert (recipe.crop_padding, recipe.flip, recipe.steps(12_406)) == (4, True, 97)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"epochs": True}, "should be a number"),
        ({"lr": float("nan")}, "greater than 0"),
        ({"lr": float("inf")}, "finite"),
        ({"epochs": 100}, r"milestones \(160, 180\)"),
        ({"milestones": (5, 5)}, "must increase"),
        ({"milestones": (3,)}, "from warmup_epochs 5"),
        ({"milestones": (), "epochs": 3}, "warmup_epochs must not be above"),
        ({"mean": (0.5,)}, "given together"),
        ({"mean": (0.5,), "std": (0.0,)}, "above 0"),
        ({"mixed_precision": "fp8"}, "'bf16', 'fp16' or 'none'"),
        ({"learning_rate": 1}, "Extra inputs"),
    ],
    ids=repr,
)
def test_unfit_recipes_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**settings)


def test_recipes_have_names_and_digests():
    assert len({recipe.digest for recipe in RECIPES.values()}) == len(RECIPES)
    assert Recipe().digest == Recipe.model_validate_json(Recipe().model_dump_json()).digest
    assert all(name == "digits" or int(name.split("_")[-1]) == r.epochs for name, r in RECIPES.items())
    with pytest.raises(UnknownNameError, match="did you mean 'long_tailed_30'"):
        get_recipe("long_tailed_3")


def test_recipes_never_import_torch():
    code = "import sys, cemag.reproduction.training.recipe; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_progress_bar_shows_accuracy_speed_and_time_left(digits):
    out = Console(file=io.StringIO(), width=160, force_terminal=True)
    with progress_bar("digits", out) as show:
        train(Counting(), *digits, SHORT, device="cpu", progress=show)
    shown = out.file.getvalue()
    assert "epoch 2/2" in shown
    assert "images/s" in shown
    assert "accuracy" in shown
    assert "0:00 left" in shown


def test_a_new_head_classifies_embeddings_about_as_well_as_logistic_regression():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    head = train_head(X, y, 10)
    accuracy = ((X @ head.weights.T + head.bias).argmax(1) == y).mean()
    assert accuracy > LogisticRegression(max_iter=500).fit(X, y).score(X, y) - 0.04
    again, other = train_head(X, y, 10), train_head(X, y, 10, seed=1)
    np.testing.assert_array_equal(again.weights, head.weights)
    assert not np.array_equal(other.weights, head.weights)
    assert dataclasses.is_dataclass(head)
    with pytest.raises(DataError, match="class numbers from 0 to 8"):
        train_head(X, y, 9)
    with pytest.raises(DataError, match="NaN or infinite"):
        train_head(X * np.nan, y, 10)
    with pytest.raises(DataError, match=r"shape \(1797, 64\) and y \(3,\)"):
        train_head(X, y[:3], 10)
    with pytest.raises(CemagError, match="smaller lr"):
        train_head(X * 1e20, y, 10, lr=1e30)
