"""ImageRunSpec: what it refuses and how, that its key stands for everything, and what kind a mapping is."""

import json
import math
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cemag.errors import SpecError, UnknownNameError
from cemag.reproduction.datasets import DATASETS, IMAGE_DATASETS
from cemag.reproduction.runs import NETWORKS, ImageRunSpec, RunSpec, parse_spec, read_spec
from cemag.reproduction.training import RECIPES, Recipe
from cemag.samplers import IMAGE_AUGMENTERS

BASE = {"dataset": "digits_images", "imbalance_ratio": 10.0}
SHORT = {"epochs": 2, "warmup_epochs": 0, "milestones": []}

CHANGES = [
    {"dataset": "cifar10"},
    {"classes": ["8", "1"]},
    {"classes": ["1", "8"]},
    {"size": 16},
    {"imbalance": "step"},
    {"imbalance": "natural", "imbalance_ratio": None},
    {"imbalance_ratio": 20.0},
    {"n_max": 40},
    {"subset_seed": 1},
    {"network": "resnet56"},
    {"recipe": "digits"},
    {"recipe": SHORT},
    {"augmenter": "eos"},
    {"seed": 1},
    {"k_neighbors": 4},
    {"eos_neighbors": 4},
    {"head_epochs": 4},
    {"deepsmote_epochs": 4},
    {"deepsmote_width": 8},
    {"labels": "shuffled"},
    {"weights": "authors", "dataset": "cifar10", "imbalance_ratio": 100.0, "n_max": 5000},
]

recipes = st.one_of(
    st.sampled_from(sorted(RECIPES)),
    st.builds(
        lambda epochs, **rest: Recipe(epochs=epochs, warmup_epochs=0, milestones=(), **rest),
        epochs=st.integers(1, 1000),
        batch_size=st.integers(2, 4096),
        lr=st.floats(1e-6, 10),
        crop_padding=st.integers(0, 8),
        flip=st.booleans(),
    ),
)
profiles = st.one_of(
    st.just({"imbalance": "natural"}),
    st.fixed_dictionaries(
        {"imbalance": st.sampled_from(["exp", "step"]), "imbalance_ratio": st.floats(1, 1e6)}
    ),
)
specs = st.builds(
    lambda profile, **rest: ImageRunSpec.parse(profile | rest),
    profile=profiles,
    dataset=st.sampled_from(sorted(IMAGE_DATASETS)),
    classes=st.one_of(st.none(), st.lists(st.text(max_size=8), min_size=2, max_size=4)),
    size=st.one_of(st.none(), st.integers(4, 1024)),
    n_max=st.one_of(st.none(), st.integers(1, 10**6)),
    subset_seed=st.integers(0, 2**32 - 1),
    network=st.sampled_from(NETWORKS),
    recipe=recipes,
    augmenter=st.sampled_from(sorted(IMAGE_AUGMENTERS)),
    seed=st.integers(0, 2**32 - 1),
    k_neighbors=st.integers(1, 100),
    eos_neighbors=st.integers(1, 100),
    head_epochs=st.integers(1, 100),
)


