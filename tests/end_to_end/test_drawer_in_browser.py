"""The drawer of a classifier's page: cells, classes and bins open their images, by pointer, by keys and by address."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import headstart.report.prediction_images
from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions, write_predictions
from pages import Opening

HOSTILE = '<img src=x onerror=alert(1)>, "quoted"'
CONFIDENCES = (0.35, 0.41, 0.5, 0.62, 0.7, 0.74, 0.81, 0.86, 0.9, 0.93, 0.97, 0.99)


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    """A run of twelve validation images of three classes, of which four are wrong, with one hostile class name."""
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))
    predictions = read_predictions(run)
    assert predictions is not None
    data = run.data
    names = data["classes"] = [HOSTILE if name == "hat" else name for name in data["classes"]]
    run.write_json("data.json", data | {"counts": {}})
    seen = [{key: HOSTILE if value == "hat" else value for key, value in row.items()} for row in run.feature_images]
    run.write_table("features/images.csv", seen)
    p = np.zeros((12, 3), np.float32)
    for row, (label, confidence) in enumerate(zip(predictions.labels, CONFIDENCES, strict=True)):
        p[row] = (1 - confidence) / 2
        p[row, (label + (row in (2, 5, 6, 11))) % 3] = confidence
    write_predictions(run, predictions.filenames, predictions.labels.tolist(), names, p)
    (run.path / "checksums.json").unlink(missing_ok=True)
    return run


@pytest.fixture
def opened(watched: Opening, run: RunFolder) -> Iterator[Page]:
    with watched(write_report(run), 3) as page:
        page.evaluate(
            "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (t) => { window.copied = t; }}})"
        )
        yield page


def listed(page: Page) -> list[dict[str, str]]:
    """The rows that the drawer copies as CSV."""
    page.locator("#drawer-csv").click()
    return list(csv.DictReader(io.StringIO(page.evaluate("window.copied"))))


def expected(run: RunFolder, **of: str) -> set[str]:
    """Files of the predictions with these values."""
    rows = csv.DictReader((run.path / "predictions.csv").read_text(encoding="utf-8").splitlines())
    return {row["filename"] for row in rows if all(row[key] == value for key, value in of.items())}


def test_each_cell_opens_exactly_its_images(opened: Page, run: RunFolder) -> None:
    cells = opened.locator("#confusion [data-cell]")
    found = 0
    for i in range(cells.count()):
        cells.nth(i).click()
        truth, predicted = (run.classes[int(n)] for n in (cells.nth(i).get_attribute("data-cell") or "").split("-"))
        rows = listed(opened)
        assert {row["filename"] for row in rows} == expected(run, label=truth, predicted=predicted)
        assert {(row["label"], row["predicted"]) for row in rows} == {(truth, predicted)}
        assert opened.locator("#drawer-found .thumbnails > button:not(.more)").count() == len(rows)
        opened.keyboard.press("Escape")
        found += len(rows)
    assert found == 12


def test_a_class_opens_its_images_and_those_taken_for_it(opened: Page, run: RunFolder) -> None:
    for number, name in enumerate(run.classes):
        opened.locator(f"#classes [data-class='{number}']").click()
        rows = listed(opened)
        assert {row["filename"] for row in rows} == expected(run, label=name) | expected(run, predicted=name)
        strips = opened.locator("#drawer-found h3").all_inner_texts()
        assert strips[0].startswith(f"{len(expected(run, label=name))} images of {name}, ")
        opened.locator("#drawer-close").click()
        assert opened.locator("#drawer").is_hidden()


def test_a_bin_opens_the_images_of_its_confidence(opened: Page) -> None:
    marks = opened.locator("#reliability .broad [data-bin]")
    edges = np.arange(16) / 15
    counts = np.histogram(CONFIDENCES, edges)[0]
    assert [int(mark.get_attribute("data-bin") or -1) for mark in marks.all()] == np.flatnonzero(counts).tolist()
    for mark in marks.all():
        low = int(mark.get_attribute("data-bin") or -1)
        mark.dispatch_event("click")
        found = [float(row["confidence"]) for row in listed(opened)]
        assert len(found) == counts[low]
        assert edges[low] < min(found) <= max(found) <= edges[low + 1]


def test_keys_reach_every_cell_and_focus_returns(opened: Page, run: RunFolder) -> None:
    cell = "document.activeElement.dataset.cell"
    opened.locator("#confusion [tabindex='0']").focus()
    reached = [opened.evaluate(cell)]
    for each in reached:  # it grows
        for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"):
            opened.locator(f"#confusion [data-cell='{each}']").focus()
            opened.keyboard.press(key)
            reached += {opened.evaluate(cell)}.difference(reached)
    assert set(reached) == {each.get_attribute("data-cell") for each in opened.locator("#confusion [data-cell]").all()}
    assert len(reached) > 3
    assert opened.locator("#confusion [tabindex='0']").count() == 1
    here = opened.evaluate(cell)
    opened.keyboard.press("Enter")
    expect(opened.locator("#drawer")).to_be_focused()
    opened.keyboard.press("Escape")
    assert opened.evaluate(cell) == here


def test_an_image_is_enlarged_with_all_that_is_known_and_the_address_keeps_it(opened: Page, run: RunFolder) -> None:
    opened.locator("#classes [data-class='0']").click()
    rows = listed(opened)
    opened.locator("#drawer-found .thumbnails > button").first.click()
    large = opened.locator("#drawer-large")
    opened.keyboard.press("ArrowRight")
    assert opened.locator("#drawer-file").inner_text() == rows[1]["filename"]
    assert opened.locator("#drawer-truth").inner_text() == f"true: {rows[1]['label']}"
    sure = f"{100 * float(rows[1]['confidence']):.1f}\N{NO-BREAK SPACE}%"
    assert opened.locator("#drawer-said").inner_text() == f"predicted {rows[1]['predicted']} {sure}"
    box = large.locator("i").bounding_box()
    assert box is not None
    assert box["width"] > 300
    file = next(iter(Path(run.data["root"]).rglob(Path(rows[1]["filename"]).name)))
    with Image.open(file) as image:  # at its own size, not its thumbnail
        expect(opened.locator("#drawer-source")).to_have_text(f"the file, {image.width} x {image.height} pixels")
    assert large.locator("i").evaluate("e => e.style.backgroundImage").startswith('url("file:///')
    opened.reload()
    expect(large).to_be_visible()
    assert opened.locator("#drawer-file").inner_text() == rows[1]["filename"]
    opened.keyboard.press("Escape")
    expect(large).not_to_be_visible()
    opened.keyboard.press("Escape")
    expect(opened).not_to_have_url(re.compile(r"images\."))


def test_without_the_files_a_thumbnail_is_enlarged_and_says_so(watched: Opening, run: RunFolder) -> None:
    run.write_json("data.json", run.data | {"root": "/of/another/machine"})
    with watched(write_report(run), 3) as page:
        page.locator("#classes [data-class='0']").click()
        page.locator("#drawer-found .thumbnails > button").first.click()
        assert re.fullmatch(r"a thumbnail of \d+ pixels, enlarged", page.locator("#drawer-source").inner_text())
        background = page.locator("#drawer-large i").evaluate("e => e.style.backgroundImage")
        assert background.startswith('url("data:image/jpeg')


def test_of_many_images_errors_are_listed_first(
    watched: Opening, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headstart.report.prediction_images, "MAX_LISTED", 5)
    shutil.rmtree(run.path / "analysis", ignore_errors=True)  # without a map, the drawer brings its own thumbnails
    with watched(write_report(run), 3) as page:
        page.locator("#classes [data-class='1']").click()
        assert "lists 5 of 12 images" in page.locator("#drawer-listed").inner_text()
        data = page.evaluate("JSON.parse(document.getElementById('images-json').textContent)")
        wrong = [a != b for a, b in zip(data["labels"], data["predicted"], strict=True)]
        assert wrong == [True] * 4 + [False]
        assert data["confidence"] == [0.99, 0.81, 0.74, 0.5, 0.97]
        assert data["tiles"] == [0, 1, 2, 3, 4]
        assert page.locator("#drawer-found i").first.evaluate("e => e.style.backgroundImage").startswith('url("data')
