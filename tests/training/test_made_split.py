"""A run keeps the split that it began with, wherever it goes on or is evaluated."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from rich.console import Console

import headstart as hs
from headstart.data.checks import duplicate_sets as sets
from headstart.data.layouts import scan
from headstart.data.splits import make_val_split, training_index
from headstart.errors import HeadstartError
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_held_out
from headstart.training.loop import Step, train
from headstart.training.setup import resume, start

pytestmark = pytest.mark.slow

Small = Callable[..., recipes.Recipe]


@pytest.fixture
def twice(photos: Path) -> Path:
    """Every photograph and its mirror image."""
    for file in sorted(photos.rglob("*.jpg")):
        with Image.open(file) as picture:
            ImageOps.mirror(picture).save(file.with_stem(f"{file.stem} again"))
    return photos


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One with an empty cache, where rounding makes no two pictures near duplicates."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "another cache"))
    monkeypatch.setattr(sets, "near_duplicates", lambda _: [])


def fitted(data: Path, out: Path, recipe: recipes.Recipe) -> RunFolder:
    hs.fit(recipe, data, out=out, console=Console(file=io.StringIO()))
    return RunFolder.open(out)


def held_out(data: Path) -> set[str]:
    index = training_index(str(data), recipes.Data())
    return {index.paths[row] for row in index.positions("val")}


def test_resumed_on_another_machine_it_keeps_its_split(
    twice: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = held_out(twice)
    loop = train(start(small(), str(twice), tmp_path / "run"))
    assert isinstance(next(loop), Step)
    loop.close()
    moved = shutil.copytree(twice, tmp_path / "moved")
    another_machine(monkeypatch, tmp_path)
    assert held_out(moved) != expected
    state = resume(tmp_path / "run", str(moved))
    assert {state.pixels.index.paths[row] for row in state.pixels.index.positions("val")} == expected
    assert set(read_held_out(state.run)) == expected


def test_other_images_are_refused_all_the_same(twice: Path, tmp_path: Path, small: Small) -> None:
    start(small(), str(twice), tmp_path / "run")
    next(twice.rglob("*again.jpg")).unlink()
    with pytest.raises(HeadstartError, match=r"expected the images that .* began with"):
        resume(tmp_path / "run")


@pytest.mark.slow
def test_it_is_evaluated_on_the_images_that_it_held_out(
    twice: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fitted(twice, tmp_path / "run", small(train__epochs=1))
    expected = held_out(twice)
    another_machine(monkeypatch, tmp_path)
    for split in (None, "val"):
        evaluation = hs.Run(run.path).evaluate(twice, split=split)
        assert (evaluation.split, set(evaluation.paths), evaluation.excluded) == ("val", expected, 0)


@pytest.mark.slow
def test_runs_without_a_stored_split_are_evaluated_as_before(
    photos: Path, tmp_path: Path, trained: tuple[Path, Path]
) -> None:
    """Their split follows from the names alone."""
    run, data = shutil.copytree(trained[0], tmp_path / "run"), trained[1]
    (run / "held_out.json").unlink()
    (run / "checksums.json").unlink()  # a run of that time has none
    index = make_val_split(scan(data), 0.2)
    evaluation = hs.Run(run).evaluate(data)
    assert evaluation.split == "val"
    assert set(evaluation.paths) == {index.paths[row] for row in index.positions("val")}


@pytest.mark.slow
def test_a_split_of_other_images_is_the_one_that_fit_would_make(
    twice: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for file in twice.rglob("*.jpg"):
        target = other / file.parent.name / f"other {file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    evaluation = hs.Run(trained[0]).evaluate(other, split="val")
    held = held_out(other)
    assert set(evaluation.paths) == held