def refusal(values, parse=ImageRunSpec.parse):
    with pytest.raises(SpecError) as caught:
        parse(values)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("specification: ")
    return message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "cifar_10"}, "unknown image set 'cifar_10': did you mean 'cifar10'"),
        ({"augmenter": "deep_smote"}, "unknown augmenter 'deep_smote': did you mean 'deepsmote'"),
        ({"augmenter": "smote"}, "unknown augmenter 'smote'"),  # of tables
        ({"network": "resnet_20"}, "unknown network 'resnet_20': did you mean 'resnet20'"),
        ({"recipe": "long_tailed_20"}, "unknown recipe 'long_tailed_20': did you mean 'long_tailed_200'"),
        ({"recipe": {"epoch": 3}}, "unknown field of recipe 'epoch': did you mean 'epochs'"),
        ({"nmax": 3}, "unknown field 'nmax': did you mean 'n_max'"),
        ({"k_neighbours": 3}, "unknown field 'k_neighbours': did you mean 'k_neighbors'"),
    ],
    ids=repr,
)
def test_an_unknown_name_is_answered_with_the_nearest(change, says):
    assert says in refusal(BASE | change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": SHORT | {"epochs": 0}}, ["recipe.epochs is 0", "greater than or equal to 1"]),
        ({"recipe": SHORT | {"epochs": "many"}}, ["recipe.epochs is 'many'", "integer"]),
        ({"recipe": SHORT | {"epochs": True}}, ["recipe.epochs is True", "a number"]),
        ({"recipe": SHORT | {"lr": math.nan}}, ["recipe.lr is nan"]),
        ({"recipe": SHORT | {"batch_size": 1}}, ["recipe.batch_size is 1", "greater than or equal to 2"]),
        ({"recipe": SHORT | {"flip": "perhaps"}}, ["recipe.flip is 'perhaps'", "boolean"]),
        ({"recipe": SHORT | {"mixed_precision": "fp8"}}, ["recipe.mixed_precision is 'fp8'", "'bf16'"]),
        ({"recipe": SHORT | {"milestones": ["x"]}}, ["recipe.milestones is 'x'", "integer"]),
        ({"recipe": {"epochs": 3}}, ["recipe is {'epochs': 3}", "milestones (160, 180)"]),
        ({"recipe": 3}, ["recipe is 3", "dictionary"]),
        ({"network": 3}, ["network is 3", "'resnet20'"]),
        ({"augmenter": None}, ["augmenter is None", "string"]),
        ({"dataset": 3}, ["dataset is 3", "string"]),
        ({"imbalance": "expo"}, ["imbalance is 'expo'", "'exp', 'step' or 'natural'"]),
        ({"imbalance_ratio": 0.5}, ["imbalance_ratio is 0.5", "greater than or equal to 1"]),
        ({"imbalance_ratio": math.inf}, ["imbalance_ratio is inf", "finite"]),
        ({"imbalance_ratio": True}, ["imbalance_ratio is True", "a number"]),
        ({"n_max": 0}, ["n_max is 0", "greater than or equal to 1"]),
        ({"n_max": 1.5}, ["n_max is 1.5", "integer"]),
        ({"size": 3}, ["size is 3", "greater than or equal to 4"]),
        ({"classes": "89"}, ["classes is '89'", "tuple"]),
        ({"classes": ["8", 9]}, ["classes.1 is 9", "string"]),
        ({"seed": -1}, ["seed is -1", "greater than or equal to 0"]),
        ({"subset_seed": 2**32}, ["subset_seed is 4294967296", "less than 4294967296"]),
        ({"k_neighbors": 0}, ["k_neighbors is 0", "greater than or equal to 1"]),
        ({"eos_neighbors": 0}, ["eos_neighbors is 0", "greater than or equal to 1"]),
        ({"head_epochs": 0}, ["head_epochs is 0", "greater than or equal to 1"]),
        ({"deepsmote_epochs": 0}, ["deepsmote_epochs is 0", "greater than or equal to 1"]),
        ({"deepsmote_width": 3}, ["deepsmote_width is 3", "greater than or equal to 4"]),
    ],
    ids=repr,
)
def test_a_wrong_type_or_range_is_one_line_with_field_value_and_what_is_allowed(change, says):
    message = refusal(BASE | change)
    for part in says:
        assert part in message


def test_the_natural_profile_takes_no_ratio_and_the_others_need_one():
    natural = {"dataset": "digits_images", "imbalance": "natural"}
    assert ImageRunSpec.parse(natural).imbalance_ratio is None
    assert "imbalance_ratio is 10: imbalance 'natural' keeps the set's own" in refusal(BASE | natural)
    for profile in ("exp", "step"):
        message = refusal({"dataset": "digits_images", "imbalance": profile})
        assert f"imbalance_ratio is missing: imbalance {profile!r} needs one, at least 1" in message


def test_a_missing_set_and_several_faults_are_said_in_one_line():
    assert refusal({"imbalance_ratio": 10}) == "specification: dataset is missing"
    message = refusal({"dataset": "cifar_10", "nmax": 1, "seed": -1, "recipe": {"epoch": 1}})
    for part in ("'cifar_10'", "'nmax'", "seed is -1", "'epoch'"):
        assert part in message


def test_a_specification_cannot_be_changed_in_place_and_with_validates_again():
    spec = ImageRunSpec(**BASE)
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        spec.recipe.epochs = 1
    assert (spec.with_(seed=3).seed, spec.seed) == (3, 0)
    assert spec.with_(recipe=SHORT).recipe == Recipe(**SHORT)
    with pytest.raises(SpecError, match="imbalance_ratio is 10: imbalance 'natural'"):
        spec.with_(imbalance="natural")


@given(specs)
def test_equal_specifications_have_the_same_key_through_a_json_round_trip(spec):
    assert re.fullmatch("[0-9a-f]{32}", spec.key)
    assert re.fullmatch("[0-9a-f]{32}", spec.training_key)
    again = ImageRunSpec.model_validate_json(spec.model_dump_json())
    parsed = parse_spec(json.loads(spec.model_dump_json()))
    for other in (again, parsed, spec.with_()):
        assert other == spec
        assert (other.key, other.training_key) == (spec.key, spec.training_key)


@given(specs, specs)
def test_different_specifications_have_different_keys(one, other):
    assert (one.key == other.key) == (one == other)


def test_the_key_changes_with_every_field():
    assert {name for change in CHANGES for name in change} == set(ImageRunSpec.model_fields)
    keys = [ImageRunSpec.parse(BASE | change).key for change in [{}, *CHANGES]]
    assert len(set(keys)) == len(keys)


def test_the_key_changes_with_every_field_of_the_recipe():
    changed = {
        "epochs": 3, "batch_size": 64, "lr": 0.2, "momentum": 0.8, "weight_decay": 0.0, "warmup_epochs": 1,
        "milestones": [1], "lr_factor": 0.5, "crop_padding": 1, "flip": False, "mixed_precision": "fp16",
    }  # fmt: skip
    channels = {"mean": [0.5], "std": [0.25]}
    assert set(changed) | set(channels) == set(Recipe.model_fields)
    ways = [{}, channels, channels | {"mean": [0.4]}, *({name: v} for name, v in changed.items())]
    for address in ("key", "training_key"):
        found = [getattr(ImageRunSpec.parse(BASE | {"recipe": SHORT | way}), address) for way in ways]
        assert len(set(found)) == len(found)


