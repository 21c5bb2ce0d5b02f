"""What the buttons of every page give: plots as SVG and PNG, as they are shown, and tables sorted and as CSV."""

from __future__ import annotations

import base64
import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page

import headstart as hs
from headstart.comparison.study import Study
from headstart.report.race_page import write_race_page
from headstart.report.run_page import write_report
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from made_race import make_race
from made_runs import make_run
from pages import Opening

PLOTS = {"run": 5, "masks": 4, "study": 3, "compare": 2, "race": 1}
"""Kind of page -> its plots."""
LONG = "vit_small_patch14_dinov2.lvd142m_of_a_long_name"
SHOWN = "svg:is(.chart, .architecture):visible"
WORDS = "svg => [...svg.querySelectorAll('text')].map(text => text.textContent)"


@pytest.fixture(params=list(PLOTS))
def opened(
    request: pytest.FixtureRequest,
    watched: Opening,
    trained: tuple[Path, Path],
    made_segmentation: Path,
    made_study: Callable[..., Study],
    tmp_path: Path,
) -> Iterator[tuple[str, Page]]:
    """A kind of page, and the page in the browser."""
    if request.param == "study":
        (tmp_path / "study.json").write_text(made_study().to_json())
        file = write_study_page(tmp_path)
    elif request.param == "race":
        file = write_race_page(tmp_path, make_race({"one": 0.6, LONG: 0.8, "bad": 0.3}, {"one": 0.7, LONG: 0.85}))
    elif request.param == "compare":
        right = np.arange(60) < 30
        paths = [make_run(trained[0], tmp_path / f"run-{i}", np.arange(60) % 3, right ^ (i > 0)) for i in (0, 1)]
        file = tmp_path / "page.html"
        hs.compare(paths, page=file)
    else:
        source = made_segmentation if request.param == "masks" else trained[0]
        file = write_report(RunFolder.open(shutil.copytree(source, tmp_path / "run")))
    with watched(file, 1) as page:
        page.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true; })")
        yield request.param, page


def saved(page: Page, button: Locator) -> tuple[str, bytes]:
    """Name and content of what a button saves."""
    with page.expect_download() as download:
        button.click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def common(shown: Locator | Image.Image, least: int) -> NDArray[np.int64]:
    """Colors that so many pixels have, (N, 3)."""
    image = shown if isinstance(shown, Image.Image) else Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    return np.array([color for count, color in image.getcolors(1 << 24) or [] if count >= least])


def doubled(page: Page, shown: Locator) -> Image.Image:
    """A picture of what is shown, with two pixels for each, so that thin lines have their color."""
    box = shown.bounding_box()
    assert box is not None
    top = page.evaluate("scrollY")
    clip = {"x": box["x"], "y": box["y"] + top, "width": box["width"], "height": box["height"], "scale": 2}
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")


