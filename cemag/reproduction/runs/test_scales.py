"""Scales: every run of each is valid and there once, seed by seed; studies compute what is missing, once."""

from concurrent.futures import Executor, Future

import pytest
import torch

from cemag.errors import SpecError, UnknownNameError
from cemag.reproduction.datasets import IMAGE_DATASETS
from cemag.reproduction.runs import (
    MOVED_THRESHOLDS,
    PAPER_IMAGE_AUGMENTERS,
    SCALES,
    ImageRunSpec,
    Provenance,
    RunRecord,
    RunSpec,
    RunStore,
    Study,
    image_specs,
    image_study,
    scale_of,
    shuffled_label_specs,
)
from cemag.reproduction.runs import execute as execute_module
from cemag.reproduction.runs import study as study_module
from cemag.samplers import IMAGE_AUGMENTERS

REAL = ["cifar10", "miniplaces", "tiny_imagenet_taxa"]


def cells(specs):
    return {(spec.dataset, spec.augmenter, spec.seed) for spec in specs}


@pytest.mark.parametrize("scale", SCALES)
def test_every_run_of_a_scale_is_valid_and_there_once(scale):
    specs = image_specs(scale)
    assert len({spec.key for spec in specs}) == len(specs) == len(cells(specs))
    chosen = SCALES[scale]
    assert chosen.name == scale
    assert set(chosen.deepsmote) <= set(chosen.datasets) <= set(IMAGE_DATASETS)
    assert set(chosen.seeds) == set(chosen.datasets)
    assert {spec.augmenter for spec in specs} == set(IMAGE_AUGMENTERS)
    for spec in specs:
        assert ImageRunSpec.parse(spec.model_dump(mode="json")) == spec
        assert spec.subset_seed == spec.seed
        assert (spec.augmenter != "deepsmote") or spec.dataset in chosen.deepsmote
    expected = sum(
        8 * len(seeds) + 2 * 3 + 3 * (name in chosen.deepsmote) for name, seeds in chosen.seeds.items()
    )
    assert len(specs) == expected


@pytest.mark.parametrize("scale", SCALES)
def test_a_grid_cut_short_has_whole_repetitions_and_the_networks_first(scale):
    specs, of_set = image_specs(scale), SCALES[scale].seeds
    repetitions = [of_set[spec.dataset].index(spec.seed) for spec in specs]
    assert repetitions == sorted(repetitions)
    for name, seeds in of_set.items():
        for seed in seeds:
            methods = {method for dataset, method, s in cells(specs) if (dataset, s) == (name, seed)}
            assert methods >= {*PAPER_IMAGE_AUGMENTERS, *MOVED_THRESHOLDS}
    place = {(s.dataset, s.augmenter, s.seed): i for i, s in enumerate(specs)}
    for (name, _, seed), i in place.items():  # those that start from the plain network come after it
        assert place[name, "none", seed] <= i


def test_the_plan_has_twelve_seeds_and_those_of_miniplaces_and_taxa_are_unseen():
    seeds = SCALES["cpu"].seeds
    assert seeds == {"cifar10": (*range(12),), **dict.fromkeys(REAL[1:], (*range(3, 15),))}
    others = [s for s in image_specs("cpu") if s.augmenter in ("rebalanced_mixup", "deepsmote")]
    for spec in (*others, *shuffled_label_specs("cpu")):
        assert spec.seed in seeds[spec.dataset][:3]


@pytest.mark.parametrize("scale", SCALES)
def test_a_network_is_trained_once_for_all_methods_of_a_repetition(scale):
    specs = image_specs(scale)
    assert len({spec.training_key for spec in specs}) == len({(s.dataset, s.seed) for s in specs})


def test_deepsmote_is_for_the_scales_own_sets_unless_it_is_asked_for():
    def sets_of_deepsmote(**choices):
        return {s.dataset for s in image_specs("cpu", **choices) if s.augmenter == "deepsmote"}

    assert sets_of_deepsmote() == {"cifar10"}
    assert sets_of_deepsmote(datasets=["miniplaces"]) == set()
    assert sets_of_deepsmote(augmenters=["paper"]) == set()
    assert sets_of_deepsmote(augmenters=["deepsmote"]) == sets_of_deepsmote(augmenters=["all"]) == set(REAL)
    assert sets_of_deepsmote(datasets=["miniplaces"], augmenters=["deepsmote"]) == {"miniplaces"}


