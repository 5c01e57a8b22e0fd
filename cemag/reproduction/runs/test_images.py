"""Runs on images: repeatable to the bit, resumed where they stopped, and in agreement with their network."""

import base64
import io
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from cemag.errors import CemagError, DataError, UnknownNameError
from cemag.models.resnet import RESNETS, resnet
from cemag.reproduction.datasets import load_images, subsample_images
from cemag.reproduction.runs import NETWORKS, ImageRunSpec, RunStore, image_specs, run, run_grid
from cemag.reproduction.runs.gallery import gallery
from cemag.reproduction.runs.images import training_set
from cemag.reproduction.runs.networks import TrainingSet, fit_network
from cemag.reproduction.training import predict_logits
from cemag.samplers import IMAGE_AUGMENTERS

RECIPE = {
    "epochs": 4, "batch_size": 16, "lr": 0.05, "warmup_epochs": 0, "milestones": (), "crop_padding": 0,
    "flip": False,
}  # fmt: skip
SPEC = ImageRunSpec(
    dataset="digits_images",
    imbalance_ratio=4,
    n_max=40,
    network="resnet20",
    recipe=RECIPE,
    head_epochs=3,
    deepsmote_epochs=2,
    deepsmote_width=4,
)
FEW = SPEC.with_(classes=("0", "6", "1"), n_max=24, recipe=RECIPE | {"epochs": 7, "lr": 0.01})
COUNTS = [40, 34, 29, 25, 21, 18, 15, 13, 11, 10]  # 40 * 4 ** (-i / 9), rounded down
AUGMENTERS = list(IMAGE_AUGMENTERS)
AFTER = ["dsm", "eos", "eos_published_code", "threshold", "tau_norm", "crt"]
TABLES = {
    "performance", "per_class", "required", "concentration", "relation", "features", "classes", "head",
    "history", "quantities", "instances", "centre",
}  # fmt: skip
NULLS = ("permuted_weights", "initialisation")
MORE_TABLES = {
    "none": {"null_required", "null_concentration", "null_relation", "cutoff", "embedding"},
    "deepsmote": {"gallery", "embedding"},
    **{name: {"embedding"} for name in ("ros", "remix", "rebalanced_mixup")},
}


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory):
    """One folder of networks for all tests that do not ask for one of their own; and one thread."""
    before, folder = torch.get_num_threads(), tmp_path_factory.mktemp("networks")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CEMAG_NETWORKS", str(folder))
        yield folder
    torch.set_num_threads(before)
    record_of.cache_clear()
    few_of.cache_clear()


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A folder of networks that is empty."""
    monkeypatch.setenv("CEMAG_NETWORKS", str(tmp_path / "fresh"))
    return tmp_path / "fresh"


@cache
def record_of(augmenter):
    return run(SPEC.with_(augmenter=augmenter), device="cpu")


@cache
def few_of(augmenter):
    return run(FEW.with_(augmenter=augmenter), device="cpu")


@cache
def digits():
    return load_images("digits_images")


@cache
def given():
    """Rows of the training images that the runs are given."""
    return subsample_images(
        digits().y_train, profile="exp", imbalance_ratio=4, n_max=40, subset_seed=SPEC.subset_seed
    )


def few_digits():
    return load_images("digits_images", classes=FEW.classes)


def network_of(augmenter):
    """The network that a run's record was made with, taken up from its checkpoint."""
    rows = given()
    data = TrainingSet(
        digits().X_train[rows], digits().y_train[rows], digits().class_names, digits().fingerprint
    )
    record_of(augmenter)
    return fit_network(SPEC.with_(augmenter=augmenter), data, device="cpu", progress=no_training)


def no_training(progress):
    raise AssertionError(f"it trains again: {progress}")


def frame(augmenter, table):
    return record_of(augmenter).tables[table].to_pandas()


def features_of(model, X, normalisation):
    """What goes into the linear layer, by a hand-written forward pass over the stages."""
    x = torch.tensor(X).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(normalisation.mean).view(-1, 1, 1)) / torch.tensor(normalisation.std).view(-1, 1, 1)
    with torch.no_grad():
        x = F.relu(model.bn1(model.conv1(x)))
        return model.layer3(model.layer2(model.layer1(x))).mean((2, 3)).numpy()


