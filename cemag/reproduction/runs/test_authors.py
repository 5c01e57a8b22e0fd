"""The authors' own network gives the figures that were measured on it without this package."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.metrics import concentration
from cemag.reproduction.runs import authors
from cemag.reproduction.runs.thresholds import logit_adjusted, tau_normalised

HOME = Path(os.environ.get("CEMAG_DATA", "")) / "authors"
needs_data = pytest.mark.skipif(not HOME.is_dir(), reason="authors/ is not under CEMAG_DATA")
COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
# accuracy, recall of the five larger and the five smaller classes, top share of each: data/authors/README.md
MEASURED = {
    "as trained": (0.658, 0.727, 0.588, 0.545, 0.761),
    "published EOS head": (0.682, 0.688, 0.676, 0.559, 0.758),
    "bias moved": (0.659, 0.619, 0.698, 0.552, 0.744),
    "bias moved by half": (0.667, 0.684, 0.651, 0.547, 0.751),
    "rows over their norm": (0.660, 0.654, 0.667, 0.546, 0.751),
}


@cache
def embedded():
    """The network's embedding of the 10,000 test images, its head and the labels."""
    from cemag.models.heads import capture
    from cemag.models.images import CIFAR10
    from cemag.reproduction.datasets import load_images

    data, model = load_images("cifar10"), authors.network()
    features, _ = capture(model, data.X_test, normalisation=CIFAR10)
    weights, bias = (p.detach().numpy() for p in (model.linear.weight, model.linear.bias))
    return features, weights, bias, data.y_test


def heads():
    _, weights, bias, _ = embedded()
    return {
        "as trained": (weights, bias),
        "published EOS head": authors.eos_head(),
        "bias moved": (weights, logit_adjusted(bias, COUNTS)),
        "bias moved by half": (weights, logit_adjusted(bias, COUNTS, strength=0.5)),
        "rows over their norm": tau_normalised(weights, bias),
    }


def summary(predicted, y, shares):
    right = predicted == y
    halves = [y < 5, y >= 5]
    recalls = [right[half].mean() for half in halves]
    # the mean over classes, each with the mean over its correctly predicted images
    tops = [np.mean([shares[right & (y == c)].mean() for c in np.unique(y[half])]) for half in halves]
    return right.mean(), *recalls, *tops


@needs_data
@pytest.mark.parametrize("arm", MEASURED)
def test_figures_of_the_network_are_those_measured_independently(arm):
    features, _, _, y = embedded()
    ce = ClassificationEmbeddings(features, *heads()[arm])
    found = summary(ce.predictions, y, concentration(ce).top_share)
    np.testing.assert_allclose(found, MEASURED[arm], atol=0.00051)


@needs_data
def test_a_file_of_other_content_is_refused(tmp_path, monkeypatch):
    (tmp_path / "authors").mkdir()
    name = "cifar10_lt100_resnet32.pth"
    (tmp_path / "authors" / name).write_bytes((HOME / name).read_bytes()[:-1])
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path))
    with pytest.raises(DataError, match="expected 28c9d4539d69: restore the file"):
        authors.network()
