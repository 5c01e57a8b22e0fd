"""Claims: intervals by the published formula, differences paired by split, verdicts from the counts."""

import dataclasses
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import measure
from cemag.reproduction.claims import PLAN, glued, over_repeats, paired_over_repeats
from cemag.reproduction.claims.tables import (
    augmentation_effects,
    class_roles,
    concentration_by_class,
    performance_by_class,
    required_by_class,
    required_ratios,
)
from cemag.reproduction.runs import (
    ImageRunSpec,
    Provenance,
    RunRecord,
    Study,
    grid_specs,
    open_study,
    run,
)


def nadeau_bengio(values, confidence=0.95):
    """Nadeau and Bengio 2003: variance (1/J + n2/n1) S^2 with J folds, test over train 1/(J - 1)."""
    J = len(values)
    scale = np.sqrt((1 / J + (1 / J) / (1 - 1 / J)) * np.var(values, ddof=1))
    if scale == 0:
        return values[0], values[0]
    return stats.t(df=J - 1, loc=np.mean(values), scale=scale).interval(confidence)


def frame_of(values, **columns):
    return pd.DataFrame({"set": "a", "split": range(len(values)), "seed": 0, "x": values, **columns})


def test_the_interval_of_a_hand_case():
    # 0.80 0.82 0.84 0.86 0.88: mean 0.84, s^2 = 0.001, variance of the mean (1/5 + 1/4) s^2 = 0.00045,
    # t(0.975, 4) = 2.7764, half width 2.7764 * 0.021213 = 0.058897
    row = over_repeats(frame_of([0.80, 0.82, 0.84, 0.86, 0.88]), "x", ["set"], of="test").iloc[0]
    assert (row["mean"], row["n"]) == (pytest.approx(0.84), 5)
    assert row["sd"] == pytest.approx(np.sqrt(0.001))
    assert (row["low"], row["high"]) == (pytest.approx(0.781103, abs=1e-6), pytest.approx(0.898897, abs=1e-6))


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=10).filter(lambda v: np.ptp(v) > 1e-3),
    st.sampled_from([0.8, 0.95]),
)
def test_the_interval_is_nadeau_and_bengios(values, confidence):
    row = over_repeats(frame_of(values), "x", ["set"], confidence, of="test").iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(nadeau_bengio(values, confidence), rel=1e-6, abs=1e-9)


def test_what_depends_on_the_weights_has_the_wider_interval_of_the_plan():
    values = [1.0, 2.0, 4.0, 3.0, 2.5]
    row = over_repeats(frame_of(values), "x", ["set"]).iloc[0]
    assert row["se"] == pytest.approx(np.sqrt((1 / 5 + PLAN.fold_factor("weights")) * np.var(values, ddof=1)))


def test_a_split_without_a_value_is_left_out_and_one_split_has_no_interval():
    row = over_repeats(frame_of([1.0, np.nan, 3.0]), "x", ["set"], of="test").iloc[0]
    assert (row["mean"], row["n"]) == (2.0, 2)
    assert (row["low"], row["high"]) == pytest.approx(nadeau_bengio([1.0, 3.0]))
    alone = over_repeats(frame_of([1.0]), "x", ["set"]).iloc[0]
    assert (alone["mean"], alone["n"]) == (1.0, 1)
    assert np.isnan([alone["low"], alone["high"]]).all()


def test_groups_are_kept_apart_and_in_order():
    frame = pd.concat([frame_of([1.0, 2.0], kind="b"), frame_of([5.0, 7.0], kind="a")])
    found = over_repeats(frame, "x", ["set", "kind"])
    assert found["kind"].tolist() == ["b", "a"]
    assert found["mean"].tolist() == [1.5, 6.0]


