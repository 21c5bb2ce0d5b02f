"""Cross-validation: every image is evaluated by trainings without it, and folds that cannot be are refused."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import headstart as hs
from headstart.cli.main import main
from headstart.comparison.findings import findings
from headstart.comparison.intervals import average, difference
from headstart.comparison.study import read_study
from headstart.comparison.summary import Results
from headstart.data.splits import make_fold, training_index
from headstart.recipes.recipe import Data
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.runs.training_images import read_trained_on
from headstart.studies.folds import fold_plans
from headstart.studies.request import make_plan

TINY = {"data.image_size": 32, "augment.sizes": [], "backbone.name": "resnet10t", "backbone.weights": "none"}


def held_out(root: Path, part: int, parts: int, **more: Any) -> set[str]:
    index = training_index(str(root), Data(fold=(part, parts), **more))
    assert index.split_made
    return {index.paths[row] for row in index.positions("val")}


def test_each_image_is_in_one_part_whatever_the_order(photos: Path) -> None:
    """Twenty images of each of three classes: seven, seven and six of each."""
    parts = [held_out(photos, part, 3) for part in (1, 2, 3)]
    assert Counter(name for part in parts for name in part) == Counter(
        file.relative_to(photos).as_posix() for file in photos.rglob("*.jpg")
    )
    for part in parts:
        assert set(Counter(name.split("/")[0] for name in part).values()) <= {6, 7}
    index = training_index(str(photos), Data())
    shuffled = np.random.default_rng(0).permutation(len(index))
    fields = {name: tuple(getattr(index, name)[row] for row in shuffled) for name in ("paths", "labels", "groups")}
    other = make_fold(type(index)(**{**vars(index), **fields, "splits": ("",) * len(index)}), (2, 3))
    assert {other.paths[row] for row in other.positions("val")} == parts[1]


def test_a_group_is_in_one_part(photos: Path) -> None:
    for folder in sorted(photos.iterdir()):
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"p{number // 3}{folder.name}_{number}{file.suffix}")
    parts = [held_out(photos, part, 4, group_regex=r"p\d+[a-z]+") for part in range(1, 5)]
    groups = [{name.split("/")[1].split("_")[0] for name in part} for part in parts]
    assert sum(len(part) for part in parts) == 60
    assert sum(len(part) for part in groups) == len(set.union(*groups))


@pytest.mark.slow
def test_a_study_evaluates_every_image_without_having_trained_on_it(photos: Path, tmp_path: Path) -> None:
    out, quiet = tmp_path / "study", Console(file=io.StringIO())
    options: dict[str, Any] = {"settings": "G", "labels": [1.0], "seeds": 1, "out": out, "budget": None}
    options |= {"overrides": TINY, "console": quiet}
    table = hs.study(photos, folds=2, **options)
    study = read_study(out / "study.json")
    assert (study.folds, study.images, study.done) == (2, 60, 1)
    for trial in study.trials:
        names, correct = list[str](), list[bool]()
        for number in (1, 2):
            run = RunFolder.open(out / "folds" / str(number) / "trials" / f"G-1-seed{trial.seed}")
            assert run.recipe.data.fold == (number, 2)
            names += [row["filename"] for row in run.predictions]
            assert len(read_trained_on(run)) + len(run.predictions) == 60
            predictions = read_predictions(run)
            assert predictions is not None
            correct += (predictions.probabilities.argmax(axis=1) == predictions.labels).tolist()
        assert sorted(names) == sorted(file.relative_to(photos).as_posix() for file in photos.rglob("*.jpg"))
        assert trial.correct is not None
        assert trial.correct.tolist() == correct
    each = np.array([trial.correct for trial in study.trials], dtype=float)
    expected = average(each, folds=2)
    row = table.iloc[0]
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == pytest.approx(
        (each.mean(), expected.low, expected.high)
    )
    assert any(text.startswith("Cross-validation: each of the 60 images") for text in findings(Results(study)))
    split = Results(study.model_copy(update={"folds": 1, "split_made": True}))
    assert any(text.startswith("60 validation images are few") for text in findings(split))
    times = {file: file.stat().st_mtime_ns for file in out.glob("folds/*/trials/*/metrics.csv")}
    hs.study(photos, folds=2, **options)
    assert {file: file.stat().st_mtime_ns for file in out.glob("folds/*/trials/*/metrics.csv")} == times
    for folds, found in ((4, "4"), (1, "none")):
        with pytest.raises(hs.HeadstartError, match=rf"expected the folds of its study \(2\), found {found} requested"):
            hs.study(photos, folds=folds, **options)


def test_pre_training_on_the_same_images_leaves_the_fold_out(photos: Path, tmp_path: Path) -> None:
    parts = fold_plans(make_plan(photos, settings="E", folds=3, out=tmp_path / "study"))
    assert [part.pretrain("self-supervised")[0].data.fold for part in parts] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ("21", "error 21 folds: expected as many images of dress, or groups of them, found 20"),
        ("0", "error --folds: expected 2 or more, found 0"),
        ("-3", "error --folds: expected 2 or more, found -3"),
    ],
)
def test_folds_that_cannot_be_are_one_line(
    photos: Path,
    tmp_path: Path,
    folds: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "study"
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", ["headstart", "study", str(photos), "--folds", folds, "--out", str(out)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert (left.value.code, len(said.strip().splitlines())) == (2, 1)
    assert said.startswith(message)
    assert not out.exists()


def test_a_given_split_stays(photos: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        target = split / ("train" if number % 2 else "val") / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        file.rename(target / file.name)
    with pytest.raises(hs.HeadstartError, match=r"--folds 3: expected images without a split, found \d+ val images"):
        hs.study(split, folds=3, settings="G", out=tmp_path / "study", overrides=TINY)
    with pytest.raises(hs.HeadstartError, match=r"data.fold \[1, 3\]: expected a dataset without a validation split"):
        training_index(str(split), Data(fold=(1, 3)))


def test_overlapping_training_sets_widen_what_images_say() -> None:
    """With one seed all variance is that between images, and counts K / (K - 1) times."""
    random = np.random.default_rng(0)
    each, other = random.random((2, 1, 90))
    wider, plain = difference(each, other, folds=5), difference(each, other)
    assert wider.error == pytest.approx(np.sqrt(5 / 4) * plain.error)
    assert wider.value == plain.value
