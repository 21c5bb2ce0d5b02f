"""A watched page in a browser: it changes with its file, keeps what the reader has set, and says what the run does."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import headstart as hs
from accessible import assert_accessible
from headstart.comparison.study import Study
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import finish, mark_unfinished
from headstart.runs.lock import own
from headstart.watching import server as watching
from headstart.watching.server import WatchServer, serve_folder

expect.set_options(timeout=20_000)  # of a machine that does other work


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def server(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchServer]:
    monkeypatch.setattr(watching, "LOOK", 0.05)
    monkeypatch.setattr(watching, "BEAT", 0.3)
    with serve_folder(runs) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def opened(page: Page, server: WatchServer) -> Iterator[Page]:
    """The first page, by the address that is printed; fails on any error, and on any request to another host."""
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    here = (*(f"http://127.0.0.1:{each.port}/" for each in (server, server.images)), "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(here) else faults.append(asked.url))
    page.goto(server.address)
    assert page.url == f"http://127.0.0.1:{server.port}/"
    yield page
    page.goto("about:blank")
    assert faults == []


def rewritten(run: Path, title: str) -> None:
    """Write the report of a run anew, under another title."""
    text = hs.Run(run).report().read_text(encoding="utf-8")
    RunFolder(run).write("report.html", text.replace("<h1>", f"<h1>{title} ", 1).encode())


def test_the_viewer_of_masks_and_the_drawer_stay_as_they_are_set(
    opened: Page, made_segmentation: Path, trained: tuple[Path, Path], runs: Path
) -> None:
    masks, photos = (
        shutil.copytree(source, runs / name) for source, name in ((made_segmentation, "m"), (trained[0], "p"))
    )
    for run in (masks, photos):
        hs.Run(run).report()
    address = opened.url
    opened.goto(address + "m/report.html")
    opened.locator("[name=mask-view][value=difference]").check(force=True)
    opened.locator("#mask-truth").select_option("2")
    found = opened.locator("#mask-found").inner_text()
    opened.locator("#mask-slider").fill("0")
    rewritten(masks, "another")
    expect(opened.locator("h1")).to_contain_text("another")
    assert opened.locator("[name=mask-view][value=difference]").is_checked()
    assert opened.locator("#mask-truth").input_value() == "2"
    assert opened.locator("#mask-slider").input_value() == "0"
    assert opened.locator("#mask-found").inner_text() == found
    opened.goto(address + "p/report.html")
    opened.locator("#confusion [data-cell]").first.click()
    shown = opened.locator("#drawer-found").inner_text()
    rewritten(photos, "another")
    expect(opened.locator("h1")).to_contain_text("another")
    assert opened.locator("#drawer-found").inner_text() == shown != ""
    opened.locator("#drawer-close").click()
    assert opened.locator("#drawer").is_hidden()


def test_what_the_reader_has_set_stays_when_the_report_changes(
    opened: Page, trained: tuple[Path, Path], runs: Path
) -> None:
    run = shutil.copytree(trained[0], runs / "photos")
    expect(opened.locator("a", has_text="photos")).to_be_visible()
    assert_accessible(opened)
    opened.locator("a", has_text="photos").click()  # it has appeared by itself
    opened.wait_for_url("**/photos/report.html")
    opened.evaluate("window.stays = true")
    state = opened.locator("#watch [role=status]")
    expect(state).to_have_text("finished: 3 of 3 epochs")
    assert_accessible(opened)
    slider = opened.locator("#map-slider")
    first = slider.evaluate("each => { each.value = 0; each.dispatchEvent(new Event('input')); return each.max; }")
    assert int(first) > 0
    opened.locator("#map-search").fill("hat")
    opened.locator("#map-pca").click()
    chip = opened.locator("#map-legend .chip").nth(1)
    chip.click()
    key = opened.locator("#curves .key").first
    key.click()
    opened.locator("#classes th").nth(1).click()
    opened.locator("details").last.evaluate("each => { each.open = true; }")
    opened.locator("#classes").evaluate(
        "each => window.scrollTo(0, window.scrollY + each.getBoundingClientRect().top - 200)"
    )
    before = opened.locator("#classes").bounding_box()
    for number in (1, 2):  # twice: scripts run again and again
        rewritten(run, f"number {number}")
        expect(opened.locator("h1")).to_contain_text(f"number {number}")
        assert slider.input_value() == "0"
        assert opened.locator("#map-epoch").inner_text() == "epoch 1"
        assert opened.locator("#map-search").input_value() == "hat"
        assert opened.locator("#map-pca").get_attribute("aria-pressed") == "true"
        assert chip.get_attribute("aria-pressed") == "true"
        assert opened.locator("#map-legend .chip[aria-pressed=true]").count() == 1
        assert key.get_attribute("aria-pressed") == "false"
        assert not opened.locator("#curves g[data-line=training]").first.is_visible()
        assert opened.locator("#classes th").nth(1).get_attribute("aria-sort") == "ascending"
        assert opened.locator("details").last.get_attribute("open") is not None
        after = opened.locator("#classes").bounding_box()
        assert before is not None
        assert after is not None
        assert after["y"] == pytest.approx(before["y"], abs=2)
        lit = opened.evaluate("document.getElementById('map').images().filter(each => each.lit).length")
        assert 0 < lit < 60
    assert opened.evaluate("window.stays") is True, "the page was never loaded again"
    key.click()
    assert opened.locator("#curves g[data-line=training]").first.is_visible()
    assert opened.locator("#tip").count() == 1


def test_the_slider_follows_the_latest_epoch_unless_it_was_moved(
    opened: Page, trained: tuple[Path, Path], runs: Path
) -> None:
    run = shutil.copytree(trained[0], runs / "photos")
    hs.Run(run).map(epochs=(1, 2))
    rewritten(run, "two")
    opened.goto(f"{opened.url}photos/report.html")
    assert opened.locator("#map-epoch").inner_text() == "epoch 2"
    hs.Run(run).map(epochs=(1, 2, 3))
    rewritten(run, "three")
    expect(opened.locator("#map-epoch")).to_have_text("epoch 3")


def test_it_says_starting_training_stopped_with_the_command_and_finished(
    opened: Page, trained: tuple[Path, Path], runs: Path
) -> None:
    run = runs / "a run"
    state, bar = opened.locator("#watch [role=status]"), opened.locator("#watch")
    with ExitStack() as training:
        training.enter_context(own(run))
        expect(opened.locator("#runs")).to_contain_text("starting: images are read")
        opened.locator("#runs a").click()
        expect(opened.locator("h1")).to_have_text("Waiting for the first epoch")
        shutil.copytree(trained[0], run, dirs_exist_ok=True)
        mark_unfinished(run)
        RunFolder(run).write_table("metrics.csv", [row for row in RunFolder(run).metrics if row["epoch"] < 2])
        rewritten(run, "begun")
        expect(opened.locator("h1")).to_contain_text("begun")
        expect(state).to_have_text("training: 2 of 3 epochs done")
        assert bar.get_attribute("data-kind") == "training"
        expect(bar.locator("time")).to_have_text(re.compile(r"as of \d\d:\d\d:\d\d"))
        assert not bar.locator("button").is_visible()
    expect(state).to_have_text("stopped: 2 of 3 epochs done")
    assert bar.locator("code").inner_text() == f"headstart fit --resume '{run}'"
    opened.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
    )
    bar.locator("button").click()
    assert opened.evaluate("window.copied") == f"headstart fit --resume '{run}'"
    shutil.copy(trained[0] / "metrics.csv", run)
    shutil.copy(trained[0] / "checksums.json", run)
    finish(run)
    expect(state).to_have_text("finished: 3 of 3 epochs")
    assert not bar.locator("code").is_visible()


def test_a_study_is_followed_with_its_sorting(opened: Page, made_study: Callable[..., Study], runs: Path) -> None:
    folder = runs / "study"
    folder.mkdir()
    address = f"{opened.url}study/report.html"

    def write(**fields: object) -> None:
        (folder / "study.json").write_text(made_study(**fields).to_json())
        write_study_page(folder)

    write(skip=lambda s, f, k: k > 0)
    opened.goto(address)
    expect(opened.locator(".state")).to_contain_text("21 of 63 trials done")
    opened.locator("#trials th", has_text="accuracy").click()
    opened.locator("#trials th", has_text="accuracy").click()
    write()
    expect(opened.locator(".state")).to_contain_text("63 of 63 trials done")
    texts = opened.locator("#trials tbody tr").evaluate_all("rows => rows.map(row => +row.cells[2].dataset.value)")
    assert texts == sorted(texts, reverse=True)
    expect(opened.locator("#watch [role=status]")).to_have_text("finished: 63 of 63 trials done")


def test_an_enlarged_image_is_the_file_and_no_script_reads_it(
    opened: Page, server: WatchServer, trained: tuple[Path, Path], runs: Path
) -> None:
    shutil.copytree(trained[0], runs / "a run")
    hs.Run(runs / "a run").report()
    opened.goto(f"http://127.0.0.1:{server.port}/a%20run/report.html")
    opened.locator("#confusion [data-cell]").first.click()
    opened.locator("#drawer-found .thumbnails > button").first.click()
    expect(opened.locator("#drawer-source")).to_contain_text("the file, ")
    shown = opened.locator("#drawer-large i").evaluate("e => getComputedStyle(e).backgroundImage.slice(5, -2)")
    assert shown.startswith(f"http://127.0.0.1:{server.images.port}/a%20run/image?file=")
    read = """async (url) => {
      const image = new Image(), canvas = document.createElement("canvas");
      image.src = url;
      await image.decode();
      canvas.getContext("2d").drawImage(image, 0, 0);
      try { return canvas.toDataURL(); } catch (error) { return error.name; }
    }"""
    assert opened.evaluate(read, shown) == "SecurityError"
