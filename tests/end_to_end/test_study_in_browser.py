"""The study's page in a browser: it draws, it sorts, it asks the network for nothing, and names stay names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from headstart.comparison.study import Study
from headstart.report.study_page import write_study_page
from pages import Opening, assert_on_the_first_screen

HOSTILE = "<img src=x onerror=alert(1)>"
STUDIES: dict[str, dict[str, Any]] = {
    "finished": {},
    "hostile names": {"data": HOSTILE, "name": HOSTILE, "fail": lambda s, f, k: s == "E" and k == 0},
    "begun": {"skip": lambda s, f, k: k > 0 or (s in "ABCF" and f < 1)},
}


@pytest.fixture(params=list(STUDIES))
def opened(
    request: pytest.FixtureRequest, watched: Opening, made_study: Callable[..., Study], tmp_path: Path
) -> Iterator[Page]:
    """The page in the browser; fails on any error, dialog or request."""
    (tmp_path / "study.json").write_text(made_study(**STUDIES[request.param]).to_json())
    with watched(write_study_page(tmp_path), 3) as page:
        yield page


def test_the_figures_are_drawn(opened: Page) -> None:
    for name in ("intervals", "over-labels", "over-time"):
        box = opened.locator(f"#{name} svg.chart:visible").bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 100
    assert opened.locator("#over-labels g[data-line]").count() >= 7


def test_the_answer_stands_on_the_first_screen_with_the_command(opened: Page) -> None:
    assert_on_the_first_screen(opened, "#headline", "#intervals .broad", "#command")
    opened.set_viewport_size({"width": 1280, "height": 900})


def test_a_key_hides_its_line_and_a_mark_says_its_numbers(opened: Page) -> None:
    line = opened.locator("#over-labels g[data-line=B]").first
    key = opened.locator("#over-labels .key", has_text="B fine-tune supervised")
    key.click()
    assert not line.is_visible()
    key.click()
    assert line.is_visible()
    line.locator("[data-tip]").first.dispatch_event("pointerover")
    assert re.fullmatch(r"B: [\d.]+ % \(.* to .*\), [\d,]+ labels, seeds: \d", opened.locator("#tip").inner_text())


def test_the_buttons_copy_the_command_and_the_table(opened: Page) -> None:
    opened.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
    )
    opened.locator("button[data-copy=command]").click()
    assert opened.evaluate("window.copied").startswith("headstart predict ")
    opened.locator("button[data-csv=trials]").click()
    rows = list(csv.reader(io.StringIO(opened.evaluate("window.copied"))))
    assert rows[0][:3] == ["setting", "labels", "accuracy"]
    assert len(rows) == 22
    assert {len(row) for row in rows} == {12}


def test_a_click_sorts_by_the_figure_and_not_by_its_interval(opened: Page) -> None:
    heading = opened.locator("#trials th", has_text="accuracy")
    for turned in (False, True):
        heading.click()
        texts = opened.locator("#trials tbody tr").evaluate_all("rows => rows.map(row => row.cells[2].innerText)")
        values = [float(text.split()[0]) for text in texts if text[0].isdigit()]
        assert len(values) >= 7
        assert values == sorted(values, reverse=turned)


def test_it_fits_a_telephone(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.reload()
    opened.wait_for_function("document.querySelectorAll('.figure svg.chart').length >= 3")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.set_viewport_size({"width": 1280, "height": 900})
