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
from sklearn.neighbors import NearestNeighbors

import headstart as hs
from headstart.runs.features import read_features
from headstart.runs.folder import RunFolder
from made_maps import make_mapped_run
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
    assert_on_the_first_screen(opened, "#headline", "#intervals .broad", "#command")
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
    opened.locator("button[data-copy=command]").click()
    assert opened.evaluate("window.copied").startswith("headstart predict ")
    changes = opened.locator("details.changes").last
    if changes.get_attribute("open") is None:
        changes.locator("summary").click()
    assert changes.locator("h3").first.is_visible()


def test_an_image_is_marked_in_the_maps_of_all_runs(
    watched: Opening, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    """The second run has the images in another order, two others, and lacks one."""
    files = sorted(trained[1].rglob("*.jpg"))
    one = make_mapped_run(trained[0], tmp_path / "one", files[:-2], 4)
    two = make_mapped_run(trained[0], tmp_path / "two", files[:0:-1], 8)
    shared = [f"{file.parent.name}/{file.name}" for file in files[1:-2]]
    hs.compare([one.path, two.path], page=tmp_path / "page.html")
    with watched(tmp_path / "page.html", 3) as page:
        assert page.locator("#map-hits").inner_text() == f"{len(shared)} images"
        places = np.array(page.evaluate("document.getElementById('map-0').images().map(each => [each.left, each.top])"))
        i = int(NearestNeighbors(n_neighbors=1).fit(places).kneighbors()[0][:, 0].argmax())
        page.locator("#map-0 canvas").scroll_into_view_if_needed()
        box = page.locator("#map-0 canvas").bounding_box()
        assert box is not None
        before = page.evaluate("document.querySelector('#map-1 canvas').toDataURL()")
        page.mouse.move(box["x"] + places[i, 0], box["y"] + places[i, 1])
        page.wait_for_function("document.querySelector('#map-1 canvas').toDataURL() !== " + repr(before))
        name = page.locator("#map-card small").inner_text()
        page.mouse.click(box["x"] + places[i, 0], box["y"] + places[i, 1])
        for strip, run in enumerate((one, two), 1):
            stored = read_features(run)
            rows = [stored.filenames.index(each) for each in shared]
            features = stored.epochs[1].features[rows]
            oracle = NearestNeighbors(n_neighbors=8, metric="cosine").fit(features)
            near = oracle.kneighbors(features[[shared.index(name)]], 9, return_distance=False)[0][1:]
            buttons = page.locator("#drawer-found .thumbnails").nth(strip).locator("button:not(.more)").all()
            assert [each.get_attribute("title") for each in buttons] == [shared[row] for row in near]
        page.locator("#map-1-slider").fill("0")
        page.locator("#map-search").fill("hat")
        lit = [
            page.evaluate(f"document.getElementById('map-{i}').images().filter(each => each.lit).length")
            for i in (0, 1)
        ]
        assert lit == [sum("hat" in each for each in shared)] * 2
