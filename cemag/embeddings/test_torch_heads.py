"""Heads of every kind: their factors are what a reader of the network would write down."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from cemag.auditing import torch_factors  # noqa: E402
from cemag.errors import CemagError  # noqa: E402

N, D, C, T = 7, 6, 3, 5
torch.manual_seed(0)
ROWS, TOKENS, MAPS = torch.randn(N, D), torch.randn(N, T, D), torch.randn(N, D, 4, 4)
Y = np.arange(N) % C
W, B = torch.randn(C, D), torch.randn(C)
DOWN, UP = torch.randn(2, D), torch.randn(C, 2)


class Of(nn.Module):
    """A network of one function, which finds its layers as attributes of the module."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


def head(weight=W, bias=B):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def conv(kernel, weight):
    layer = nn.Conv2d(D, C, kernel, padding=kernel // 2)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(B)
    return layer


def normed():
    layer = nn.BatchNorm1d(C)
    with torch.no_grad():
        for one in (layer.weight, layer.bias, layer.running_mean):
            one.copy_(torch.randn(C))
        layer.running_var.copy_(torch.rand(C) + 0.5)
    return layer


def lora(net, x):
    h = torch.relu(x)
    return net.base(h) + 4 * net.up(net.down(h))


def in_place(net, x):
    out = net.head(torch.relu(x))
    out[:, 1] -= 2
    return out.mul_(3)


def two_groups(net, x):
    out = x.new_zeros(len(x), 4)
    out[:, :3] = net.head(torch.relu(x))
    out[:, 3:] = net.other(torch.tanh(x))
    return out


def masked_mean(net, x):
    real = (x[..., :1] > 0).float() + 0.01
    return (net.head(torch.relu(x)) * real).sum(1) / real.sum(1)


def mean_of_masked(x):
    real = (x[..., :1] > 0).float() + 0.01
    return (torch.relu(x) * real).sum(1) / real.sum(1)


ADAPTER = {"base": head(), "up": head(UP, None), "down": head(DOWN, None)}
NORM = normed()
SCALE = (NORM.weight / torch.sqrt(NORM.running_var + NORM.eps)).detach()
WIDE, DEEP, BODY = torch.randn(C, D), torch.randn(C, 4), nn.Linear(D, 4)
KERNEL = torch.randn(C, D, 3, 3)
OTHER = torch.randn(1, D)
BOTH = torch.zeros(4, 2 * D)
BOTH[:3, :D], BOTH[3:, D:] = W, OTHER

# network, what it is given, its features, weights and bias
HEADS = {
    "LoRA": (Of(lora, **ADAPTER), ROWS, torch.relu(ROWS), W + 4 * UP @ DOWN, B),
    "serial adapter after the head": (
        Of(lambda net, x: net.after(net.head(x.relu())), head=head(), after=head(WIDE[:, :C], None)),
        ROWS,
        ROWS.relu(),
        WIDE[:, :C] @ W,
        WIDE[:, :C] @ B,
    ),
    "adapter before the head": (
        Of(
            lambda net, x: net.head((h := x.relu()) + net.up(net.down(h))),
            head=head(),
            down=head(DOWN, None),
            up=head(DOWN.T, None),
        ),
        ROWS,
        ROWS.relu(),
        W + W @ DOWN.T @ DOWN,
        B,
    ),
    "logit adjustment": (
        Of(lambda net, x: net.head(x.relu()) - UP[:, 0], head=head()),
        ROWS,
        ROWS.relu(),
        W,
        B - UP[:, 0],
    ),
    "adjusted in place": (Of(in_place, head=head()), ROWS, ROWS.relu(), 3 * W, 3 * (B - 2 * torch.eye(C)[1])),
    "temperatures": (
        Of(lambda net, x: net.head(x.relu()) / UP[:, 1], head=head()),
        ROWS,
        ROWS.relu(),
        W / UP[:, 1:],
        B / UP[:, 1],
    ),
    "BatchNorm of logits": (
        nn.Sequential(nn.ReLU(), head(), NORM),
        ROWS,
        ROWS.relu(),
        SCALE[:, None] * W,
        SCALE * (B - NORM.running_mean) + NORM.bias.detach(),
    ),
    "wide and deep": (
        Of(
            lambda net, x: net.wide(x) + net.deep(net.body(x).relu()),
            wide=head(WIDE),
            deep=head(DEEP),
            body=BODY,
        ),
        ROWS,
        torch.cat([ROWS, BODY(ROWS).relu().detach()], 1),
        torch.cat([WIDE, DEEP], 1),
        2 * B,
    ),
    "classes in two groups": (
        Of(two_groups, head=head(), other=head(OTHER, None)),
        ROWS,
        torch.cat([ROWS.relu(), ROWS.tanh()], 1),
        BOTH,
        torch.cat([B, torch.zeros(1)]),
    ),
    "mean over tokens": (
        Of(lambda net, x: net.head(x.relu()).mean(1), head=head()),
        TOKENS,
        TOKENS.relu().mean(1),
        W,
        B,
    ),
    "mean over crops": (
        Of(lambda net, x: net.head(x.flatten(0, 1).relu()).view(-1, T, C).mean(1), head=head()),
        TOKENS,
        TOKENS.relu().mean(1),
        W,
        B,
    ),
    "mean over real tokens": (Of(masked_mean, head=head()), TOKENS, mean_of_masked(TOKENS), W, B),
    "last token": (
        Of(lambda net, x: net.head(x.relu())[:, -1], head=head()),
        TOKENS,
        TOKENS.relu()[:, -1],
        W,
        B,
    ),
    "1 x 1 convolution, then pooled": (
        Of(lambda net, x: net.conv(x.relu()).mean((2, 3)), conv=conv(1, W[..., None, None])),
        MAPS,
        MAPS.relu().mean((2, 3)),
        W,
        B,
    ),
    "3 x 3 convolution, then pooled": (
        Of(lambda net, x: net.conv(x.relu()).mean((2, 3)), conv=conv(3, KERNEL)),
        MAPS,
        F.unfold(MAPS.relu(), 3, padding=1).mean(2),
        KERNEL.flatten(1),
        B,
    ),
    "cosine": (
        Of(lambda net, x: 30 * F.normalize(x) @ F.normalize(net.w, dim=0), w=nn.Parameter(W.T.clone())),
        ROWS,
        F.normalize(ROWS),
        30 * F.normalize(W),
        None,
    ),
    "weight norm": (
        nn.Sequential(nn.ReLU(), nn.utils.parametrizations.weight_norm(head())),
        ROWS,
        ROWS.relu(),
        W,
        B,
    ),
    "einsum": (
        Of(lambda net, x: torch.einsum("nd,cd->nc", x.relu(), net.w), w=nn.Parameter(W)),
        ROWS,
        ROWS.relu(),
        W,
        None,
    ),
    "product and sum": (
        Of(lambda net, x: (x.relu()[:, None] * net.w).sum(-1), w=nn.Parameter(W)),
        ROWS,
        ROWS.relu(),
        W,
        None,
    ),
    "transposed": (Of(lambda net, x: (net.w @ x.relu().T).T, w=nn.Parameter(W)), ROWS, ROWS.relu(), W, None),
    "distances to prototypes": (
        Of(
            lambda net, x: -(x.square().sum(1, keepdim=True) - 2 * x @ net.w.T + net.w.square().sum(1)),
            w=nn.Parameter(W),
        ),
        ROWS,
        ROWS,
        2 * W,
        -W.square().sum(1),
    ),
    "softmax": (nn.Sequential(nn.ReLU(), head(), nn.Softmax(1)), ROWS, ROWS.relu(), W, B),
}


def sums(features, weights, bias):
    made = features.double() @ weights.double().T
    made = made if bias is None else made + bias.double()
    return (made - made.mean(1, keepdim=True)).detach().numpy()  # a softmax sees no more


@pytest.mark.parametrize("name", HEADS)
def test_every_head_has_the_factors_that_a_reader_would_write_down(name):
    model, given, features, weights, bias = HEADS[name]
    made = torch_factors(model, given, np.arange(N) % len(weights), batch_size=4)
    ours = made.ce.logits()
    np.testing.assert_allclose(ours - ours.mean(1, keepdims=True), sums(features, weights, bias), atol=1e-4)
    ces = features.detach()[:, None] * weights.detach()
    expected = (ces - ces.mean(1, keepdim=True)).numpy()
    own = np.asarray(made.ce.features)[:, None] * np.asarray(made.ce.weights)
    np.testing.assert_allclose(own - own.mean(1, keepdims=True), expected, atol=1e-4)


@pytest.mark.parametrize(
    "columns",
    [
        lambda z: torch.cat([1 - z.sigmoid(), z.sigmoid()], 1),
        lambda z: torch.cat([torch.zeros_like(z), z], 1),
        lambda z: z.sigmoid(),
        lambda z: z.squeeze(),
    ],
)
def test_one_sum_is_one_sum_in_whatever_columns_it_comes(columns):
    model = Of(lambda net, x: columns(net.head(x.relu())), head=head(W[:1], B[:1]))
    for rows in (ROWS, ROWS[:5]):  # of five, the last batch has one row
        made = torch_factors(model, rows, Y[: len(rows)] % 2, batch_size=4)
        np.testing.assert_allclose(made.ce.weights, W[:1], atol=1e-6)
        np.testing.assert_allclose(made.ce.logits(), (rows.relu() @ W[:1].T + B[:1]).numpy(), atol=1e-5)


REFUSED = {
    "gates that differ from class to class": lambda net, x: net.head(x.relu()) * torch.sigmoid(x[:, :C]),
    "a maximum over tokens": lambda net, x: net.head(torch.stack([x, -x], 1).relu()).amax(1),
    "logits that are squashed": lambda net, x: torch.tanh(net.head(x.relu())),
    "probabilities that are averaged": lambda net, x: (
        net.head(x.relu()).softmax(1) + net.head(x.tanh()).softmax(1)
    ) / 2,
    "what weights did not make": lambda net, x: net.head(x.relu()) + 0.01 * x[:, :C].tanh(),
    "no weights": lambda net, x: x[:, :C].relu(),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_weighted_sum_is_refused_in_one_line(name):
    with pytest.raises(CemagError) as caught:
        torch_factors(Of(REFUSED[name], head=head()), ROWS, Y)
    assert "\n" not in str(caught.value)


@dataclasses.dataclass
class Output:
    embedding: object
    scores: object


@pytest.mark.parametrize(
    "out",
    [
        lambda h, z: (h, z),
        lambda h, z: (z.sum(), z, [h]),
        lambda h, z: {"hidden": h, "logits": z},
        lambda h, z: {"loss": None, "result": {"features": h, "out": z}},
        Output,
        lambda _, z: z[:, :, None, None],
    ],
)
def test_logits_are_found_wherever_they_are(out):
    def forward(net, x):
        hidden = net.body(x).relu()
        return out(hidden, net.head(hidden))

    torch.manual_seed(0)
    model = Of(forward, head=head(DEEP), body=BODY)
    for rows in (ROWS, ROWS[:1]):
        made = torch_factors(model, rows, Y[: len(rows)], class_names=["a", "b", "c"])
        np.testing.assert_allclose(made.ce.weights, DEEP, atol=1e-6)


class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = head()

    def forward(self, *, values, mask=None):
        return self.head(values if mask is None else values * mask)


class Passing(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Keywords()

    def forward(self, **inputs):
        return self.inner(**inputs)


def test_arguments_by_keyword():
    expected = torch_factors(head(), ROWS, Y).ce.logits()
    named = {"values": ROWS, "mask": torch.ones(N, D)}
    for model, given in [
        (Keywords(), ROWS),
        (Keywords(), named),
        (Passing(), named),
        (nn.DataParallel(Passing()), {"values": ROWS}),
    ]:
        np.testing.assert_allclose(torch_factors(model, given, Y).ce.logits(), expected)


def test_frames_sparse_matrices_and_whole_numbers_reach_a_network():
    whole = np.arange(N * D).reshape(N, D) % 3
    expected = torch_factors(head(), whole.astype(np.float32), Y).ce.logits()
    frame = pd.DataFrame(whole, columns=list("abcdef")).astype({"a": float, "b": "Int64", "c": "float32"})
    for given in (whole, frame, sp.csr_matrix(whole), torch.tensor(whole).to_sparse()):
        np.testing.assert_allclose(torch_factors(head(), given, Y).ce.logits(), expected, atol=1e-6)


class Kept(nn.Module):
    """Keeps what it makes in its first call, and draws from every generator."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.codes = nn.LazyLinear(4), head(DEEP), None

    def forward(self, x):
        if self.codes is None:
            self.codes = torch.sin(torch.arange(4.0))
        torch.rand(1), np.random.rand()  # noqa: NPY002
        return self.head(self.body(x).relu() * self.codes)


def test_training_goes_on_after_an_audit_and_generators_where_they_were():
    model, given = Kept(), ROWS.clone()
    before = torch.get_rng_state(), np.random.get_state()[2]  # noqa: NPY002
    torch_factors(model, given, Y)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[2] == before[1]  # noqa: NPY002
    assert model.training
    model(given).sum().backward()
    assert model.body.weight.grad is not None
    with pytest.raises(CemagError, match="is on the device meta"):
        torch_factors(nn.Linear(D, C, device="meta"), ROWS, Y)


def test_one_layer_that_is_asked_for():
    model = nn.Sequential(nn.ReLU(), nn.Linear(D, 4), head(DEEP))
    assert torch_factors(model, ROWS, Y).ce.n_features == D  # both are one linear step
    assert torch_factors(model, ROWS, Y, layer="2").ce.n_features == 4


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "IA3"])
def test_adapters_of_peft_are_merged_into_the_head(kind):
    peft = pytest.importorskip("peft")
    config = (
        peft.IA3Config(target_modules=["0"], feedforward_modules=[])
        if kind == "IA3"
        else peft.LoraConfig(r=2, lora_alpha=8, target_modules=["0"], use_dora=kind == "DoRA")
    )
    net = peft.get_peft_model(nn.Sequential(head()), config)
    with torch.no_grad():
        for name, weights in net.named_parameters():
            if "lora_B" in name or "ia3" in name:
                weights.normal_()
    expected = net(ROWS).detach().numpy()
    made = torch_factors(net, ROWS, Y)
    np.testing.assert_allclose(made.ce.features[:], ROWS, atol=1e-6)
    np.testing.assert_allclose(made.ce.logits(), expected, atol=1e-5)
    merged = net.merge_and_unload()[0]
    np.testing.assert_allclose(made.ce.weights, merged.weight.detach(), atol=1e-5)
