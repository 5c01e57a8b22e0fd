"""An audit says of each class, feature and instance what a literal reading of the definitions says."""

import json

import numpy as np
import pandas as pd
import pytest

import cemag
from cemag.auditing import digits_example, factors, read_audit
from cemag.auditing.report import render
from cemag.auditing.result import TABLES
from cemag.auditing.tables import roles
from cemag.errors import CemagError, DataError, StoreError
from cemag.metrics import BY_CES, WITH_BIAS, ces_required, concentration, permuted_null
from cemag.theory import required_at_most


@pytest.fixture(scope="module")
def example():
    return digits_example()


@pytest.fixture(scope="module")
def found(example):
    return cemag.audit(example.factors, class_counts=example.class_counts)


# ---------------------------------------------------------------------- tables


def test_instances_are_those_of_the_metrics(found, example):
    ce = example.factors.ce
    table = found.per_instance
    assert len(table) == ce.n_instances
    assert table["predicted"].cat.codes.tolist() == ce.predictions.tolist()
    assert table["required"].tolist() == ces_required(ce, WITH_BIAS).tolist()
    by_ces = ce.without_bias().predictions == ce.predictions
    assert table["by_bias"].tolist() == ((table["required"] == 0) | ~by_ces).tolist()
    assert table["required_without_bias"][by_ces].tolist() == ces_required(ce, BY_CES)[by_ces].tolist()
    assert table["required_without_bias"][~by_ces].isna().all()
    expected = concentration(ce)
    np.testing.assert_allclose(table["top_share"], expected.top_share)
    np.testing.assert_allclose(table["participation_ratio"], expected.participation_ratio)
    for row in (0, 100, 500):
        ces = ce.of_prediction(np.array([row]))[0]
        assert table["largest_share"][row] == pytest.approx(np.abs(ces).max() / np.abs(ces).sum())
        assert table["top_feature"][row] == example.factors.feature_names[ces.argmax()]
        logits = np.sort(ce.logits()[row])
        assert table["margin"][row] == pytest.approx(logits[-1] - logits[-2])


def test_a_class_is_the_mean_of_its_correct_predictions(found, example):
    ce, y = example.factors.ce, example.factors.y
    for label, row in enumerate(found.per_class.itertuples()):
        mine = np.flatnonzero((y == label) & (ce.predictions == label))
        assert (row.n, row.n_correct) == ((y == label).sum(), len(mine))
        assert row.recall == pytest.approx(len(mine) / (y == label).sum())
        counted = mine[ce.without_bias().predictions[mine] == label]
        k = ces_required(ce, BY_CES)[counted]
        assert row.n_counted == len(counted)
        assert row.required == pytest.approx(k.mean())
        assert row.at_most == pytest.approx(required_at_most(ce)[counted].mean())
        assert 1 <= row.required <= row.at_most
        assert row.required_share == pytest.approx(100 * row.required / 64)
        assert row.by_one_or_two == pytest.approx(100 * (k <= 2).mean())
        assert row.by_bias == pytest.approx(100 * found.per_instance["by_bias"][mine].mean())
        sizes = -np.sort(-np.abs(ce.weights[label] * ce.features[mine]).mean(axis=0))
        assert sizes[: int(row.features_for_half)].sum() >= sizes.sum() / 2 * (1 - 1e-5)
        assert sizes[: int(row.features_for_half) - 1].sum() < sizes.sum() / 2


def test_taking_the_top_feature_away_is_measured(found, example):
    ce, y = example.factors.ce, example.factors.y
    for label, row in enumerate(found.per_class.itertuples()):
        mine = np.flatnonzero((y == label) & (ce.predictions == label))
        centre = np.mean([ce.features[y == c].mean(axis=0) for c in range(10)], axis=0)
        top = (ce.weights[label] * (ce.features[mine] - centre)).mean(axis=0).argmax()
        assert row.top_feature == example.factors.feature_names[top]
        changed = np.array(ce.features[y == label])
        changed[:, top] = ce.features[:, top].mean()
        recall = ((changed @ ce.weights.T + ce.bias).argmax(axis=1) == label).mean()
        assert row.recall_without_top == pytest.approx(recall)
        assert row.recall_lost == pytest.approx(row.recall - recall)


