"""RunSpec: what it refuses and how it says so, and that its key stands for everything in it."""

import hashlib
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cemag.errors import CemagError, SpecError
from cemag.models import LogisticModel, SVMModel
from cemag.reproduction.datasets import DATASETS
from cemag.reproduction.runs import RunSpec, read_spec
from cemag.reproduction.runs.spec import essentials
from cemag.samplers import AUGMENTERS

BASE = {"dataset": "breast_cancer"}

CHANGES = [
    {"standardise": False},
    {"dataset": "digits"},
    {"model": "svm"},
    {"model": {"name": "logistic", "C": 0.5}},
    {"model": {"name": "logistic", "max_iter": 50}},
    {"model": {"name": "svm", "gamma": 0.5}},
    {"model": {"name": "svm", "gamma": "auto"}},
    {"augmenter": "ros"},
    {"imbalance_ratio": 10.0},
    {"split": 1},
    {"n_splits": 4},
    {"data_seed": 1},
    {"seed": 1},
    {"k_neighbors": 4},
]

specs = st.builds(
    lambda split, n_splits, **rest: RunSpec(split=split % n_splits, n_splits=n_splits, **rest),
    dataset=st.sampled_from(sorted(DATASETS)),
    model=st.one_of(
        st.builds(LogisticModel, C=st.floats(1e-6, 1e6), max_iter=st.integers(1, 10**6)),
        st.builds(SVMModel, gamma=st.one_of(st.sampled_from(["scale", "auto"]), st.floats(1e-9, 1e3))),
    ),
    augmenter=st.sampled_from(sorted(AUGMENTERS)),
    imbalance_ratio=st.one_of(st.none(), st.floats(1, 1e6)),
    split=st.integers(0, 49),
    n_splits=st.integers(2, 50),
    data_seed=st.integers(0, 2**32 - 1),
    seed=st.integers(0, 2**32 - 1),
    k_neighbors=st.integers(1, 100),
)


def refusal(values):
    with pytest.raises(SpecError) as caught:
        RunSpec.parse(values)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("specification: ")
    return message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": 1.5}, ["split is 1.5", "integer"]),
        ({"split": -1}, ["split is -1", "greater than or equal to 0"]),
        ({"split": True}, ["split is True", "a number"]),
        ({"seed": "tomorrow"}, ["seed is 'tomorrow'", "integer"]),
        ({"seed": [1]}, ["seed is [1]", "integer"]),
        ({"seed": 2**32}, ["seed is 4294967296", "less than 4294967296"]),
        ({"data_seed": -1}, ["data_seed is -1", "greater than or equal to 0"]),
        ({"data_seed": None}, ["data_seed is None", "integer"]),
        ({"n_splits": 1}, ["n_splits is 1", "greater than or equal to 2"]),
        ({"n_splits": 51}, ["n_splits is 51", "less than or equal to 50"]),
        ({"k_neighbors": 0}, ["k_neighbors is 0", "greater than or equal to 1"]),
        ({"imbalance_ratio": 0.5}, ["imbalance_ratio is 0.5", "greater than or equal to 1"]),
        ({"imbalance_ratio": math.nan}, ["imbalance_ratio is nan", "greater than or equal to 1"]),
        ({"imbalance_ratio": math.inf}, ["imbalance_ratio is inf", "finite"]),
        ({"imbalance_ratio": True}, ["imbalance_ratio is True", "a number"]),
        ({"dataset": 3}, ["dataset is 3", "string"]),
        ({"augmenter": None}, ["augmenter is None", "string"]),
        ({"model": 3}, ["model is 3", "logistic, svm"]),
        ({"model": {"C": 1.0}}, ["model is {'C': 1.0}", "logistic, svm"]),
        ({"model": {"name": "logistic", "C": 0}}, ["model.C is 0", "greater than 0"]),
        ({"model": {"name": "logistic", "C": math.inf}}, ["model.C is inf", "finite"]),
        ({"model": {"name": "logistic", "C": True}}, ["model.C is True", "a number"]),
        ({"model": {"name": "logistic", "max_iter": 0}}, ["model.max_iter is 0", "equal to 1"]),
        (
            {"model": {"name": "svm", "gamma": -1}},
            ["model.gamma is -1", "greater than 0", "'scale' or 'auto'"],
        ),
        ({"model": {"name": "svm", "gamma": "scal"}}, ["model.gamma is 'scal'", "'scale' or 'auto'"]),
    ],
    ids=repr,
)
def test_a_wrong_type_or_range_is_one_line_with_field_value_and_what_is_allowed(change, says):
    message = refusal(BASE | change)
    assert message.count(says[0]) == 1
    assert all(part in message for part in says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "brest_cancer"}, "unknown data set 'brest_cancer': did you mean 'breast_cancer'"),
        ({"augmenter": "smoet"}, "unknown augmenter 'smoet': did you mean 'smote'"),
        ({"model": "lgistic"}, "unknown model 'lgistic': did you mean 'logistic'"),
        ({"model": {"name": "smv"}}, "unknown model 'smv': did you mean 'svm'"),
        ({"k_neighbours": 3}, "unknown field 'k_neighbours': did you mean 'k_neighbors'"),
        ({"model": {"name": "svm", "gama": 1}}, "unknown field of svm 'gama': did you mean 'gamma'"),
        ({"logistic": 1}, "unknown field 'logistic': known: dataset, model"),
    ],
    ids=repr,
)
def test_an_unknown_name_is_answered_with_the_nearest(change, says):
    assert says in refusal(BASE | change)