def test_a_value_written_in_another_way_has_the_same_key():
    spec = ImageRunSpec(**BASE, recipe="digits", seed=2)
    written_out = RECIPES["digits"].model_dump(mode="json")
    for way in ({"imbalance_ratio": 10}, {"seed": 2.0}, {"recipe": written_out}, {"size": None}):
        assert ImageRunSpec.parse(spec.model_dump() | way).key == spec.key
    assert ImageRunSpec(**BASE).key == ImageRunSpec(**BASE, recipe="long_tailed_200").key


def test_a_network_is_shared_by_whatever_differs_after_its_training_and_by_nothing_else():
    spec = ImageRunSpec(**BASE)
    after = {
        "augmenter",
        "k_neighbors",
        "eos_neighbors",
        "head_epochs",
        "deepsmote_epochs",
        "deepsmote_width",
    }
    for change in CHANGES:
        other = spec.with_(**change)
        assert (other.training_key == spec.training_key) == (set(change) <= after), change
    for augmenter in IMAGE_AUGMENTERS:
        assert spec.with_(augmenter=augmenter).training_key == spec.training_key


def test_methods_that_only_put_on_a_head_share_the_embeddings_of_the_plain_network():
    spec = ImageRunSpec.parse(BASE | {"head_epochs": 3})
    for augmenter, how in IMAGE_AUGMENTERS.items():
        run = spec.with_(augmenter=augmenter)
        assert run.extractor == (spec if how.stage == "embedding" else run)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"network": "resnet56"}, "network is 'resnet56': the authors' network has 'resnet32'"),
        ({"n_max": None}, "n_max is None: the authors' network has 5000"),
        ({"augmenter": "remix"}, "augmenter is 'remix': the authors' network is not trained anew"),
    ],
    ids=repr,
)
def test_the_authors_network_is_of_one_kind(change, says):
    of_authors = {"dataset": "cifar10", "imbalance_ratio": 100.0, "n_max": 5000, "weights": "authors"}
    assert ImageRunSpec.parse(of_authors).label == "cifar10, the authors' network, none, seed 0"
    assert says in refusal(of_authors | change)


def test_parse_spec_makes_the_kind_that_the_data_set_calls_for():
    for name in DATASETS:
        assert isinstance(parse_spec({"dataset": name}), RunSpec)
    for name in IMAGE_DATASETS:
        spec = parse_spec({"dataset": name, "imbalance_ratio": 2})
        assert isinstance(spec, ImageRunSpec)
        assert spec.model_name == "resnet32"
    assert not set(DATASETS) & set(IMAGE_DATASETS)


def test_parse_spec_knows_the_names_of_tables_and_of_images():
    with pytest.raises(UnknownNameError, match="unknown data set 'cifar_10': did you mean 'cifar10'"):
        parse_spec({"dataset": "cifar_10"})
    with pytest.raises(UnknownNameError, match="did you mean 'breast_cancer'"):
        parse_spec({"dataset": "brest_cancer"})
    assert refusal({}, parse_spec) == "specification: dataset is missing"
    assert "dataset is 3" in refusal({"dataset": 3}, parse_spec)
    assert "unknown field 'n_max'" in refusal({"dataset": "digits", "n_max": 3}, parse_spec)
    assert "unknown field 'split'" in refusal(BASE | {"split": 3}, parse_spec)


def test_parse_spec_refuses_a_set_that_is_a_list_in_one_line():
    assert "dataset is ['digits_images']" in refusal({"dataset": ["digits_images"]}, parse_spec)


def test_read_takes_a_file_of_images_and_changes(tmp_path):
    spec, path = ImageRunSpec(**BASE, recipe="digits", classes=("1", "8"), seed=7), tmp_path / "spec.json"
    path.write_text(spec.model_dump_json())
    assert read_spec(path) == spec
    assert read_spec(path, augmenter="eos") == spec.with_(augmenter="eos")
    with pytest.raises(SpecError, match=re.escape(f"{path}: recipe.lr is 0")):
        read_spec(path, recipe={"lr": 0})


def test_tables_are_run_and_specifications_of_images_validated_without_torch():
    code = (
        "import sys\n"
        "from cemag.reproduction.runs import ImageRunSpec, RunSpec, image_specs, parse_spec, run\n"
        f"spec = parse_spec({BASE!r})\n"
        "assert isinstance(spec, ImageRunSpec) and spec.key and spec.training_key\n"
        "assert image_specs('paper') and ImageRunSpec.model_validate_json(spec.model_dump_json()) == spec\n"
        "try: parse_spec({'dataset': 'cifar10', 'recipe': 'digit'})\n"
        "except ValueError as error: assert 'digits' in str(error)\n"
        "assert run(RunSpec(dataset='breast_cancer')).tables\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "False"
