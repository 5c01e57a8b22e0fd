"""What is measured of augmenters is what loops find, and the law is met where its assumptions are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cemag.embeddings import ClassificationEmbeddings
from cemag.reproduction.experiments import augmenters, sources
from cemag.reproduction.experiments.augmenters import AUGMENTERS, RUN, feature_effects, rows_made, with_law
from cemag.reproduction.experiments.estimates import Estimate
from cemag.reproduction.experiments.heads import Features
from cemag.samplers import Remix
from cemag.samplers.mixing import mixing_factors

AT = dict(zip(RUN, ("networks", "made up", 0), strict=True))


@pytest.fixture(scope="module")
def one():
    """Three classes of 240, 60 and 30 rows; independent features, each active with a frequency of its own."""
    rng = np.random.default_rng(0)
    p, sizes = rng.uniform(0.05, 0.9, (3, 12)), (240, 60, 30)
    p[2, 0] = 0  # no row of the smallest class has the first feature

    def drawn(counts):
        y = np.repeat([0, 1, 2], counts)
        on = rng.random((len(y), 12)) < p[y]
        return np.where(on, rng.exponential(1.0, on.shape), 0.0), y

    (X, y), (test, labels) = drawn(sizes), drawn((50, 50, 50))
    return Features(X, y, ClassificationEmbeddings(test, np.eye(3, 12), np.zeros(3)), labels)


@pytest.fixture(scope="module")
def table(one):
    return with_law(feature_effects(one).assign(**AT))


@pytest.mark.parametrize("name", AUGMENTERS)
def test_what_is_measured_is_what_loops_find(one, table, name):
    made = rows_made(name, one.X, one.y)
    for label in (1, 2):
        seen, tests = one.X[one.y == label], one.ce.features[:][one.labels == label]
        own = [n for n in range(len(made.y)) if made.y[n] == label]
        total = sum(made.weight[n] for n in own)
        mine = table[(table["rows"] == name) & (table["class"] == str(label))].set_index("feature")
        for j in (0, 5, 11):
            low, high = seen[:, j].min(), seen[:, j].max()
            found = {"frequency": 0.0, "mass": 0.0, "beyond": 0.0}
            for n in own:
                value, share = made.X[n, j], made.weight[n] / total
                found["frequency"] += share * (value > 1e-9)
                found["mass"] += share * value
                found["beyond"] += share * (not low - 1e-9 <= value <= high + 1e-9)
            whole = [made.X[n, j] for n in own if made.weight[n] >= 0.5]
            low, high = min(low, *whole), max(high, *whole)
            found["missed"] = np.mean([not low - 1e-9 <= value <= high + 1e-9 for value in tests[:, j]])
            for column, value in found.items():
                assert mine.loc[j, column] == pytest.approx(value, abs=1e-6), (column, j)
        assert mine["before_frequency"].to_numpy() == pytest.approx((seen > 0).mean(axis=0))
        assert mine["test_mass"].to_numpy() == pytest.approx(tests.mean(axis=0))


def test_parents_drawn_at_random_follow_the_law_in_frequency_and_mass(table):
    """REMIX draws its partners at random: constants of the law and of its mean weight are held to it."""
    mixed = table[table["rows"] == "remix"]
    added, law = ((mixed[name] - mixed["before_frequency"]).sum() for name in ("frequency", "law_frequency"))
    assert added / law == pytest.approx(1, abs=0.05)
    moved, by_law = (mixed[name] - mixed["before_mass"] for name in ("mass", "law_mass"))
    assert (moved @ by_law) / (by_law @ by_law) == pytest.approx(1, abs=0.25)


def test_the_mean_weight_of_a_mixture_is_that_of_what_remix_draws():
    assert Remix().alpha == augmenters.ALPHA
    drawn = mixing_factors(np.random.default_rng(1), 1_000_000, augmenters.ALPHA)
    assert (drawn**2).mean() == pytest.approx(augmenters._mean_square(augmenters.ALPHA), abs=2e-3)


def test_the_law_of_each_augmenter_is_that_of_its_parents(one, table):
    n, p = np.bincount(one.y), np.array([(one.X[one.y == k] > 0).mean(axis=0) for k in range(3)])
    mine = table[table["class"] == "2"].pivot(index="feature", columns="rows", values="law_frequency")
    enemies = (n[0] * p[0] + n[1] * p[1]) / (n[0] + n[1])
    expected = {
        "ros": p[2],
        "smote": 1 - (1 - p[2]) ** 2,
        "adasyn": 1 - (1 - p[2]) ** 2,
        "eos": 1 - (1 - p[2]) * (1 - enemies),
        "remix": 1 - (1 - p[2]) * (1 - p.mean(axis=0)),
    }
    for name, law in expected.items():
        np.testing.assert_allclose(mine[name], law, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["ros", "smote", "adasyn"])
def test_parents_of_one_class_bring_nothing_in(table, name):
    mine = table[table["rows"] == name]
    assert (mine["beyond"] == 0).all()
    assert (mine["frequency"][mine["before_frequency"] == 0] == 0).all()
    np.testing.assert_array_equal(mine["missed"], mine["missed_before"])


def test_enemies_bring_in_what_the_class_did_not_have(table):
    first = table[(table["class"] == "2") & (table["feature"] == 0)].set_index("rows")
    assert first.loc["eos", "beyond"] == first.loc["eos", "frequency"] > 0.1
    counts = augmenters._absent(table)
    assert (counts["n"], counts["smote"], counts["eos"], counts["test"]) == (1, 0, 1, 0)


def test_copies_leave_what_they_copy_and_the_largest_class_is_left_out(table):
    assert set(table["class"]) == {"1", "2"}
    copies = table[table["rows"] == "ros"]
    assert np.abs(copies["frequency"] - copies["before_frequency"]).max() < 0.15
    whole = copies["after_mass"] * (copies["n"] + copies["before_n"])
    parts = copies["before_mass"] * copies["before_n"] + copies["mass"] * copies["n"]
    np.testing.assert_allclose(whole, parts, rtol=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.95, 1.05, "follows the law"), (0.5, 0.8, "gains less"), (0.8, 1.0, "open"), (0.95, 1.2, "open")],
)
def test_the_verdict_is_by_the_interval(low, high, word):
    assert augmenters.law_verdict(Estimate((low + high) / 2, low, high, 9)) == word


def test_a_record_is_computed_once_and_what_is_not_at_hand_takes_no_part(tmp_path):
    calls = []

    def features(repetition):
        calls.append(repetition)
        return repetition

    here = sources.Source("tables", "a", "tables-a", (0, 1), True, features)
    gone = replace(here, dataset="b", name="tables-b", at_hand=False)
    found, again = (
        sources.over_sources("x", [here, gone], lambda k: pd.DataFrame({"k": [k]}), [tmp_path], version=3)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(found, again)
    assert found["k"].tolist() == found["repetition"].tolist() == [0, 1] == calls
    assert set(found["dataset"]) == {"a"}
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["x-tables-a-v3.parquet"]


def test_the_published_records_are_whole():
    home = augmenters.folders_of_causes()[0]
    wanted = [*sources.tables_by_fold(), *sources.digits_networks(), *sources.authors_network()]
    assert all((home / f"augmenters-{one.name}-v{augmenters.VERSION}.parquet").is_file() for one in wanted)