def refused(spec, kind=CemagError, **options):
    with pytest.raises(kind) as caught:
        run(spec, **{"device": "cpu", **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------------- what a record holds


@pytest.mark.parametrize("augmenter", AUGMENTERS)
def test_every_augmenter_gives_a_record_that_a_store_keeps(augmenter, tmp_path):
    record, store = record_of(augmenter), RunStore(tmp_path)
    assert set(record.tables) == TABLES | MORE_TABLES.get(augmenter, set())
    store.put(record)
    again = store.get(record.spec)
    assert again.spec == record.spec
    assert again.digest == record.digest
    assert again.provenance == record.provenance
    for name, table in record.tables.items():
        assert again.tables[name].to_pandas().equals(table.to_pandas())


@pytest.mark.parametrize("augmenter", AUGMENTERS)
def test_the_record_tells_what_the_network_was_given_and_what_was_made(augmenter):
    classes, origin = frame(augmenter, "classes"), record_of(augmenter).provenance
    assert classes["class"].tolist() == list("0123456789")
    assert classes["n_train"].tolist() == COUNTS == np.bincount(digits().y_train[given()]).tolist()
    filled_up = augmenter in ("dsm", "eos", "eos_published_code", "deepsmote")
    assert (classes["n_train"] + classes["n_synthetic"]).tolist() == ([40] * 10 if filled_up else COUNTS)
    assert (origin.n_train, origin.n_synthetic) == (sum(COUNTS), classes["n_synthetic"].sum())
    assert (origin.n_test, origin.n_ces, origin.n_fitted_ces) == (len(digits().y_test), 64, 64)
    assert (origin.device, origin.data_fingerprint) == ("cpu", digits().fingerprint)
    assert {"torch", "torchvision"} < set(origin.versions)
    assert origin.fit_seconds > 0 < origin.metric_seconds
    history = frame(augmenter, "history")
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["lr"].tolist() == [0.05] * 4
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]


@pytest.mark.parametrize("augmenter", ["none", "remix", "eos", "deepsmote"])
def test_predictions_scores_and_head_are_the_networks_own(augmenter):
    fitted = network_of(augmenter)
    head = frame(augmenter, "head")
    weights = head["weight"].to_numpy().reshape(10, 64)
    bias = frame(augmenter, "classes")["bias"].to_numpy()
    np.testing.assert_array_equal(weights, fitted.model.linear.weight.detach().numpy())
    np.testing.assert_array_equal(bias, fitted.model.linear.bias.detach().numpy())
    assert head["class"].tolist() == list(np.repeat(list("0123456789"), 64))
    assert head["feature"].tolist() == list(range(64)) * 10
    X, y = digits().X_test, digits().y_test
    logits = predict_logits(fitted.model, X, fitted.normalisation)
    sums = features_of(fitted.model, X, fitted.normalisation) @ weights.T + bias
    np.testing.assert_allclose(sums, logits, rtol=1e-4, atol=1e-4)
    right = logits.argmax(axis=1) == y
    per_class = frame(augmenter, "per_class")
    assert per_class["n"].tolist() == np.bincount(y).tolist()
    assert per_class["n_correct"].tolist() == np.bincount(y[right], minlength=10).tolist()
    accuracy = frame(augmenter, "performance")["accuracy"][0]
    assert accuracy == pytest.approx(right.mean())
    assert accuracy > 0.5  # of 10 classes: there is something to explain
    with_bias = frame(augmenter, "required").query("bias")
    n_correct = per_class.set_index("class")["n_correct"]  # fewer than are judged at most
    assert (with_bias["n"] == with_bias["class"].map(n_correct)).all()


def test_normalisation_is_that_of_the_images_given():
    pixels = digits().X_train[given()] / 255
    found = network_of("none").normalisation
    assert (found.mean[0], found.std[0]) == pytest.approx((pixels.mean(), pixels.std()), rel=1e-4)


@pytest.mark.parametrize("augmenter", ["none", "eos", "deepsmote"])
def test_frequency_is_measured_on_the_training_images_as_they_are(augmenter):
    fitted = network_of(augmenter)
    X, y = digits().X_train[given()], digits().y_train[given()]
    weights = fitted.model.linear.weight.detach().numpy()
    features = features_of(fitted.model, X, fitted.normalisation)
    found = frame(augmenter, "features").set_index("class")
    for label, name in enumerate(digits().class_names):
        sizes = np.abs(weights[label] * features[y == label])
        np.testing.assert_allclose(found.loc[name, "activation_frequency"], (sizes > 0).mean(0), atol=0.011)
        np.testing.assert_allclose(found.loc[name, "mean_magnitude"], sizes.mean(0), rtol=1e-3, atol=1e-5)


def test_methods_give_networks_that_differ():
    heads = {a: (*frame(a, "head")["weight"], *frame(a, "classes")["bias"]) for a in AUGMENTERS}
    assert len(set(heads.values())) == len(AUGMENTERS)
    assert len({record_of(augmenter).digest for augmenter in AUGMENTERS}) == len(AUGMENTERS)
    assert set(NETWORKS) == set(RESNETS)


def test_classes_size_and_profile_are_those_asked_for():
    spec = SPEC.with_(classes=("8", "1", "4"), size=16, imbalance="step", n_max=20, imbalance_ratio=2)
    record = run(spec.with_(recipe=RECIPE | {"epochs": 1}), device="cpu")
    classes = record.tables["classes"].to_pydict()
    assert classes["class"] == record.tables["per_class"]["class"].to_pylist() == ["8", "1", "4"]
    assert classes["n_train"] == [20, 20, 10]
    held_out = dict(zip(digits().class_names, np.bincount(digits().y_test), strict=True))
    assert record.tables["per_class"]["n"].to_pylist() == [held_out[name] for name in ("8", "1", "4")]


# ---------------------------------------------------------------------- repeatable


@pytest.mark.parametrize("augmenter", ["remix", "dsm"])
def test_the_same_specification_has_the_same_digest_with_and_without_its_checkpoint(augmenter, fresh):
    spec = SPEC.with_(augmenter=augmenter)
    torch.manual_seed(1)  # the global generator plays no part
    before = torch.get_rng_state()
    first = run(spec, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    again = run(spec, device="cpu", progress=no_training)
    assert first.digest == again.digest == record_of(augmenter).digest
    if augmenter == "dsm":  # it leaves the plain network behind for others
        assert run(SPEC, device="cpu", progress=no_training).digest == record_of("none").digest
    assert len(list(fresh.glob("*.pt"))) == 1


def test_the_number_of_threads_changes_no_digest_and_is_left_as_it_was(fresh):
    try:
        torch.set_num_threads(2)
        assert run(FEW, device="cpu").digest == few_of("none").digest
        assert torch.get_num_threads() == 2
        refused(FEW.with_(recipe="short_20"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_another_seed_is_another_network_and_another_subset_are_other_images():
    base = few_of("none")
    for change in ({"seed": 1}, {"subset_seed": 1}):
        other = run(FEW.with_(**change), device="cpu")
        assert other.digest != base.digest
        assert not other.tables["head"].equals(base.tables["head"])
        assert other.tables["classes"]["n_train"].equals(base.tables["classes"]["n_train"])


# epochs: before the first checkpoint is there, and after it
@pytest.mark.parametrize(
    ("augmenter", "stop_at"), [("none", 3), ("none", 6), ("remix", 6), ("eos", 6), ("deepsmote", 6)]
)
def test_a_run_that_was_interrupted_goes_on_to_the_record_of_an_undisturbed_one(augmenter, stop_at, fresh):
    spec = FEW.with_(augmenter=augmenter)

    def stop(progress):
        if progress.epoch == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, device="cpu", progress=stop)
    seen = []
    resumed = run(spec, device="cpu", progress=lambda progress: seen.append(progress.epoch))
    assert sorted(set(seen)) == list(range(6 if stop_at > 5 else 1, 8))  # a slow epoch reports more than once
    undisturbed = few_of(augmenter)  # in a folder of networks of its own
    assert resumed.digest == undisturbed.digest
    assert resumed.tables["history"].equals(undisturbed.tables["history"])


# ---------------------------------------------------------------------- augmenters


@pytest.mark.parametrize("augmenter", AFTER)
def test_a_new_head_needs_no_training_of_the_network_and_leaves_the_rest_of_it(augmenter, home):
    record_of("none")
    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in home.glob("*.pt")}
    spec = SPEC.with_(augmenter=augmenter)
    assert run(spec, device="cpu", progress=no_training).digest == record_of(augmenter).digest
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in home.glob("*.pt")} == files
    plain, changed = (network_of(name).model.state_dict() for name in ("none", augmenter))
    differ = {name for name in plain if not torch.equal(plain[name], changed[name])}
    assert differ == {"linear.weight", "linear.bias"} - (
        {"linear.weight"} if augmenter == "threshold" else set()
    )
    assert record_of(augmenter).tables["history"].equals(record_of("none").tables["history"])


@pytest.mark.parametrize("augmenter", ["eos", "eos_published_code"])
def test_classes_without_enemies_are_told_of_in_the_note(augmenter, recwarn):
    record = run(FEW.with_(augmenter=augmenter, eos_neighbors=1), device="cpu")
    note = record.provenance.note
    assert "EOS uses its nearest enemies at any distance" in note
    assert "\n" not in note
    assert not recwarn.list
    assert record_of(augmenter).provenance.note == ""
    assert record.tables["classes"]["n_synthetic"].to_pylist() == [0, 12, 18]


def test_the_note_calls_classes_by_their_names():
    record = run(FEW.with_(augmenter="eos", eos_neighbors=1), device="cpu")
    assert "class 2" not in record.provenance.note  # they are called 0, 6 and 1


@pytest.mark.parametrize("augmenter", ["dsm", "deepsmote"])
def test_a_class_too_small_is_named_before_any_training(augmenter, fresh, monkeypatch):
    monkeypatch.setattr("cemag.reproduction.runs.networks.train_deepsmote", no_training)
    spec = SPEC.with_(augmenter=augmenter, k_neighbors=11)
    message = refused(spec, progress=no_training)
    for part in ("digits_images", augmenter, "k_neighbors = 11", "8 has 11, 9 has 10"):
        assert part in message
    assert "7 has" not in message
    assert not fresh.exists()
    assert "9 has 10" in refused(spec.with_(k_neighbors=10))
    named = refused(FEW.with_(augmenter=augmenter, k_neighbors=6))
    assert "1 has 6" in named  # the digit, though it is class number 2
    assert not fresh.exists()


@pytest.mark.parametrize("augmenter", ["dsm", "eos", "deepsmote"])
def test_where_classes_are_equal_nothing_is_made_whatever_the_neighbours(augmenter):
    equal = FEW.with_(imbalance_ratio=1, n_max=4, k_neighbors=20, recipe=RECIPE | {"epochs": 1})
    record = run(equal.with_(augmenter=augmenter), device="cpu")
    assert record.provenance.n_synthetic == 0
    assert record.tables["classes"]["n_synthetic"].to_pylist() == [0, 0, 0]
    assert record.tables["classes"]["n_train"].to_pylist() == [4, 4, 4]


# ---------------------------------------------------------------------- gallery


def pictures(table):
    """Images by class, kind and place."""
    return {
        (row["class"], row["kind"], row["place"]): np.asarray(
            Image.open(io.BytesIO(base64.b64decode(row["png"])))
        )
        for row in table.to_pylist()
    }


def test_the_gallery_of_deepsmote_shows_real_redrawn_and_made_images():
    found = pictures(record_of("deepsmote").tables["gallery"])
    X, y = digits().X_train[given()], digits().y_train[given()]
    assert all(image.shape == (8, 8) and image.dtype == np.uint8 for image in found.values())
    expected = {(c, k, i) for c in "0123456789" for k in ("real", "redrawn", "made") for i in range(5)}
    assert set(found) == expected - {("0", "made", i) for i in range(5)}  # the largest is not filled up
    real = {tuple(image.ravel()) for image in X}
    for label, name in enumerate("0123456789"):
        own = {tuple(image.ravel()) for image in X[y == label]}
        assert {tuple(found[name, "real", i].ravel()) for i in range(5)} <= own
        for kind in ("redrawn", "made"):
            shown = {tuple(image.ravel()) for (c, k, _), image in found.items() if (c, k) == (name, kind)}
            assert not shown & real


class Negative:
    """Redraws an image as its negative."""

    def encode(self, X):
        return np.asarray(X, dtype=np.float32).reshape(len(X), -1)

    def decode(self, codes):
        return (255 - codes).astype(np.uint8).reshape(-1, 6, 6, 3)


def test_a_gallery_keeps_colours_to_the_last_bit_and_has_few_of_each():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (11, 6, 6, 3), dtype=np.uint8), np.repeat([0, 1], [8, 3])
    made = rng.integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    labels = np.ones(5, dtype=np.int64)
    table = gallery(TrainingSet(X, y, ("often", "rare"), ""), made, labels, Negative())
    found = pictures(table)
    assert len(found) == len(table) == 2 * 5 + 2 * 3 + 5
    for i in range(3):
        np.testing.assert_array_equal(found["rare", "real", i], X[8 + i])
        np.testing.assert_array_equal(found["rare", "redrawn", i], 255 - X[8 + i])
    for i in range(5):
        np.testing.assert_array_equal(found["often", "real", i], X[i])
        np.testing.assert_array_equal(found["rare", "made", i], made[i])


