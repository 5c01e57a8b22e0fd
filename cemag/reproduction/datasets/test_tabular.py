"""Content is verified whichever way a file came; every damage is one line that names the file."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from cemag.errors import DataError
from cemag.reproduction.datasets import (
    DATASETS,
    DatasetInfo,
    content_fingerprint,
    dataset_status,
    load_tabular,
    registry,
    sources,
    tabular,
)

GIVEN = os.environ.get("CEMAG_DATA")
HELD = Path(GIVEN).absolute() if GIVEN else Path(__file__).parents[4] / "shared" / "data"
PAPER = [name for name, info in DATASETS.items() if not info.embedded]
QUICK = [name for name, info in DATASETS.items() if info.embedded]


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads this user's data or cache, or downloads."""
    monkeypatch.delenv("CEMAG_DATA", raising=False)
    monkeypatch.setattr(sources, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr("imblearn.datasets.fetch_datasets", fail_with(URLError("no network in tests")))


def fail_with(error: Exception) -> Callable[..., Any]:
    def fetch(**_: Any) -> None:
        raise error

    return fetch


@pytest.fixture
def held() -> Path:
    if not (HELD / DATASETS["scene"].file).is_file():  # type: ignore[operator]
        pytest.skip(f"the paper's data is not under {HELD}: set CEMAG_DATA")
    return HELD


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A registered set of 8 rows in a file of its own under ``home``; returns the file."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 3)), np.array([-1, 1] * 4)
    path = tmp_path / "home" / "zenodo" / "x99data.npz"
    path.parent.mkdir(parents=True)
    write(path, X, y)
    info = dataclasses.replace(
        DATASETS["scene"],
        name="toy",
        file="zenodo/x99data.npz",
        fingerprint=content_fingerprint(X, y == 1),
    )
    known = MappingProxyType({**DATASETS, "toy": info})
    monkeypatch.setattr(registry, "DATASETS", known)
    monkeypatch.setattr(sources, "DATASETS", known)
    tabular._load.cache_clear()
    return path


def write(path: Path, X: np.ndarray, y: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, data=X, label=y)


def one_line(caught: pytest.ExceptionInfo[DataError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def check_against_registry(info: DatasetInfo, home: Path | None) -> None:
    data = load_tabular(info.name, home)
    assert data.info is info
    assert data.X.shape == (info.n_samples, info.n_features)
    assert tuple(np.bincount(data.y)) == info.class_counts
    assert data.fingerprint == info.fingerprint == content_fingerprint(data.X, data.y)
    assert data.X.dtype == np.float64
    assert data.y.dtype == np.int64
    assert not data.X.flags.writeable
    assert not data.y.flags.writeable
    assert load_tabular(info.name, home) is data


@pytest.mark.parametrize("name", QUICK)
def test_embedded_sets(name: str) -> None:
    check_against_registry(DATASETS[name], None)
    assert dataset_status(name).available


def test_what_the_minority_of_the_embedded_sets_is() -> None:
    from sklearn.datasets import load_breast_cancer, load_digits

    cancer, digits = load_breast_cancer(), load_digits()
    assert np.array_equal(load_tabular("breast_cancer").y, cancer.target_names[cancer.target] == "malignant")
    assert np.array_equal(load_tabular("digits").y, digits.target == 8)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_sets(name: str, held: Path) -> None:
    check_against_registry(DATASETS[name], held)


def test_the_papers_sets_are_what_imbalanced_learn_reads(held: Path) -> None:
    from imblearn.datasets import _zenodo

    fetched = _zenodo.fetch_datasets(
        data_home=str(held), filter_data=("scene", "us_crime"), download_if_missing=False
    )
    for name, bunch in fetched.items():
        data = load_tabular(name, held)
        assert np.array_equal(data.X, bunch.data)
        assert np.array_equal(data.y, bunch.target == 1)


def test_cemag_data_wins_over_the_cache(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dataset_status("toy").where == "download"
    assert not dataset_status("toy").available
    shutil.copytree(tmp_path / "home", tmp_path / "cache")
    assert dataset_status("toy").where == "cache"
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path / "home"))
    status = dataset_status("toy")
    assert (status.where, status.path) == ("CEMAG_DATA", toy)
    assert str(status) == f"CEMAG_DATA: {toy}"
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path / "elsewhere"))
    assert dataset_status("toy").where == "cache"
    assert load_tabular("toy").X.shape == (8, 3)


def test_status_creates_nothing(tmp_path: Path) -> None:
    dataset_status("scene")
    dataset_status("scene", tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_a_rebuilt_file_is_as_good(toy: Path) -> None:
    first = load_tabular("toy", toy.parents[1])
    with np.load(toy) as members:
        X, y = members["data"], members["label"]
    with toy.open("wb") as file:
        np.savez_compressed(file, label=y.astype(np.int8), data=np.asfortranarray(X + 1e-11))
    again = load_tabular("toy", toy.parents[1])
    assert again is not first
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.X, first.X)


