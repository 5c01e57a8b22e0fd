"""Factors of plain arrays: what fits is taken without fuss, what does not is named with its place."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cemag.auditing import Factors, factors
from cemag.embeddings import KernelFeatures
from cemag.embeddings.arrays import as_array, numbers
from cemag.embeddings.features import SparseFeatures
from cemag.errors import CemagError, DataError

RNG = np.random.default_rng(0)
F, W, B = RNG.normal(size=(8, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=4)
Y = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def test_logits_are_those_of_the_arrays():
    made = factors(F, W, B, Y)
    np.testing.assert_allclose(made.ce.logits(), F @ W.T + B)
    assert made.kind == "latent feature"
    assert made.class_names == ("0", "1", "2", "3")
    assert made.counts.tolist() == [3, 3, 2, 0]
    assert made.empty_classes == ("3",)


def test_a_single_sum_may_be_a_vector_with_one_number_as_bias():
    made = factors(F, W[0], -0.5, ["no", "yes"] * 4, classes=["no", "yes"])
    assert made.ce.single_sum
    assert made.y.tolist() == ["no", "yes"] * 4
    np.testing.assert_allclose(made.ce.logits()[:, 0], F @ W[0] - 0.5)


def test_torch_and_pandas_are_taken_as_they_are():
    torch = pytest.importorskip("torch")
    table = pd.DataFrame(F, columns=["a", "b", "c"])
    head = torch.nn.Linear(3, 4)
    made = factors(table, head.weight, head.bias, pd.Series(Y))
    assert made.feature_names == ("a", "b", "c")
    own = head(torch.tensor(F, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(made.ce.logits(), own, atol=1e-5)
    assert as_array("features", head.weight.to(torch.bfloat16)).dtype == np.float32


def test_a_large_array_is_checked_without_a_copy():
    large = np.zeros((1000, 64), dtype=np.float32)
    assert numbers("features", large, 2) is large


def test_labels_may_be_names_beside_numbered_classes():
    made = factors(F, W, B, ["a", "b", "c", "d"] * 2, class_names=list("abcd"))
    assert made.y.tolist() == [0, 1, 2, 3] * 2
    assert factors(F, W, B, Y.astype(float)).y.dtype.kind == "i"


def test_true_is_one():
    truth = Y > 0
    assert factors(F, W[0], labels=truth).y.tolist() == truth.astype(int).tolist()
    assert factors(F, W[0], labels=truth.astype(int), classes=[False, True]).y.tolist() == truth.tolist()


def test_the_room_is_entered_without_torch_and_scikit_learn():
    code = (
        "import sys, cemag.auditing; print({'torch', 'sklearn', 'timm', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_kernel_stays_a_kernel():
    kernel = KernelFeatures(F, F[:2], 0.5)
    made = factors(kernel, W[:, :2], B, Y, kind="support vector")
    assert made.ce.features is kernel
    assert made.feature_names == ("support vector 0", "support vector 1")


BROKEN = F.copy()
BROKEN[5, 1] = np.nan
BROKEN[7, 2] = -np.inf
BAD = [
    ({"features": F[:, :2]}, r"features has shape \(8, 2\) and weights \(4, 3\): the number of columns"),
    ({"features": F[:4, :1], "weights": np.ones((1, 4)).T[:, :1] * W[:, :2]}, "number of columns"),
    ({"features": np.ones((8, 4))}, r"\(8, 4\) and weights \(4, 3\).*transposed weights would fit"),
    ({"features": F[:0]}, r"features has shape \(0, 3\): at least one instance"),
    ({"features": F[0]}, r"features has shape \(3,\): 2 dimension"),
    ({"features": BROKEN}, "features holds 1 NaN and 1 infinite values, the first in row 5, column 1"),
    ({"features": [["a", "b", "c"]]}, "features is of dtype <U1: real numbers"),
    ({"features": pd.DataFrame({"a": [1], "b": ["x"], "c": [2]})}, "features holds values that are not num"),
    ({"features": [[1.0], [1.0, 2.0]]}, "features has rows of different lengths"),
    ({"weights": np.full((4, 3), np.inf)}, "weights holds 0 NaN and 12 infinite values"),
    ({"weights": np.ones((0, 3))}, r"weights has shape \(0, 3\)"),
    ({"bias": B[:3]}, r"bias has shape \(3,\) and weights 4 row"),
    ({"bias": [0, 0, 0, np.nan]}, "bias holds 1 NaN and 0 infinite values, the first in place 3"),
    ({"labels": None}, "labels are missing"),
    ({"labels": Y[:3]}, r"labels has shape \(3,\): \(8,\) is needed"),
    ({"labels": np.r_[Y[:7], 9]}, "labels holds 9 in row 7, which is not one of the 4 classes: 0 to 3"),
    ({"labels": np.r_[Y[:7], -1]}, "labels holds -1 in row 7"),
    ({"labels": np.r_[Y[:7], 0.5]}, "labels holds 0.5 in row 7"),
    ({"labels": ["x"] * 8}, "labels holds 'x' in row 0, which is not one of the 4 classes: '0', '1', '2'"),
    ({"labels": np.r_[Y[:7], np.nan]}, "labels holds nan in row 7"),
    ({"classes": list("abcd")}, "labels holds 0 in row 0, which is not one of the 4 classes: 'a', 'b'"),
    ({"classes": [0, 1, 2]}, "classes has 3 labels: the weights have 4 classes"),
    ({"classes": [0, 1, 2, 2]}, "classes holds a label twice: 0, 1, 2, 2"),
    ({"classes": np.array([0, 1, 2, "a"], dtype=object)}, "classes mixes strings and other values"),
    ({"classes": [0, None, 2, 3]}, "classes holds values that are neither numbers nor strings"),
    ({"class_names": ["a", "b"]}, "class_names has 2 names: 4 are needed"),
    ({"class_names": "abcd"}, "class_names is the string 'abcd'"),
    ({"class_names": ["a", "a", "b", "c"]}, "class_names holds a name twice"),
    ({"feature_names": ["a"]}, "feature_names has 1 names: 3 are needed"),
    ({"kind": "latent"}, "unknown kind 'latent': did you mean 'latent feature'"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=[m[:40] for _, m in BAD])
def test_what_does_not_fit_is_named(changed, message):
    with pytest.raises(CemagError, match=message) as caught:
        factors(**({"features": F, "weights": W, "bias": B, "labels": Y} | changed))
    assert "\n" not in str(caught.value)


def test_a_sparse_matrix_that_would_fill_the_machine_stays_sparse():
    sparse = pytest.importorskip("scipy.sparse")
    assert factors(sparse.csr_array(F), W, B, Y).ce.n_features == 3
    made = factors(sparse.csr_array((10**6, 10**5)), np.ones((1, 10**5)), labels=np.zeros(10**6, dtype=int))
    assert isinstance(made.ce.features, SparseFeatures)
    with pytest.raises(DataError, match=r"weights is sparse with shape .*dense it takes 745 GiB"):
        factors(F, sparse.csr_array((10**6, 10**5)), labels=Y)


def test_saved_factors_need_a_place(tmp_path):
    made = factors(F, W, B, Y)
    assert isinstance(made, Factors)
    with pytest.raises(CemagError, match=r"must end in \.npz"):
        made.save(tmp_path / "factors.npy")
    with pytest.raises(CemagError, match="no such folder"):
        made.save(tmp_path / "none" / "factors.npz")
    assert list(tmp_path.iterdir()) == []
