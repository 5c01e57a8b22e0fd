"""What the explorer shows is what the published records say, instance by instance."""

import io

import numpy as np
import pytest
from PIL import Image

from cemag.metrics import Rule, ces_required
from cemag.reproduction.runs import explorables, published_store

PLANNED = Rule("magnitude", "shared", "stable", False)  # by which the records count


@pytest.fixture(scope="module")
def found():
    sets = explorables()
    if not sets:
        pytest.skip("no published records")
    return {(one.family, one.dataset): one for one in sets}


def test_every_instance_is_predicted_and_counted_as_its_record_says(found):
    store = published_store()
    assert {"coil_2000", "us_crime"} <= {dataset for family, dataset in found if family == "logistic"}
    for one in found.values():
        assert "none" in one.models
        for name, ce in one.models.items():
            said = store.get(one.keys[name]).tables["instances"].to_pandas().set_index("instance")
            said = said.loc[one.instances]
            assert said["predicted"].astype(str).tolist() == [str(ce.classes[p]) for p in ce.predictions]
            counted = said["required"].notna().to_numpy()
            assert (ces_required(ce, PLANNED) == said["required"])[counted].all()


def test_instances_are_few_and_the_minority_is_the_smaller_half(found):
    for one in found.values():
        counts = np.bincount(one.labels, minlength=len(one.class_names))
        assert counts.min() > 0
        assert counts.max() <= 100
        sizes = np.array(one.n_train)
        others = [c for c in range(len(sizes)) if c not in one.minority]
        assert len(one.minority) == len(sizes) // 2
        assert sizes[list(one.minority)].max() <= sizes[others].min()


def test_images_have_pictures_of_every_class(found):
    for one in found.values():
        if one.family == "logistic":
            assert not one.pictures
        elif one.pictures:
            assert set(one.labels[list(one.pictures)]) == set(range(len(one.class_names)))
            assert all(Image.open(io.BytesIO(p)).size == (32, 32) for p in one.pictures.values())
