"""Behind each row of the scorecard: commands that make its runs, and data that are its cases."""

import base64
import io
import re
import shlex
from functools import cache

import pandas as pd
import pytest

from cemag.reproduction.charts.behind import cases_table, command, links, runs_behind, runs_of
from cemag.reproduction.claims import published_rows
from cemag.reproduction.runs import grid_specs, image_specs, published_store
from cemag.reproduction.runs.selection import choose_augmenters, choose_datasets

ROWS = published_rows()


@cache
def specs_of(line):
    """What a command of `cemag grid` or `cemag images` asks for, read as the command line reads it."""
    words = shlex.split(line)
    given = dict(zip(words[2::2], words[3::2], strict=True))
    named = {name.removeprefix("--"): value.split(",") for name, value in given.items()}
    if words[1] == "images":
        return image_specs(*named["scale"], augmenters=named["augmenters"])
    datasets, augmenters = choose_datasets(named["datasets"]), choose_augmenters(named["augmenters"])
    return grid_specs(datasets, named["models"], augmenters)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.claim}-{row.family}")
def test_the_command_of_a_row_makes_its_runs(row):
    asked, there = {spec.key for spec in specs_of(command(row))}, {run.key for run in runs_of(row)}
    assert there
    if row.family == "cnn":  # not all that were planned have been run
        assert there <= asked
    else:
        assert there == asked


def test_the_runs_that_a_row_names_are_in_the_files_that_it_names():
    store = published_store()
    for row in ROWS:
        held = {run.key[:10]: store.path(run.key).name for run in runs_of(row)}
        listed = re.findall(r"<li><a download='([^']+)'[^>]*>.*?</a>: (.*?)</li>", runs_behind(row))
        named = {key: name for name, keys in listed for key in re.findall("<code>(.*?)</code>", keys)}
        assert named == held


def test_the_data_of_a_row_are_its_cases():
    for row in ROWS:
        coded = re.search(r"base64,([^\"]+)", links(row))[1]
        read = pd.read_csv(io.BytesIO(base64.b64decode(coded)), keep_default_na=False)
        assert read["decision"].tolist() == [case.decision for case in row.cases]
        assert read["dataset"].tolist() == cases_table(row)["dataset"].tolist()
