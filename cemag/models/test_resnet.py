"""The networks are the published ones, published weights load, and CEs add up to their logits."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cemag.errors import CemagError, DataError
from cemag.models.heads import capture, embed_images, evaluating, find_last_linear, replace_head
from cemag.models.images import CIFAR10, Normalisation, image_tensor
from cemag.models.resnet import RESNETS, checkpoint_model, load_checkpoint, resnet

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
# per network: parameters as published, in millions, for 10 classes of RGB images
PUBLISHED = {"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85}


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


def published_names(n_blocks):
    """Names as the public implementation's state dict has them."""
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["conv1.weight", *(f"bn1.{n}" for n in norm)]
    for stage in (1, 2, 3):
        for block in range(n_blocks):
            for i in (1, 2):
                names.append(f"layer{stage}.{block}.conv{i}.weight")
                names += [f"layer{stage}.{block}.bn{i}.{n}" for n in norm]
    return [*names, "linear.weight", "linear.bias"]


@pytest.mark.parametrize("name", RESNETS)
def test_parameters_are_as_many_and_named_as_published(name):
    model = resnet(name)
    assert round(n_parameters(model) / 1e6, 2) == PUBLISHED[name]
    assert list(model.state_dict()) == published_names(RESNETS[name])


def literal_forward(model, x):
    """The network as the public implementation computes it, from the weights by name."""
    w = model.state_dict()

    def norm(name, x):
        return F.batch_norm(
            x, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"]
        )

    x = F.relu(norm("bn1", F.conv2d(x, w["conv1.weight"], padding=1)))
    for stage in (1, 2, 3):
        for block in range(len(getattr(model, f"layer{stage}"))):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            out = F.relu(norm(f"{at}.bn1", F.conv2d(x, w[f"{at}.conv1.weight"], stride=stride, padding=1)))
            out = norm(f"{at}.bn2", F.conv2d(out, w[f"{at}.conv2.weight"], padding=1))
            if stride == 2:
                planes = out.shape[1]
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4), "constant", 0)
            x = F.relu(out + x)
    x = F.avg_pool2d(x, x.shape[3]).flatten(1)
    return F.linear(x, w["linear.weight"], w["linear.bias"])


def test_outputs_are_those_of_a_literal_reading():
    model = resnet("resnet20", seed=1).eval()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model(x)
        torch.testing.assert_close(model(x), literal_forward(model, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 33), (4, 64)])
def test_channels_classes_and_small_images(channels, size):
    model = resnet("resnet20", n_classes=5, in_channels=channels)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 5)


def test_weights_come_from_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second, other = (resnet("resnet20", seed=s).state_dict() for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    spread = first["layer3.1.conv1.weight"].std().item()
    assert spread == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)  # He's normal


def test_bad_options_are_refused():
    with pytest.raises(CemagError, match="unknown network 'resnet33': did you mean 'resnet32'"):
        resnet("resnet33")
    with pytest.raises(CemagError, match="n_classes is 0"):
        resnet("resnet20", n_classes=0)


@pytest.mark.parametrize("wrap", [dict, lambda s: {"state_dict": s, "best": 92.6}], ids=["bare", "held"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_published_checkpoint_loads(tmp_path, wrap, prefix):
    source = resnet("resnet20", seed=5)
    path = tmp_path / "resnet20.th"
    torch.save(wrap({prefix + name: tensor for name, tensor in source.state_dict().items()}), path)
    model = load_checkpoint(resnet("resnet20"), path)
    x = torch.ones(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), source.eval()(x))


def test_checkpoints_that_do_not_fit_are_refused_and_change_nothing(tmp_path):
    model = resnet("resnet20")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = tmp_path / "other.th"

    def refused(message, content=None):
        if content is not None:
            torch.save(content, path)
        with pytest.raises(CemagError, match=message) as caught:
            load_checkpoint(model, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    refused("no such checkpoint")
    refused(r"layer1.3.conv1.weight is not in the model", resnet("resnet32").state_dict())
    refused(r"linear.weight has shape \(5, 64\), the model \(10, 64\)", resnet("resnet20", 5).state_dict())
    state = resnet("resnet20").state_dict()
    del state["bn1.weight"]
    refused("bn1.weight is missing", state)
    refused("no state dict", {"epoch": 3})
    refused("pickled code", {"state_dict": resnet("resnet20")})
    path.write_bytes(pickle.dumps(print, protocol=2))
    refused("pickled code")
    torch.save(resnet("resnet20").state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])
    refused("not a readable checkpoint")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.auxiliary = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, x):
        hidden = F.relu(self.body(x))
        out = self.head(hidden)
        self.auxiliary(hidden)
        return out


def test_the_last_linear_layer_is_found_or_candidates_are_listed():
    model = TwoHeads()
    with pytest.raises(CemagError, match=r"3 linear layers: body \(4 to 6\), head \(6 to 3\), auxiliary"):
        find_last_linear(model)
    assert find_last_linear(model, torch.ones(1, 4)) is model.head
    with_softmax = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2), nn.Softmax(1))
    assert find_last_linear(with_softmax, torch.ones(1, 4)) is with_softmax[2]
    with pytest.raises(CemagError, match="Conv2d has no linear layer"):
        find_last_linear(nn.Conv2d(1, 1, 1))
    with pytest.raises(CemagError, match="does not end in one of its 2 linear layers"):
        find_last_linear(
            nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Unflatten(1, (2, 2))), torch.ones(1, 4)
        )
    only = nn.Linear(2, 2)
    assert find_last_linear(only) is only


