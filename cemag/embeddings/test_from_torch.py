"""Adapters of torch: CEs are the network's own, by its output and by captum, family by family."""

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import (  # noqa: E402
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import cemag  # noqa: E402
from cemag.auditing import torch_factors  # noqa: E402
from cemag.embeddings.from_torch import batches, class_names_of  # noqa: E402
from cemag.errors import CemagError, DataError  # noqa: E402
from cemag.models.resnet import resnet  # noqa: E402

C, N = 4, 7
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(N, 3, 32, 32, generator=GENERATOR)
ROWS = torch.randn(N, 6, generator=GENERATOR)
Y = np.arange(N) % C


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine threads wait for each other far longer than they compute
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def perceptron(*after, n_out=C):
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, n_out), *after)


def output_of(model, *args, **kwargs):
    model.eval()
    with torch.no_grad():
        out = model(*args, **kwargs)
    return getattr(out, "logits", out).numpy()


def agree(model, made, *args, atol=1e-5, **kwargs):
    np.testing.assert_allclose(made.ce.logits(), output_of(model, *args, **kwargs), atol=atol)


def small_resnet():
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=C)


def small_mobilenet():
    from torchvision.models import mobilenet_v2

    return mobilenet_v2(num_classes=C, width_mult=0.1)


def small_vit():
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 16, 1, 2, 16, 32, num_classes=C)


def timm_model(name):
    def make():
        return pytest.importorskip("timm").create_model(name, pretrained=False, num_classes=C)

    return make


IMAGE_MODELS = {
    "cemag": lambda: resnet("resnet20", C),
    "torchvision resnet": small_resnet,
    "torchvision mobilenet": small_mobilenet,
    "torchvision vit": small_vit,
    "timm resnet": timm_model("test_resnet.r160_in1k"),
    "timm vit": timm_model("test_vit.r160_in1k"),
    "timm convnext": timm_model("test_convnext.r160_in1k"),
}


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_ces_are_those_of_captum(name):
    captum = pytest.importorskip("captum.attr")
    model = IMAGE_MODELS[name]().eval()
    images = nn.functional.interpolate(IMAGES, 160)[:4] if "timm" in name else IMAGES
    y = Y[: len(images)]
    made = torch_factors(model, images, y, batch_size=3)
    agree(model, made, images)
    head = next(part for part in reversed(list(model.modules())) if isinstance(part, nn.Linear))
    explained = captum.LayerGradientXActivation(model, head).attribute(
        images, target=torch.tensor(y), attribute_to_layer_input=True
    )
    np.testing.assert_allclose(made.ce.of_class(slice(None), y), explained.detach().numpy(), atol=1e-5)


def state_of(model):
    return [(p.training, len(p._forward_hooks), len(p._forward_pre_hooks)) for p in model.modules()]


