"""Where a data set lies: under ``CEMAG_DATA``, in the per-user cache, or to be downloaded into it.

``CEMAG_DATA`` wins where it holds the file. Where it does not, the cache stands in, and then the
download, with a logged line: content is verified against the registry whichever way it came, so the
place cannot change a result. A folder that is passed explicitly is the only place looked at.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cemag.errors import DataError, one_line
from cemag.reproduction.datasets.registry import DATASETS, DatasetInfo, get_dataset_info

__all__ = ["DatasetStatus", "dataset_status", "obtain"]

DATA_VARIABLE = "CEMAG_DATA"
DOWNLOAD_TIMEOUT = 60.0  # seconds without a byte

Where = Literal["embedded", "data_home", "CEMAG_DATA", "cache", "download", "missing"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetStatus:
    """Where a data set would be read from, found without reading or downloading it.

    Attributes
    ----------
    name : str
    where : {"embedded", "data_home", "CEMAG_DATA", "cache", "download", "missing"}
        ``"download"``: into the cache, on first use. ``"missing"``: not in the folder that was passed.
    path : Path or None
        The file, or where it would be; None for an embedded set.
    searched : tuple of Path
        The files looked for, in order.

    Examples
    --------
    >>> str(dataset_status("digits"))
    'shipped with scikit-learn'
    """

    name: str
    where: Where
    path: Path | None = None
    searched: tuple[Path, ...] = ()

    @property
    def available(self) -> bool:
        """Whether the data is on this machine."""
        return self.where not in ("download", "missing")

    def __str__(self) -> str:
        match self.where:
            case "embedded":
                return "shipped with scikit-learn"
            case "download":
                return f"not here: is downloaded to {self.path} on first use"
            case "missing":
                return f"missing: no file {self.path}"
            case where:
                return f"{where}: {self.path}"


def dataset_status(name: str, data_home: str | os.PathLike[str] | None = None) -> DatasetStatus:
    """Say where a data set would be read from. Reads, downloads and creates nothing.

    Parameters
    ----------
    name : str
        Name in `DATASETS`.
    data_home : path, optional
        Folder to look in, and nowhere else; by default ``CEMAG_DATA``, then the per-user cache.

    Returns
    -------
    DatasetStatus

    Raises
    ------
    UnknownNameError
        If there is no such set.

    Examples
    --------
    >>> dataset_status("scene", data_home="no/such/folder").where
    'missing'
    """
    info = get_dataset_info(name)
    if info.file is None:
        return DatasetStatus(name, "embedded")
    if data_home is not None:
        path = Path(data_home).expanduser() / info.file
        return DatasetStatus(name, "data_home" if path.is_file() else "missing", path, (path,))
    places: list[tuple[Where, Path]] = []
    if given := os.environ.get(DATA_VARIABLE):
        places.append(("CEMAG_DATA", Path(given).expanduser() / info.file))
    places.append(("cache", _cache() / info.file))
    searched = tuple(path for _, path in places)
    for where, path in places:
        if path.is_file():
            return DatasetStatus(name, where, path, searched)
    return DatasetStatus(name, "download", searched[-1], searched)


def obtain(name: str, data_home: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the file of a data set, downloaded if need be; None for an embedded set.

    Parameters
    ----------
    name, data_home
        As for `dataset_status`.

    Returns
    -------
    Path or None
        A file that exists; its content is not verified here.

    Raises
    ------
    DataError
        If the file is nowhere and cannot be downloaded; names the places looked in.

    Examples
    --------
    >>> obtain("digits") is None
    True
    """
    status = dataset_status(name, data_home)
    if status.where == "missing":
        raise DataError(
            f"{name}: no file {status.path}: give a folder that holds it, or none to have it downloaded"
        )
    if status.where == "download":
        _download(get_dataset_info(name), status)
    return status.path


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("cemag") / "data"


def _download(info: DatasetInfo, status: DatasetStatus) -> None:
    """Fetch the collection into a scratch folder and move whole files into the cache.

    imbalanced-learn unpacks in place and takes any file that exists for a good one, so a download that
    is killed would leave a broken file behind for ever.
    """
    import tarfile
    import zlib
    from http.client import HTTPException
    from zipfile import BadZipFile

    home = _cache()
    _log.info(  # no warning: where the download fails, the error must be the only line
        "%s: no file %s: downloading %s", info.name, " or ".join(map(str, status.searched)), info.source
    )
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=".download-") as scratch:
            from imblearn.datasets import fetch_datasets

            with _socket_timeout(DOWNLOAD_TIMEOUT):
                fetch_datasets(data_home=scratch, filter_data=(info.name,))
            for member in (other.file for other in DATASETS.values() if other.file):
                _keep(Path(scratch) / member, home / member)
    except (
        OSError,
        HTTPException,
        tarfile.TarError,
        EOFError,
        zlib.error,
        BadZipFile,
        ValueError,
        KeyError,
    ) as error:
        raise DataError(
            f"{info.name}: no file {' or '.join(map(str, status.searched))}, and the download failed "
            f"({one_line(error)}): unpack {info.source} into a folder 'zenodo', "
            f"and set {DATA_VARIABLE} to the folder that holds that one"
        ) from error


def _keep(fetched: Path, kept: Path) -> None:
    if fetched.is_file() and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        os.replace(fetched, kept)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Bound the fetch, which has no timeout of its own and would wait for ever on a silent host."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