def test_features_have_a_row_a_class(found, example):
    ce, y = example.factors.ce, example.factors.y
    table = found.per_feature
    assert len(table) == 10 * 64
    mine = (y == 3) & (ce.predictions == 3)
    row = table[(table["class"] == "3") & (table["feature"] == example.factors.feature_names[20])].iloc[0]
    assert row["mean_ce"] == pytest.approx((ce.weights[3] * ce.features[mine]).mean(axis=0)[20], rel=1e-5)


def test_roles_are_by_the_counts_that_are_given(found, example):
    table = found.per_class
    assert table["size"].tolist() == example.class_counts
    assert table["role"].tolist() == ["majority"] * 5 + ["minority"] * 5
    assert set(cemag.audit(example.factors, class_counts=[7] * 10).per_class["role"]) == {""}
    by_name = {str(c): n for c, n in enumerate(example.class_counts)}
    assert (
        cemag.audit(example.factors, class_counts=by_name).per_class["size"].tolist() == example.class_counts
    )
    assert roles(np.array([3, 9, 5])).tolist() == ["minority", "majority", "between"]


def test_the_null_is_the_mean_of_permutations_and_has_their_spread(found, example):
    null = found.null.set_index(["source", "quantity"])
    drawn = permuted_null(example.factors.ce, example.factors.ce.label_indices(example.factors.y),
                          max_instances=719)  # fmt: skip
    row = null.loc[("permuted_weights", "required")]
    assert row["mean"] == pytest.approx(drawn["required"].mean())
    assert row["sd"] == pytest.approx(drawn["required"].std(ddof=1))
    assert row["n_permutations"] == 10
    assert null.loc[("half_normal", "top_share"), "mean"] == pytest.approx(0.27, abs=0.03)
    active = found.per_instance["n_active"]
    assert null.loc[("non_zero", "top_share"), "mean"] == pytest.approx(np.minimum(1, 7 / active).mean())


def test_every_figure_lies_in_its_interval_and_they_can_be_left_out(found, example):
    table = found.per_class
    bounded = [name.removesuffix("_low") for name in table if name.endswith("_low")]
    assert {"recall", "by_bias", "required", "top_share", "recall_lost", "union"} <= set(bounded)
    for name in bounded:
        known = table.dropna(subset=[name, f"{name}_low"])
        assert (known[f"{name}_low"] <= known[name] + 1e-9).all(), name
        assert (known[name] <= known[f"{name}_high"] + 1e-9).all(), name
    without = cemag.audit(example.factors, class_counts=example.class_counts, intervals=False)
    assert not [name for name in without.per_class if name.endswith(("_low", "_high"))]
    pd.testing.assert_frame_equal(without.per_class, table[list(without.per_class)])


def test_margin_ces_have_an_audit_of_their_own(found, example):
    other = cemag.audit(example.factors, class_counts=example.class_counts, ces="margin")
    assert other.per_class["recall"].equals(found.per_class["recall"])
    np.testing.assert_allclose(other.per_instance["margin"], found.per_instance["margin"])
    told = {f.name: f for f in found.findings}["forms"]
    rows = found.forms.set_index(["ces", "quantity"])
    assert told.numbers["required_other_form"] == rows.loc[("margin", "required"), "mean"]
    known = other.per_instance["required_without_bias"].dropna()
    assert rows.loc[("margin", "required"), "mean"] == pytest.approx(known.mean())
    with pytest.raises(CemagError, match="margin"):
        cemag.compare(found, other)


# ---------------------------------------------------------------------- words


def test_every_statement_has_its_numbers_in_its_words(found):
    said = {statement.name: statement for statement in found.findings}
    assert next(iter(said)) == "bias"
    assert list(said)[-2:] == ["forms", "next"]
    correct = found.per_instance[found.per_instance["correct"]]
    assert f"Of {len(correct):,} correct predictions {correct['by_bias'].sum():,} are" in said["bias"].text
    told = said["bias"].title + said["bias"].text
    assert all(f"{end:.3g}" in told for end in said["bias"].numbers.values())
    means = found.per_class["required"].mean()
    text = " ".join(statement.text for statement in found.findings)
    assert f"{means:.3g} (" in text
    roles = found.per_class.groupby("role")["required"].mean()
    assert f"Minority classes need {roles['minority']:.3g} (" in text
    worst = found.per_class.nlargest(1, "recall_lost").iloc[0]
    assert f"{worst['class']} without {worst['top_feature']}" in said["ablation"].text
    for text in (repr(found), found.summary(), found._repr_html_()):
        assert f"{found.accuracy:.3f}" in text
        assert said["bias"].title[1:] in text


