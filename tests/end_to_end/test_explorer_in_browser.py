"""The embedding explorer in a browser: pointer, keys, fingers, and an address that keeps the view."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sklearn.neighbors import NearestNeighbors

from headstart.report.run_page import write_report
from headstart.runs.features import Features, read_features
from headstart.runs.folder import RunFolder
from pages import Opening

MAP = "document.getElementById('map')"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    return RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))


@pytest.fixture
def opened(watched: Opening, run: RunFolder) -> Iterator[Page]:
    """The report of a run in the browser; fails on any error, dialog or request."""
    with watched(write_report(run), 3) as page:
        page.locator("#map-train").check()
        yield page


@pytest.fixture
def stored(run: RunFolder) -> Features:
    return read_features(run)


def images(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(f"{MAP}.images()")
    return found


def lit(page: Page) -> list[int]:
    return [i for i, each in enumerate(images(page)) if each["lit"] and each["visible"]]


def at(page: Page, i: int) -> tuple[float, float]:
    """Where an image is on the screen, once it is scrolled to a place above the drawer."""
    each = images(page)[i]
    top = "document.querySelector('#map canvas').getBoundingClientRect().top"
    page.evaluate(f"window.scrollBy({{top: {top} + {each['top']} - 300, behavior: 'instant'}})")
    box = page.locator("#map canvas").bounding_box()
    assert box is not None
    return box["x"] + each["left"], box["y"] + each["top"]


def alone(page: Page) -> int:
    """The image that is farthest from all others, which a click cannot miss."""
    places = np.array([[each["left"], each["top"]] for each in images(page)])
    return int(NearestNeighbors(n_neighbors=1).fit(places).kneighbors()[0][:, 0].argmax())


def thumbnails(page: Page, strip: int) -> list[str]:
    """Files of the thumbnails in a strip of the drawer."""
    buttons = page.locator("#drawer-found .thumbnails").nth(strip).locator("button:not(.more)")
    return [str(each.get_attribute("title")) for each in buttons.all()]


def test_a_click_pins_an_image_with_its_neighbors_in_feature_space(opened: Page, stored: Features) -> None:
    i = alone(opened)
    opened.mouse.click(*at(opened, i))
    assert thumbnails(opened, 0) == [stored.filenames[i]]
    for slider, epoch in ((2, stored.epochs[2]), (0, stored.epochs[0])):
        opened.locator("#map-slider").fill(str(slider))
        expect(opened.locator("#drawer-found h3").nth(1)).to_contain_text(f"epoch {epoch.epoch}")
        oracle = NearestNeighbors(n_neighbors=8, metric="cosine").fit(epoch.features)
        distances = oracle.kneighbors(epoch.features[[i]], 9)[0][0][1:]
        shown = [stored.filenames.index(name) for name in thumbnails(opened, 1)]
        found = [
            1 - np.dot(epoch.features[i], f) / np.linalg.norm(epoch.features[i]) / np.linalg.norm(f)
            for f in epoch.features[shown]
        ]
        np.testing.assert_allclose(found, distances, atol=1e-5)
    predicted = stored.classes[int(stored.epochs[0].probabilities[i].argmax())]
    said = opened.locator("#drawer-found button").first.inner_text()
    assert f"predicted {predicted} {100 * stored.epochs[0].probabilities[i].max():.1f}\N{NO-BREAK SPACE}%" in said
    opened.locator("#drawer-found .thumbnails").nth(1).locator("button").first.click()
    assert opened.locator("#drawer-file").inner_text().removesuffix(" (training)") == stored.filenames[shown[0]]
    opened.locator("#drawer-neighbors").click()
    assert thumbnails(opened, 0) == [stored.filenames[shown[0]]]
    opened.locator("#map-clear").click()
    assert opened.locator("#drawer").is_hidden()


def test_correct_and_wrong_are_those_of_the_epoch(opened: Page, stored: Features) -> None:
    for slider, epoch in ((2, stored.epochs[2]), (0, stored.epochs[0])):
        opened.locator("#map-slider").fill(str(slider))
        opened.locator("#map-outcomes .chip", has_text="wrong").click()
        wrong = np.flatnonzero(epoch.probabilities.argmax(axis=1) != stored.labels)
        assert lit(opened) == wrong.tolist()
        assert opened.locator("#map-hits").inner_text() == f"{len(wrong)} of 60 images"
        opened.locator("#map-outcomes .chip", has_text="wrong").click()


def test_each_color_has_its_scale(opened: Page, stored: Features) -> None:
    assert opened.locator("#map-color option").all_inner_texts() == [
        "class",
        "correctness",
        "confidence",
        "loss",
        "split",
    ]
    loss = -np.log([each.probabilities[np.arange(60), stored.labels] for each in stored.epochs])
    pixels = []
    for color, high in (("confidence", "100 %"), ("loss", f"{loss.max():.2f}")):
        opened.locator("#map-color").select_option(color)
        assert opened.locator("#map-high").inner_text() == high
        left, top = (round(images(opened)[0][side]) for side in ("left", "top"))
        pixels.append(
            opened.evaluate(
                f"[...document.querySelector('#map canvas').getContext('2d').getImageData({left}, {top}, 1, 1).data]"
            )
        )
    assert pixels[0] != pixels[1]
    opened.locator("#map-color").select_option("class")
    assert opened.locator("#map-ramp").is_hidden()


def draw_lasso(page: Page, i: int) -> None:
    """A square of 18 pixels round an image."""
    page.locator("#map-lasso").click()
    x, y = at(page, i)
    page.mouse.move(x - 9, y - 9)
    page.mouse.down()
    for right, down in ((9, -9), (9, 9), (-9, 9)):
        page.mouse.move(x + right, y + down)
    page.mouse.up()


def test_a_lasso_opens_its_images(opened: Page, stored: Features) -> None:
    i = alone(opened)
    draw_lasso(opened, i)
    assert lit(opened) == [i]
    assert thumbnails(opened, 0) == [stored.filenames[i]]
    opened.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
    )
    opened.locator("#drawer-csv").click()
    p = stored.epochs[2].probabilities[i]
    row = f"{stored.filenames[i]},{stored.splits[i]},{stored.classes[stored.labels[i]]},{stored.classes[p.argmax()]}"
    assert opened.evaluate("window.copied").startswith(f"filename,split,label,predicted,confidence\n{row},")
    assert float(opened.evaluate("window.copied").split(",")[-1]) == pytest.approx(p.max(), abs=1e-4)
    opened.locator("#drawer-names").click()
    assert opened.evaluate("window.copied") == f"{stored.filenames[i]}\n"
    opened.locator("#map canvas").focus()
    opened.keyboard.press("Escape")
    assert len(lit(opened)) == 60


def test_the_lasso_has_the_drawer_of_the_page_and_the_address_keeps_it(opened: Page, stored: Features) -> None:
    i = alone(opened)
    draw_lasso(opened, i)
    opened.locator("#drawer-found .thumbnails button").first.click()
    opened.wait_for_function("location.hash.includes('map.image')")
    opened.reload()
    expect(opened.locator("#drawer-large")).to_be_visible()
    assert opened.locator("#drawer-file").inner_text().removesuffix(" (training)") == stored.filenames[i]
    assert lit(opened) == [i]
    opened.keyboard.press("Escape")
    opened.locator("#classes [data-class='0']").click()  # another part opens its own: the map lets go
    assert len(lit(opened)) == len([each for each in images(opened) if each["visible"]])
    opened.wait_for_function("!location.hash.includes('map.lasso')")
    assert "images.class=0" in opened.url
    x, y = at(opened, i)
    opened.mouse.click(x, y)  # and the other way round
    assert thumbnails(opened, 0) == [stored.filenames[i]]
    assert "images.class" not in opened.url
    opened.evaluate("location.hash = 'map.lasso=%00<img>&map.image=1e9'")
    expect(opened.locator("#drawer")).to_be_hidden()


def test_the_address_keeps_view_filter_and_epoch(opened: Page) -> None:
    opened.locator("#map-pca").click()
    opened.locator("#map-slider").fill("1")
    opened.locator("#map-color").select_option("loss")
    opened.locator("#map-search").fill("dress")
    opened.locator("#map canvas").focus()
    opened.keyboard.press("+")
    opened.keyboard.press("Shift+ArrowRight")
    opened.wait_for_function("location.hash.includes('map.view')")
    opened.wait_for_timeout(600)
    before = images(opened)
    opened.reload()
    opened.wait_for_timeout(200)
    assert [(each["lit"], each["visible"]) for each in images(opened)] == [
        (each["lit"], each["visible"]) for each in before
    ]
    np.testing.assert_allclose([each["left"] for each in images(opened)], [each["left"] for each in before], atol=2)
    assert opened.locator("#map-epoch").inner_text() == "epoch 2"
    assert opened.locator("#map-color").input_value() == "loss"
    assert opened.locator("#map-search").input_value() == "dress"
    opened.evaluate("location.hash = 'map.epoch=<img>&map.view=a,b&map.classes=99&map.pin=-5&map.kind=x&map.color=x'")
    expect(opened.locator("#map-epoch")).to_have_text("epoch 3")
    assert len(lit(opened)) == 12


def test_keys_reach_every_function_of_the_map(opened: Page, stored: Features) -> None:
    opened.locator("#map canvas").focus()
    first = images(opened)
    opened.keyboard.press("ArrowRight")
    card = opened.locator("#map-card small")
    names = [card.inner_text()]
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        opened.keyboard.press(key)
        names.append(card.inner_text())
    assert len(set(names)) >= 2
    opened.keyboard.press("Enter")
    assert thumbnails(opened, 0) == [names[-1].removesuffix(" (training)")]
    opened.keyboard.press("Enter")
    expect(opened.locator("#drawer")).to_be_focused()
    opened.keyboard.press("Escape")
    expect(opened.locator("#map canvas")).to_be_focused()
    assert opened.locator("#drawer").is_hidden()
    opened.keyboard.press("+")
    assert np.ptp([each["left"] for each in images(opened)]) > 1.2 * np.ptp([each["left"] for each in first])
    opened.keyboard.press("0")
    np.testing.assert_allclose([each["left"] for each in images(opened)], [each["left"] for each in first], atol=0.1)
    opened.locator("#map-slider").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#map-epoch").inner_text() == "epoch 2"


def test_two_fingers_zoom_and_a_tap_pins(opened: Page, stored: Features) -> None:
    i = alone(opened)
    x, y = at(opened, i)
    session = opened.context.new_cdp_session(opened)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": a, "y": b, "id": number} for number, (a, b) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x, y))
    touch("touchEnd")
    assert thumbnails(opened, 0) == [stored.filenames[i]]
    x, y = at(opened, i)
    before = np.ptp([each["left"] for each in images(opened)])
    touch("touchStart", (x - 20, y), (x + 20, y))
    touch("touchMove", (x - 30, y), (x + 20, y))
    touch("touchMove", (x - 40, y), (x + 40, y))
    touch("touchEnd")
    assert np.ptp([each["left"] for each in images(opened)]) > 1.5 * before


def test_fewer_than_fifty_images_are_a_sentence(watched: Opening, run: RunFolder) -> None:
    import headstart as hs

    hs.Run(run.path).map(split="val")
    with watched(write_report(run), 3) as page:
        assert page.locator("#map").count() == 0
        assert "A map needs at least 50 images" in page.locator("#learned").inner_text()
        assert page.locator("#over-epochs").is_visible()


def test_a_dark_page_is_printed_light_and_open_with_its_map(opened: Page) -> None:
    opened.emulate_media(color_scheme="dark")
    opened.evaluate("""() => window.addEventListener("beforeprint", () => {
        const pixel = document.querySelector("#map canvas").getContext("2d").getImageData(0, 0, 1, 1).data;
        window.printed = [document.querySelectorAll("details:not([open])").length, ...pixel];
    })""")
    closed = opened.locator("details:not([open])").count()
    assert closed > 0
    opened.pdf()
    assert opened.evaluate("window.printed") == [0, 255, 255, 255, 255]
    assert opened.locator("details:not([open])").count() == closed
    opened.emulate_media(media="print")
    assert opened.locator("h1").evaluate("each => getComputedStyle(each).color") == "rgb(29, 36, 48)"
    opened.emulate_media(media="screen", color_scheme="light")