def test_captured_features_and_logits_are_the_networks_own_and_it_is_left_as_it_was():
    model = TwoHeads().train()
    model.body.eval()
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    features, logits = capture(model, x, batch_size=4)
    np.testing.assert_allclose(features, F.relu(model.body(x)).detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(logits, model(x).detach().numpy(), rtol=1e-6)
    assert model.training
    assert not model.body.training
    assert not model.head._forward_hooks
    with pytest.raises(CemagError, match=r"one vector an instance"):
        capture(nn.Linear(4, 2), torch.ones(2, 3, 4))
    with pytest.raises(DataError, match="no row"):
        capture(model, x[:0])


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_ces_of_images_add_up_to_the_networks_logits(layout):
    model = resnet("resnet20", seed=2)
    X = IMAGES if layout == "nhwc" else IMAGES.transpose(0, 3, 1, 2)
    ce = embed_images(model, X, classes=list("abcdefghij"), batch_size=3)
    with evaluating(model):
        own = model(CIFAR10(torch.from_numpy(IMAGES))).numpy()
    assert np.abs(ce.logits() - own).max() <= 1e-5 * np.abs(own).max()
    assert ce.n_features == 64
    assert ce.classes[0] == "a"


def test_a_replaced_head_is_a_copy():
    model = resnet("resnet20", n_classes=4)
    weights, bias = np.ones((4, 64)), np.arange(4.0)
    changed = replace_head(model, weights, bias)
    ce = embed_images(changed, IMAGES)
    np.testing.assert_array_equal(ce.weights, weights)
    np.testing.assert_array_equal(ce.bias, bias)
    assert not np.allclose(embed_images(model, IMAGES).weights, weights)
    np.testing.assert_array_equal(embed_images(model, IMAGES).features, ce.features)
    with pytest.raises(CemagError, match=r"the network needs \(\(4, 64\), \(4,\)\)"):
        replace_head(model, weights[:, :3], bias)


def test_images_of_any_layout_and_no_other_type():
    assert image_tensor(IMAGES[..., 0]).shape == (7, 16, 16, 1)
    assert torch.equal(image_tensor(IMAGES.transpose(0, 3, 1, 2)), torch.from_numpy(IMAGES))
    with pytest.raises(DataError, match="dtype float32: uint8 is needed"):
        image_tensor(IMAGES.astype(np.float32))
    with pytest.raises(DataError, match=r"shape \(7, 16, 16, 2\)"):
        image_tensor(IMAGES[..., :2])
    with pytest.raises(DataError, match=r"1 channel\(s\), and the mean to subtract has 3"):
        CIFAR10(image_tensor(IMAGES[..., 0]))


def test_statistics_of_a_data_set_are_those_of_its_pixels():
    found = Normalisation.of(torch.from_numpy(IMAGES))
    pixels = IMAGES.reshape(-1, 3) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0))
    np.testing.assert_allclose(found.std, pixels.std(axis=0))
    assert Normalisation.of(torch.zeros(2, 2, 2, 1, dtype=torch.uint8)).std == (1.0,)


# ---------------------------------------------------------------------- networks from files


class Unwanted:
    """What a checkpoint may not hold: an object, which only unpickling brings back."""


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_networks_from_checkpoints(suffix, tmp_path):
    path = tmp_path / f"net.{suffix}"
    state = resnet("resnet20", 5, 1, seed=3).state_dict()
    if suffix == "pt":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    made = checkpoint_model(path, "resnet20")
    assert not made.training
    assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())
    for options, message in [
        (("resnet20", 7), r"net\.\w+: another architecture \(linear.weight has shape \(5, 64\)"),
        (("resnet32",), r"net\.\w+: another architecture"),
        (("resnet18",), "unknown network 'resnet18': did you mean"),
        (("resnet20", 0), "n_classes is 0"),
    ]:
        with pytest.raises(CemagError, match=message) as caught:
            checkpoint_model(path, *options)
        assert "state.pt" not in str(caught.value)


def test_checkpoints_that_are_none(tmp_path):
    pytest.importorskip("safetensors")
    torch.save({"a": Unwanted()}, tmp_path / "trap.pt")
    (tmp_path / "trap.pkl").write_bytes(b"")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    for name, message in [
        ("trap.pt", "trap.pt: holds pickled code, refused"),
        ("trap.pkl", "are never read"),
        ("bad.safetensors", "bad.safetensors: not a readable checkpoint"),
        ("no.pt", "no.pt: no such checkpoint"),
        ("no.safetensors", "no.safetensors: no such checkpoint"),
    ]:
        with pytest.raises(CemagError, match=message):
            checkpoint_model(tmp_path / name, "resnet20")
