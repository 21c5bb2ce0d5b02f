"""The page of compared runs in a browser: it draws, sorts and copies, and asks the network for nothing."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page
from safetensors.numpy import load_file, save

import headstart as hs
from headstart.runs.folder import RunFolder
from made_runs import make_run
from pages import Opening, assert_on_the_first_screen

LABELS = np.arange(120) % 3
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(params=["two", "three hostile", "masks"])
def opened(
    request: pytest.FixtureRequest,
    watched: Opening,
    trained: tuple[Path, Path],
    made_segmentation: Path,
    tmp_path: Path,
) -> Iterator[Page]:
    """The page in the browser; fails on any error, dialog or request."""
    page = tmp_path / "page.html"
    if request.param == "masks":
        worse = shutil.copytree(made_segmentation, tmp_path / "worse")
        confusion = load_file(worse / "confusion.safetensors")["confusion"]
        confusion[:, 0, 1] += confusion[:, 0, 0] // 2
        RunFolder(worse).write("confusion.safetensors", save({"confusion": confusion}))
        paths = [made_segmentation, worse]
    else:
        count = 2 if request.param == "two" else 3
        classes = [HOSTILE, "b" * 120, "\u202eabc"] if count == 3 else None
        paths = [
            make_run(
                trained[0],
                tmp_path / f"run-{i}{HOSTILE.replace('/', '') if count == 3 else ''}",
                LABELS,
                np.arange(120) < 60 + 20 * i,
                fields={"optimizer.lr": 0.1 + i},
                classes=classes,
            )
            for i in range(count)
        ]
    hs.compare(paths, page=page)
    with watched(page, 3) as shown:
        yield shown


def test_the_verdict_stands_on_the_first_screen_with_the_command(opened: Page) -> None:
    assert_on_the_first_screen(opened, "#headline", "#intervals svg", "#command")
    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.set_viewport_size({"width": 1280, "height": 900})


def test_keys_tables_and_buttons_do_what_they_say(opened: Page) -> None:
    lines = opened.locator("#curves g[data-line=entry-1]")
    assert lines.count() >= 3
    opened.locator("#curves .key").nth(1).click()
    assert not lines.first.is_visible()
    opened.locator("#curves .key").nth(1).click()
    assert lines.first.is_visible()
    heading = opened.locator("#classes-1 th", has_text="difference")
    for turned in (False, True):
        heading.click()
        values = opened.locator("#classes-1 tbody tr").evaluate_all(
            "rows => rows.map(row => +row.cells[4].dataset.value)"
        )
        assert values == sorted(values, reverse=turned)
    opened.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
    )
    opened.locator("button[data-csv=costs]").click()
    rows = list(csv.reader(io.StringIO(opened.evaluate("window.copied"))))
    assert rows[0][0] == "run"
    assert {len(row) for row in rows} == {11}
    opened.locator("button[data-copy]").click()
    assert opened.evaluate("window.copied").startswith("headstart predict ")
    changes = opened.locator("details.changes").last
    if changes.get_attribute("open") is None:
        changes.locator("summary").click()
    assert changes.locator("h3").first.is_visible()