def test_classes_that_cannot_be_judged_are_said_to_be_so():
    rng = np.random.default_rng(0)
    features, weights = rng.random((40, 6)), rng.normal(size=(4, 6))
    predicted = (features @ weights.T).argmax(axis=1)
    kept = np.isin(predicted, (0, 1, 2))
    labels = np.where(predicted == 2, 1, predicted)[kept]
    audit = cemag.audit(features=features[kept], weights=weights, labels=labels)
    missing = audit.findings[0]
    assert missing.name == "missing"
    empty = [str(c) for c in range(4) if not (labels == c).any()]
    assert missing.numbers["without_instances"] == len(empty)
    table = audit.per_class.set_index("class")
    assert table.loc[empty, "required"].isna().all()
    assert table.loc[empty, "top_feature"].eq("").all()
    assert "recall" not in {statement.name for statement in audit.findings}  # too few classes
    assert audit.report is not None
    assert "nan" not in audit.summary().lower()


def test_a_binary_model_with_one_sum_has_both_classes():
    rng = np.random.default_rng(1)
    features, weights = rng.normal(size=(80, 5)), rng.normal(size=5)
    labels = (features @ weights > 0.3).astype(int)
    audit = cemag.audit(features=features, weights=weights, bias=[-0.3], labels=labels)
    assert audit.accuracy == 1
    assert audit.per_class["recall"].tolist() == [1, 1]
    assert (audit.per_class["required"] > 0).any()


RANDOM = np.random.default_rng(0)
EDGES = {
    "one instance": ([[1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], [1]),
    "one feature": ([[1.0], [2.0]], [[1.0], [0.5]], [0, 0]),
    "one sum": (RANDOM.normal(size=(30, 4)), RANDOM.normal(size=4), RANDOM.integers(0, 2, 30)),
    "all wrong": ([[1.0, 2.0]] * 3, np.eye(2), [0, 0, 0]),
    "all zero": (np.zeros((5, 3)), np.eye(3), [0, 1, 2, 0, 1]),
    "more classes than features": (
        RANDOM.random((90, 2)),
        RANDOM.normal(size=(40, 2)),
        RANDOM.integers(0, 40, 90),
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", EDGES)
def test_whatever_is_audited_can_be_told_drawn_kept_and_compared(name, tmp_path):
    features, weights, labels = EDGES[name]
    found = cemag.audit(features=features, weights=weights, labels=labels)
    assert "nan" not in (found.summary() + repr(found) + found._repr_html_()).lower()
    for _, chart in found.charts:
        chart.to_dict()
    found.report(tmp_path / "audit.html")
    again = read_audit(found.to_parquet(tmp_path / "tables"))
    assert again.summary() == found.summary()
    assert "more" not in cemag.compare(found, again).summary()


def test_names_from_anywhere_are_text_in_the_report():
    names = ["</script><script>alert(1)</script>", "<b>bold</b>", "\"'&"]
    made = factors(RANDOM.random((60, 3)), RANDOM.normal(size=(3, 3)), labels=RANDOM.integers(0, 3, 60),
                   class_names=names, feature_names=names, model_name=names[0])  # fmt: skip
    text = render(cemag.audit(made))
    assert "<script>alert" not in text
    assert "<b>bold" not in text


# ---------------------------------------------------------------------- files


def test_tables_come_back_from_parquet(found, tmp_path):
    folder = found.to_parquet(tmp_path / "audit")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{t}.parquet" for t in TABLES), "audit.json"]
    )
    again = read_audit(folder)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name))
    assert again.summary() == found.summary()
    with pytest.raises(StoreError, match="exists already"):
        found.to_parquet(folder)