def apart(some: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    """How far a color of ``some`` is at the most from the nearest of ``others``."""
    return int(np.abs(some[:, None] - others).max(axis=2).min(axis=1).max())


def test_every_plot_is_saved_as_it_is_shown(opened: tuple[str, Page]) -> None:
    kind, page = opened
    page.emulate_media(color_scheme="dark")
    figures = page.locator(".figure:has(svg), .drawing")
    assert figures.count() == PLOTS[kind]
    for figure in figures.all():
        name = figure.get_attribute("id")
        if figure.locator(".key").count() > 1:
            figure.locator(".key").last.click()  # a hidden line is not saved
        file, content = saved(page, page.locator(f"[aria-label='save the plot {name} as SVG']"))
        assert file == f"{name}.svg"
        root = ElementTree.fromstring(content)
        words = [text for svg in figure.locator(SHOWN).all() for text in svg.evaluate(WORDS)]
        keys = figure.locator(".key[aria-pressed=true]").all_inner_texts()
        texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
        hidden = figure.locator(SHOWN).locator("g[data-line][style*=none] text").all_text_contents()
        assert sorted(texts + hidden) == sorted([*keys, *words])
        assert not re.search(rb"var\(|class=|style=|color\(|<style", content)  # readable without the page
        file, content = saved(page, page.locator(f"[aria-label='save the plot {name} as PNG']"))
        assert file == f"{name}.png"
        image = Image.open(io.BytesIO(content)).convert("RGB")
        assert image.size == tuple(2 * int(root.attrib[side]) for side in ("width", "height"))
        charts = np.concatenate(
            [common(svg, 40 if name == "intervals" else 150) for svg in figure.locator(SHOWN).all()]
        )
        assert charts.shape[0] >= 3
        assert apart(charts, common(image, 1)) <= 16  # of 255: thin lines are drawn finer
        assert apart(common(image, 600), np.concatenate([charts, common(doubled(page, figure), 1)])) <= 16
        assert image.getpixel((3, 3)) == (26, 32, 41)  # of dark pages
    page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("opened", ["masks"], indirect=True)
def test_canvases_are_saved_as_they_are_drawn(opened: tuple[str, Page]) -> None:
    page = opened[1]
    page.wait_for_function("document.querySelector('#mask-stage canvas')?.width > 300")
    page.wait_for_timeout(150)
    page.locator("[name=mask-view][value=panels]").check(force=True)
    page.wait_for_timeout(150)
    file, content = saved(page, page.locator("[aria-label='save the masks as PNG']"))
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert file == "masks.png"
    urls = page.eval_on_selector_all("#mask-stage canvas", "all => all.map((each) => each.toDataURL())")
    panels = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")) for url in urls
    ]
    assert len(panels) == 4
    np.testing.assert_allclose(image, np.concatenate(panels, axis=1), atol=1)


def number(text: str) -> float:
    found = re.match(r"[+-]?[\d,.]*\d", text.replace("\N{MINUS SIGN}", "-"))
    return float(found[0].replace(",", "")) if found else -np.inf


def test_every_table_sorts_by_keys_and_is_copied(opened: tuple[str, Page]) -> None:
    page = opened[1]
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (t) => { window.copied = t; }}})"
    )
    tables = page.locator("main table")
    assert tables.count() >= 1
    for table in tables.all():
        page.locator(f"[data-csv='{table.get_attribute('id')}'], [data-copies='{table.get_attribute('id')}']").click()
        rows = list(csv.reader(io.StringIO(page.evaluate("window.copied"))))
        assert len(rows) == table.locator("tr").count()
        assert len({len(row) for row in rows}) == 1
        for column, heading in enumerate(table.locator("th").all()):
            for order in ("ascending", "descending"):
                heading.press("Enter" if order == "ascending" else "Space")
                assert heading.get_attribute("aria-sort") == order
            if "n" in (heading.get_attribute("class") or "").split():
                values = table.locator("tbody tr").evaluate_all(
                    "(rows, i) => rows.map((row) => row.cells[i].dataset.value ?? row.cells[i].innerText)", column
                )
                assert [number(each) for each in values] == sorted(map(number, values), reverse=True)


def test_plots_fit_on_a_telephone(opened: tuple[str, Page]) -> None:
    """All but matrices and drawings of networks, which scroll in a box of their own where they are large."""
    page = opened[1]
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    figures = page.locator(".figure:has(svg.chart:not(.matrix))")
    assert figures.count() >= 1
    for figure in figures.all():
        assert figure.evaluate("e => e.scrollWidth - e.clientWidth") == 0
        for chart in figure.locator("svg.chart:visible").all():
            assert_readable(chart, lines=not figure.locator(".intervals").count())
    page.set_viewport_size({"width": 1280, "height": 900})


def assert_readable(chart: Locator, lines: bool) -> None:
    """Its texts are large enough, within it, and not over each other; the texts beside points of lines may be."""
    boxes = chart.locator("text:not(g[data-line] text)" if lines else "text").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect()).map((b) => [b.left, b.top, b.right, b.bottom])"
    )
    whole = chart.bounding_box()
    assert whole is not None
    assert len(boxes) > 4
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert whole["x"] - 1 <= left < right <= whole["x"] + whole["width"] + 1
        assert min(bottom - top, right - left) >= 6
        for others in boxes[:i]:
            assert right <= others[0] + 1 or left >= others[2] - 1 or bottom <= others[1] + 3 or top >= others[3] - 3
