"""What Python programs call."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import headstart as hs
from headstart.recipes import recipe as recipes

QUIET = Console(file=io.StringIO())


def test_the_public_surface_is_what_the_package_says() -> None:
    assert sorted(hs.__all__) == ["HeadstartError", "OnnxModel", "Run", "check", "compare", "fit", "resume", "study"]
    assert all(getattr(hs, name).__doc__ for name in hs.__all__)
    assert callable(hs.fit), "no module of that name may hide the function"
    assert callable(hs.study)


@pytest.mark.slow
def test_a_run_goes_to_a_folder_of_its_own(
    photos: Path, small: Callable[..., recipes.Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    runs = [hs.fit(small(train__epochs=1), "photos", console=QUIET) for _ in range(2)]
    assert [str(run.path) for run in runs] == ["runs/quick-photos", "runs/quick-photos-2"]
    assert runs[0].accuracy == runs[1].accuracy


def test_values_that_are_none_of_those_asked_for_are_told(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run, photos, out = hs.Run(trained[0]), trained[1], tmp_path / "out"
    for call, said in (
        (lambda: run.map(perplexity=float("nan")), "perplexity: expected 1 to "),
        (lambda: run.map(perplexity=-3), "perplexity: expected 1 to "),
        (lambda: run.map(split="test"), "split: expected one of all, val, train, found test"),  # type: ignore[arg-type]
        (lambda: run.write_masks(photos, out), "expected a run that predicts masks"),
        (lambda: hs.compare(str(run.path)), "expected two runs or more, or a study, found 1"),
        (lambda: hs.study(photos, out=out, jobs=0), "--jobs: expected 1 or more, found 0"),
        (lambda: hs.study(photos, out=out, budget=600), "expected a time such as 30m or 2h, found 600"),  # type: ignore[arg-type]
        (lambda: hs.study(photos, out=out, labels="0.5"), "labels: expected numbers"),  # type: ignore[arg-type]
        (lambda: hs.study(photos, out=out, settings=["A", "Z"]), "found AZ"),  # type: ignore[arg-type]
        (lambda: hs.fit(tmp_path / "none.toml", photos, out=out), "none.toml"),
        (lambda: hs.fit("quick", photos, out=out, overrides={"train.epochs": np.int64(0)}), "greater than 0, found 0"),
    ):
        with pytest.raises(hs.HeadstartError, match=re.escape(said)):
            call()
    assert not out.exists()


@pytest.mark.slow
def test_overrides_are_laid_over_a_recipe_by_name_or_by_value(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    run = hs.fit(small(), photos, out=tmp_path / "run", overrides={"train.epochs": 1, "seed": 5}, console=QUIET)
    assert (run.folder.recipe.train.epochs, run.folder.recipe.seed) == (1, 5)
    with pytest.raises(hs.HeadstartError, match="unknown field train"):
        hs.fit("quick", photos, out=tmp_path / "other", overrides={"train.epoch": 1})
    assert not (tmp_path / "other").exists()


class Reader(io.StringIO):
    """Where a console writes; at every epoch's line it looks at what the report says."""

    def __init__(self, report: Path) -> None:
        super().__init__()
        self.report, self.seen = report, list[str]()

    def write(self, text: str) -> int:
        if text.startswith("epoch ") and self.report.exists():
            said = re.search(r"(\d of \d) epochs done", self.report.read_text(encoding="utf-8"))
            self.seen.append(said.group(1) if said else "nothing")
        return super().write(text)


@pytest.mark.slow
def test_the_report_is_rewritten_while_training(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each epoch, were it not for the share of the time that it may take."""
    monkeypatch.setattr("headstart.console.progress.REPORT_SHARE", 1e9)
    reader = Reader(tmp_path / "run" / "report.html")
    run = hs.fit(small(train__epochs=4), photos, out=tmp_path / "run", console=Console(file=reader))
    assert reader.seen == ["1 of 4", "2 of 4", "3 of 4"], "at the lines of epochs 2, 3 and 4"
    assert "epochs done" not in run.report().read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_terminal_shows_a_table_of_epochs_and_the_time_left(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=120, color_system=None)
    hs.fit(small(), photos, out=tmp_path / "run", console=terminal)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert re.search(r"epoch +train loss +train accuracy +val loss +val accuracy +seconds +images/s", said)
    assert re.search(r"1/3 +\d\.\d{4} +\d+\.\d\d% +\d\.\d{4} +\d+\.\d\d% +\d+ +\d+", said)
    assert re.search(r"epoch \d/3 [━╸╺ ]+ \d+% \d+ s left", said)
    assert re.search(r"epoch 3/3 [━╸╺ ]+ 100%", said)
    assert "best" in said
    assert "(best so far)" not in said, "the lines of a log are for where nobody looks"


def test_a_run_knows_itself(trained: tuple[Path, Path]) -> None:
    run = hs.Run(trained[0])
    assert run.finished
    assert run.classes == ["dress", "hat", "shoes"]
    values = [row["accuracy"] for row in run.metrics if row["split"] == "val"]
    assert run.accuracy == max(values)
    assert run.report() == trained[0] / "report.html"


@pytest.mark.slow
def test_fit_works_where_signals_cannot_be_had(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    """In a thread that is not the main one, as in a notebook server or a web application."""
    runs: list[hs.Run] = []
    recipe = small(train__epochs=1)
    thread = threading.Thread(target=lambda: runs.append(hs.fit(recipe, photos, out=tmp_path / "run", console=QUIET)))
    thread.start()
    thread.join()
    assert runs[0].finished


def test_an_error_has_a_problem_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(hs.HeadstartError) as caught:
        hs.check(tmp_path / "nowhere")
    assert "found no such folder" in caught.value.message
    assert caught.value.hint.startswith("ls ")
