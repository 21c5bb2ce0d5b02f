"""The masks of a report in a browser: the sliders change the pictures, and the network is asked for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
from pages import Opening

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def report(made_segmentation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of which one class has a hostile name."""
    run = RunFolder.open(shutil.copytree(made_segmentation, tmp_path_factory.mktemp("page") / "run"))
    data = run.data
    data["palette"]["names"][4] = data["classes"][4] = HOSTILE
    run.write_json("data.json", data)
    run.write_table("metrics.csv", [{k.replace("ground", HOSTILE): v for k, v in row.items()} for row in run.metrics])
    return write_report(run)


@pytest.fixture
def opened(watched: Opening, report: Path) -> Iterator[Page]:
    with watched(report, 3) as page:
        yield page


def visible(row: Locator) -> list[str]:
    """The masks of an image that can be seen: truth, prediction, difference."""
    pictures: list[str] = row.locator(".over").evaluate_all("all => all.filter((e) => !e.hidden).map((e) => e.src)")
    return pictures


def test_every_picture_is_there(opened: Page) -> None:
    widths = opened.eval_on_selector_all(".stack img", "images => images.map((image) => image.naturalWidth)")
    assert set(widths) == {300}
    assert opened.locator("#chosen .example").count() == 3
    assert opened.locator("#worst .example").count() == 16
    assert opened.locator("#ious g[data-line]").count() >= 5
    assert HOSTILE in opened.locator("#chosen .legend").inner_text()


def test_the_epoch_slider_changes_prediction_and_difference(opened: Page) -> None:
    row = opened.locator("#chosen .example").first
    words, prediction = row.locator("header"), row.locator(".prediction")
    assert opened.locator("#mask-epoch").inner_text() == "epoch 3"
    last, said, seen = visible(row), words.inner_text(), prediction.screenshot()
    opened.locator("#mask-slider").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#mask-epoch").inner_text() == "epoch 2 (saved)"
    kept = visible(row)
    assert len(kept) == len(last) == 3
    assert [one == other for one, other in zip(kept, last, strict=True)] == [True, False, False]
    assert words.inner_text() != said
    assert prediction.screenshot() != seen
    opened.keyboard.press("ArrowRight")
    assert visible(row) == last
    assert opened.locator("#worst .over[hidden]").count() == 0


def test_the_opacity_slider_lets_the_image_through(opened: Page) -> None:
    truth = opened.locator("#chosen .truth").first

    def opacity(place: str) -> str:
        return str(opened.locator(f"{place} .truth .over").first.evaluate("e => getComputedStyle(e).opacity"))

    opened.locator("#mask-opacity").fill("0")
    assert opened.locator("#chosen .opacity").locator("..").inner_text().strip() == "masks 0 %"
    assert opacity("#chosen") == "0"
    clear = truth.screenshot()
    opened.locator("#mask-opacity").focus()
    opened.keyboard.press("End")
    assert opacity("#chosen") == "1"
    assert truth.screenshot() != clear
    assert opacity("#worst") == "0.7"


def test_pictures_become_larger_and_smaller(opened: Page) -> None:
    row = opened.locator("#worst .example").first

    def width() -> float:
        return float(row.locator(".truth").evaluate("e => e.getBoundingClientRect().width"))

    before = width()
    row.locator("button").press("Enter")
    assert width() > 1.8 * before
    assert row.locator("button").get_attribute("aria-pressed") == "true"
    row.locator("button").press("Enter")
    assert width() == before


def test_the_class_under_the_pointer_is_named(opened: Page) -> None:
    row = opened.locator("#chosen .example").first
    captions = row.locator("figcaption")
    row.locator(".truth").hover(position={"x": 5, "y": 5})
    assert captions.nth(1).inner_text() == "ground truth: no class"
    row.locator(".truth").hover(position={"x": 100, "y": 150})
    names = ("building", "clutter", "vegetation", HOSTILE, "car")
    assert captions.nth(1).inner_text() in [f"ground truth: {name}" for name in names]
    assert captions.nth(2).inner_text() in [f"prediction: {name}" for name in names]
    opened.mouse.move(0, 0)
    assert captions.nth(1).inner_text() == "ground truth"


def test_a_click_sorts_the_classes_by_iou(opened: Page) -> None:
    def values() -> list[float]:
        cells = opened.locator("#classes tbody td:nth-child(2)")
        return [float(cell) for cell in cells.evaluate_all("cells => cells.map((cell) => cell.dataset.value)")]

    heading = opened.locator("#classes th", has_text="IoU")
    heading.press("Enter")
    assert values() == sorted(values())
    heading.press("Enter")
    assert values() == sorted(values(), reverse=True)


def test_it_fits_a_telephone(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.reload()
    opened.wait_for_function("document.querySelectorAll('.figure svg.chart').length >= 3")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.set_viewport_size({"width": 1280, "height": 900})
