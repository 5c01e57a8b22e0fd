"""The registry is consistent, light to import, and refuses unknown names."""

import subprocess
import sys

import pytest

from cemag.errors import UnknownNameError
from cemag.reproduction.datasets import DATASETS, dataset_status, get_dataset_info


def test_the_papers_sets_come_first_and_have_the_papers_sizes() -> None:
    paper = {"ozone_level": 72, "scene": 294, "coil_2000": 85, "thyroid_sick": 52, "us_crime": 100}
    assert list(DATASETS)[:5] == list(paper)
    assert {name: DATASETS[name].n_features for name in paper} == paper
    assert [name for name, info in DATASETS.items() if info.embedded] == ["breast_cancer", "digits"]


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_is_complete(name: str) -> None:
    info = DATASETS[name]
    assert info.name == name
    assert sum(info.class_counts) == info.n_samples
    assert info.class_counts[0] > info.class_counts[1]
    assert len(info.fingerprint) == 64
    assert all((info.title, info.source, info.licence, info.bib_key, info.citation, info.positive))


def test_bib_keys_are_distinct() -> None:
    assert len({info.bib_key for info in DATASETS.values()}) == len(DATASETS)


def test_files_are_those_of_imbalanced_learn() -> None:
    from imblearn.datasets._zenodo import MAP_NAME_ID, URL

    for info in DATASETS.values():
        if info.file:
            assert info.file == f"zenodo/x{MAP_NAME_ID[info.name]}data.npz"
            assert info.source == URL


def test_unknown_name_suggests_the_nearest() -> None:
    for look_up in (get_dataset_info, dataset_status):
        with pytest.raises(UnknownNameError, match=r"unknown data set 'us_crim': did you mean 'us_crime'\?"):
            look_up("us_crim")


def test_import_is_light() -> None:
    code = (
        "import sys, cemag.reproduction.datasets as d; d.dataset_status('scene')\n"
        "print({'torch', 'sklearn', 'imblearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
