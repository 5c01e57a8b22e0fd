"""DeepSMOTE: it learns to redraw, its penalty is the published one, new images lie between two of a class."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from cemag.errors import CemagError, DataError
from cemag.models import deepsmote
from cemag.models.deepsmote import DeepSMOTE, train_deepsmote

SMALL = {"code_size": 8, "width": 4, "batch_size": 20}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    rows = np.concatenate([np.flatnonzero(labels == c)[:n] for c, n in ((0, 60), (1, 30), (8, 12))])
    return (images[rows].reshape(-1, 8, 8, 1) * 255 / 16).astype(np.uint8), labels[rows]


def weights(model):
    return torch.cat([part.detach().double().ravel() for part in model.state_dict().values()])


def test_training_makes_it_redraw_better(digits):
    X, y = digits
    model = train_deepsmote(X, y, epochs=30, lr=2e-3, **SMALL)
    losses = [epoch.reconstruction for epoch in model.history]
    assert len(losses) == 30
    assert losses[-1] < 0.4 * losses[0]
    redrawn = model.decode(model.encode(X)).astype(float)
    mean_image = X.astype(float).mean(axis=0)
    assert ((redrawn - X) ** 2).mean() < 0.6 * ((mean_image - X) ** 2).mean()


def test_a_seed_gives_the_same_weights_and_the_global_generator_stays(digits):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = weights(train_deepsmote(*digits, epochs=2, seed=1, **SMALL))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one, weights(train_deepsmote(*digits, epochs=2, seed=1, **SMALL)))
    assert not torch.equal(one, weights(train_deepsmote(*digits, epochs=2, seed=2, **SMALL)))


def test_new_images_fill_each_class_up_with_its_own_label(digits):
    X, y = digits
    made, labels = train_deepsmote(X, y, epochs=1, **SMALL).generate(X, y)
    assert made.dtype == np.uint8
    assert made.shape == (30 + 48, 8, 8, 1)
    assert labels.tolist() == [1] * 30 + [8] * 48
    again, _ = train_deepsmote(X, y, epochs=1, **SMALL).generate(X, y)
    np.testing.assert_array_equal(made, again)


def test_what_is_decoded_lies_between_the_codes_of_two_images_of_the_class(digits, monkeypatch):
    X, y = digits
    model = train_deepsmote(X, y, epochs=1, **SMALL)
    decoded = []
    monkeypatch.setattr(
        model, "decode", lambda codes: decoded.append(codes) or np.zeros((len(codes), 8, 8, 1))
    )
    _, labels = model.generate(X, y, random_state=3)
    (points,) = decoded
    for label in (1, 8):
        own = model.encode(X[y == label]).astype(float)
        for point in points[labels == label][:10]:
            start, end = own[:, None], own[None]  # every pair, by brute force
            along = ((point - start) * (end - start)).sum(-1) / ((end - start) ** 2).sum(-1).clip(1e-12)
            off = np.abs(start + along.clip(0, 1)[..., None] * (end - start) - point).max(-1)
            assert off.min() < 1e-4


def test_balanced_images_need_nothing_new(digits):
    X, y = digits
    rows = np.concatenate([np.flatnonzero(y == c)[:12] for c in (0, 1, 8)])
    made, labels = train_deepsmote(X[rows], y[rows], epochs=1, **SMALL).generate(X[rows], y[rows])
    assert made.shape == (0, 8, 8, 1)
    assert len(labels) == 0


@pytest.mark.parametrize("variant", ["paper", "published_code"])
def test_the_penalty_reaches_the_encoder_only_in_the_form_of_the_paper(digits, variant):
    X, _ = digits
    model = DeepSMOTE((8, 8, 1), code_size=8, width=4)
    deepsmote._penalty(model, torch.from_numpy(X), torch.arange(10), variant).backward()
    reached = any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())
    assert reached == (variant == "paper")
    assert all(p.grad is not None for p in model.decoder.parameters())


def test_the_penalty_of_the_paper_compares_each_image_with_the_next_ones_code_decoded(digits):
    X, _ = digits
    model = DeepSMOTE((8, 8, 1), code_size=8, width=4).eval()
    rows = torch.arange(6)
    found = deepsmote._penalty(model, torch.from_numpy(X), rows, "paper")
    pictures = torch.from_numpy(X[:6]).float().permute(0, 3, 1, 2) / 127.5 - 1
    codes = model.encoder(pictures)
    expected = F.mse_loss(model.pictures(torch.cat([codes[1:], codes[:1]])), pictures)
    torch.testing.assert_close(found, expected)


def test_without_a_penalty_there_is_none_in_the_history(digits):
    seen = []
    model = train_deepsmote(
        *digits, epochs=2, variant="none", progress=lambda n, losses: seen.append((n, losses)), **SMALL
    )
    assert [epoch.penalty for epoch in model.history] == [0, 0]
    assert seen == [(1, model.history[0]), (2, model.history[1])]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 13, 32])
def test_codes_and_images_keep_their_shapes_and_the_mode_stays(side, channels):
    model = DeepSMOTE((side, side, channels), code_size=5, width=4).train()
    X = np.random.default_rng(0).integers(0, 256, (3, side, side, channels), dtype=np.uint8)
    codes = model.encode(X, batch_size=2)
    assert codes.shape == (3, 5)
    assert model.decode(codes).shape == X.shape
    assert model.training
    np.testing.assert_allclose(codes, model.encode(X), atol=1e-5)  # whatever the batch


def test_bad_input_is_one_line_that_names_it(digits, monkeypatch):
    X, y = digits

    def refused(kind, message, work):
        with pytest.raises(kind, match=message) as caught:
            work()
        assert "\n" not in str(caught.value)

    few = np.concatenate([np.flatnonzero(y == 0)[:9], np.flatnonzero(y == 8)[:1]])
    refused(DataError, "class 8 has 1, at least 2", lambda: train_deepsmote(X[few], y[few], epochs=1))
    model = train_deepsmote(X, y, epochs=1, **SMALL)
    refused(DataError, "class 8 has 12, at least 21", lambda: model.generate(X, y, n_neighbors=20))
    refused(DataError, "8 x 7", lambda: train_deepsmote(X[:, :, :7], y, epochs=1))
    refused(DataError, "4 x 4", lambda: train_deepsmote(X[:, :4, :4], y, epochs=1))
    refused(DataError, "16, 16, 1", lambda: model.encode(np.zeros((1, 16, 16, 1), np.uint8)))
    refused(DataError, "labels have shape", lambda: train_deepsmote(X, y[:-1], epochs=1))
    refused(CemagError, "batch_size is 1", lambda: train_deepsmote(X, y, epochs=1, batch_size=1))
    refused(CemagError, "epochs is 0", lambda: train_deepsmote(X, y, epochs=0))
    refused(CemagError, "lr is nan", lambda: train_deepsmote(X, y, lr=float("nan")))
    refused(CemagError, "'papre': did you mean 'paper'", lambda: train_deepsmote(X, y, variant="papre"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(CemagError, "finds no GPU", lambda: train_deepsmote(X, y, epochs=1, device="cuda"))