def test_the_network_is_left_as_it_was():
    model = perceptron()
    model[0].eval()
    before = state_of(model)
    torch_factors(model, ROWS, Y)
    with pytest.raises(CemagError, match="fails on a batch"):
        torch_factors(model, IMAGES, Y)
    assert state_of(model) == before
    assert all(part.grad is None for part in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_precisions(dtype):
    model = perceptron().to(dtype)
    made = torch_factors(model, ROWS.numpy(), Y)
    expected = output_of(model.double(), ROWS.double())
    np.testing.assert_allclose(made.ce.logits(), expected, atol=1e-6 if dtype == torch.float64 else 0.05)


def test_a_single_sum_is_a_binary_model():
    model = perceptron(n_out=1)
    made = torch_factors(model, ROWS, Y % 2, class_names=["no", "yes"])
    assert made.ce.single_sum
    agree(model, made, ROWS)
    squeezed = nn.Sequential(*model, nn.Flatten(0))
    np.testing.assert_allclose(torch_factors(squeezed, ROWS, Y % 2).ce.logits(), made.ce.logits())
    likely = torch_factors(nn.Sequential(*model, nn.Sigmoid()), ROWS, Y % 2)
    np.testing.assert_allclose(likely.ce.logits(), made.ce.logits())
    assert "gives probabilities" in likely.notes[0]


# ---------------------------------------------------------------------- where the layer is


def test_the_layer_may_be_named_or_given():
    model = perceptron()
    for layer in (None, "3", model[3]):
        agree(model, torch_factors(model, ROWS, Y, layer=layer), ROWS)


def test_probabilities_are_read_back_to_their_sums():
    model = perceptron()
    made = torch_factors(nn.Sequential(*model, nn.Softmax(dim=1)), ROWS, Y)
    agree(model, made, ROWS)
    assert "gives probabilities" in made.notes[0]
    assert torch_factors(model, ROWS, Y).notes == ()
    agree(model, torch_factors(nn.Sequential(*model, nn.LogSoftmax(dim=1)), ROWS, Y), ROWS)


LAYERS = [
    (nn.Sequential(nn.Flatten(), nn.ReLU()), {}, "Sequential has no linear layer"),
    (perceptron(), {"layer": "4"}, "unknown layer '4'.*known: 0, 3"),
    (perceptron(), {"layer": "1"}, r"layer '1' of Sequential \(ReLU\) does not make its output"),
    (perceptron(), {"layer": nn.Linear(5, C)}, r"is no layer of Sequential; known: 0 \(6 to 5\), 3"),
    (perceptron(), {"layer": "0"}, "layer '0' of Sequential .* does not make its output by weighted sums"),
    (
        nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, C)),
        {},
        r"gives shape \(7, 2, 4\): one row of logits",
    ),
    (perceptron(nn.Tanh()), {}, "Sequential does not decide by its CEs"),
    (perceptron(nn.GELU()), {}, "Sequential has no linear layer that makes its output.* gelu"),
    ("resnet.pt", {}, "model is a str: a torch.nn.Module is needed"),
]


@pytest.mark.parametrize(("model", "options", "message"), LAYERS, ids=[m[:30] for *_, m in LAYERS])
def test_layers_that_do_not_make_the_output_are_refused(model, options, message):
    with pytest.raises(CemagError, match=message) as caught:
        torch_factors(model, ROWS, Y, **options)
    assert "\n" not in str(caught.value)


def test_two_classifiers_of_timm_are_joined():
    timm = pytest.importorskip("timm")
    sizes = {"img_size": 32, "patch_size": 16, "embed_dim": 8, "depth": 1, "num_heads": 1, "num_classes": C}
    model = timm.models.deit.VisionTransformerDistilled(**sizes)
    made = torch_factors(model, IMAGES, Y)
    agree(model, made, IMAGES)
    assert made.ce.n_features == 2 * 8
    assert "adds up 2 linear steps" in made.notes[0]


# ---------------------------------------------------------------------- what it is run on


class Named(Dataset):
    classes = ("ant", "bee", "cow", "dog")

    def __len__(self):
        return N

    def __getitem__(self, i):
        return ROWS[i], int(Y[i])


class Records(Named):
    def __getitem__(self, i):
        return {"image": ROWS[i], "label": int(Y[i]), "id": str(i)}


def test_every_form_of_data_gives_the_same_factors():
    model = perceptron()
    expected = torch_factors(model, ROWS, Y)
    forms = [
        (ROWS.numpy(), Y),
        (ROWS.double().numpy(), list(Y)),
        (ROWS.tolist(), Y),
        (TensorDataset(ROWS, torch.tensor(Y)), None),
        (TensorDataset(ROWS), Y),
        (Named(), None),
        (Records(), None),
        (DataLoader(Named(), batch_size=2), None),
        (DataLoader(Records(), batch_size=3), None),
        ({"x": ROWS, "labels": Y}, None),
        ([(row, label) for row, label in zip(ROWS, Y.tolist(), strict=True)], None),
        (iter([(ROWS[:4], Y[:4]), (ROWS[4:], Y[4:])]), None),
    ]
    for X, y in forms:
        made = torch_factors(model, X, y, batch_size=3)
        np.testing.assert_allclose(made.ce.logits(), expected.ce.logits(), atol=1e-6)
        assert (made.ce.label_indices(made.y) == Y).all()


