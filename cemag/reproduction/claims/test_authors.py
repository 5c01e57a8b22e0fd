"""The chapter on the authors' network gives, from records, what was measured without this package."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cemag.errors import DataError, UnknownNameError
from cemag.reproduction.claims import authors
from cemag.reproduction.runs import published_classes

# accuracy, recall of the five larger and the five smaller classes, top share of each, to three digits
MEASURED = {
    "none": (0.658, 0.727, 0.588, 0.545, 0.761),
    "eos": (0.682, 0.688, 0.676, 0.559, 0.758),
    "threshold": (0.659, 0.619, 0.698, 0.552, 0.744),
    "part": (0.667, 0.684, 0.651, 0.547, 0.751),
    "tau_norm": (0.660, 0.654, 0.667, 0.546, 0.751),
}


@cache
def chapter(gauge="paper"):
    study = authors.authors_study()
    arms = authors.measured_arms(study, gauge=gauge)
    return arms, authors.over_roles(study, arms, gauge)


def values(found, arm, claim, column="value"):
    rows = found[(found["arm"] == arm.name) & (found["claim"] == claim)]
    return rows.set_index("class")[column].loc[["majority", "minority"]].to_numpy()


@pytest.mark.parametrize("key", MEASURED)
def test_stored_records_give_the_independent_figures(key):
    arms, found = chapter()
    shares = [values(found, arms[key], claim) / 100 for claim in ("C4a", "C3")]
    mine = [arms[key].correct.mean(), *np.concatenate(shares)]
    np.testing.assert_allclose(mine, MEASURED[key], atol=0.0005 + 2e-5)  # of 16-bit embeddings


@pytest.mark.parametrize("gauge", ["paper", "margin"])
def test_heads_measured_again_are_as_they_were_published(gauge):
    arms, found = chapter(gauge)
    published = published_classes().query("family == 'authors' and source == 'model' and gauge == @gauge")
    columns = {"C1": "required", "C3": "top_share"} | ({"C2": "common_subset"} if gauge == "paper" else {})
    for key in ("none", "eos", "threshold", "tau_norm"):
        means = published[published["augmenter"] == key].groupby("role")[list(columns.values())].mean()
        for claim, column in columns.items():
            expected = 100 * means[column].loc[["majority", "minority"]].to_numpy()
            np.testing.assert_allclose(values(found, arms[key], claim), expected, rtol=1e-6, err_msg=claim)


def test_a_moved_bias_changes_no_count_of_what_both_heads_recognise():
    arms, found = chapter()
    for key in ("threshold", "part"):
        both = arms[key].correct & arms["none"].correct
        np.testing.assert_array_equal(arms[key].required[both], arms["none"].required[both])
        np.testing.assert_allclose(values(found, arms[key], "C4b"), 1)


def test_intervals_over_images_are_those_of_means_of_class_means():
    arms, found = chapter()
    arm = arms["eos"]
    recalls = np.array([arm.correct[arm.y == label].mean() for label in range(5, 10)])
    se = np.sqrt((recalls * (1 - recalls) / 999).sum()) / 5
    half = (values(found, arm, "C4a", "high") - values(found, arm, "C4a"))[1] / 100
    assert half == pytest.approx(1.96 * se, rel=1e-9)


def test_margin_ces_have_no_common_subset_and_the_chapter_says_so():
    arms, found = chapter("margin")
    table = authors.agreement(found).set_index("quantity")["as the paper says"]
    assert table[authors.QUANTITIES["C2"]] == "not defined"
    assert authors.authors_glued(found, arms)["one-ce"] == "(not defined)"


def test_parameters_that_mean_nothing_are_refused():
    study = authors.authors_study()
    with pytest.raises(UnknownNameError, match="gauge"):
        authors.measured_arms(study, gauge="other")
    with pytest.raises(DataError, match="strength is nan"):
        authors.measured_arms(study, strength=float("nan"))


def test_the_page_asks_for_no_number_that_is_not_given():
    page = (Path(__file__).parents[3] / "notebooks" / "authors.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"\{glue:text\}`authors-([^`]+)`", page))
    assert asked <= set(authors.authors_glued(*reversed(chapter())))
