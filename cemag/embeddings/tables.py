"""Tables whose rows and columns have names: an index told from a feature, columns matched by name.

Only frames in hand are touched; `read_csv` reads the file it is given.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.errors import DataError

__all__ = [
    "aligned_columns",
    "column_names",
    "index_of",
    "named_rows",
    "read_csv",
    "read_text",
    "refuse_twice",
    "row_names",
    "same_order",
    "typed",
    "without_counts",
]

Names = Sequence[Any] | NDArray[Any]

NO_NAME = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")  # as pandas and pyarrow write them
COUNTED = ("index", "level_0")  # what `reset_index` calls a column that numbers the rows
WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)")
NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?")  # 01 is a name
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
SHOWN = 5
FEWEST_COUNTED = 3  # rows that are numbered by more than chance


def read_csv(path: Path, name: str, *, text: str | None = None, n_rows: int | None = None) -> pd.DataFrame:
    """Read a table of numbers with or without a header, its first column an index where it has no name.

    Parameters
    ----------
    path : Path
    name : str
        What the table is, for the message.
    text : str, optional
        Name of a column that is read as text.
    n_rows : int, optional
        Rows that are expected, which tells a header of numbers from a row of them.

    Raises
    ------
    DataError
        If a column stands twice, a column but the first has no name, or it is open whether the first line
        is a header.
    """
    lines = _lines(path)
    if lines and len(lines[0]) == 1 and (other := next((one for one in ";\t" if one in lines[0][0]), "")):
        raise DataError(f"{name}: the columns of {path} are separated by {other!r}: commas are needed")
    header = _has_header(path, name, lines, n_rows)
    cells = [cell.strip() for cell in lines[0]] if lines else []
    names = [raw or f"Unnamed: {place}" for place, raw in enumerate(lines[0])] if header else []
    as_text = [one for one, cell in zip(names, cells, strict=False) if cell == text or one == "Unnamed: 0"]
    options: dict[str, Any] = {"header": 0 if header else None, "encoding": "utf-8-sig"}
    if as_text:  # in which 01 is not 1, and NA is a word
        missing = {one: list(MISSING) for one in names if one not in as_text}
        options |= {"dtype": dict.fromkeys(as_text, str), "na_values": missing, "keep_default_na": False}
    if header:
        refuse_twice(name, [cell for cell in cells if cell])
    table = pd.read_csv(path, **options)
    if header and table.shape[1] == len(cells):  # one cell more in each row makes an index, as R writes it
        table.columns = pd.Index(cells)
    return named_rows(name, table)


def _lines(path: Path) -> list[list[str]]:
    """The cells of the first two lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = (line for line in csv.reader(file) if line)
        return [line for line, _ in zip(lines, range(2), strict=False)]


def _has_header(path: Path, name: str, lines: list[list[str]], n_rows: int | None) -> bool:
    cells = [cell.strip() for cell in lines[0]] if lines else []
    if not all(_reads_as_number(cell) for cell in cells) or (len(cells) > 1 and not cells[0]):
        return True
    if n_rows is not None:
        return _n_lines(path) == n_rows + 1
    whole = [int(cell) for cell in cells if WHOLE.fullmatch(cell)]
    if len(whole) < len(cells) or len(set(whole)) < len(whole) or len(lines) < 2:
        return False
    if len(cells) > 1 and whole == list(range(len(cells))):
        return True  # the numbers of the columns, as pandas writes a table without names
    if whole == [0] or not any(WHOLE.fullmatch(cell.strip()) for cell in lines[1]):
        raise DataError(
            f"{name}: the first line of {path} ({', '.join(cells[:SHOWN])}) may be a header or a row of "
            "numbers; give the columns names that are not numbers"
        )
    return False


def _n_lines(path: Path) -> int:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return sum(1 for line in csv.reader(file) if line)


def _reads_as_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return cell in MISSING
    return True


def read_text(path: Path, n_rows: int) -> pd.DataFrame:
    """Read a table of labels as text, its first line a header unless there are `n_rows` lines with it.

    Raises
    ------
    DataError
        If the rows are more or fewer, with or without the first line.
    """
    cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    cells = cells.map(str.strip)
    if len(cells) not in (n_rows, n_rows + 1):
        raise DataError(
            f"labels: {path} has {len(cells)} lines, a header with them: {n_rows} labels are needed"
        )
    if len(cells) == n_rows:
        return cells
    table = cells.iloc[1:].reset_index(drop=True).set_axis(cells.iloc[0].tolist(), axis=1)
    return named_rows("labels", table) if table.shape[1] > 1 else table


def typed(texts: Sequence[str] | pd.Series) -> NDArray[Any]:
    """Texts as the numbers or truth values that they all are, else as they stand.

    Examples
    --------
    >>> typed(["1", "0"]).tolist(), typed(["True", "False"]).tolist(), typed(["01", "02"]).tolist()
    ([1, 0], [True, False], ['01', '02'])
    """
    values = np.asarray(texts, dtype=object)
    distinct = set(values.tolist())
    if distinct and distinct <= {"True", "False"}:
        return values == "True"
    if distinct and all(isinstance(one, str) and WHOLE.fullmatch(one) for one in distinct):
        return values.astype(np.int64)
    if distinct and all(isinstance(one, str) and NUMBER.fullmatch(one) for one in distinct):
        return values.astype(np.float64)
    return values