def test_groups_stand_for_their_members_in_order_and_once():
    def methods(*augmenters):
        return [s.augmenter for s in image_specs("quick", augmenters=augmenters, seeds=[0])]

    assert methods("paper") == list(PAPER_IMAGE_AUGMENTERS) == ["none", "ros", "remix", "dsm", "eos"]
    assert sorted(methods("all")) == sorted(IMAGE_AUGMENTERS)
    assert methods("moved") == list(MOVED_THRESHOLDS) == ["threshold", "tau_norm", "crt"]
    assert methods("eos", "paper", "eos") == ["eos", "none", "ros", "remix", "dsm"]


def test_what_is_asked_for_takes_the_place_of_the_scales_own():
    specs = image_specs("cpu", datasets=["miniplaces"], augmenters=["ros"], seeds=[7, 5], n_max=100)
    assert [(s.dataset, s.augmenter, s.seed, s.subset_seed, s.n_max) for s in specs] == [
        ("miniplaces", "ros", 7, 7, 100),
        ("miniplaces", "ros", 5, 5, 100),
    ]
    assert len(specs[0].classes) == 5
    assert {s.recipe.epochs for s in image_specs("paper", recipe="short_20")} == {20}


def test_the_scale_of_the_paper_is_the_papers_setting():
    settings = {s.dataset: s for s in image_specs("paper", augmenters=["none"], seeds=[0])}
    assert list(settings) == REAL
    cifar = settings["cifar10"]
    assert (cifar.network, cifar.imbalance, cifar.imbalance_ratio, cifar.n_max) == (
        "resnet32",
        "exp",
        100,
        5000,
    )
    assert {settings[name].network for name in REAL[1:]} == {"resnet56"}
    assert {spec.recipe.epochs for spec in settings.values()} == {200}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scale": "papr"}, "unknown scale 'papr': did you mean 'paper'"),
        ({"datasets": ["cifar_10"]}, "unknown image set 'cifar_10': did you mean 'cifar10'"),
        ({"datasets": ["breast_cancer"]}, "unknown image set 'breast_cancer'"),
        ({"augmenters": ["none", "deep_smote"]}, "unknown augmenter 'deep_smote': did you mean 'deepsmote'"),
        ({"augmenters": ["papr"]}, "unknown augmenter 'papr': did you mean 'paper'"),
    ],
    ids=repr,
)
def test_an_unknown_name_is_answered_with_the_nearest(arguments, says, monkeypatch):
    monkeypatch.setattr(study_module, "open_study", lambda *_, **__: pytest.fail("it starts work"))
    arguments = {"scale": "quick"} | arguments
    for ask in (image_specs, image_study):
        with pytest.raises(UnknownNameError) as caught:
            ask(**arguments)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_value_out_of_range_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(study_module, "open_study", lambda *_, **__: pytest.fail("it starts work"))
    for ask in (image_specs, image_study):
        with pytest.raises(SpecError, match="unknown field 'nmax': did you mean 'n_max'"):
            ask("quick", nmax=3)
        with pytest.raises(SpecError, match="seed is -1"):
            ask("quick", seeds=[-1])
        with pytest.raises(SpecError, match="unknown recipe 'digit': did you mean 'digits'"):
            ask("quick", recipe="digit")


def test_a_run_knows_its_scale():
    for scale in SCALES:
        assert {scale_of(spec) for spec in (*image_specs(scale), *shuffled_label_specs(scale))} == {scale}
    assert scale_of(image_specs("cpu", n_max=77)[0]) == "own settings"


# ---------------------------------------------------------------------- studies


class AtOnce(Executor):
    """Runs each call in this process, one after the other: a worker's start takes longer than they do."""

    def __init__(self, *_):
        self.before = torch.get_num_threads()
        torch.set_num_threads(1)

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        torch.set_num_threads(self.before)


def stand_in(spec):
    """A record as a run would give it, without the run."""
    origin = Provenance(
        cemag="0", source="0", python="0", versions={}, device="cpu", data_fingerprint="0", started="0",
        fit_seconds=0, metric_seconds=0, n_train=1, n_synthetic=0, n_test=1, n_ces=1, n_fitted_ces=1,
    )  # fmt: skip
    return RunRecord(spec=spec, tables={}, provenance=origin)


@pytest.fixture
def published(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "published")
    monkeypatch.setattr(study_module, "published_store", lambda: store)
    return store


@pytest.fixture
def asked(monkeypatch):
    """What image_study asks for, without computing it."""
    found = []
    monkeypatch.setattr(study_module, "open_study", lambda specs, **_: found.extend(specs))
    return found


def test_beside_the_scale_each_other_set_has_its_largest_published_scale(published, asked):
    cpu, paper = (image_specs(scale, augmenters=["paper"]) for scale in ("cpu", "paper"))
    for spec in [s for s in cpu if s.dataset != "tiny_imagenet_taxa"]:
        published.put(stand_in(spec))
    for spec in [s for s in paper if s.dataset == "cifar10"]:
        published.put(stand_in(spec))
    image_study("quick")
    expected = [*image_specs("quick")]
    expected += [s for s in paper if s.dataset == "cifar10"]  # of two scales the larger
    expected += [s for s in cpu if s.dataset == "miniplaces"]  # of one, that one
    assert {s.key for s in asked} == {s.key for s in expected}  # of none, nothing
    assert len(asked) == len(expected)


