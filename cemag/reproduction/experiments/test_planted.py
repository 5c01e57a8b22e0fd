"""What is planted is what the plan says; slopes and intervals are those of independent solvers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cemag.errors import CemagError, SpecError
from cemag.reproduction import experiments
from cemag.reproduction.experiments.cells import compute, planted_effects
from cemag.reproduction.experiments.estimates import mean_and_interval, over_sets
from cemag.reproduction.experiments.keeping import read_kept
from cemag.reproduction.experiments.planted import (
    MAJORITY,
    MINORITY,
    blurred,
    paste,
    planted_digits,
    planted_table,
    textures,
)
from cemag.reproduction.experiments.slopes import contrasts, primary, slopes

FREQUENCIES = (0.04, 0.16, 0.64)
NETWORK = experiments.Cell("networks", "balanced", 8.0, FREQUENCIES, (2e-4,), (0, 1))
TABLE = replace(NETWORK, kind="tables", weight_decays=(1e-4, 10.0))


def test_over_a_whole_square_every_feature_has_every_frequency():
    given = np.array([NETWORK.frequency_of(seed) for seed in range(3)])
    assert all(set(column) == set(FREQUENCIES) for column in given.T)
    assert all(set(row) == set(FREQUENCIES) for row in given)


@pytest.mark.parametrize("balance", ["balanced", "20:1"])
def test_a_feature_has_its_frequency_in_its_class_and_that_over_the_evidence_elsewhere(balance):
    cell = replace(NETWORK, balance=balance)
    made = planted_digits(cell, 0)
    for k, own in enumerate(made.classes):
        mine = made.on[made.y == own, k]
        others = [made.on[made.y == label, k].mean() for label in range(10) if label != own]
        f = cell.frequency_of(0)[k]
        assert abs(mine.mean() - f) <= 1 / len(mine)
        assert np.abs(np.array(others) - f / 8).max() <= 1 / MINORITY
    sizes = np.bincount(made.y)
    assert set(sizes) == ({172} if balance == "balanced" else {MAJORITY, MINORITY})
    if balance == "20:1":
        assert (sizes[made.classes] == MINORITY).all()


def test_textures_are_of_one_contrast_and_orthogonal_and_pasted_where_they_belong():
    signs = 2 * textures().reshape(6, -1) - 1
    np.testing.assert_array_equal(signs @ signs.T, 16 * np.eye(6))
    images = np.full((2, 16, 16), 0.25, dtype=np.float32)
    pasted = paste(images, np.array([[True, False], [False, True]]), np.array([0, 5]))
    np.testing.assert_array_equal(pasted[0, :4, :4], textures()[0])
    np.testing.assert_array_equal(pasted[1, 4:8, 4:8], textures()[1])
    assert (pasted[0, 4:] == 0.25).all()
    assert (images == 0.25).all()
    assert blurred(images, np.random.default_rng(0)).std() > 0.2


@pytest.mark.parametrize("seed", [0, 4])
def test_the_ceiling_is_the_log_odds_that_a_table_without_penalty_has(seed):
    """On counts without shrinkage the coefficient of an independent binary column is its log odds ratio."""
    cell = replace(TABLE, frequencies=(0.32, 0.64, 0.16))
    made = planted_table(cell, seed)
    for k, f in enumerate(cell.frequency_of(seed)):
        on = [made.on[made.y == label, k].mean() for label in (1, 0)]
        ratio = np.log(on[0] / (1 - on[0])) - np.log(on[1] / (1 - on[1]))
        assert ratio == pytest.approx(experiments.bayes_effect(f, 8.0), abs=0.02)


def test_tables_reach_the_ceiling_without_a_penalty_and_less_of_it_with_one(tmp_path):
    table = planted_effects([TABLE], folders=[tmp_path])
    share = (table["effect"] / table["ceiling"]).groupby([table["weight_decay"], table["frequency"]]).mean()
    assert (share[1e-4] > 0.85).all()
    assert share[10.0][0.04] < share[10.0][0.64] - 0.1


def test_a_cell_is_computed_once_and_found_again_and_a_damaged_record_is_named(tmp_path):
    cell = replace(TABLE, seeds=(0,))
    first = planted_effects([cell], folders=[tmp_path])
    (path,) = tmp_path.glob("*.parquet")
    stamp = path.stat().st_mtime_ns
    pd.testing.assert_frame_equal(planted_effects([cell], folders=[tmp_path]), first)
    assert path.stat().st_mtime_ns == stamp
    assert compute(replace(cell, evidence=2.0), tmp_path) != path
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CemagError, match="damaged record"):
        read_kept(path)


def test_networks_of_one_cell_are_repeatable_and_use_what_is_telling(tmp_path):
    pytest.importorskip("torch")
    found = planted_effects([NETWORK], folders=[tmp_path / "found"])
    again = planted_effects([replace(NETWORK, seeds=(0,))], folders=[tmp_path / "again"])
    pd.testing.assert_frame_equal(found[found["seed"] == 0].reset_index(drop=True), again)
    effect = found.groupby("frequency")["effect"].mean()
    assert effect[0.64] > effect[0.04] + 0.5
    assert found["accuracy"].min() > 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evidence": 0.5}, "evidence is 0.5"),
        ({"frequencies": (0.0,)}, "frequencies is"),
        ({"frequencies": (0.1,) * 7}, "there are 6 textures"),
        ({"weight_decays": ()}, "weight_decays is"),
        ({"seeds": (1, 1)}, "seeds is"),
    ],
)
def test_a_cell_out_of_range_is_refused_by_name(change, words):
    with pytest.raises(SpecError, match=words):
        replace(NETWORK, **change)


def effects_with(slope, noise=0.0, evidence=(1.0, 8.0)):
    rng = np.random.default_rng(0)
    rows = [
        {
            "kind": "networks",
            "balance": "balanced",
            "weight_decay": 2e-4,
            "evidence": L,
            "seed": seed,
            "frequency": f,
            "ceiling": np.log(L) or np.nan,
            "effect": (slope if L > 1 else 0.1) * np.log2(f) + noise * rng.standard_normal() + seed,
        }
        for L in evidence
        for seed in range(6)
        for f in (0.1, 0.2, 0.4, 0.8)
    ]
    return pd.DataFrame(rows)


def test_slopes_are_least_squares_and_the_primary_test_is_a_paired_t_test():
    table = effects_with(0.4, noise=0.3)
    found = slopes(table)
    for (L, seed), of_model in table.groupby(["evidence", "seed"]):
        expected = np.polyfit(np.log2(of_model["frequency"]), of_model["effect"], 1)[0]
        mine = found[(found["evidence"] == L) & (found["seed"] == seed)]["slope"].iloc[0]
        assert mine == pytest.approx(expected)
    by = found.pivot(index="seed", columns="evidence", values="slope")
    paired = stats.ttest_rel(by[8.0], by[1.0])
    answer = primary(table)
    low, high = paired.confidence_interval()
    assert (answer.low, answer.high) == pytest.approx((low, high))
    row = contrasts(table).query("quantity == 'slope minus that at L = 1'").iloc[0]
    assert (row["mean"], row["low"]) == pytest.approx((answer.value, answer.low))


@pytest.mark.parametrize(("slope", "word"), [(0.6, "holds"), (-0.6, "fails"), (0.1, "open")])
def test_the_primary_test_says_what_the_interval_says(slope, word):
    assert primary(effects_with(slope, noise=0.3)).verdict == word


def test_the_primary_test_needs_its_cells():
    with pytest.raises(CemagError, match="lack balanced networks"):
        primary(effects_with(0.5, evidence=(1.0,)))


def test_intervals_over_sets_are_welchs():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 8), rng.normal(2, 3, 12)
    table = pd.DataFrame({"dataset": ["a"] * 8 + ["b"] * 12, "x": [*a, *b]})
    welch = stats.ttest_ind(a, -b, equal_var=False).confidence_interval()
    found = over_sets(table, "x")
    assert (2 * found.low, 2 * found.high) == pytest.approx(tuple(welch))
    assert mean_and_interval(pd.Series(a)).value == pytest.approx(a.mean())


def test_the_published_run_is_whole_and_its_answer_is_the_plans():
    plan = experiments.causes_plan()["design"]
    folders = [experiments.cells.folders_of_causes()[0]]
    cells = [*experiments.cells_of("networks"), *experiments.cells_of("tables")]
    assert all((folders[0] / experiments.cells._file(cell)).is_file() for cell in cells)
    table = planted_effects(cells, folders=folders)
    rows = len(plan["frequencies"]) * plan["seeds"] * len(plan["evidence"]) * len(plan["balance"]) * 3
    assert table.groupby("kind").size().to_dict() == {"networks": rows, "tables": rows}
    assert primary(table).low > 0  # the prototype's shape: the slope at L = 8 is clearly above that at L = 1
