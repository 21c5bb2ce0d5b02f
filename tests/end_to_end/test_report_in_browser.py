"""The report in a browser: it draws, it sorts, it asks the network for nothing, and names stay names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from headstart.report.run_page import write_report
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.folder import RunFolder
from pages import Opening

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(params=["as trained", "hostile names"])
def opened(
    request: pytest.FixtureRequest, watched: Opening, trained: tuple[Path, Path], tmp_path: Path
) -> Iterator[Page]:
    """The report of a run in the browser; fails on any error, dialog or request."""
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))
    if request.param == "hostile names":
        data = run.data
        data["classes"][1] = HOSTILE
        data["counts"] = {s: {HOSTILE if k == "hat" else k: n for k, n in c.items()} for s, c in data["counts"].items()}
        run.write_json("data.json", data)
        rows = [
            {k.replace("hat", HOSTILE): v.replace("hat", HOSTILE) for k, v in row.items()} for row in run.predictions
        ]
        run.write_table("predictions.csv", rows)
        seen = [{k: v.replace("hat", HOSTILE) for k, v in row.items()} for row in run.feature_images]
        run.write_table("features/images.csv", seen)
    with watched(write_report(run), 3) as page:
        yield page


def test_the_figures_are_drawn(opened: Page) -> None:
    for name in ("curves", "confusion", "reliability"):
        box = opened.locator(f"#{name} svg.chart").first.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 150
    assert opened.locator("#curves g[data-line]").count() >= 5
    assert opened.evaluate("document.documentElement.outerHTML.length") < 2e6


def test_the_surest_mistakes_are_shown_as_pictures(opened: Page) -> None:
    widths = opened.eval_on_selector_all(".pictures img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 1
    assert min(widths) > 0


def test_a_click_sorts_the_classes_and_another_turns_them_round(opened: Page) -> None:
    def recalls() -> list[float]:
        return [float(text.split()[0]) for text in opened.locator("#classes tbody td:nth-child(3)").all_inner_texts()]

    heading = opened.locator("#classes th", has_text="recall")
    heading.click()
    assert recalls() == sorted(recalls())
    heading.click()
    assert recalls() == sorted(recalls(), reverse=True)


def places(page: Page) -> NDArray[np.float64]:
    """Where the images lie on the map, (N, 2)."""
    found = page.evaluate("document.getElementById('map').images().map(i => [i.x, i.y])")
    return np.array(found)


def test_the_slider_moves_the_images_to_another_epoch(opened: Page, trained: tuple[Path, Path]) -> None:
    rows = (read_feature_analysis(RunFolder.open(trained[0])) or pytest.fail("no maps"))[1]

    def expected(kind: str, epoch: int) -> NDArray[np.float64]:
        return np.array([[row[f"{kind}_x"], row[f"{kind}_y"]] for row in rows if row["epoch"] == epoch])

    def close(kind: str, epoch: int) -> bool:
        of_kind = np.array([[row[f"{kind}_x"], row[f"{kind}_y"]] for row in rows])
        return bool((np.abs(places(opened) - expected(kind, epoch)) < np.ptp(of_kind, axis=0) / 5000).all())

    assert opened.locator("#map-epoch").inner_text() == "epoch 3"
    assert close("tsne", 3)
    opened.locator("#map-slider").fill("0.5")
    opened.wait_for_timeout(700)
    between = places(opened)
    opened.locator("#map-slider").fill("0")
    expect(opened.locator("#map-epoch")).to_have_text("epoch 1")
    opened.wait_for_timeout(700)
    assert close("tsne", 1)
    assert np.abs(between - expected("tsne", 1)).max() > 0
    opened.locator("#map-pca").click()
    assert close("pca", 1)
    assert "of the variance of this epoch" in opened.locator("#map-says").inner_text()
    opened.locator("#map-play").click()
    expect(opened.locator("#map-epoch")).to_have_text("epoch 3")
    expect(opened.locator("#map-play")).to_have_text("play")
    opened.wait_for_timeout(100)
    assert close("pca", 3)


def test_search_and_legend_pick_out_images(opened: Page) -> None:
    def bright() -> int:
        return int(opened.evaluate("document.getElementById('map').images().filter(i => i.visible && i.lit).length"))

    assert bright() == 12
    opened.locator("#map-search").fill("dress")
    assert bright() == 4
    opened.locator("#map-search").fill("")
    assert bright() == 12
    chips = opened.locator("#map-legend .chip")
    assert chips.count() == 3
    chips.nth(1).click()
    assert bright() == 4
    chips.nth(2).click()
    assert bright() == 8


def test_an_image_shows_under_the_pointer(opened: Page) -> None:
    assert opened.locator("#map-card").is_hidden()
    opened.locator("#map canvas").scroll_into_view_if_needed()
    box = opened.locator("#map canvas").bounding_box()
    assert box is not None
    first = opened.evaluate("document.getElementById('map').images()[0]")
    opened.mouse.move(box["x"] + first["left"], box["y"] + first["top"])
    card = opened.locator("#map-card")
    card.wait_for(state="visible")
    assert card.locator("small").inner_text().endswith(".jpg")
    assert card.locator("i").evaluate("e => e.style.backgroundImage").startswith('url("data:image/jpeg')


def test_it_fits_a_telephone(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.reload()
    opened.wait_for_function("document.querySelectorAll('.figure svg.chart').length >= 3")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.set_viewport_size({"width": 1280, "height": 900})
