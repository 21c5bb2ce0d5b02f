"""HTML pages as a reader sees them, and what they would load."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from playwright.sync_api import Page

Opening = Callable[[Path, int], AbstractContextManager[Page]]
"""What the fixture `watched` gives: open a file once so many figures are drawn."""


def visible(page: str) -> str:
    """The words of a page, with one space between them and entities resolved."""
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL))
    return " ".join(html.unescape(text).split())


def assert_on_the_first_screen(page: Page, *places: str) -> None:
    """Without scrolling at 1280 x 720, all of these elements are whole."""
    page.set_viewport_size({"width": 1280, "height": 720})
    for place in places:
        box = page.locator(place).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 720


def assert_loads_nothing(page: str) -> None:
    """All that a page shows lies within it."""
    text = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    text = re.sub(r"""<a href=["'](?:#|(?:folds/1/)?trials/)[^"']*""", "", text)  # links to follow, within the study
    assert not re.findall(r"""(?:src|href)=["'](?!data:)[^"']+""", text)
    assert "url(" not in text
    assert "@import" not in text