def test_a_shuffling_loader_brings_its_labels_along():
    loader = DataLoader(Named(), batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(1))
    made = torch_factors(perceptron(), loader)
    assert sorted(made.y) == sorted(Y)
    rows, order = TensorDataset(ROWS), range(len(ROWS))
    drawing = [
        DataLoader(rows, shuffle=True),
        DataLoader(rows, sampler=WeightedRandomSampler(torch.ones(len(ROWS)), len(ROWS))),
        DataLoader(rows, sampler=SubsetRandomSampler(order)),
        DataLoader(rows, batch_sampler=BatchSampler(RandomSampler(rows), 3, drop_last=False)),
    ]
    for loader in drawing:
        with pytest.raises(DataError, match="the DataLoader may draw X in another order"):
            torch_factors(perceptron(), loader, Y)
    assert (torch_factors(perceptron(), DataLoader(rows, batch_size=3), Y).y == Y).all()


def test_features_of_a_network_take_the_names_that_are_given():
    width = torch_factors(perceptron(), ROWS, Y).ce.n_features
    names = [f"map {i}" for i in range(width)]
    assert cemag.audit(perceptron(), ROWS, Y, feature_names=names).feature_names == tuple(names)
    with pytest.raises(CemagError, match="part is 0"):
        cemag.audit(perceptron(), ROWS, Y, part=0)


def test_class_names_come_with_the_data():
    assert torch_factors(perceptron(), Named()).class_names == Named.classes
    assert class_names_of(DataLoader(Subset(Named(), [0, 1]))) == list(Named.classes)
    named = torch_factors(perceptron(), ROWS, list("abcdabc"), class_names=list("abcd"))
    assert (named.y == Y).all()
    with pytest.raises(DataError, match="X names 4 classes and the network has 5"):
        torch_factors(perceptron(n_out=5), Named())


DATA = [
    (ROWS, None, "y is missing, and X comes without labels"),
    (ROWS, Y[:3], r"y has shape \(3,\): \(7,\) is needed"),
    (ROWS, np.r_[Y, 0], r"y has shape \(8,\): \(7,\) is needed"),
    (ROWS, Y + 1, "labels holds 4 in row 3, which is not one of the 4 classes: 0 to 3"),
    (Named(), Y, "y is given, and X comes with labels of its own"),
    (ROWS[:0], Y[:0], "X is empty"),
    (Subset(Named(), []), None, "X is empty"),
    (ROWS[:, :2], Y, r"Sequential fails on a batch of shape \(2, 2\): .*shapes cannot be mult"),
    ([(ROWS[0], 0), (ROWS[1, :3], 1)], None, "items of list make no batch"),
    (Subset([(object(), 0)], [0]), None, "items of Subset make no batch .*: tensors are needed"),
    (3, None, "X is a int: a tensor, an array, a Dataset or a DataLoader is needed"),
    ([(ROWS[0], 0, 1)], None, "a batch of X has 3 parts"),
    (pd.DataFrame({"a": [1.0], "b": ["x"]}), [0], "X has the column 'b' of dtype .*: numbers are needed"),
    ([("text", 0)], None, r"X is of dtype <U\d+: numbers are needed"),
    ([{"text": "a", "label": 0}], None, "a batch of X has text, label, and Sequential takes input"),
    (np.array(["text"]), Y[:1], "X is of dtype <U4: numbers are needed"),
    ({"x": ROWS, "z": ROWS[:2]}, None, "X has entries of different lengths"),
    ({"left": ROWS, "right": ROWS}, Y, "a batch of X has left, right, and Sequential takes input"),
    (torch.full((2, 6), torch.nan), [0, 1], "features holds 10 NaN and 0 infinite values"),
]


