"""Several values of one setting become one figure, whose numbers are those of each value alone."""

import pytest

from cemag.errors import CemagError
from cemag.reproduction import charts
from cemag.reproduction.claims.tables import performance_by_class
from cemag.reproduction.runs import RunStore, Study, grid_specs, open_study, run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("sweep"))
    names = ["breast_cancer"], ["logistic"], ["none", "ros"]
    specs = [s for ratio in (None, 5.0, 20.0) for s in grid_specs(*names, n_splits=2, imbalance_ratio=ratio)]
    for spec in specs:
        store.put(run(spec))
    return open_study(specs, store=store, published=store, compute=False)


def test_one_chart_of_every_quantity_against_the_ratio(study):
    figure = charts.sweep(study)
    chart = figure.chart.to_dict()
    assert chart["spec"]["layer"]
    data = figure.data
    assert sorted(data["at"].round(1).unique()) == [1.7, 5.0, 20.0]
    assert set(data["data_set"]) == {"breast_cancer"}
    assert (data["n"] <= 2).all()
    recall = performance_by_class(study).query("dataset == 'breast_cancer, 20:1' and augmenter == 'none'")
    drawn = data[(data["at"] == 20) & (data["measure"] == "recall (%)") & (data["augmenter"] == "none")]
    expected = 100 * recall.groupby("class")["recall"].mean()
    assert drawn.set_index("class")["mean"].to_dict() == pytest.approx(expected.to_dict(), rel=1e-3)


def test_what_cannot_be_drawn_is_said(study):
    alone = tuple(record for record in study.records if record.spec.imbalance_ratio == 5.0)
    with pytest.raises(CemagError, match="nothing varies in this study: give imbalance_ratio a list"):
        charts.sweep(Study(alone, study.sources))
    with pytest.raises(CemagError, match="unknown setting that varies 'ratio'"):
        charts.sweep(study, "ratio")