def test_differences_are_paired_by_split_and_seed_whatever_the_order_of_rows():
    base, rng = np.array([10.0, 50.0, 90.0, 30.0]), np.random.default_rng(0)
    gain = np.array([1.0, 2.0, 3.0, 4.0])
    frame = pd.concat(
        [
            frame_of(base, augmenter="none"),
            frame_of(base + gain, augmenter="ros"),
            frame_of(base, augmenter="smote"),
        ]
    )
    frame = frame.assign(seed=frame["split"] % 2, split=frame["split"] // 2)
    shuffled = frame.iloc[rng.permutation(len(frame))]
    found = paired_over_repeats(shuffled, "x", ["set"], factor="augmenter", reference="none")
    found = found.set_index("augmenter")
    assert set(found.index) == {"ros", "smote"}
    assert found.loc["ros", "mean"] == 2.5
    # the spread of the gains alone: unpaired it would be some thirty times as wide
    assert found.loc["ros", "sd"] == pytest.approx(np.std(gain, ddof=1))
    assert found.loc["smote", ["mean", "sd"]].tolist() == [0.0, 0.0]


def test_a_split_without_its_reference_is_left_out():
    frame = pd.concat([frame_of([1.0, 2.0], augmenter="none"), frame_of([2.0, 4.0, 9.0], augmenter="ros")])
    row = paired_over_repeats(frame, "x", ["set"], factor="augmenter", reference="none").iloc[0]
    assert (row["mean"], row["n"]) == (1.5, 2)


@pytest.fixture(scope="module")
def study():
    specs = grid_specs(["breast_cancer"], ["logistic"], ["none", "ros"], imbalance_ratio=15)
    return study_of([run(spec) for spec in specs])


def study_of(records):
    return Study(tuple(records), {record.spec.key: "this build" for record in records})


RULE = {"ranking": "magnitude", "sufficiency": "shared", "stability": "stable", "bias": False}


def test_every_number_of_the_prose_is_a_string_with_something_in_it(study):
    texts = glued(study)
    assert texts["runs"] == "10"
    assert texts["datasets"] == "breast_cancer"
    assert texts["origin"] == "10 from this build"
    assert texts["n-none"] == texts["n-ros"] == "30"
    assert all(isinstance(text, str) and text and "nan" not in text for text in texts.values())


# ---------------------------------------------------------------------- seeds of networks


def students(values, confidence=0.95):
    if np.ptp(values) == 0:
        return values[0], values[0]
    return tuple(stats.ttest_1samp(values, 0).confidence_interval(confidence))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=10).filter(lambda v: np.ptp(v) > 1e-3),
    st.sampled_from([0.8, 0.95]),
)
def test_the_interval_over_seeds_is_students(values, confidence):
    frame = frame_of(values, design="seeds")
    row = over_repeats(frame, "x", ["set"], confidence).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(students(values, confidence), rel=1e-6, abs=1e-9)
    folds = over_repeats(frame.assign(design="folds"), "x", ["set"], confidence).iloc[0]
    assert folds["low"] < row["low"] <= row["mean"] <= row["high"] < folds["high"]  # folds share rows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=8))
def test_differences_between_networks_of_one_seed_have_the_paired_interval(pairs):
    none, other = np.array(pairs).T
    seeds = {"split": range(len(pairs)), "seed": range(len(pairs)), "set": "a", "design": "seeds"}
    frame = pd.concat(
        [pd.DataFrame({**seeds, "x": x, "augmenter": a}) for x, a in ((none, "none"), (other, "eos"))]
    )
    row = paired_over_repeats(frame, "x", ["set"], factor="augmenter", reference="none").iloc[0]
    assert row["n"] == len(pairs)
    assert row["mean"] == pytest.approx(np.mean(other - none), abs=1e-9)
    if np.ptp(other - none) > 1e-3:
        peer = stats.ttest_rel(other, none).confidence_interval(0.95)
        assert (row["low"], row["high"]) == pytest.approx((peer.low, peer.high), rel=1e-6, abs=1e-9)


def test_one_network_has_no_interval_and_folds_beside_seeds_keep_their_own():
    alone = over_repeats(frame_of([1.0], design="seeds"), "x", ["set"]).iloc[0]
    assert np.isnan([alone["low"], alone["high"]]).all()
    values = [0.2, 0.5, 0.3]
    frame = pd.concat([frame_of(values, design="seeds"), frame_of(values, design="folds").assign(set="b")])
    found = over_repeats(frame, "x", ["set"], of="test").set_index("set")
    assert tuple(found.loc["a", ["low", "high"]]) == pytest.approx(students(values))
    assert tuple(found.loc["b", ["low", "high"]]) == pytest.approx(nadeau_bengio(values))


# ---------------------------------------------------------------------- studies of images