# ---------------------------------------------------------------------- nulls


def test_the_null_at_initialisation_is_the_network_that_no_training_touched():
    start = resnet("resnet20", 10, 1, seed=SPEC.seed).eval()
    W, b = start.linear.weight.detach().double().numpy(), start.linear.bias.detach().double().numpy()
    features = features_of(start, digits().X_test, network_of("none").normalisation).astype(float)
    predicted = (features @ W.T + b).argmax(axis=1)
    ces = W[predicted] * features
    sizes = np.sort(np.abs(ces), axis=1)
    expected = sizes[:, -7:].sum(axis=1) / sizes.sum(axis=1)  # 7 of 64 are the top tenth
    table = frame("none", "null_concentration").set_index(["source", "quantity"])
    found = table.loc[("initialisation", "top_share")]
    assert found["n"] == len(digits().y_test)
    assert (found["mean"], found["sd"]) == pytest.approx((expected.mean(), expected.std(ddof=1)), rel=1e-3)


def test_nulls_are_of_the_network_without_augmentation_and_of_all_that_is_judged():
    for name in ("null_required", "null_concentration"):
        table = frame("none", name)
        assert list(dict.fromkeys(table["source"])) == ["model", *NULLS]
        assert (table["n"] == len(digits().y_test)).all()
    required = frame("none", "null_required").groupby("source")["mean"]
    assert required.count().tolist() == [16] * 3
    assert (required.max() <= 64).all()


