"""What is typed wrongly is told in one line, with what was meant; what is typed rightly begins to speak at once."""

from __future__ import annotations

import io
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from command import headstart, refused
from headstart.analysis.result import result_sentences
from headstart.console.progress import EverySoOften, TimeLeft, make_progress, share_and_time_left
from headstart.metrics.classification import classification_metrics
from headstart.metrics.written import duration
from headstart.recipes.recipe import fields_named
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions

COMMANDS = [
    *(
        "",
        "check",
        "compare",
        "demo",
        "evaluate",
        "export",
        "fit",
        "labels",
        "map",
        "predict",
        "report",
        "serve",
        "study",
    ),
    *("study", "watch", "cache clear", "cache ls", "recipe cp", "recipe ls", "recipe show"),
]


def test_a_field_is_found_by_its_last_name(photos: Path) -> None:
    assert fields_named("lr") == ["optimizer.lr"]
    assert fields_named("nothing_like_this") == []
    said = refused("fit", "quick", photos, "lr=2")
    assert "unknown field lr; did you mean optimizer.lr?" in said
    assert "did you mean train.epochs or analysis.epochs?" in refused("fit", "quick", photos, "epochs=2")


@pytest.mark.parametrize("words", [("--epochs", "2"), ("--epochs=2",)])
def test_an_option_that_is_a_field_is_shown_as_one(words: tuple[str, ...]) -> None:
    said = refused("fit", "quick", "my photos", *words)
    assert "found --epochs; recipe fields are written as train.epochs=VALUE" in said
    assert said.endswith("Next: headstart fit quick 'my photos' train.epochs=2")


def test_an_unknown_option_names_a_similar_one() -> None:
    assert "expected an option, found --seed; did you mean --seeds" in refused("study", "photos", "--seed", "3")
    assert "--seeds" in refused("study", "photos", "--seeds", "three")
    assert "Missing argument 'IMAGES'" in refused("predict", "runs/one")
    assert "optimizer" not in refused("predict", "runs/one", "photos", "--lr", "3"), "predict has no fields"


def test_swapped_arguments_are_told_in_their_order(photos: Path) -> None:
    said = refused("fit", photos, "quick", "train.epochs=2")
    assert said.endswith(f"Next: headstart fit quick {photos} train.epochs=2")


def test_a_folder_that_is_none_names_its_neighbor(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "other.txt").touch()
    for command in (("check",), ("fit", "quick"), ("study",)):
        assert f"no such folder; did you mean {tmp_path}/photos?" in refused(*command, tmp_path / "photo")
    for command in (("report",), ("map",), ("watch",), ("predict",)):
        images = [tmp_path] if command == ("predict",) else []
        assert f"; did you mean {tmp_path}/photos?" in refused(*command, tmp_path / "photo", *images)
    assert "did you mean" not in refused("check", tmp_path / "quite-different")
    assert "did you mean" not in refused("check", tmp_path / "none" / "photo")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_opens_with_two_examples(command: str) -> None:
    said = headstart(*command.split(), "--help").stdout
    begin = said.split("Options")[0].split("Arguments")[0]
    assert len(re.findall(r"(?m)^ (?:HEADSTART_CACHE=\S+ )?headstart \w", begin)) == 2


def test_a_pipe_hears_a_line_only_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("headstart.console.progress.time.monotonic", lambda: now[0])
    for terminal in (False, True):
        out = io.StringIO()
        lines = EverySoOften(Console(file=out, force_terminal=terminal))
        for second in range(100):
            now[0] += 1
            lines.say(partial("at {}".format, second))
            if second == 40:
                lines.spoken()
        assert out.getvalue().split("\n")[:-1] == ([] if terminal else ["at 29", "at 70"])
    assert share_and_time_left(38, 100, 50) == "38 %, 1 min 22 s left"
    assert share_and_time_left(0, 100, 50) == "begun"
    assert [duration(each) for each in (4.4, 80, 3700)] == ["4 s", "1 min 20 s", "1 h 1 min"]


def test_a_bar_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bar = make_progress(console, transient=False)
    now = [0.0]
    bar.get_time = lambda: now[0]
    task = bar.add_task("epoch 2/6", total=100)
    assert TimeLeft().render(bar.tasks[0]).plain == ""
    for done in (10, 20):
        now[0] += 10
        bar.update(task, completed=done)
    now[0] += 10
    bar.update(task, completed=30)
    assert TimeLeft().render(bar.tasks[0]).plain == "1 min 10 s left"


def test_fit_ends_with_what_the_run_reached_and_where_it_fails(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))
    predictions = read_predictions(run)
    assert predictions is not None
    found = classification_metrics(predictions.labels, predictions.probabilities, run.classes)
    said = result_sentences(run)
    assert said[0].startswith(f"validation accuracy {100 * found.accuracy.value:.0f} % (95 % CI ")
    assert said[0].endswith(" on 12 validation images".replace("validation ", ""))
    assert said[1].startswith("always predicting the most frequent class: 33.3 %")
    assert ("which this" in said[1]) == (found.accuracy.low <= 1 / 3)
    counts = np.array(found.confusion)
    recall = counts.diagonal() / counts.sum(axis=1)
    if recall.min() == 1:
        assert len(said) == 2
        return
    weakest = int(recall.argmin())
    assert said[2].startswith(f"weakest class: {run.classes[weakest]}, {counts[weakest, weakest]} of 4 correct")


def test_the_result_of_masks_names_the_class_that_is_missed_most(made_segmentation: Path) -> None:
    said = result_sentences(RunFolder.open(made_segmentation))
    assert re.match(r"validation mean IoU [\d.]+ % \(95 % CI .*\), pixel accuracy [\d.]+ %, on 24 images", said[0])
    assert re.match(
        r"weakest class: \w+, [\d.]+ % of its pixels correct, most often taken for \w+ \([\d.]+ %\)", said[2]
    )


def test_an_unknown_command_is_one_line_with_the_nearest(photos: Path) -> None:
    assert refused("fitt", "quick").startswith("error expected a command, found fitt; did you mean fit?")
    assert "did you mean show? Next: headstart recipe --help" in refused("recipe", "shw")
    assert refused("--versio").startswith("error No such option: --versio")
    assert f"found the folder {photos}. Next: headstart study {photos}" in refused(photos)