def image_record(counts, augmenter="none", seed=0, **tables):
    """A record of images as far as roles go: class names and their training images."""
    spec = ImageRunSpec(dataset="cifar10", imbalance_ratio=10, augmenter=augmenter, seed=seed)
    origin = Provenance(
        cemag="0", source="0", python="0", versions={}, device="cpu", data_fingerprint="0", started="0",
        fit_seconds=0, metric_seconds=0, n_train=sum(counts), n_synthetic=0, n_test=1, n_ces=8,
        n_fitted_ces=8,
    )  # fmt: skip
    names = [f"class {i}" for i in range(len(counts))]
    classes = pa.table({"class": names, "n_train": counts})
    return RunRecord(spec=spec, tables={"classes": classes, **tables}, provenance=origin)


def roles_of(counts):
    found = class_roles(study_of([image_record(counts)]))
    assert found["class"].tolist() == [f"class {i}" for i in range(len(counts))]
    return found["role"].tolist()


def check_roles(counts, roles):
    half = len(counts) // 2
    sizes = {
        role: [n for n, r in zip(counts, roles, strict=True) if r == role]
        for role in ("majority", "between", "minority")
    }
    assert [len(of_role) for of_role in sizes.values()] == [half, len(counts) % 2, half]
    assert min(sizes["majority"]) >= max([*sizes["between"], *sizes["minority"]])
    assert max(sizes["minority"]) <= min([*sizes["between"], *sizes["majority"]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=20, unique=True))
def test_the_larger_half_of_the_classes_is_the_majority_and_the_smaller_the_minority(counts):
    check_roles(counts, roles_of(counts))


def test_roles_of_a_long_tail_of_steps_and_of_an_odd_number():
    assert roles_of([50, 40, 30, 20, 10]) == ["majority"] * 2 + ["between"] + ["minority"] * 2
    assert roles_of([10, 50, 10, 50]) == ["minority", "majority"] * 2
    assert roles_of([9, 9, 9, 2, 2]) == ["majority"] * 2 + ["between"] + ["minority"] * 2
    assert roles_of([7, 8]) == ["minority", "majority"]


@pytest.mark.parametrize("counts", [[10, 5, 5, 1], [3, 3], [20, 9, 9, 9, 9, 1]], ids=str)
def test_classes_of_one_size_are_shared_out_between_the_roles(counts):
    check_roles(counts, roles_of(counts))


def test_each_run_has_roles_of_its_own_counts_and_tables_have_theirs(study):
    records = [image_record([30, 20, 10, 5], seed=0), image_record([5, 10, 20, 30], seed=1)]
    found = class_roles(study_of(records)).groupby("key", sort=False)["role"].apply(list)
    assert found[records[0].spec.key] == ["majority"] * 2 + ["minority"] * 2
    assert found[records[1].spec.key] == ["minority"] * 2 + ["majority"] * 2
    of_tables = class_roles(study)
    assert dict(zip(of_tables["class"], of_tables["role"], strict=True)) == {
        "0": "majority",
        "1": "minority",
    }
    assert len(of_tables) == 2 * len(study)


SIZES = [40, 30, 20, 10, 5]


@pytest.fixture(scope="module")
def image_study():
    """Three seeds of two methods, five classes; what networks would give is drawn, and then measured."""
    records = []
    for seed, (augmenter, noise) in product(range(3), [("none", 3.0), ("eos", 1.0)]):
        rng = np.random.default_rng([seed, int(noise)])
        names = np.array([f"class {i}" for i in range(5)])
        centres = np.random.default_rng(0).random((5, 8))
        y = np.repeat(np.arange(5), 20)
        features = np.maximum(centres[y] + noise * 0.15 * rng.normal(size=(100, 8)), 0)
        ce = ClassificationEmbeddings(features, centres - centres.mean(0), np.log(SIZES) / 20, names)
        records.append(image_record(SIZES, augmenter, seed, **measure(ce, names[y])))
    return study_of(records)


def values_of(study, table, column, augmenter, classes, **chosen):
    """Mean of a column over classes, a number a seed, straight from the records."""
    out = []
    for record in study.records:
        if record.spec.augmenter == augmenter:
            rows = record.tables[table].to_pylist()
            rows = [r for r in rows if r["class"] in classes and chosen.items() <= r.items()]
            assert len(rows) == len(classes)
            out.append(np.nanmean([row[column] for row in rows]))
    return np.array(out)