@pytest.mark.parametrize(("X", "y", "message"), DATA, ids=[m[:30] for *_, m in DATA])
def test_data_that_does_not_fit_is_named(X, y, message):
    with pytest.raises(CemagError, match=message) as caught:
        torch_factors(perceptron(), X, y)
    assert "\n" not in str(caught.value)
    with pytest.raises(CemagError, match="batch_size is 0"):
        list(batches(ROWS, Y, 0, perceptron()))


# ---------------------------------------------------------------------- transformers

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
NAMES = {0: "ant", 1: "bee", 2: "cow", 3: "dog"}
LENGTHS = torch.tensor([5, 3, 8, 1, 6, 2, 8])
REAL = torch.arange(8) < LENGTHS[:, None]
TOKENS = torch.randint(2, 30, (N, 8), generator=GENERATOR)
TEXT = {"input_ids": torch.where(REAL, TOKENS, 0), "attention_mask": REAL.long()}
HEADS = {"Roberta": "classifier.out_proj", "GPT2": "score", "Llama": "score"}


def text_model(name):
    transformers = pytest.importorskip("transformers")
    common = {"vocab_size": 30, "num_labels": C, "pad_token_id": 0}
    configs = {
        "Bert": TINY,
        "Roberta": {**TINY, "max_position_embeddings": 20},
        "DistilBert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16},
        "GPT2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16},
        "Llama": {**TINY, "num_key_value_heads": 2},
    }
    config = getattr(transformers, f"{name}Config")(**common, **configs[name])
    return getattr(transformers, f"{name}ForSequenceClassification")(config).eval()


@pytest.mark.parametrize("name", ["Bert", "Roberta", "DistilBert", "GPT2", "Llama"])
def test_text_classifiers_of_transformers(name):
    captum = pytest.importorskip("captum.attr")
    model = text_model(name)
    made = torch_factors(model, {**TEXT, "labels": torch.tensor(Y)}, batch_size=3)
    agree(model, made, **TEXT)
    assert made.ce.n_features == 16
    explainer = captum.LayerGradientXActivation(
        lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits,
        model.get_submodule(HEADS.get(name, "classifier")),
    )
    explained = explainer.attribute(
        TEXT["input_ids"], torch.tensor(Y), TEXT["attention_mask"], attribute_to_layer_input=True
    )
    explained = explained.detach().numpy()
    if explained.ndim == 3:  # of all tokens only one reaches the logits
        explained = explained.sum(axis=1)
    np.testing.assert_allclose(made.ce.of_class(slice(None), Y), explained, atol=1e-5)


def test_an_image_classifier_of_transformers_names_its_classes():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(**TINY, image_size=32, patch_size=16, id2label=NAMES)
    model = transformers.ViTForImageClassification(config).eval()
    made = torch_factors(model, {"pixel_values": IMAGES, "labels": Y})
    agree(model, made, pixel_values=IMAGES)
    assert made.class_names == ("ant", "bee", "cow", "dog")
    assert (made.model_name, made.kind) == ("ViTForImageClassification", "latent feature")
    agree(model, torch_factors(model, IMAGES, [NAMES[c] for c in Y]), pixel_values=IMAGES)
    config.problem_type = "multi_label_classification"
    with pytest.raises(CemagError, match="problem_type 'multi_label_classification'"):
        torch_factors(model, IMAGES, Y)


def test_default_names_of_transformers_are_no_names():
    assert torch_factors(text_model("Bert"), {**TEXT, "label": Y}).class_names == ("0", "1", "2", "3")


def test_a_loader_of_records_of_tokens():
    class Tokens(Dataset):
        def __len__(self):
            return N

        def __getitem__(self, i):
            return {name: values[i] for name, values in TEXT.items()} | {"labels": int(Y[i])}

    model = text_model("GPT2")
    agree(model, torch_factors(model, DataLoader(Tokens(), batch_size=4)), **TEXT)
    agree(model, torch_factors(model, Tokens(), batch_size=1), **TEXT)
