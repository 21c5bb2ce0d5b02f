"""Every kind of page in a browser with axe-core: nothing serious or critical, in both color schemes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

import headstart as hs
from accessible import assert_accessible, violations
from headstart.comparison.study import Study
from headstart.report.race_page import write_race_page
from headstart.report.run_page import write_report
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import mark_unfinished
from made_race import make_race
from made_runs import make_run
from pages import Opening, assert_on_the_first_screen


def test_axe_finds_what_is_wrong(page: Page) -> None:
    page.set_content(
        "<html lang=en><title>t</title><main><img src='data:,'><p style='color:#ccc'>pale</p></main></html>"
    )
    assert {each.split(":")[0] for each in violations(page)} == {"image-alt", "color-contrast"}


@pytest.mark.parametrize("kind", ["finished", "stopped"])
def test_the_page_of_a_classifier(kind: str, watched: Opening, trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))
    if kind == "stopped":
        mark_unfinished(run.path)
    with watched(write_report(run), 3) as page:
        assert_on_the_first_screen(page, "#headline", ".warning", "#intervals .broad", "#answer pre")
        assert_accessible(page)
        if kind == "stopped":
            return
        page.locator("#confusion [data-cell]").first.click()
        assert_accessible(page)
        page.locator("#drawer-found .thumbnails > button").first.click()
        assert_accessible(page)


def test_the_page_of_a_segmenter(watched: Opening, made_segmentation: Path, tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(made_segmentation, tmp_path / "run"))
    with watched(write_report(run), 3) as page:
        page.wait_for_function("document.querySelector('#mask-stage canvas')?.width > 300")
        assert_on_the_first_screen(page, "#headline", ".warning", "#intervals .broad", "#answer pre")
        assert_accessible(page)


def test_the_page_of_a_study(watched: Opening, made_study: Callable[..., Study], tmp_path: Path) -> None:
    study = made_study(images=341).model_copy(update={"leaked": 12})
    (tmp_path / "study.json").write_text(study.to_json())
    with watched(write_study_page(tmp_path), 3) as page:
        assert_on_the_first_screen(page, "#headline", ".warning", "#intervals .broad", "#command")
        page.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true; })")
        assert_accessible(page)


def test_the_page_of_compared_runs(watched: Opening, trained: tuple[Path, Path], tmp_path: Path) -> None:
    paths = [
        make_run(trained[0], tmp_path / f"run-{i}", np.arange(60) % 3, np.arange(60) < 30 + 20 * i) for i in (0, 1)
    ]
    hs.compare(paths, page=tmp_path / "page.html")
    with watched(tmp_path / "page.html", 2) as page:
        assert_accessible(page)


def test_the_page_of_a_race(watched: Opening, tmp_path: Path) -> None:
    race = make_race({"one": 0.6, "two": 0.8, "bad": 0.3}, {"one": 0.7, "two": 0.85})
    with watched(write_race_page(tmp_path, race), 1) as page:
        assert_accessible(page)
