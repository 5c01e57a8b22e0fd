"""What torchvision unpacks is read as it lies; what is missing or altered is named."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from cemag.errors import DataError, UnknownNameError
from cemag.reproduction.datasets import (
    download_images,
    image_layouts,
    image_sources,
    image_status,
    load_images,
    sources,
)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads this user's data or cache, or downloads."""

    def no_network(name: str, home: Path) -> None:
        raise OSError("no network")

    monkeypatch.delenv("CEMAG_DATA", raising=False)
    monkeypatch.setattr(sources, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(image_sources, "_fetch", no_network)


def draw(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (level, 0, 0)).save(path)


def test_places_as_torchvision_unpacks_it(tmp_path: Path) -> None:
    home = tmp_path / "places"
    home.mkdir()
    (home / "categories_places365.txt").write_text("/a/airfield 0\n/a/arch/indoor 1\n/b/bar 2\n")
    train = ["/a/airfield/1.png 0", "/b/bar/1.png 2", "/a/arch/indoor/1.png 1", "/b/bar/2.png 2"]
    test = ["Places365_val_1.png 1", "Places365_val_2.png 2", "Places365_val_3.png 0"]
    (home / "places365_train_standard.txt").write_text("\n".join(train) + "\n")
    (home / "places365_val.txt").write_text("\n".join(test) + "\n")
    with pytest.raises(DataError, match="data_256_standard and val_256 are needed"):
        load_images("places", data_home=tmp_path)
    for i, line in enumerate(train):
        draw(home / f"data_256_standard{line.split()[0]}", i)
    for i, line in enumerate(test):
        draw(home / "val_256" / line.split()[0], 10 + i)
    data = load_images("places", data_home=tmp_path)
    assert data.class_names == ("airfield", "arch/indoor", "bar")
    assert data.X_train[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert data.y_train.tolist() == [0, 2, 1, 2]
    (home / "data_256_standard/a/airfield/1.png").write_bytes(b"")  # of no class that is asked
    some = load_images("places", data_home=tmp_path, classes=["bar", "arch/indoor"])
    assert (some.X_test[:, 0, 0, 0].tolist(), some.y_test.tolist()) == ([10, 11], [1, 0])
    with pytest.raises(DataError, match=r"airfield/1.png does not decode"):
        load_images("places", data_home=tmp_path)
    (home / "places365_val.txt").write_text("nonsense\n")
    with pytest.raises(DataError, match=r"places365_val.txt is not a list of Places365"):
        load_images("places", data_home=tmp_path)


def test_inaturalist_as_torchvision_unpacks_it(tmp_path: Path) -> None:
    species = [
        "00000_Animalia_Chordata_Aves_Piciformes_Picidae_Picus_viridis",
        "00001_Plantae_Tracheophyta_Magnoliopsida_Rosales_Rosaceae_Rosa_canina",
        "00002_Animalia_Chordata_Aves_Apodiformes_Apodidae_Apus_apus",
        "00003_Animalia_Mollusca_Gastropoda_Stylommatophora_Helicidae_Helix_pomatia",
    ]
    for i, name in enumerate(species):
        draw(tmp_path / f"inaturalist/2021_train_mini/{name}/a.png", i)
        draw(tmp_path / f"inaturalist/2021_valid/{name}/b.png", i)
    data = load_images("inaturalist", data_home=tmp_path, size=8)
    assert data.class_names == ("Aves", "Mollusca", "Plantae")
    assert data.info.train_counts == (2, 1, 1)
    assert data.X_train[:, 0, 0, 0].tolist() == [0, 2, 3, 1]
    draw(tmp_path / "inaturalist/2021_train_mini/birds/a.png", 9)
    with pytest.raises(DataError, match="needs eight parts"):
        load_images("inaturalist", data_home=tmp_path)


def test_the_binary_archive_is_read_without_pickle_and_only_if_official(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    path, batches = tmp_path / "cifar-10-binary.tar.gz", {}
    with tarfile.open(path, "w:gz") as archive:
        for name in [*(f"data_batch_{i}" for i in (3, 1, 2, 5, 4)), "test_batch"]:
            batches[name] = (rng.integers(0, 10, 2, np.uint8), rng.integers(0, 256, (2, 3, 32, 32), np.uint8))
            labels, pixels = batches[name]
            content = np.hstack([labels[:, None], pixels.reshape(2, -1)]).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    X_train, y_train, X_test, y_test = image_layouts.read_binary("cifar10", path, md5)
    assert (X_train.shape, X_test.shape) == ((10, 32, 32, 3), (2, 32, 32, 3))
    np.testing.assert_array_equal(y_train[:2], batches["data_batch_1"][0])
    np.testing.assert_array_equal(X_train[9], batches["data_batch_5"][1][1].transpose(1, 2, 0))
    np.testing.assert_array_equal(y_test, batches["test_batch"][0])
    (tmp_path / "cifar10").mkdir()
    path.rename(tmp_path / "cifar10" / path.name)
    with pytest.raises(DataError, match="cut short or altered"):
        load_images("cifar10", data_home=tmp_path)


def test_batches_that_are_not_the_official_ones_are_never_unpickled(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "cifar10/cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    monkeypatch.setattr("pickle.load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(DataError, match="not what torchvision unpacks"):
        load_images("cifar10", data_home=tmp_path)


def test_what_is_missing_says_where_it_was_looked_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CEMAG_DATA", str(tmp_path / "given"))
    with pytest.raises(DataError, match=r"given/miniplaces or .*cache/miniplaces: put train.parquet"):
        load_images("miniplaces")
    with pytest.raises(DataError, match=r"download_images\('places'\) \(.* GB\)"):
        load_images("places")
    assert image_status("cifar10").where == "download"
    with pytest.raises(DataError, match=r"failed \(no network\): get cifar-10-binary.tar.gz"):
        load_images("cifar10")
    with pytest.raises(DataError, match="no images in"):
        load_images("cifar10", data_home=tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10'"):
        load_images("cifar100")


def test_a_download_goes_through_torchvision_and_checks_the_md5(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.undo()
    asked: list[tuple] = []
    tree, utils = ModuleType("torchvision.datasets"), ModuleType("torchvision.datasets.utils")
    tree.Places365 = tree.INaturalist = lambda root, **how: asked.append((root, how))  # type: ignore[attr-defined]
    utils.download_url = lambda *how: asked.append(how)  # type: ignore[attr-defined]
    whole = ModuleType("torchvision")
    whole.datasets = tree  # type: ignore[attr-defined]
    for module in (whole, tree, utils):  # importing the real one takes seconds
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("cifar10", "places", "inaturalist"):
        assert download_images(name, tmp_path) == tmp_path / name
    assert asked[0] == (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        str(tmp_path / "cifar10"),
        "cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
    )
    assert [how["download"] for _, how in asked[1:]] == [True] * 4
    assert [how["version"] for _, how in asked[3:]] == ["2021_train_mini", "2021_valid"]
