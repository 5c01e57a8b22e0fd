"""What tests share: one browser a process, since Playwright allows no second, and the command line."""

import sys

import pytest

from cemag.cli import main
from tests.in_browser import CHROMIUM, QUIET


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)


@pytest.fixture
def command_line(monkeypatch, capsys):
    """Run `cemag` in this process: status, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cemag", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return end.value.code or 0, shown.out, shown.err

    return run