MINORITY, MAJORITY = ["class 3", "class 4"], ["class 0", "class 1"]


def test_a_role_has_the_mean_over_its_classes(image_study):
    recall = performance_by_class(image_study)
    share = concentration_by_class(image_study).query("quantity == 'share of the top 10 %'")
    needed = required_by_class(image_study, "mean").query("unit == '% of all CEs' and bias == 'without bias'")
    needed = needed.query("ranking == 'magnitude' and sufficiency == 'shared' and stability == 'stable'")
    for table, (name, column, choices, scale) in {
        "recall": ("per_class", "recall", {}, 1),
        "share": ("concentration", "mean", {"quantity": "top_share", "source": "model"}, 1),
        "needed": ("required", "mean", RULE, 100 / 8),
    }.items():
        found = {"recall": recall.assign(value=recall["recall"]), "share": share, "needed": needed}[table]
        found = found if table != "share" else found[found["source"] == "model"]
        assert len(found) == 3 * 2 * 2  # seeds, methods, roles; the class between has no part
        for augmenter, title in (("none", "none"), ("eos", "EOS")):
            for role, classes in (("minority", MINORITY), ("majority", MAJORITY)):
                rows = found[(found["class"] == role) & (found["augmenter"] == title)].sort_values("seed")
                expected = scale * values_of(image_study, name, column, augmenter, classes, **choices)
                assert rows["value"].tolist() == pytest.approx(expected.tolist())


def test_a_class_without_a_correct_prediction_is_left_out_of_the_mean_of_its_role(image_study):
    record = image_study.records[0]
    required = record.tables["required"].to_pandas()
    required.loc[required["class"] == "class 4", ["mean", "union", "common_subset"]] = np.nan
    changed = dataclasses.replace(
        record, tables={**record.tables, "required": pa.Table.from_pandas(required, preserve_index=False)}
    )
    found = required_by_class(study_of([changed]), "mean").query("unit == 'number of CEs'")
    whole = required_by_class(study_of([record]), "mean").query("unit == 'number of CEs'")
    assert len(found) == len(whole)
    rule = "ranking == 'magnitude' and sufficiency == 'shared' and stability == 'stable'"
    rule += " and bias == 'without bias'"
    expected = values_of(study_of([record]), "required", "mean", "none", ["class 3"], **RULE)
    minority = found.query(f"`class` == 'minority' and {rule}")
    assert minority["value"].tolist() == pytest.approx(expected.tolist())


def test_the_effect_of_a_method_is_the_paired_interval_over_seeds(image_study):
    row = augmentation_effects(image_study).iloc[0]
    assert (row["augmenter"], row["n"]) == ("EOS", 3)
    recall = [100 * values_of(image_study, "per_class", "recall", a, MINORITY) for a in ("none", "eos")]
    needed = [
        100 / 8 * values_of(image_study, "required", "mean", a, MINORITY, **RULE) for a in ("none", "eos")
    ]
    for name, (none, eos) in (("recall", recall), ("required", needed)):
        peer = stats.ttest_rel(eos, none).confidence_interval(0.95)
        assert row[name] == pytest.approx(np.mean(eos - none))
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((peer.low, peer.high))


def test_ratios_of_ces_required_are_paired_by_instance_and_then_by_split():
    study = open_study(grid_specs(["us_crime"], ["logistic"], ["none", "ros"]), compute=False)
    if study.not_run:
        pytest.skip("no published records")
    counts = {(r.spec.augmenter, r.spec.split): r.tables["instances"].to_pylist() for r in study.records}
    logs = []
    for split in range(5):
        none, ros = (
            {row["instance"]: row["required"] for row in counts[name, split] if row["class"] == "1"}
            for name in ("none", "ros")
        )
        both = [i for i in none if none[i] == none[i] and ros[i] == ros[i]]  # NaN where it is not right
        logs.append(np.mean([np.log(ros[i] / none[i]) for i in both]))
    row = required_ratios(study).iloc[0]
    assert (row["augmenter"], row["pairs"]) == ("ROS", 5)
    assert row["ratio"] == pytest.approx(np.exp(np.mean(logs)))
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
