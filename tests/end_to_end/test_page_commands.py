"""Commands that pages print: each has a button that copies it, and does what it says as it is typed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from command import headstart
from headstart.comparison.study import Study
from headstart.recipes.recipe import Recipe
from headstart.report.page import sentence
from headstart.report.run_page import write_report
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from headstart.training.loop import train
from headstart.training.setup import start
from headstart.watching.pages import list_page
from made_runs import make_run
from pages import Opening, visible

COPIED = re.compile(r"<(?:pre(?: id=\"command\")?|code class=\"typed\")>([^<]*)</(?:pre|code)><button[^>]*data-copy")
TYPED = re.compile(r"\bheadstart (?:fit|predict|evaluate|labels|map|report|check|compare|study|export)\b")
SMALL = "data.image_size=32 augment.sizes=[24,32] train.epochs=1 train.batch_size=12 val.batch_size=12"


def commands_of(page: str) -> list[str]:
    """The commands that a page prints, each of which its button copies."""
    page = re.sub(r"<style>.*?</style>|<title>.*?</title>|<footer>.*?</footer>", "", page, flags=re.DOTALL)
    found = [visible(each) for each in COPIED.findall(page)]
    assert found
    assert TYPED.findall(visible(page)) == TYPED.findall(" ".join(found))  # none without a button
    return found


def assert_they_run(commands: list[str], work: Path, fields: str = "", **places: object) -> None:
    """Each exits with 0; ``places`` are what stands for IMAGES, DATA and the like, ``fields`` make trainings short."""
    for command in commands:
        words = [str(places.get(word, word)) for word in shlex.split(command)]
        assert words[0] == "headstart"
        training = words[1] == "fit" and "--resume" not in words
        out = ["--out", work / f"run-{len(list(work.iterdir()))}"] if training else []
        done = headstart(*words[1:], *(fields.split() if training else []), *out, cwd=work)
        assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where the commands are typed: they work from any folder."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def test_those_of_a_classifier(trained: tuple[Path, Path], work: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained[0], work.parent / "it's a `run`"))
    commands = commands_of(write_report(run).read_text(encoding="utf-8"))
    assert [each.split()[1] for each in commands] == ["predict", "evaluate", "labels", "fit"]
    assert_they_run(commands, work, SMALL, IMAGES=trained[1] / "hat", DATA=trained[1])


def test_those_of_a_segmenter(trained_masks: Path, small_tiles: Path, work: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained_masks, work.parent / "run"))
    commands = commands_of(write_report(run).read_text(encoding="utf-8"))
    assert [each.split()[1] for each in commands] == ["predict", "evaluate", "fit"]
    images = work.parent / "images"
    images.mkdir()
    for file in sorted((small_tiles / "val").glob("*sat*"))[:2] or sorted((small_tiles / "val").iterdir())[:1]:
        shutil.copy(file, images)
    assert_they_run(commands, work, IMAGES=images, DATA=small_tiles)


def test_those_of_features_without_labels(photos_to_read: Path, unlabeled: Callable[..., Recipe], work: Path) -> None:
    run = work.parent / "byol"
    for _ in train(start(unlabeled(train__epochs=1), str(photos_to_read), run)):
        pass
    commands = commands_of(write_report(RunFolder.open(run)).read_text(encoding="utf-8"))
    assert len(commands) == 1
    assert_they_run(commands, work, SMALL, LABELED_DATA=photos_to_read)


def test_those_of_a_stopped_run_and_of_the_list_of_runs(
    photos_to_read: Path, small: Callable[..., Recipe], work: Path
) -> None:
    run = work.parent / "my runs" / "stopped"
    events = train(start(small(train__epochs=2), str(photos_to_read), run))
    for _ in events:
        if RunFolder(run).metrics:
            break
    events.close()
    commands = commands_of(write_report(RunFolder.open(run)).read_text(encoding="utf-8"))
    assert set(commands) >= set(commands_of(list_page(run.parent).decode()))
    assert_they_run(list(dict.fromkeys(commands)), work)
    assert RunFolder.open(run).finished


def test_those_of_a_study(made_study: Callable[..., Study], trained: tuple[Path, Path], work: Path) -> None:
    folder = work.parent / "my study"
    study = made_study(images=400, data=trained[1].name).model_copy(update={"leaked": 12})  # as it was typed
    folder.mkdir()
    (folder / "study.json").write_text(study.to_json())
    for setting in "BF":
        shutil.copytree(
            trained[0], folder / "trials" / f"{setting}-1-seed0", ignore=shutil.ignore_patterns("report.html")
        )
    commands = commands_of(write_study_page(folder).read_text(encoding="utf-8"))
    assert sorted(each.split()[1] for each in commands) == ["check", "predict", "report"]
    assert_they_run(commands, work, IMAGES=trained[1] / "hat")


def test_those_of_a_checked_folder(photos: Path, work: Path) -> None:
    """It is named as it was typed, relative; the page's commands are typed elsewhere."""
    for part in ("front", "back"):  # a hint: are these the classes?
        (photos / "hat" / part).mkdir()
    for i, file in enumerate(sorted((photos / "hat").glob("*.jpg"))):
        file.rename(photos / "hat" / ("front", "back")[i % 2] / file.name)
    found = headstart("check", photos.name, "--html", work.parent / "page.html", cwd=photos.parent)
    assert found.returncode < 2, found.stderr
    commands = commands_of((work.parent / "page.html").read_text(encoding="utf-8"))
    assert commands[:2] == [f"headstart study {photos}", f"headstart fit quick {photos}"]
    assert commands[2:] == [f"headstart check {photos / 'hat'}"]
    assert headstart(*shlex.split(commands[2])[1:], cwd=work).returncode < 2


def test_those_of_a_comparison(trained: tuple[Path, Path], work: Path) -> None:
    right = np.arange(60) < 30
    paths = [make_run(trained[0], work.parent / f"run {i}", np.arange(60) % 3, right ^ (i > 0)) for i in (0, 1)]
    hs.compare(paths, page=work.parent / "page.html")
    commands = commands_of((work.parent / "page.html").read_text(encoding="utf-8"))
    assert [each.split()[1] for each in commands] == ["predict", "fit"]
    assert_they_run(commands, work, SMALL, IMAGES=trained[1] / "hat", DATA=trained[1])


def test_the_buttons_copy_what_stands_beside_them(watched: Opening, trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "it's <b>a</b> `run`"))
    file = write_report(run)
    with watched(file, 3) as page:
        page.evaluate(
            "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (t) => { window.copied = t; }}})"
        )
        copied = []
        for button in page.locator("button[data-copy]").all():
            button.click()
            copied.append(page.evaluate("window.copied"))
    assert copied == commands_of(file.read_text(encoding="utf-8"))
    assert shlex.split(copied[0])[2] == str(run.path.absolute())


def test_a_command_in_a_sentence_is_told_by_its_backticks_and_escaped() -> None:
    found = sentence("Of 5 %: `headstart check 'a ` <b> 7 %'`, which `names` <them>.")
    assert COPIED.findall(found) == ["headstart check &#39;a ` &lt;b&gt; 7 %&#39;"]
    assert "5\N{NO-BREAK SPACE}%" in found
    assert "`names` &lt;them&gt;." in found
