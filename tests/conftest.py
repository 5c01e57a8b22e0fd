"""One browser for all tests of a process: Playwright allows no second."""

import pytest

from tests.in_browser import CHROMIUM, QUIET


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
