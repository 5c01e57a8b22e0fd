"""Batched crops and flips are torchvision's own; balanced orders are balanced; mixing keeps label mass."""

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as tv

from cemag.models.images import CIFAR10
from cemag.reproduction.training.augment import AugmentDraws, BatchAugment
from cemag.reproduction.training.batches import Draws, balanced_order
from cemag.reproduction.training.recipe import Recipe
from cemag.samplers.mixing import rebalanced_label_factor

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [70, 25, 5])
RECIPE = Recipe(epochs=1, batch_size=32, warmup_epochs=0, milestones=())


@pytest.mark.parametrize(("height", "width", "padding"), [(32, 32, 4), (8, 12, 1), (8, 8, 0)])
def test_batched_augmentation_is_torchvisions_image_by_image(height, width, padding):
    images = torch.from_numpy(RNG.integers(0, 256, (10, height, width, 3), dtype=np.uint8))
    numbers = torch.from_numpy(RNG.integers(0, 10, 40))
    draws = AugmentDraws.draw(40, padding=padding, flip=True, generator=torch.Generator().manual_seed(0))
    assert 0 < draws.flip.sum() < 40
    found = BatchAugment(images, CIFAR10, padding)(numbers, draws)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for i, number in enumerate(numbers):
        image = tv.pad(images[number].permute(2, 0, 1), [padding] * 4)
        image = tv.crop(image, int(draws.top[i]), int(draws.left[i]), height, width)
        image = tv.hflip(image) if draws.flip[i] else image
        image = tv.normalize(tv.convert_image_dtype(image, torch.float32), CIFAR10.mean, CIFAR10.std)
        assert torch.equal(found[i], image)


def test_draws_reach_every_offset_and_no_other():
    draws = AugmentDraws.draw(20_000, padding=4, flip=True, generator=torch.Generator().manual_seed(0))
    for offsets in (draws.top, draws.left):
        share = np.bincount(offsets, minlength=9) / 20_000
        np.testing.assert_allclose(share, 1 / 9, atol=0.01)
        assert len(share) == 9
    assert draws.flip.float().mean().item() == pytest.approx(0.5, abs=0.02)
    generator = torch.Generator().manual_seed(0)
    assert not AugmentDraws.draw(100, padding=0, flip=False, generator=generator).flip.any()


def test_balanced_orders_show_each_class_alike_and_spread_over_its_images():
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        numbers = balanced_order(Y, 3, generator).numpy()
        counts = np.bincount(Y[numbers])
        assert len(numbers) == len(Y)
        assert sorted(counts) == [33, 33, 34]
        shown = np.bincount(numbers, minlength=len(Y))
        assert shown[Y == 0].max() == 1  # a part of the largest class, each once
        assert np.ptp(shown[Y == 2]) <= 1  # all of the smallest, alike


def plan(mixing, sampling="instance", seed=0):
    return Draws(Y, 3, RECIPE, sampling, mixing, seed).epoch()


def test_an_epoch_shows_each_image_once():
    assert sorted(plan(None).numbers.tolist()) == list(range(len(Y)))
    assert plan(None).soft is None


@pytest.mark.parametrize(
    ("mixing", "sampling"), [("remix", "class_balanced"), ("rebalanced_mixup", "instance")]
)
def test_mixing_keeps_label_mass_and_mixes_within_batches(mixing, sampling):
    epoch = plan(mixing, sampling)
    own = Y[epoch.numbers.numpy()]
    torch.testing.assert_close(epoch.soft.sum(1), torch.ones(len(Y)))
    for start in range(0, len(Y), 32):
        rows = slice(start, min(start + 32, len(Y)))
        partner = epoch.partner[rows].numpy()
        assert sorted(partner) == list(range(rows.stop - start))
        lam = epoch.factor[rows].numpy()
        assert (lam == lam[0]).all()
        mass = epoch.soft[rows].sum(0).numpy()
        if mixing == "remix":  # partners are a permutation: each class keeps its mass in the batch
            np.testing.assert_allclose(mass, np.bincount(own[rows], minlength=3), rtol=1e-5)
        weight = lam
        if mixing == "rebalanced_mixup":
            counts = np.bincount(Y)
            weight = rebalanced_label_factor(lam, counts[own[rows]], counts[own[rows][partner]])
        expected = (
            weight[:, None] * np.eye(3)[own[rows]] + (1 - weight)[:, None] * np.eye(3)[own[rows][partner]]
        )
        np.testing.assert_allclose(epoch.soft[rows], expected, atol=1e-6)


def test_generators_go_on_where_they_were():
    first = Draws(Y, 3, RECIPE, "class_balanced", "remix", 0)
    first.epoch()
    state = first.state()
    expected = first.epoch()
    second = Draws(Y, 3, RECIPE, "class_balanced", "remix", 99)
    second.restore(state)
    found = second.epoch()
    assert torch.equal(found.numbers, expected.numbers)
    assert torch.equal(found.soft, expected.soft)
    assert torch.equal(found.draws.top, expected.draws.top)


def draws_of(images_per_epoch, mixing=None, sampling="instance", seed=0):
    return Draws(Y, 3, RECIPE, sampling, mixing, seed, images_per_epoch)


@pytest.mark.parametrize("shown", [1, 40, 99, 100])
def test_a_part_of_the_images_is_drawn_anew_for_each_epoch_each_at_most_once(shown):
    draws = draws_of(shown)
    epochs = [draws.epoch().numbers.numpy() for _ in range(200)]
    for numbers in epochs:
        assert len(numbers) == len(set(numbers)) == shown
        assert set(numbers) <= set(range(len(Y)))
    assert len({tuple(numbers) for numbers in epochs}) > 50
    often = np.bincount(np.concatenate(epochs), minlength=len(Y)) / len(epochs)
    deviation = np.sqrt(shown / 100 * (1 - shown / 100) / len(epochs))
    np.testing.assert_allclose(often, shown / 100, atol=5 * deviation + 1e-9)  # none is preferred


def test_a_part_of_balanced_batches_is_balanced_on_average():
    draws = draws_of(30, sampling="class_balanced")
    numbers = np.concatenate([draws.epoch().numbers.numpy() for _ in range(300)])
    np.testing.assert_allclose(np.bincount(Y[numbers]) / len(numbers), 1 / 3, atol=0.03)


@pytest.mark.parametrize(
    ("mixing", "sampling"), [("remix", "class_balanced"), ("rebalanced_mixup", "instance")]
)
def test_a_part_is_mixed_within_its_own_batches(mixing, sampling):
    epoch = draws_of(40, mixing, sampling).epoch()
    assert [len(t) for t in (epoch.numbers, epoch.draws.top, epoch.partner, epoch.factor, epoch.soft)] == [
        40
    ] * 5
    torch.testing.assert_close(epoch.soft.sum(1), torch.ones(40))
    for rows in (slice(0, 32), slice(32, 40)):
        assert sorted(epoch.partner[rows].tolist()) == list(range(rows.stop - rows.start))


def test_all_images_an_epoch_are_drawn_as_if_no_number_was_given():
    for mixing, sampling in ((None, "instance"), ("remix", "class_balanced")):
        whole, asked = (draws_of(shown, mixing, sampling) for shown in (None, len(Y)))
        for _ in range(2):
            assert torch.equal(whole.epoch().numbers, asked.epoch().numbers)