def test_published_runs_of_other_methods_or_sets_that_are_computed_are_not_added(published, asked):
    for spec in image_specs("paper"):
        published.put(stand_in(spec))
    image_study("cpu", ["cifar10"], ["none", "eos"], seeds=[0])
    assert {(s.dataset, s.augmenter) for s in asked} == {(n, a) for n in REAL for a in ("none", "eos")}
    assert {s.recipe.epochs for s in asked if s.dataset == "cifar10"} == {20}
    asked.clear()
    image_study("cpu", ["cifar10"], ["none", "eos"], seeds=[0], with_published=False)
    assert cells(asked) == {("cifar10", "none", 0), ("cifar10", "eos", 0)}


def test_a_larger_scale_without_a_whole_repetition_gives_way_to_a_whole_smaller_one(published, asked):
    cpu, paper = (image_specs(scale, datasets=["cifar10"]) for scale in ("cpu", "paper"))
    for spec in [*cpu, paper[0]]:
        published.put(stand_in(spec))
    image_study("quick")
    found = {s.key for s in asked if s.dataset == "cifar10"}
    assert found == {s.key for s in cpu}


def test_a_setting_of_none_leaves_the_scales_own(published, asked):
    image_study("cpu", augmenters=["none", "ros"], seeds=[1], n_max=None, recipe=None, with_published=False)
    assert asked == image_specs("cpu", augmenters=["none", "ros"], seeds=[1])


def study_of(specs, source, not_run=()):
    return Study(tuple(stand_in(spec) for spec in specs), {s.key: source for s in specs}, tuple(not_run))


def test_joined_studies_have_each_run_once():
    specs = image_specs("quick", augmenters=["paper"], seeds=[0])
    both = study_of(specs[:3], "this build", specs[4:]) + study_of(specs[2:4], "published record", specs[4:])
    assert [record.spec for record in both.records] == specs[:4]
    assert both.not_run == tuple(specs[4:])
    assert set(both.sources) == {spec.key for spec in specs[:4]}
    assert both.repeats == "seeds"
    assert (both + study_of([RunSpec(dataset="digits")], "this build")).repeats == "splits or seeds"
    assert study_of([RunSpec(dataset="digits")], "this build").repeats == "splits"


def test_of_joined_studies_nothing_is_not_run_that_one_of_them_has():
    specs = image_specs("quick", augmenters=["paper"], seeds=[0])
    both = study_of(specs[:2], "this build", specs[2:]) + study_of(specs[2:], "published record")
    assert both.not_run == ()


def test_what_is_missing_is_computed_once(published, tmp_path, monkeypatch):
    monkeypatch.setenv("CEMAG_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CEMAG_NETWORKS", str(tmp_path / "networks"))
    monkeypatch.setattr("cemag.reproduction.runs.local.LocalExecutor", AtOnce)
    recipe = {"epochs": 1, "warmup_epochs": 0, "milestones": (), "crop_padding": 1}
    choices = {"augmenters": ["none", "dsm"], "seeds": [0], "with_published": False, "jobs": 1}
    settings = {"n_max": 40, "imbalance_ratio": 4, "recipe": recipe}
    first = image_study("quick", **choices, **settings)
    assert first.not_run == ()
    assert first.repeats == "seeds"
    assert first.runs["augmenter"].tolist() == ["none", "dsm"]
    assert set(first.runs["origin"]) == {"this build"}
    assert set(first.runs["design"]) == {"seeds"}
    assert len(list((tmp_path / "networks").glob("*.pt"))) == 1  # one network for both methods
    assert len(list((tmp_path / "store").iterdir())) == 2
    assert not published.root.exists()
    for name, rows in (("classes", 10), ("history", 1), ("gallery", 0)):
        assert len(first.table(name)) == 2 * rows
    assert first.table("classes").groupby("augmenter")["n_synthetic"].sum().to_dict() == {
        "none": 0,
        "dsm": 10 * 40 - first.runs["n_train"][0],
    }

    monkeypatch.setattr(execute_module, "run", lambda *_, **__: pytest.fail("it computes again"))
    monkeypatch.setattr(
        "cemag.reproduction.runs.local.LocalExecutor", lambda *_: pytest.fail("it starts workers")
    )
    second = image_study("quick", **choices, **settings)
    assert [r.digest for r in second.records] == [r.digest for r in first.records]