def test_an_audit_that_cannot_be_read_is_named(found, tmp_path):
    folder = found.to_parquet(tmp_path / "audit")
    with pytest.raises(StoreError, match="nowhere: not a readable audit"):
        read_audit(tmp_path / "nowhere")
    about = json.loads((folder / "audit.json").read_text())
    (folder / "audit.json").write_text(json.dumps(about | {"format": 9}))
    with pytest.raises(StoreError, match="format 9: 3 is supported"):
        read_audit(folder)
    (folder / "audit.json").write_text(json.dumps(about))
    (folder / "per_class.parquet").write_bytes(b"not Parquet")
    with pytest.raises(StoreError, match="not a readable audit"):
        read_audit(folder)


def test_a_table_that_cannot_be_written_leaves_nothing(found, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="no space"):
        found.to_parquet(tmp_path / "audit")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "missing features, weights, labels"),
        ({"features": [[1.0]], "weights": [[1.0], [2.0]]}, "missing labels"),
        ({"model": "a model", "X": [[1.0]]}, "str"),
        ({"model": "a model", "weights": [[1.0]]}, "one or the other"),
        (
            {"features": [[1.0, 2.0]], "weights": [[1.0], [2.0]], "labels": [0]},
            r"\(1, 2\) and weights \(2, 1\)",
        ),
        ({"features": [[np.nan]], "weights": [[1.0], [2.0]], "labels": [0]}, "1 NaN"),
        ({"features": [[1.0]], "weights": [[1.0], [2.0]], "labels": [2]}, "labels holds 2 in row 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(options, message):
    with pytest.raises(CemagError, match=message) as caught:
        cemag.audit(**options)
    assert "\n" not in str(caught.value)


def test_counts_go_to_the_classes_that_they_name():
    features = np.random.default_rng(1).random((42, 3))
    made = factors(features, np.eye(3), labels=np.tile(range(3), 14), class_names=list("abc"))
    trained = pd.Series(list("bbbbbbbbccccca"))  # value_counts() begins with b
    by_label = {1: 8, 2: 5, 0: 1}
    for given in (
        trained.value_counts(),
        {"b": 8, "c": 5, "a": 1},
        by_label,
        {1.0: 8, 2.0: 5, 0.0: 1},
        [1, 8, 5],
    ):
        table = cemag.audit(made, class_counts=given).per_class.set_index("class")
        assert table["size"].to_dict() == {"a": 1, "b": 8, "c": 5}
        assert table["role"].to_dict() == {"a": "minority", "b": "majority", "c": "between"}
    with pytest.raises(DataError, match="class_counts has no entry for c"):
        cemag.audit(made, class_counts={"a": 1, "b": 2})


def test_why_roles_are_not_compared_is_said():
    labels = np.tile([0, 1], 20)
    right, wrong = np.eye(2)[labels], np.eye(2)[np.zeros(40, int)]
    said = {
        "give class_counts": cemag.audit(factors(right, np.eye(2), labels=labels)),
        "All classes are equally large": cemag.audit(
            factors(right, np.eye(2), labels=labels), class_counts=[5, 5]
        ),
        "of one of them no class has 10": cemag.audit(
            factors(wrong, np.eye(2), labels=labels), class_counts=[9, 5]
        ),
    }
    for words, found in said.items():
        assert words in found.summary()


def test_counts_of_the_classes_are_checked(example):
    for counts, message in (
        ([1, 2], "10 whole numbers"),
        ([1.5] * 10, "10 whole numbers"),
        ([-1] * 10, "at least 0"),
        ({"0": 5}, "no entry for 1, 2, 3, 4, 5"),
    ):
        with pytest.raises(DataError, match=message):
            cemag.audit(example.factors, class_counts=counts)
    for name, value in (
        ("null_instances", 0),
        ("null_instances", 2.5),
        ("random_state", -1),
        ("random_state", "a"),
    ):
        with pytest.raises(DataError, match=f"{name} is {value!r}: a whole number of at least"):
            cemag.audit(example.factors, **{name: value})


def test_factors_and_their_parts_give_the_same_audit(found, example):
    ce = example.factors.ce
    parts = factors(ce.features, ce.weights, ce.bias, example.factors.y)
    again = cemag.audit(parts, class_counts=example.class_counts)
    pd.testing.assert_frame_equal(
        again.per_class.drop(columns="top_feature"), found.per_class.drop(columns="top_feature")
    )