def named_rows(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its first column as index, where that column is one by its name and values.

    pandas writes its index as a first column without a name, which it reads as ``Unnamed: 0``.

    Raises
    ------
    DataError
        If a column has no name and is no index.

    Examples
    --------
    >>> named_rows("weights", pd.DataFrame({"Unnamed: 0": ["cat", "dog"], "a": [1.0, 2.0]})).index.tolist()
    ['cat', 'dog']
    """
    if table.shape[1] < 2:
        return table
    without = [place for place, column in enumerate(table.columns) if _no_name(column)]
    if without and without != [0]:
        raise DataError(
            f"{name}: column {without[-1]} has no name ({table.columns[without[-1]]!r}); give it one"
        )
    first = table.iloc[:, 0]
    numbered = first.dtype.kind in "iu" and table.columns[0] in COUNTED and _counts_rows(first)
    if not without and not numbered:
        return table
    names = typed(first) if pd.api.types.is_string_dtype(first) else first.to_numpy()
    if names.dtype.kind == "f":
        raise DataError(
            f"{name}: the first column has no name ({table.columns[0]!r}) and is no index of rows; "
            "give it one, or leave it out"
        )
    return table.iloc[:, 1:].set_axis(pd.Index(names), axis=0)


def without_counts(features: Any, weights: Any) -> tuple[Any, Any]:
    """Return two tables without their first column where it numbers the rows of both under one name.

    As pandas writes an index that has a name; no feature of a model numbers instances and classes alike.

    Examples
    --------
    >>> features = pd.DataFrame({"id": [0, 1, 2], "a": [0.5, 1.5, 2.5]})
    >>> weights = pd.DataFrame({"id": [0, 1], "a": [1.0, 2.0]})
    >>> [list(table.columns) for table in without_counts(features, weights)]
    [['a'], ['a']]
    """
    both = features, weights
    if not all(isinstance(one, pd.DataFrame) and one.shape[1] > 1 and len(one) > 1 for one in both):
        return features, weights
    firsts = [one.iloc[:, 0] for one in both]
    counted = all(one.dtype.kind in "iu" and _counts_rows(one - one.iloc[0]) for one in firsts)
    if features.columns[0] != weights.columns[0] or not counted or len(features) < FEWEST_COUNTED:
        return features, weights
    return features.iloc[:, 1:], weights.iloc[:, 1:]


def _no_name(column: Any) -> bool:
    return column is None or (isinstance(column, str) and NO_NAME.fullmatch(column) is not None)


def _counts_rows(values: pd.Series | pd.Index) -> bool:
    return bool((values.to_numpy() == np.arange(len(values))).all())


def column_names(table: Any) -> list[str] | None:
    """Names of a table's columns; None for numbered ones, and for anything that is no table."""
    columns = getattr(table, "columns", None)
    if columns is None:
        return None
    names = [str(column).strip() for column in columns]
    return None if names == _numbered(len(names)) else names


def _numbered(n: int) -> list[str]:
    return [str(place) for place in range(n)]


def row_names(table: Any) -> NDArray[Any] | None:
    """Names of a table's rows; None for numbered ones, and for anything that has none."""
    index = getattr(table, "index", None)
    if not isinstance(index, pd.Index) or (index.dtype.kind in "iu" and _counts_rows(index)):
        return None
    return index.to_numpy()


def index_of(table: Any) -> NDArray[Any] | None:
    """Index of anything of pandas, also where it numbers the rows; None for anything that has none."""
    index = getattr(table, "index", None)
    return index.to_numpy() if isinstance(index, pd.Index) else None


def aligned_columns(weights: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """Return weights with their columns in the order of the features' names.

    Parameters
    ----------
    weights : DataFrame of shape (C, d)
    names : sequence of d str, optional
        The numbers of the columns when not given. Where only one of both has other names than numbers, the
        columns stay in place.

    Raises
    ------
    DataError
        If the names differ, or one stands twice.

    Examples
    --------
    >>> aligned_columns(pd.DataFrame([[1, 2]], columns=["b", "a"]), ["a", "b"]).to_numpy()
    array([[2, 1]])
    """
    own, numbers = [str(column).strip() for column in weights.columns], _numbered(weights.shape[1])
    wanted = numbers if names is None else list(names)
    refuse_twice("weights", own)
    refuse_twice("features", wanted)
    if set(wanted) == set(own):
        return weights.iloc[:, pd.Index(own).get_indexer(pd.Index(wanted))]
    if numbers in (own, wanted):
        return weights
    apart = [
        f"{', '.join(map(repr, only[:SHOWN]))} only in {where}"
        for where, known, other in (("features", wanted, own), ("weights", own, wanted))
        if (only := [one for one in known if one not in set(other)])
    ]
    raise DataError(f"the columns of features and weights have other names: {'; '.join(apart)}")


def same_order(name: str, given: Names | None, of_what: str, known: Names | None) -> None:
    """Refuse names that are those of something else in another order.

    Raises
    ------
    DataError

    Examples
    --------
    >>> same_order("labels", [1, 0], "features", [0, 1])
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: labels has the names of features in another order (1, 0 beside 0, 1): sort one
    """
    if given is None or known is None or len(given) != len(known):
        return
    one, other = [str(x) for x in given], [str(x) for x in known]
    if one != other and Counter(one) == Counter(other):
        shown = f"{', '.join(one[:SHOWN])} beside {', '.join(other[:SHOWN])}"
        raise DataError(f"{name} has the names of {of_what} in another order ({shown}): sort one")


def refuse_twice(name: str, names: Sequence[str]) -> None:
    """Refuse names of columns of which one stands twice.

    Raises
    ------
    DataError

    Examples
    --------
    >>> refuse_twice("weights", ["a", "b", "a"])
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: weights has a column twice: 'a'
    """
    if twice := sorted(one for one, n in Counter(names).items() if n > 1):
        raise DataError(f"{name} has a column twice: {', '.join(map(repr, twice[:SHOWN]))}")