def test_an_altered_value(toy: Path) -> None:
    load_tabular("toy", toy.parents[1])
    with np.load(toy) as members:
        X, y = members["data"], members["label"]
    X[2, 1] += 1e-6
    write(toy, X, y)
    with pytest.raises(DataError) as caught:
        load_tabular("toy", toy.parents[1])
    message = one_line(caught)
    assert message.startswith(f"toy: content of {toy} is not what the registry records")
    assert registry.DATASETS["toy"].fingerprint[:12] in message
    assert content_fingerprint(X, y == 1)[:12] in message


def test_rows_in_another_order_are_other_content() -> None:
    X, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])
    assert content_fingerprint(X, y) != content_fingerprint(X[::-1], y)
    assert content_fingerprint(X, y) != content_fingerprint(X.reshape(2, 3), y)


@pytest.mark.parametrize("size", [0, 1, 4, 100, -1, -30, -200])
def test_a_file_cut_short(toy: Path, size: int) -> None:
    toy.write_bytes(toy.read_bytes()[:size])
    with pytest.raises(DataError) as caught:
        load_tabular("toy", toy.parents[1])
    assert one_line(caught).startswith(f"toy: cannot read {toy}, which is cut short or damaged")


def test_a_real_file_cut_short_and_altered(held: Path, tmp_path: Path) -> None:
    info = DATASETS["us_crime"]
    source, copy = held / info.file, tmp_path / info.file  # type: ignore[operator]
    copy.parent.mkdir()
    copy.write_bytes(source.read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"us_crime: cannot read .*x10data\.npz"):
        load_tabular("us_crime", tmp_path)
    with np.load(source) as members:
        X, y = members["data"], members["label"]
    y[0] *= -1
    write(copy, X, y)
    with pytest.raises(DataError, match=r"us_crime: content of .*x10data\.npz is not what"):
        load_tabular("us_crime", tmp_path)


def test_flipped_bytes_are_found_out_or_harmless(toy: Path) -> None:
    good = load_tabular("toy", toy.parents[1])
    content = toy.read_bytes()
    for place in np.random.default_rng(0).choice(len(content), 250, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 0x15
        toy.write_bytes(damaged)
        tabular._load.cache_clear()
        try:
            data = load_tabular("toy", toy.parents[1])
        except DataError:
            continue
        assert np.array_equal(data.X, good.X)
        assert np.array_equal(data.y, good.y)


def test_missing_values_are_counted(toy: Path) -> None:
    with np.load(toy) as members:
        X, y = members["data"], members["label"]
    X[0, 0], X[3, 2] = np.nan, np.inf
    write(toy, X, y)
    with pytest.raises(DataError, match="holds 2 NaN or infinite values"):
        load_tabular("toy", toy.parents[1])


@pytest.mark.parametrize(
    ("X", "y", "complaint"),
    [
        (np.ones(3), np.ones(3), "shape"),
        (np.ones((3, 2)), np.ones(2), "shape"),
        (np.ones((3, 2)), np.array([0, 1, 1]), "labels other than -1 and 1"),
        (np.array([["a"]]), np.ones(1), "cannot read"),
        (np.array([[{}]], dtype=object), np.ones(1), "cannot read"),
    ],
)
def test_a_file_of_another_kind(toy: Path, X: np.ndarray, y: np.ndarray, complaint: str) -> None:
    write(toy, X, y)
    with pytest.raises(DataError, match=complaint) as caught:
        load_tabular("toy", toy.parents[1])
    assert str(toy) in one_line(caught)


def test_a_missing_file_under_an_explicit_folder_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_tabular("scene", tmp_path)
    assert one_line(caught).startswith(f"scene: no file {tmp_path / 'zenodo' / 'x12data.npz'}")


@pytest.mark.parametrize(
    "error", [URLError("Name or service not known"), TimeoutError(), EOFError("short\nread")]
)
def test_a_failed_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("imblearn.datasets.fetch_datasets", fail_with(error))
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError) as caught:
        load_tabular("scene")
    message = one_line(caught)
    assert message.startswith("scene: no file ")
    for part in (
        tmp_path / "typo/zenodo/x12data.npz",
        tmp_path / "cache/zenodo/x12data.npz",
        "set CEMAG_DATA",
    ):
        assert str(part) in message
    assert not list((tmp_path / "cache").iterdir())


def test_a_download_lands_whole_in_the_cache(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(*, data_home: str, filter_data: tuple[str, ...]) -> None:
        calls.append(filter_data)
        shutil.copytree(tmp_path / "home" / "zenodo", Path(data_home) / "zenodo")

    monkeypatch.setattr("imblearn.datasets.fetch_datasets", fetch)
    assert load_tabular("toy").X.shape == (8, 3)
    assert load_tabular("toy").X.shape == (8, 3)
    assert calls == [("toy",)]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["zenodo"]


def test_a_download_that_is_altered_is_refused(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*, data_home: str, filter_data: tuple[str, ...]) -> None:
        (Path(data_home) / "zenodo").mkdir()
        write(Path(data_home) / "zenodo" / toy.name, np.ones((8, 3)), np.array([-1, 1] * 4))

    monkeypatch.setattr("imblearn.datasets.fetch_datasets", fetch)
    with pytest.raises(DataError, match=r"toy: content of .*cache.*is not what the registry records"):
        load_tabular("toy")
