"""A browser that tells of everything that a page does wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, sync_playwright

from pages import Opening

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a browser, without a network."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


@pytest.fixture
def watched(page: Page) -> Opening:
    """Open a file once so many figures are drawn; fails at the end on any error, dialog or request."""

    @contextmanager
    def opened(file: Path, figures: int) -> Iterator[Page]:
        faults: list[str] = []
        asked: list[str] = []

        def closed(dialog: Dialog) -> None:
            faults.append(dialog.message)
            dialog.dismiss()

        page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", closed)
        page.on("request", lambda r: None if r.url.startswith(("data:", "file://", "blob:")) else asked.append(r.url))
        page.goto(f"file://{file}")
        page.wait_for_function(f"document.querySelectorAll('.figure svg.chart').length >= {figures}")
        yield page
        assert faults == []
        assert asked == []

    return opened