def test_a_missing_data_set_is_said_to_be_missing():
    assert refusal({"augmenter": "ros"}) == "specification: dataset is missing"


def test_several_faults_are_all_named_in_the_one_line():
    message = refusal({"dataset": "brest_cancer", "splt": 1, "seed": -1})
    assert all(part in message for part in ("'brest_cancer'", "'splt'", "seed is -1"))


def test_a_huge_value_does_not_flood_the_line():
    assert len(refusal(BASE | {"seed": "x" * 10_000})) < 300
    assert len(refusal(BASE | {"seed": 10**1000})) < 300


@given(n_splits=st.integers(2, 50), beyond=st.integers(0, 100))
def test_a_split_that_is_not_one_of_n_splits_is_refused(n_splits, beyond):
    split = n_splits + beyond
    message = refusal(BASE | {"split": split, "n_splits": n_splits})
    assert f"split is {split}: it must be below n_splits, which is {n_splits}" in message


def test_a_specification_cannot_be_changed_in_place():
    spec = RunSpec(**BASE)
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        spec.model.C = 2.0


def test_with_returns_a_validated_copy_and_leaves_the_original():
    spec = RunSpec(**BASE)
    assert (spec.with_(seed=3).seed, spec.seed) == (3, 0)
    with pytest.raises(SpecError, match="split is 9"):
        spec.with_(split=9)


@given(specs)
def test_equal_specifications_have_the_same_key_through_a_json_round_trip(spec):
    again = RunSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.key == spec.key
    assert RunSpec.parse(json.loads(spec.model_dump_json())).key == spec.key
    assert re.fullmatch("[0-9a-f]{32}", spec.key)


@given(specs, specs)
def test_different_specifications_have_different_keys(one, other):
    assert (one.key == other.key) == (one == other)


def test_the_key_changes_with_every_field():
    assert {name for change in CHANGES for name in change} == set(RunSpec.model_fields)
    keys = [RunSpec.parse(BASE | change).key for change in [{}, *CHANGES]]
    assert len(set(keys)) == len(keys)


def test_a_field_at_its_default_is_no_part_of_the_key():
    spec = RunSpec(dataset="digits")
    assert essentials(spec) == {"dataset": "digits"}
    assert RunSpec.parse(spec.model_dump()).key == spec.key
    text = json.dumps({"record": 2, "spec": {"dataset": "digits"}})
    assert spec.key == hashlib.sha256(text.encode()).hexdigest()[:32]
    assert essentials(RunSpec(dataset="digits", model=SVMModel(C=2.0)))["model"] == {"name": "svm", "C": 2.0}


def test_a_value_written_in_another_way_has_the_same_key():
    spec = RunSpec(**BASE, imbalance_ratio=10.0, seed=2)
    ways = [{"imbalance_ratio": 10, "seed": 2.0}, {"imbalance_ratio": np.float64(10), "seed": np.int64(2)}]
    assert {RunSpec.parse(BASE | way).key for way in ways} == {spec.key}
    assert RunSpec(**BASE, model="svm").key == RunSpec(**BASE, model=SVMModel()).key


def test_read_takes_a_file_and_changes(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(RunSpec(**BASE, seed=7).model_dump_json())
    assert read_spec(path) == RunSpec(**BASE, seed=7)
    assert read_spec(path, split=2) == RunSpec(**BASE, seed=7, split=2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"dataset": "breast_cancer",}',
        b"\xff\xfe",
        b'{"dataset": "breast_cancer", "seed": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"dataset": "breast_cancer", "imbalance_ratio": NaN}',
        b'{"dataset": "breast_cancer", "sede": 1}',
    ],
    ids=["empty", "cut", "list", "null", "comma", "bytes", "digits", "deep", "nan", "field"],
)
def test_a_broken_file_is_one_line_that_names_it(content, tmp_path):
    path = tmp_path / "spec.json"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CemagError, match=re.escape(str(path))):
            read_spec(path)