def test_relations_of_the_nulls_have_the_rows_of_those_of_the_network():
    keys = ["class", "relation", "statistic"]
    own, nulls = frame("none", "relation"), frame("none", "null_relation")
    for _, table in nulls.groupby("source"):
        assert table[keys].values.tolist() == own[keys].values.tolist()
    assert list(dict.fromkeys(nulls["source"])) == list(NULLS)


def test_the_null_of_shuffled_labels_is_a_run_on_as_many_labels_in_another_order(fresh):
    own, misled = (training_set(FEW.with_(labels=labels), few_digits()) for labels in ("own", "shuffled"))
    assert np.bincount(own.y).tolist() == np.bincount(misled.y).tolist()
    assert (own.y != misled.y).any()
    np.testing.assert_array_equal(own.X, misled.X)
    record = run(FEW.with_(labels="shuffled"), device="cpu")
    assert record.tables["quantities"]["source"].unique().to_pylist() == ["model", "permuted_weights"]
    assert record.tables["embedding"]["part"].unique().to_pylist() == ["test"]


# ---------------------------------------------------------------------- bad input


def test_a_ratio_that_leaves_a_class_empty_is_refused_and_names_it(fresh):
    message = refused(SPEC.with_(n_max=3, imbalance_ratio=10), DataError, progress=no_training)
    for part in ("digits_images", "class 5 (5)", "0 images", "imbalance_ratio is 10", "at most 3"):
        assert part in message
    named = refused(SPEC.with_(classes=("7", "2"), n_max=3, imbalance_ratio=4), DataError)
    assert "class 1 (2)" in named
    assert "1000 images asked, 142 available" in refused(SPEC.with_(n_max=1000), DataError)
    assert not fresh.exists()


