"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cemag.errors import CemagError, one_line

__all__ = ["file_digest", "refuse_target", "written_whole"]


@contextmanager
def written_whole(path: str | os.PathLike[str], error: type[CemagError] = CemagError) -> Iterator[Path]:
    """Give a hidden path beside `path` to write to, and move it into place when the block ends well.

    A reader sees the old content or the new, never a part; what fails leaves no trace. What is written
    reaches the disk before it takes the old one's place.

    Parameters
    ----------
    path : path
        A file, which may exist and is then replaced, or a folder, which must not exist.
    error : type, default=CemagError
        What to raise where the file system refuses.

    Yields
    ------
    pathlib.Path
        A name that does not exist yet, in the same folder: make a file or a folder of it.

    Raises
    ------
    CemagError
        In one line, if `path` is there and is not a regular file, its folder does not exist, or the disk
        refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with written_whole(Path(home) / "a.txt") as scratch:
    ...         _ = scratch.write_text("whole")
    ...     sorted(p.name for p in Path(home).iterdir())
    ['a.txt']
    """
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        refuse_target(target, error)
        yield scratch
        _to_disk(scratch)
        os.replace(scratch, target)
    except OSError as problem:
        raise error(f"{target}: cannot be written ({one_line(problem)})") from None
    finally:
        _remove(scratch)


def refuse_target(path: str | os.PathLike[str], error: type[CemagError] = CemagError) -> None:
    """Refuse a file that could not be written, before the work whose result it is to hold.

    Raises
    ------
    CemagError
        In one line, if its folder does not exist or may not be written to, or `path` is no regular file.

    Examples
    --------
    >>> refuse_target("nowhere/a.txt")
    Traceback (most recent call last):
    ...
    cemag.errors.CemagError: nowhere/a.txt: no such folder nowhere
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise error(f"{target}: no such folder {target.parent}")
    if not os.access(target.parent, os.W_OK):
        raise error(f"{target}: the folder {target.parent} may not be written to")
    if target.exists() and not target.is_file():
        raise error(f"{target}: is not a regular file, and is left as it is")


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none.

    Examples
    --------
    >>> file_digest(Path("no/such/file")) is None
    True
    """
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _to_disk(path: Path) -> None:
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file():
            with one.open("rb") as file:
                os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
