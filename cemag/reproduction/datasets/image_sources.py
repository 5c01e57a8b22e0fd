"""Where an image set lies, and how a missing one is fetched. Reads no image; may download.

Below a data folder each set has a folder of its own name, in one of these layouts:

- ``train.parquet`` and ``test.parquet``: a pack in Hugging Face's layout;
- ``cifar-10-binary.tar.gz``, or torchvision's ``cifar-10-batches-py`` (`cifar10`);
- torchvision's folder of Places365 (`places`) or of INaturalist 2021 (`inaturalist`);
- ``train/<class>/*`` and ``test/<class>/*`` (or ``val``), as torchvision's ImageFolder has it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cemag.errors import DataError, one_line
from cemag.reproduction.datasets import sources
from cemag.reproduction.datasets.image_registry import ImageInfo, get_image_info
from cemag.reproduction.datasets.sources import DATA_VARIABLE, DatasetStatus, Where

__all__ = ["Found", "download_images", "find_images", "image_status"]

Layout = Literal["embedded", "pack", "binary", "batches", "places", "inaturalist", "folder"]

CIFAR10_BINARY = "cifar-10-binary.tar.gz"
CIFAR10_URL = f"https://www.cs.toronto.edu/~kriz/{CIFAR10_BINARY}"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # as its page states
CIFAR10_BATCHES = "cifar-10-batches-py"
PLACES_META = ("categories_places365.txt", "places365_train_standard.txt", "places365_val.txt")
PLACES_FOLDERS = (("data_256_standard", "val_256"), ("data_large_standard", "val_large"))
INATURALIST_TRAIN = ("2021_train_mini", "2021_train")
INATURALIST_TEST = "2021_valid"


@dataclass(frozen=True)
class Found:
    """A set that is there: the layout it has, and the two files or folders (or the one) that hold it.

    Attributes
    ----------
    layout : str
    train, test : Path
        Equal where one file holds both; of no meaning for an embedded set.
    """

    layout: Layout
    train: Path
    test: Path

    def __str__(self) -> str:
        match self.layout:
            case "embedded":
                return "shipped with scikit-learn"
            case "pack":
                return f"Parquet pack in {self.train.parent}"
            case "binary":
                return f"official binary archive {self.train}"
            case "batches":
                return f"torchvision folder {self.train}"
            case _:
                return f"image folders {self.train} and {self.test}"


def image_status(name: str, data_home: str | os.PathLike[str] | None = None) -> DatasetStatus:
    """Say where an image set would be read from. Reads no image, downloads and creates nothing.

    Parameters
    ----------
    name : str
        Name in `IMAGE_DATASETS`.
    data_home : path, optional
        Folder to look in, and nowhere else; by default ``CEMAG_DATA``, then the per-user cache.

    Returns
    -------
    DatasetStatus
        `path` is the folder of the set. ``"download"`` only for CIFAR-10, which `load_images` fetches.

    Raises
    ------
    UnknownNameError
        If there is no such set.
    DataError
        If a folder holds half of the set.

    Examples
    --------
    >>> image_status("cifar10", data_home="no/such/folder").where
    'missing'
    """
    return _look(get_image_info(name), data_home)[0]


def find_images(info: ImageInfo, data_home: str | os.PathLike[str] | None = None) -> Found:
    """Return where a set lies; CIFAR-10 is downloaded if it lies nowhere and no folder was passed.

    Parameters
    ----------
    info : ImageInfo
    data_home : path, optional
        As for `image_status`.

    Returns
    -------
    Found

    Raises
    ------
    DataError
        If the set is nowhere or by half, or its download fails; names the folders looked in.
    """
    status, found = _look(info, data_home)
    if status.where == "download":
        download_images(info.name)
        status, found = _look(info, data_home)
    if found is None:
        places = " or ".join(map(str, status.searched))
        layouts = "train.parquet and test.parquet, or folders train/<class> and test/<class>"
        remedy = f"or run cemag.reproduction.datasets.download_images({info.name!r}) ({info.download})"
        raise DataError(
            f"{info.name}: no images in {places}: put {layouts} there{', ' + remedy if info.download else ''}"
        )
    return found


def download_images(name: str, data_home: str | os.PathLike[str] | None = None) -> Path:
    """Fetch an image set through torchvision, which checks the published MD5 of every archive.

    CIFAR-10 is fetched in its binary version, which holds no pickle. Places and INaturalist are tens of
    gigabytes: nothing but this function fetches them.

    Parameters
    ----------
    name : str
        ``"cifar10"``, ``"places"`` or ``"inaturalist"``.
    data_home : path, optional
        Data folder to fetch into, by default the per-user cache.

    Returns
    -------
    Path
        The folder of the set.

    Raises
    ------
    UnknownNameError
        If there is no such set.
    DataError
        If the set cannot be fetched at all, or the download fails.

    Examples
    --------
    >>> download_images("miniplaces")
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: miniplaces: torchvision has no download of it: put a pack under CEMAG_DATA
    """
    info = get_image_info(name)
    if not info.download:
        raise DataError(f"{name}: torchvision has no download of it: put a pack under {DATA_VARIABLE}")
    home = (sources._cache() if data_home is None else Path(data_home).expanduser()) / name
    sources._log.info("%s: downloading %s into %s", name, info.download, home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with sources._socket_timeout(sources.DOWNLOAD_TIMEOUT):
            _fetch(name, home)
    except Exception as error:  # torchvision raises URLError, OSError, RuntimeError, tarfile's and more
        raise DataError(
            f"{name}: not found, and the download into {home} failed ({one_line(error)}): "
            f"get {info.download} from {info.source}, "
            f"and set {DATA_VARIABLE} to a folder that holds it as {name}/"
        ) from error
    return home


def _fetch(name: str, home: Path) -> None:
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    if name == "cifar10":
        download_url(CIFAR10_URL, str(home), CIFAR10_BINARY, CIFAR10_MD5)
    elif name == "places":
        for split in ("train-standard", "val"):
            datasets.Places365(home, split=split, small=True, download=True)
    else:
        for version in (INATURALIST_TRAIN[0], INATURALIST_TEST):
            datasets.INaturalist(home, version=version, download=True)


def _look(info: ImageInfo, data_home: str | os.PathLike[str] | None) -> tuple[DatasetStatus, Found | None]:
    if info.embedded:
        return DatasetStatus(info.name, "embedded"), Found("embedded", Path(), Path())
    places: list[tuple[Where, Path]] = []
    if data_home is not None:
        places.append(("data_home", Path(data_home).expanduser() / info.name))
    else:
        if given := os.environ.get(DATA_VARIABLE):
            places.append(("CEMAG_DATA", Path(given).expanduser() / info.name))
        places.append(("cache", sources._cache() / info.name))
    searched = tuple(home for _, home in places)
    for where, home in places:
        if found := _recognise(info.name, home):
            return DatasetStatus(info.name, where, home, searched), found
    absent: Where = "download" if info.name == "cifar10" and data_home is None else "missing"
    return DatasetStatus(info.name, absent, searched[-1], searched), None


def _recognise(name: str, home: Path) -> Found | None:
    """The layout of a folder; lossless CIFAR-10 comes before a pack of it, which may be a JPEG copy."""
    if name == "cifar10":
        if (archive := home / CIFAR10_BINARY).is_file():
            return Found("binary", archive, archive)
        if (home / CIFAR10_BATCHES).is_dir():
            return Found("batches", home, home)
    train, test = home / "train.parquet", home / "test.parquet"
    if train.is_file() and test.is_file():
        return Found("pack", train, test)
    if train.is_file() or test.is_file():
        raise DataError(f"{name}: no file {test if train.is_file() else train}: a pack needs both")
    if name == "places" and all((home / meta).is_file() for meta in PLACES_META):
        for train_folder, test_folder in PLACES_FOLDERS:
            if (home / train_folder).is_dir() and (home / test_folder).is_dir():
                return Found("places", home / train_folder, home / test_folder)
        raise DataError(
            f"{name}: {home} has no images beside its lists: {' and '.join(PLACES_FOLDERS[0])} are needed"
        )
    if name == "inaturalist" and (home / INATURALIST_TEST).is_dir():
        for version in INATURALIST_TRAIN:
            if (home / version).is_dir():
                return Found("inaturalist", home / version, home / INATURALIST_TEST)
        raise DataError(f"{name}: no folder {home / INATURALIST_TRAIN[0]} beside {INATURALIST_TEST}")
    for held_out in ("test", "val"):
        if (home / "train").is_dir() and (home / held_out).is_dir():
            return Found("folder", home / "train", home / held_out)
    return None