def test_classes_and_sizes_that_do_not_fit_are_refused_before_training(fresh):
    assert "unknown class '10'" in refused(SPEC.with_(classes=("1", "10")), UnknownNameError)
    assert "'1' twice" in refused(SPEC.with_(classes=("1", "1")))
    assert "at least 2" in refused(SPEC.with_(classes=("1",)))
    assert "DeepSMOTE takes square ones of 8" in refused(SPEC.with_(augmenter="deepsmote", size=4))
    assert not fresh.exists()


def test_a_recipe_for_colours_is_refused_for_grey_images(fresh):
    assert "1 channel(s)" in refused(SPEC.with_(recipe="short_20"), DataError, progress=no_training)
    assert not list(fresh.glob("*.pt"))


def test_more_neighbours_of_eos_than_there_are_images_are_refused():
    message = refused(SPEC.with_(augmenter="eos", eos_neighbors=10_000), DataError)
    assert "eos_neighbors = 10000" in message
    assert f"there are {sum(COUNTS)} in all" in message


def test_a_loss_that_is_not_finite_is_refused_and_leaves_no_checkpoint(fresh):
    assert "smaller lr" in refused(FEW.with_(recipe=RECIPE | {"lr": 1e30}))
    assert not list(fresh.glob("*.pt"))


