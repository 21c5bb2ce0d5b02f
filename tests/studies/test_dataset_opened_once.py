"""A study opens each folder once: it is scanned once, and decoded once per data configuration."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from headstart.console.study_progress import run_study_with_progress
from headstart.data import dataset as datasets
from headstart.data import layouts
from headstart.data.index import Index
from headstart.data.parallel import Progress
from headstart.data.pixels import Pixels, decode
from headstart.data.tree import Tree, walk
from headstart.recipes import recipe as recipes
from headstart.studies.plan import Plan

QUIET = Console(file=io.StringIO())


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """Folder -> how many times its files were listed."""
    count: Counter[Path] = Counter()

    def counted(folder: Path) -> Tree:
        count[folder] += 1
        return walk(folder)

    monkeypatch.setattr(layouts, "walk", counted)
    return count


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[object, ...]]:
    """Folder, splits and configuration -> how many times its files were checked or decoded."""
    count: Counter[tuple[object, ...]] = Counter()

    def counted(index: Index, data: recipes.Data, progress: Progress | None = None) -> Pixels:
        count[index.root, index.splits, data.image_size, data.resize] += 1
        return decode(index, data, progress)

    monkeypatch.setattr(datasets, "decode", counted)
    return count


@pytest.mark.slow
def test_a_study_with_tuning_pretraining_and_probes_scans_and_decodes_each_folder_once(
    photos: Path,
    tmp_path: Path,
    small: Callable[..., recipes.Recipe],
    scans: Counter[Path],
    decodings: Counter[tuple[object, ...]],
) -> None:
    unlabeled, corpus = (Path(shutil.copytree(photos, tmp_path / name)) for name in ("unlabeled", "corpus"))
    byol = {
        "train.epochs": 1,
        "data.image_size": 32,
        "train.batch_size": 12,
        "byol.hidden_dim": 16,
        "byol.projection_dim": 8,
    }
    plan = Plan(
        data=str(photos),
        out=tmp_path / "study",
        recipe=small(backbone__weights="none", train__epochs=1, augment__sizes=[]),
        pretraining=recipes.load("byol-quick", byol),
        settings="BE",
        fractions=(1.0,),
        seeds=(0, 1),
        unlabeled=str(unlabeled),
        corpus=str(corpus),
    )
    study = run_study_with_progress(plan, console=QUIET)
    assert (study.done, study.planned) == (4, 4), study.failed
    assert {each.folder for each in study.excluded} == {str(unlabeled), str(corpus)}
    assert scans == {photos: 1, unlabeled: 1, corpus: 1}
    assert set(decodings.values()) == {1}
    of_folder = Counter(root for root, *_ in decodings)
    assert of_folder == {photos: 2, unlabeled: 1, corpus: 1}, "trials and, with another split, learning rates"


@pytest.mark.slow
def test_the_test_split_of_a_study_is_not_scanned_for_every_trial(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe], scans: Counter[Path]
) -> None:
    data = tmp_path / "with-test"
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        folder = data / ("train", "train", "val", "test")[number % 4] / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    plan = Plan(
        data=str(data),
        out=tmp_path / "study",
        recipe=small(backbone__weights="none", train__epochs=1, augment__sizes=[]),
        pretraining=recipes.load("byol-quick"),
        settings="G",
        fractions=(1.0,),
        seeds=(0, 1),
    )
    study = run_study_with_progress(plan, console=QUIET)
    assert (study.split, study.done) == ("test", 2)
    assert scans == {data: 1}
