"""Names of classes that are long, or written from right to left, and very many classes: the page stays in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
from made_runs import make_run
from pages import Opening

NAMES = ("\N{HEBREW LETTER SHIN}\N{HEBREW LETTER MEM}", "b" * 120, "\u202eabc")
"""From right to left, long, and one that turns what follows it."""


def page_of(trained: tuple[Path, Path], folder: Path, classes: list[str], images: int) -> Path:
    labels = np.arange(images) % len(classes)
    run = RunFolder.open(make_run(trained[0], folder, labels, labels > 0, classes=classes))
    run.write_json("data.json", run.data | {"root": "/elsewhere"})  # its files have other names
    return write_report(run)


@pytest.mark.parametrize("width", [1280, 390])
def test_words_around_a_name_stay_where_they_are(
    watched: Opening, trained: tuple[Path, Path], tmp_path: Path, width: int
) -> None:
    with watched(page_of(trained, tmp_path / "run", list(NAMES), 60), 3) as page:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.locator("#classes [data-class]", has_text="b" * 120).click()
        assert page.locator("#drawer").evaluate("e => e.scrollWidth <= e.clientWidth")
        entries = page.locator("#drawer-found .thumbnails > button:not(.more)")
        assert max(entries.nth(i).bounding_box()["height"] for i in range(entries.count())) < 280  # type: ignore[index]
        page.keyboard.press("Escape")
        for name in NAMES:
            page.locator("#classes [data-class]", has_text=name).click()
            page.locator("#drawer-found .thumbnails > button").first.click()
            assert page.locator("#drawer-large").evaluate("e => e.scrollWidth <= e.clientWidth")
            assert page.locator("#drawer-truth bdi").inner_text() == name
            # On the screen, the number stands after the name, to the left of its per cent sign.
            ends = page.locator("#drawer-said").evaluate("""(e) => {
                const range = document.createRange(), text = e.lastChild;
                const left = (at) => {
                    range.setStart(text, at);
                    range.setEnd(text, at + 1);
                    return range.getBoundingClientRect().left;
                };
                return [left(1), left(text.length - 1)];
            }""")
            assert ends[0] < ends[1]
            page.keyboard.press("Escape")
            page.keyboard.press("Escape")
        page.set_viewport_size({"width": 1280, "height": 900})


def test_a_long_table_scrolls_in_its_box_with_its_headings(
    watched: Opening, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    file = page_of(trained, tmp_path / "run", [f"class {i}" for i in range(300)], 300)
    assert file.stat().st_size < 2_000_000
    with watched(file, 3) as page:
        box = page.locator(".scroll:has(#classes)")
        assert box.evaluate("e => e.clientHeight < innerHeight && e.scrollHeight > 5 * e.clientHeight")
        assert box.evaluate("e => e.tabIndex") == 0
        box.evaluate("e => { e.scrollTop = 3000; }")
        heading, top = page.locator("#classes th").first.bounding_box(), box.bounding_box()
        assert heading is not None
        assert top is not None
        assert heading["y"] == pytest.approx(top["y"], abs=2)
        assert page.locator("#classes tbody tr").count() == 300
        page.emulate_media(media="print")
        assert box.evaluate("e => e.clientHeight > 5000")
        page.emulate_media(media="screen")
