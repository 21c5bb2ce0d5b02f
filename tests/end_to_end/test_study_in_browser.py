"""The study's page in a browser: it draws, it sorts, it asks the network for nothing, and names stay names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from headstart.comparison.study import Study
from headstart.report.study_page import write_study_page
from pages import Opening

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
    with watched(write_study_page(tmp_path), 2) as page:
        yield page


def test_the_figures_are_drawn(opened: Page) -> None:
    for name in ("over-labels", "over-time"):
        box = opened.locator(f"#{name} .main-svg").first.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 200
        assert opened.locator(f"#{name} .scatterlayer .trace").count() >= 7


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
    opened.wait_for_function("document.querySelectorAll('.figure .main-svg').length >= 2")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.set_viewport_size({"width": 1280, "height": 900})
