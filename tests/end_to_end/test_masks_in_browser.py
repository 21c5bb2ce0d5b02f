"""The masks of a report in a browser: the sliders change the pictures, and the network is asked for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from headstart.report.run_page import write_report
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import mask_names
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


def drawn(page: Page) -> list[str]:
    """What the canvases show, once the image is unpacked."""
    page.wait_for_function("document.querySelector('#mask-stage canvas')?.width > 300")
    page.wait_for_timeout(150)
    found: list[str] = page.eval_on_selector_all("#mask-stage canvas", "all => all.map((each) => each.toDataURL())")
    return found


def view(page: Page, name: str) -> None:
    page.locator(f'[name=mask-view][value="{name}"]').check(force=True)


def strip(page: Page) -> list[str]:
    names: list[str] = page.eval_on_selector_all("#mask-strip button", "all => all.map((each) => each.dataset.image)")
    return names


def test_every_view_shows_another_picture(opened: Page) -> None:
    pictures = []
    for name in ("swipe", "image", "truth", "prediction", "difference"):
        view(opened, name)
        pictures += drawn(opened)
    assert len(set(pictures)) == 5
    view(opened, "panels")
    assert len(set(drawn(opened))) == 4
    assert opened.locator("[value=uncertainty]").count() == 0  # this run stored none
    assert HOSTILE in opened.locator("#masks .legend").inner_text()
    view(opened, "swipe")


def test_the_epoch_slider_changes_the_prediction(opened: Page) -> None:
    opened.locator('#scored button[data-image="0036_sat"]').click()
    view(opened, "prediction")
    last, said = drawn(opened), opened.locator("#mask-facts").inner_text()
    opened.locator("#mask-slider").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#mask-epoch").inner_text() == "epoch 2 (saved)"
    assert drawn(opened) != last
    assert opened.locator("#mask-facts").inner_text() != said
    opened.keyboard.press("ArrowRight")
    assert drawn(opened) == last


def test_play_goes_through_the_epochs_once(opened: Page) -> None:
    opened.locator("#mask-slider").fill("0")
    first = opened.locator("#mask-epoch").inner_text()
    last = int(opened.locator("#mask-slider").get_attribute("max") or 0)
    opened.evaluate("""() => {
        window.told = [];
        new MutationObserver(() => window.told.push(document.getElementById("mask-epoch").textContent))
            .observe(document.getElementById("mask-epoch"), { childList: true });
    }""")
    opened.locator("#mask-play").click()
    assert opened.locator("#mask-play").inner_text() == "pause"
    expect(opened.locator("#mask-play")).to_have_text("play", timeout=10_000)
    told = opened.evaluate("window.told")
    assert len(told) == len({first, *told}) - 1 == last > 0  # each later epoch once
    assert opened.locator("#mask-slider").input_value() == str(last)


def test_two_fingers_zoom_and_one_moves_the_line(opened: Page) -> None:
    view(opened, "swipe")
    drawn(opened)
    canvas = opened.locator("#mask-stage canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    middle, y = box["x"] + box["width"] / 2, box["y"] + 40
    session = opened.context.new_cdp_session(opened)

    def touch(kind: str, *across: float) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, x in enumerate(across)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", middle)
    touch("touchMove", middle + 0.1 * box["width"])
    touch("touchMove", middle + 0.25 * box["width"])
    touch("touchEnd")
    assert 70 <= float(opened.locator("#mask-swipe").input_value()) <= 80
    touch("touchStart", middle - 40, middle + 40)
    touch("touchMove", middle - 60, middle + 60)
    touch("touchMove", middle - 120, middle + 120)
    touch("touchEnd")
    assert int(opened.locator("#mask-whole").inner_text().split()[0]) >= 250


def test_opacity_and_the_line_of_swipe_change_the_picture(opened: Page) -> None:
    view(opened, "swipe")
    before = drawn(opened)
    opened.locator("#mask-swipe").fill("90")
    moved = drawn(opened)
    opened.locator("#mask-opacity").fill("0")
    assert len({*before, *moved, *drawn(opened)}) == 3
    assert opened.locator("#mask-blend").inner_text() == "masks 0 %"
    box = opened.locator("#mask-stage canvas").bounding_box() or pytest.fail("no picture")
    opened.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 50)
    opened.mouse.up()
    assert abs(float(opened.locator("#mask-swipe").input_value()) - 25) <= 1


def test_all_panels_are_zoomed_and_moved_together_by_keys(opened: Page) -> None:
    view(opened, "panels")
    before = drawn(opened)
    opened.locator("#mask-stage").focus()
    opened.keyboard.press("+")
    zoomed = drawn(opened)
    assert all(one != other for one, other in zip(before, zoomed, strict=True))
    assert opened.locator("#mask-whole").inner_text() == "150 %"
    opened.keyboard.press("ArrowRight")
    assert all(one != other for one, other in zip(zoomed, drawn(opened), strict=True))
    opened.keyboard.press("0")
    assert drawn(opened) == before


def test_a_cell_of_the_confusion_matrix_leads_to_its_images(opened: Page, report: Path) -> None:
    answers = read_mask_confusions(RunFolder.open(report.parent)) or pytest.fail("no answers")
    wrong = answers.whole - np.diag(answers.whole.diagonal())
    true, predicted = (int(each) for each in np.unravel_index(wrong.argmax(), wrong.shape))
    opened.locator(f'#confusion [data-cell="{true}-{predicted}"]').click()
    assert opened.locator("#mask-truth").input_value() == str(true)
    assert opened.locator("#mask-predicted").input_value() == str(predicted)
    pixels = dict(zip(mask_names(answers.filenames), answers.confusion[:, true, predicted], strict=True))
    shown = [int(pixels[name]) for name in strip(opened)]
    assert shown == sorted(shown, reverse=True)
    assert min(shown) > 0
    assert opened.locator("#mask-found").inner_text().startswith(f"{sum(shown):,} pixels of ")
    # The same address shows the same again.
    view(opened, "panels")
    address, seen, facts = opened.url, strip(opened), opened.locator("#mask-facts").inner_text()
    opened.goto("about:blank")
    opened.goto(address)
    assert len(drawn(opened)) == 4
    assert (strip(opened), opened.locator("#mask-facts").inner_text()) == (seen, facts)


def test_images_are_ordered_and_filtered_by_class(opened: Page) -> None:
    def figures() -> list[float]:
        return [float(each.split()[1]) for each in opened.locator("#mask-strip span").all_inner_texts()]

    opened.locator("#mask-sort").select_option("low")
    assert figures() == sorted(figures())
    opened.locator("#mask-sort").select_option("high")
    assert figures() == sorted(figures(), reverse=True)
    all_images = len(strip(opened))
    opened.locator("#mask-truth").select_option("5")
    assert 0 < len(strip(opened)) < all_images
    assert set(figures()) == {0.0}  # no car is ever predicted as one
    opened.locator('#classes button[data-class="0"]').click()
    assert opened.locator("#mask-truth").input_value() == "0"
    opened.locator("#mask-truth").select_option("")


def test_the_class_under_the_pointer_is_named(opened: Page) -> None:
    drawn(opened)
    opened.locator("#mask-stage canvas").first.hover(position={"x": 5, "y": 5})
    assert "Here: no class, predicted as " in opened.locator("#mask-facts").inner_text()
    opened.mouse.move(0, 0)
    assert "Here" not in opened.locator("#mask-facts").inner_text()


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
