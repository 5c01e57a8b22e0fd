"""One call audits every family of models: dispatched by what it is, with the model's own decisions."""

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch.utils.data import DataLoader, TensorDataset

import cemag
from cemag.errors import CemagError

IRIS = load_iris(as_frame=True)
BINARY = IRIS.target < 2
LINEAR = {
    "logistic": LogisticRegression(max_iter=500),
    "linear_svc": LinearSVC(),
    "ridge": RidgeClassifier(),
    "sgd": SGDClassifier(random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "calibrated": CalibratedClassifierCV(LogisticRegression(max_iter=500), ensemble=False),
    "one_vs_rest": OneVsRestClassifier(LogisticRegression(max_iter=500)),
    "one_vs_rest_svc": OneVsRestClassifier(SVC()),
}


@pytest.mark.parametrize("name", LINEAR)
def test_models_of_scikit_learn(name):
    model = LINEAR[name].fit(IRIS.data, IRIS.target)
    found = cemag.audit(model, IRIS.data, IRIS.target)
    predicted = found.per_instance["predicted"].astype(str).to_numpy()
    assert (predicted == model.predict(IRIS.data).astype(str)).mean() >= 0.99  # but for near-ties
    assert found.per_class["n"].tolist() == [50, 50, 50]
    counted, required = found.per_class["n_counted"], found.per_class["required"]
    assert (
        required.notna() == (counted > 0)
    ).all()  # of flowers that are never centred, the bias decides most
    assert required.min() >= 1
    if hasattr(model, "coef_"):
        by_ces = model.classes_[(IRIS.data.to_numpy() @ model.coef_.T).argmax(1)] == model.predict(IRIS.data)
        kept = by_ces & (model.predict(IRIS.data) == IRIS.target)
        assert counted.tolist() == np.bincount(IRIS.target[kept], minlength=3).tolist()
    assert "accuracy" in repr(found)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_an_svc_of_two_classes(kernel):
    X, y = IRIS.data[BINARY], IRIS.target[BINARY]
    model = SVC(kernel=kernel).fit(X, y)
    found = cemag.audit(model, X, y)
    assert found.accuracy == model.score(X, y)
    assert found.kind == ("support vector" if kernel == "rbf" else "input column")


def a_network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).eval()


def test_networks_over_tensors_data_sets_and_loaders():
    X, y = torch.tensor(IRIS.data.to_numpy(), dtype=torch.float32), torch.tensor(IRIS.target.to_numpy())
    network = a_network()
    predicted = network(X).argmax(1).tolist()
    data = TensorDataset(X, y)
    for given in ((X, y), (data,), (DataLoader(data, batch_size=7),), (X.numpy(), y.numpy())):
        found = cemag.audit(network, *given, layer="2")
        assert found.per_instance["predicted"].cat.codes.tolist() == predicted
        assert found.n_features == 16
        assert found.kind == "latent feature"


@pytest.mark.parametrize(
    ("library", "name"), [("torchvision", "mobilenet_v3_small"), ("timm", "test_resnet.r160_in1k")]
)
def test_networks_of_libraries(library, name):
    torch.manual_seed(0)
    if library == "torchvision":
        network = pytest.importorskip("torchvision.models").get_model(name, weights=None, num_classes=4)
    else:
        network = pytest.importorskip("timm").create_model(name, pretrained=False, num_classes=4)
    X = torch.randn(12, 3, 64, 64)
    found = cemag.audit(network.eval(), X, np.arange(12) % 4)
    with torch.inference_mode():
        assert found.per_instance["predicted"].cat.codes.tolist() == network(X).argmax(1).tolist()


def test_a_text_classifier_of_transformers():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=50, dim=16, hidden_dim=32, n_layers=1, n_heads=2, num_labels=3
    )
    network = transformers.DistilBertForSequenceClassification(config).eval()
    rows = [{"input_ids": torch.randint(1, 50, (6,)), "labels": i % 3} for i in range(9)]
    found = cemag.audit(network, DataLoader(rows, batch_size=4))
    with torch.inference_mode():
        logits = network(input_ids=torch.stack([row["input_ids"] for row in rows])).logits
    assert found.per_instance["predicted"].cat.codes.tolist() == logits.argmax(1).tolist()


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (SVC().fit(IRIS.data, IRIS.target), {}, "one"),
        (SVC(kernel="poly").fit(IRIS.data[BINARY], IRIS.target[BINARY]), {}, "poly"),
        (LogisticRegression(), {}, "fit"),
        (torch.nn.Sequential(torch.nn.ReLU()), {}, "no linear layer"),
        (a_network(), {"layer": "nine"}, "nine"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_one_line(model, options, message):
    X = IRIS.data.to_numpy(dtype=np.float32)
    with pytest.raises(CemagError, match=message) as caught:
        cemag.audit(model, X, IRIS.target.to_numpy(), **options)
    assert "\n" not in str(caught.value)


def test_a_model_without_instances_is_refused():
    with pytest.raises(CemagError, match="X is missing"):
        cemag.audit(LogisticRegression().fit(IRIS.data, IRIS.target))