def test_a_gpu_that_is_absent_is_named_before_any_training(fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for augmenter in ("none", "eos", "deepsmote"):
        message = refused(SPEC.with_(augmenter=augmenter), device="cuda")
        assert "device 'cuda' was asked for, but there is no GPU" in message
    assert "unknown device 'gpu'" in refused(SPEC, UnknownNameError, device="gpu")
    store = RunStore(tmp_path / "store")
    monkeypatch.setattr(
        "cemag.reproduction.runs.local.LocalExecutor", lambda *_: pytest.fail("it starts workers")
    )
    monkeypatch.setattr(
        "cemag.reproduction.datasets.load_images", lambda *_, **__: pytest.fail("it looks for data")
    )
    with pytest.raises(CemagError, match="there is no GPU"):
        run_grid([SPEC], store, device="cuda")
    assert not fresh.exists()
    assert not store.root.exists()


def test_a_damaged_checkpoint_is_named_left_alone_and_may_be_deleted(fresh):
    few_of("none")
    run(FEW.with_(augmenter="dsm"), device="cpu")
    (path,) = fresh.glob("*.pt")
    whole = path.read_bytes()
    for damaged in (whole[:-1000], b"", b"not a checkpoint", whole[:5000] + b"\0" * 5000 + whole[10_000:]):
        path.write_bytes(damaged)
        for augmenter in ("none", "dsm"):
            message = refused(FEW.with_(augmenter=augmenter), progress=no_training)
            assert str(path) in message
            assert "delete it" in message
        assert path.read_bytes() == damaged
    path.unlink()
    assert run(FEW, device="cpu").digest == few_of("none").digest


def test_a_folder_of_networks_that_cannot_be_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("CEMAG_NETWORKS", str(folder))
        assert str(folder) in refused(SPEC, progress=no_training)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_grid_of_images_keeps_the_order_that_it_was_asked_for(tmp_path, monkeypatch):
    from concurrent.futures import Executor, Future

    import cemag.reproduction.runs.grid as grid_module

    submitted = []

    class Never(Executor):
        def submit(self, fn, /, spec_json, *args):
            submitted.append(ImageRunSpec.model_validate_json(spec_json))
            future = Future()
            future.set_result(None)
            return future

    monkeypatch.setattr(grid_module, "_check_data", lambda _: None)
    specs = image_specs("cpu")
    run_grid(specs, RunStore(tmp_path / "store"), executor=Never())
    assert submitted == specs
