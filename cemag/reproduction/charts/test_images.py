"""Charts of images: every figure draws the records that it is given, and says how many they are."""

import json

import numpy as np
import pandas as pd
import pytest

from cemag.reproduction import charts, claims
from cemag.reproduction.claims import image_tables
from cemag.reproduction.claims.tables import class_roles
from cemag.reproduction.runs import RunStore, image_specs, open_study

TINY = {"recipe": {"epochs": 1, "milestones": [], "warmup_epochs": 0, "batch_size": 32}, "n_max": 40}
FIGURES = [
    charts.scores,
    charts.learning,
    charts.recall_and_size,
    charts.required_and_size,
    charts.rules_and_nulls,
    charts.relations_and_nulls,
    charts.class_profile,
    charts.performance,
    charts.required,
    charts.concentration,
    charts.relations,
    charts.augmentation_effect,
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image_charts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CEMAG_NETWORKS", str(folder / "networks"))
        specs = image_specs(
            "quick",
            augmenters=["none", "ros", "dsm", "deepsmote"],
            seeds=[0, 1],
            imbalance_ratio=4,
            deepsmote_epochs=1,
            **TINY,
        )
        return open_study(specs, store=RunStore(folder / "runs"), jobs=1)


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f.__name__)
def test_every_figure_is_valid_and_carries_its_rows_and_runs(study, draw):
    figure = draw(study)
    spec = json.loads(figure.chart.to_json())
    drawn = sum(len(rows) for rows in spec["datasets"].values())
    assert drawn >= len(figure.data) > 0
    assert figure.study is study
    assert f"{len(study)} runs" in repr(figure)
    assert "seeds" in json.dumps(spec) or draw is charts.class_profile  # which shows single networks


def test_recall_against_size_has_each_class_with_its_number_of_images(study):
    data = charts.recall_and_size(study).data
    counts = study.records[0].tables["classes"].to_pandas().set_index("class")["n_train"]
    assert data.groupby("class")["n_train"].first().to_dict() == counts.to_dict()
    none = data[data["augmenter"] == "none"].set_index("class")["mean"]
    recalls = [r.tables["per_class"].to_pandas() for r in study.records if r.spec.augmenter == "none"]
    expected = pd.concat(recalls).groupby("class")["recall"].mean()
    np.testing.assert_allclose(none.sort_index(), expected.sort_index(), atol=1e-3)


def test_learning_curves_leave_out_new_heads(study):
    assert set(charts.learning(study).data["augmenter"]) == {"none", "ROS", "DeepSMOTE"}


def test_a_profile_has_every_feature_once_ranked_by_magnitude_and_signed_by_its_weight(study):
    table = image_tables.class_profiles(study, ["none"])
    for _, of_class in table.groupby("class"):
        assert sorted(of_class["feature"]) == list(range(64)) == sorted(of_class["rank"] - 1)
        ranked = of_class.sort_values("rank")["mean_magnitude"]
        assert (ranked.diff().dropna() <= 0).all()
    assert (np.sign(table["mean_ce"]) == np.sign(table["weight"]) * (table["mean_magnitude"] > 0)).all()


def test_a_gallery_shows_real_redrawn_and_made_pictures_and_says_when_there_is_none(study):
    html = charts.Gallery(study)._repr_html_()
    assert html.count("alt='real") == html.count("alt='redrawn") == 50
    assert 0 < html.count("alt='made") <= 45  # nothing is made for the largest class
    assert "seed 0" in html
    without = open_study([r.spec for r in study.records if r.spec.augmenter == "none"], compute=False)
    assert "was not run" in charts.Gallery(without)._repr_html_()


def test_coverage_says_what_was_not_run(study):
    table = image_tables.coverage(study).set_index(["scale", "data set"])["in this book"]
    assert table["paper", "cifar10"] == "not run"
    assert table["quick", "digits_images"] == "not run"  # these runs have settings of their own
    assert image_tables.settings(study)["scale"].tolist() == ["own settings"]


def test_halves_of_the_classes_are_majority_and_minority_by_size(study):
    roles = class_roles(study).merge(study.table("classes")[["key", "class", "n_train"]])
    for _, of_run in roles.groupby("key"):
        assert (of_run["role"] == "majority").sum() == (of_run["role"] == "minority").sum() == 5
        smallest = of_run.loc[of_run["role"] == "majority", "n_train"].min()
        assert smallest >= of_run.loc[of_run["role"] == "minority", "n_train"].max()


def test_chapters_have_every_number_that_they_glue(study):
    names = set(claims.image_glued(study))
    from tests.test_project import IMAGE_NAMES  # the names that prose may use

    assert names == IMAGE_NAMES
    assert all("nan" not in text for text in claims.image_glued(study).values())
