"""`headstart compare` says which run is better in 80 columns, writes a page, and refuses in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import headstart as hs
from command import headstart, refused
from headstart.comparison.run_verdict import verdict
from headstart.comparison.study import Study
from headstart.console.compare_table import compare_table
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import mark_unfinished
from made_runs import make_run
from pages import assert_loads_nothing, visible

LABELS = np.arange(120) % 3
HOSTILE = "<script>alert('x')</script>\"&é"


@pytest.fixture
def runs(trained: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, of which the second has 20 of 120 images more."""
    one = make_run(trained[0], tmp_path / "runs" / "one", LABELS, np.arange(120) < 80)
    fields = {"optimizer.lr": 0.1}
    return one, make_run(trained[0], tmp_path / "runs" / "two", LABELS, np.arange(120) < 100, fields=fields)


def test_it_says_the_verdict_and_what_differs_and_writes_a_page(runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = headstart("compare", *runs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "two beats one by 17 points (95 % CI 10 to 24)." in done.stdout
    assert "variance between seeds is not in these intervals" in " ".join(done.stdout.split())
    assert "optimizer.lr: 0.001 | 0.1" in done.stdout
    assert f"page     {tmp_path / 'runs' / 'comparison.html'}" in done.stdout
    page = (tmp_path / "runs" / "comparison.html").read_text(encoding="utf-8")
    seen = visible(page)
    assert verdict(hs.compare(runs)) in seen
    assert "two mends 20 and breaks 0" in seen
    assert "optimizer.lr 0.001 0.1" in seen
    links = page.replace('<a href="one/report.html"', '<a href="#"').replace('<a href="two/report.html"', '<a href="#"')
    assert links.count('<a href="#"') >= 4
    assert_loads_nothing(links)


def test_the_table_fits_80_columns_whatever_the_names(trained: tuple[Path, Path], tmp_path: Path) -> None:
    paths = [
        make_run(
            trained[0], tmp_path / f"{i}-{'long-name' * 15}", LABELS, i != LABELS, fields={"optimizer.lr": 0.1 + i}
        )
        for i in range(3)
    ]
    comparison = hs.compare(paths)
    console = Console(width=80, record=True, quiet=True)
    with console.capture() as said:
        console.quiet = False
        console.print(compare_table(comparison))
    assert "n.s." in said.get()
    assert max(map(len, said.get().splitlines())) <= 80
    assert "+0.0" in said.get()


def test_a_page_of_the_users_is_never_replaced(runs: tuple[Path, Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    assert "--force to replace mine.html" in refused("compare", *runs, "--output", mine)
    assert mine.read_text() == "mine"
    assert headstart("compare", *runs, "--output", mine, "--force").returncode == 0
    assert "headstart-compare" in mine.read_text(encoding="utf-8")
    assert headstart("compare", *runs, "--output", mine).returncode == 0, "its own page is written again"
    turned = tuple(reversed(runs))
    assert "found another file" in refused("compare", *turned, "--output", mine)
    for folder_of, name in ((runs, "comparison.html"), (turned, "comparison-2.html"), (runs, "comparison.html")):
        assert f"{runs[0].parent / name}" in headstart("compare", *folder_of).stdout
    assert "found a folder" in refused("compare", *runs, "--output", tmp_path)


def test_what_cannot_be_compared_is_refused_in_one_line(
    runs: tuple[Path, Path],
    trained: tuple[Path, Path],
    made_segmentation: Path,
    made_study: Callable[..., Study],
    tmp_path: Path,
) -> None:
    elsewhere = [f"other-{i}.jpg" for i in range(120)]
    other = make_run(trained[0], tmp_path / "other", LABELS, LABELS == 0, names=elsewhere)
    kinds = make_run(trained[0], tmp_path / "kinds", LABELS, LABELS == 0, classes=["cat", "dog", "fox"])
    unfinished = make_run(trained[0], tmp_path / "unfinished", LABELS, LABELS == 0, fields={"train.epochs": 50})
    mark_unfinished(unfinished)
    begun = tmp_path / "study"
    begun.mkdir()
    (begun / "study.json").write_text(made_study(skip=lambda s, f, k: s != "A").to_json())
    race = tmp_path / "race"
    race.mkdir()
    (race / "race.json").write_text("{}")
    for words, said in [
        ((runs[0], other), f"found none in common (images of {runs[0]}: 120, {other}: 120)"),
        ((runs[0], kinds), "expected the classes of"),
        ((runs[0], made_segmentation), f"{made_segmentation}: expected a run of the same task"),
        ((runs[0], unfinished), f"{unfinished}: expected a finished run, found 3 of 50 epochs"),
        ((runs[0], tmp_path), f"{tmp_path}: expected runs, found a folder of 3"),
        ((runs[0], trained[1]), f"{trained[1]}: expected a run folder, found no recipe.toml"),
        ((runs[0], tmp_path / "nowhere"), "expected a run folder, found no such folder"),
        ((runs[0],), "expected two runs or more, or a study, found 1"),
        ((runs[0], runs[0]), "expected different runs, found this one twice"),
        ((begun, runs[0]), "expected runs, or one study alone"),
        ((begun,), "expected a study with two settings trained on the same labels"),
        ((race,), "found a race of backbones"),
    ]:
        assert said in refused("compare", *words, "--output", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert headstart("compare", runs[0], unfinished, "--unfinished", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_a_run_without_labels_is_refused(
    photos: Path, unlabeled: Callable[..., Recipe], runs: tuple[Path, Path], tmp_path: Path
) -> None:
    run = hs.fit(unlabeled(train__epochs=1), photos, out=tmp_path / "byol", console=Console(quiet=True))
    assert "byol" in refused("compare", run.path, runs[0])
    assert "byol" in refused("compare", runs[0], run.path)


def test_names_stay_text(trained: tuple[Path, Path], tmp_path: Path) -> None:
    classes = [HOSTILE, "b", "c"]
    names = [f"{HOSTILE}/{i}.jpg" for i in range(120)]
    paths = [
        make_run(trained[0], tmp_path / f"<b>{i}</b>", LABELS, i != LABELS, classes=classes, names=names)
        for i in range(2)
    ]
    for path in paths:
        RunFolder(path).write_json("data.json", {**RunFolder(path).data, "root": HOSTILE, "fingerprint": HOSTILE})
    hs.compare(paths, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<b>0" not in page


@pytest.mark.slow
def test_it_needs_no_torch(runs: tuple[Path, Path], made_segmentation: Path, tmp_path: Path) -> None:
    masks = shutil.copytree(made_segmentation, tmp_path / "masks")
    code = (
        "import sys; import headstart as hs;"
        f"hs.compare([{str(runs[0])!r}, {str(runs[1])!r}], page={str(tmp_path / 'a.html')!r});"
        f"hs.compare([{str(masks)!r}, {str(made_segmentation)!r}], page={str(tmp_path / 'b.html')!r});"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "2 runs compared on 24 images" in visible(page)
