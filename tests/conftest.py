"""Photographs for the tests: cut or unpacked once per session, copied where a test wants to change them."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from safetensors.numpy import save

import headstart as hs
from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study, Trial
from headstart.palette import IGNORE_INDEX, Palette
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import write_image, write_mask
from pictures import MADE

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HEADSTART_SHARED") or ROOT.parent / "shared" / "data")
"""Data sets too large for the project, as tar files; nothing is missing where they are missing."""
HAVE_SHARED = all((SHARED / f"{name}.tar").is_file() for name in MADE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs on pictures from `pictures.py`; those marked ``real_too`` on the data of ``../shared`` as well.

    Tests marked ``shared`` run on that alone.
    """
    if "data_source" not in metafunc.fixturenames:
        return
    marked = {mark.name for mark in metafunc.definition.iter_markers()}
    sources = [] if "shared" in marked else [pytest.param("made", id=pytest.HIDDEN_PARAM)]
    if "shared" in marked or ("real_too" in marked and HAVE_SHARED):
        sources.append(pytest.param("shared", marks=pytest.mark.shared))
    metafunc.parametrize("data_source", sources, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """Signals do what they do in a terminal, for this process and what it starts: nohup and jobs in the background
    ignore them."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded pixels go to one folder per session, never to the developer's own cache."""
    os.environ["HEADSTART_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The folder of a data set, ``("made", "clothing")`` or ``("shared", "clothing")``; made or unpacked once."""
    folders: dict[tuple[str, str], Path] = {}

    def folder(source: str, name: str) -> Path:
        if (source, name) not in folders:
            target = tmp_path_factory.mktemp(source) / name
            if source == "made":
                MADE[name](target)
            else:
                with tarfile.open(SHARED / f"{name}.tar") as archive:
                    archive.extractall(target.parent, filter="data")
            folders[source, name] = target
        return folders[source, name]

    return folder


@pytest.fixture(scope="session")
def data_source(request: pytest.FixtureRequest) -> str:
    """``made`` or ``shared``: where `shared_data` comes from."""
    source: str = getattr(request, "param", "made")  # without: asked for while a test runs
    if source == "shared" and not HAVE_SHARED:
        pytest.skip(f"{SHARED} is on development machines and in CI only")
    return source


@pytest.fixture(scope="session")
def shared_data(data_source: str, data_folder: Callable[[str, str], Path]) -> Callable[[str], Path]:
    """The folder of one of the data sets (``clothing``, ``aerial``, ...), to read and not to change."""
    return lambda name: data_folder(data_source, name)


def copy_photos(source: Path, target: Path) -> Path:
    """Sixty photographs of three kinds, in a folder per class."""
    wanted = {"dress": 20, "hat": 20, "shoes": 20}
    with (source / "train.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if wanted.get(row["label"], 0):
                wanted[row["label"]] -= 1
                folder = target / row["label"]
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / "train" / row["filename"], folder)
    return target


@pytest.fixture
def photos(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Sixty photographs of three kinds, in a folder per class, for a test to change."""
    return copy_photos(shared_data("clothing"), tmp_path / "photos")


@pytest.fixture
def tiles(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Eighteen images with masks, 300 pixels a side, in train/ and val/; links."""
    source, target = shared_data("aerial"), tmp_path / "tiles"
    for split, count in (("train", 12), ("val", 6)):
        (target / split).mkdir(parents=True)
        for file in sorted((source / split).iterdir())[: 2 * count]:
            (target / split / file.name).symlink_to(file)
    (target / "class_dict.csv").symlink_to(source / "class_dict.csv")
    return target


@pytest.fixture(scope="session")
def small_tiles(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, seen from far: 48 pixels a side; to read and not to change."""
    source, target = shared_data("aerial"), tmp_path_factory.mktemp("small") / "tiles"
    for split, count in (("train", 12), ("val", 6)):
        (target / split).mkdir(parents=True)
        for file in sorted((source / split).iterdir())[: 2 * count]:
            how = Image.Resampling.NEAREST if "mask" in file.name else Image.Resampling.BOX
            with Image.open(file) as image:
                image.resize((48, 48), how).save(target / split / file.name)
    shutil.copy(source / "class_dict.csv", target)
    return target


SMALL = {
    "data.image_size": 32,
    "augment.sizes": [24, 32],
    "train.epochs": 3,
    "train.batch_size": 12,
    "backbone.name": "test_resnet",
    "backbone.weights": "none",
}
"""Changes to `quick` that train on sixty photographs in a second, with every kind of state that a run can have."""


@pytest.fixture(scope="session")
def small() -> Callable[..., recipes.Recipe]:
    """A small recipe; ``small(train__epochs=2)`` changes a field."""
    return lambda **changes: recipes.load("quick", SMALL | {k.replace("__", "."): v for k, v in changes.items()})


SMALL_BYOL = {
    "data.image_size": 32,
    "train.epochs": 2,
    "train.batch_size": 12,
    "val.batch_size": 12,
    "backbone.name": "test_resnet",
    "byol.hidden_dim": 64,
    "byol.projection_dim": 16,
    "vicreg.projection_dim": 32,
    "emp_ssl.crops": 3,
    "emp_ssl.hidden_dim": 64,
    "emp_ssl.projection_dim": 16,
    "fastsiam.views": 3,
    "fastsiam.projection_dim": 32,
    "fastsiam.hidden_dim": 16,
}
"""Changes to `byol-quick`, likewise, and to the other tasks without labels."""


@pytest.fixture(scope="session")
def unlabeled() -> Callable[..., recipes.Recipe]:
    """A small recipe that needs no labels; ``unlabeled(train__epochs=1)`` changes a field."""
    return lambda **changes: recipes.load(
        "byol-quick", SMALL_BYOL | {k.replace("__", "."): v for k, v in changes.items()}
    )


SMALL_MASKS = {
    "data.image_size": 64,
    "train.epochs": 2,
    "train.batch_size": 12,
    "val.batch_size": 12,
    "backbone.name": "test_resnet",
    "backbone.weights": "none",
    "decoder.channels": 16,
    "decoder.dropout": 0.0,
}
"""Changes to `segment-quick`, likewise, for a few pairs of image and mask."""


@pytest.fixture(scope="session")
def masked() -> Callable[..., recipes.Recipe]:
    """A small recipe for masks; ``masked(train__epochs=1)`` changes a field."""
    return lambda **changes: recipes.load(
        "segment-quick", SMALL_MASKS | {k.replace("__", "."): v for k, v in changes.items()}
    )


@pytest.fixture(scope="session")
def trained(
    shared_data: Callable[[str], Path], small: Callable[..., recipes.Recipe], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """(a finished run, the photographs it was trained on), to read and not to change."""
    folder = tmp_path_factory.mktemp("trained")
    photographs = copy_photos(shared_data("clothing"), folder / "photos")
    run = hs.fit(small(), photographs, out=folder / "run", console=Console(file=io.StringIO()))
    return run.path, photographs


RIGHT = {"A": 0.6, "B": 0.76, "C": 0.66, "D": 0.65, "E": 0.5, "F": 0.77, "G": 0.28}
"""Share of images that a made-up study answers rightly with all labels."""
LOST = {"A": 0.35, "B": 0.15, "C": 0.3, "D": 0.06, "E": 0.06, "F": 0.15, "G": 0.03}
"""What of it is lost with each label fraction divided by ten."""


@pytest.fixture(scope="session")
def made_study() -> Callable[..., Study]:
    """A study with made-up figures; ``skip`` and ``fail`` say which (setting, fraction, seed) are to come or failed.

    With ``masks`` it is judged by mean IoU, and each image has a pseudo-value.
    """

    def make(
        settings: str = "ABCDEFG",
        fractions: tuple[float, ...] = (0.1, 0.25, 1.0),
        seeds: tuple[int, ...] = (0, 1, 2),
        images: int = 400,
        skip: Callable[[str, float, int], bool] = lambda *_: False,
        fail: Callable[[str, float, int], bool] = lambda *_: False,
        right: dict[str, float] | None = None,
        masks: bool = False,
        **more: Any,
    ) -> Study:
        random = np.random.default_rng(0)
        easy = random.random(images)
        trials = []
        for seed, fraction, setting in itertools.product(seeds, fractions, settings):
            if skip(setting, fraction, seed):
                continue
            place = {"setting": setting, "fraction": fraction, "labels": round(2000 * fraction), "seed": seed}
            if fail(setting, fraction, seed):
                trials.append(Trial(**place, error="<b>out of memory</b>"))
                continue
            share = (RIGHT | (right or {}))[setting] + LOST[setting] * np.log10(fraction)
            frozen = SETTINGS[setting].frozen
            each = 0.7 * easy + 0.3 * random.random(images) < np.quantile(0.7 * easy + 0.15, share)
            answers = {"correct": each, "ece": 0.05, "knn": None if setting == "A" else 0.4}
            answers["optimism"] = None if frozen else 0.012
            trials.append(
                Trial(
                    **place,
                    **({"scores": each + np.tile([0.2, -0.2], images)[:images]} if masks else answers),
                    chosen={"l2": 0.1} if frozen else {"lr": 0.001 * (1 + seed % 2)},
                    seconds_pretrain=3600.0 if setting in "CE" else None,
                    seconds_tune=5.0,
                    seconds_train=20.0 if frozen else 600.0,
                    images_seen=0 if frozen else 60_000,
                )
            )
        about = {"data": "photos", "classes": 10, "majority_baseline": 0.2} | more
        about |= {"metric": "miou" if masks else "accuracy"}
        return Study(settings=tuple(settings), fractions=fractions, seeds=seeds, trials=tuple(trials), **about)

    return make


def aerial_mask(file: Path, palette: Palette) -> NDArray[np.uint8]:
    """A mask of the aerial data as numbers, with a corner that belongs to no class."""
    with Image.open(file) as picture:
        colors = np.array(picture.convert("RGB"))
    mask: NDArray[np.uint8] = (
        (colors[:, :, None] == np.array(palette.colors, np.uint8)).all(axis=3).argmax(axis=2).astype(np.uint8)
    )
    mask[:20, :30] = IGNORE_INDEX
    return mask


def made_answer(truth: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """The truth as seen through square windows, each labeled like its center; cars (5) are taken for the ground."""
    places = [np.minimum(np.arange(side) // window * window + window // 2, side - 1) for side in truth.shape]
    answer = truth[np.ix_(*places)]
    return np.where(answer >= 5, 4, answer).astype(np.uint8)


@pytest.fixture(scope="session")
def made_segmentation(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that answers with masks, made up: real aerial pictures, answers coarse, finer and in between.

    To read and not to change.
    """
    source, folder = shared_data("aerial"), tmp_path_factory.mktemp("segmentation") / "run"
    with (source / "class_dict.csv").open(encoding="utf-8") as table:
        known = {row["name"]: (int(row["r"]), int(row["g"]), int(row["b"])) for row in csv.DictReader(table)}
    palette = Palette(tuple(known), tuple(known.values()), tuple(range(6)), "color")
    names = [file.name.removesuffix("_mask.png") for file in sorted((source / "val").glob("*_mask.png"))[:24]]
    truths = {name: aerial_mask(source / "val" / f"{name}_mask.png", palette) for name in names}
    counts = [int(sum((mask == place).sum() for mask in truths.values())) for place in range(6)]
    shares = dict(zip(known, np.divide(counts, sum(counts)).tolist(), strict=True))
    recipe = recipes.load(
        "quick",
        {"task": "segment", "data.resize": "keep", "train.epochs": 3, "checkpoint.monitor": "val_miou"},
    )
    facts = {"fingerprint": "made up", "root": str(source), "classes": list(known), "palette": palette.to_json()}
    run = RunFolder.create(
        folder,
        recipe,
        {"device": "cpu"},
        facts
        | {
            "images": {"train": 0, "val": 24},
            "counts": {},
            "shares": {"train": shares, "val": shares},
            "ignored": {"train": 600 / 90_000, "val": 600 / 90_000},
        },
    )
    run.write_table(
        "features/images.csv", [{"filename": f"val/{n}_sat.jpg", "split": "val", "label": ""} for n in names]
    )
    rows: list[dict[str, Any]] = []
    for epoch, window in enumerate((60, 10, 25)):
        answers = {name: made_answer(mask, window) for name, mask in truths.items()}
        confusion = np.stack([_confusion(truths[name], answers[name], 6) for name in names])
        rows += _epoch_rows(epoch, confusion.sum(axis=0), palette.classes)
        for name in names[:3]:
            write_mask(run, f"epoch-{epoch + 1:04}", f"{name}_sat", answers[name], palette)
        if epoch == 1:
            run.write("confusion.safetensors", save({"confusion": confusion}))
            for name in names:
                write_mask(run, "best", f"{name}_sat", answers[name], palette)
    run.write_table("metrics.csv", rows)
    for name in names:
        write_mask(run, "truth", f"{name}_sat", truths[name], palette)
        with Image.open(source / "val" / f"{name}_sat.jpg") as picture:
            write_image(run, f"{name}_sat", np.array(picture))
    run.write("weights/best.safetensors", b"")
    return folder


def _confusion(truth: NDArray[np.uint8], answer: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    counts = truth < classes
    pairs = truth[counts].astype(np.int64) * classes + answer[counts]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _epoch_rows(epoch: int, confusion: NDArray[np.int64], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    hits = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    ious = np.where(union > 0, hits / np.maximum(union, 1), np.nan)
    figures = {
        "loss": [1.0, 0.5, 0.6][epoch],
        "accuracy": hits.sum() / confusion.sum(),
        "miou": np.nanmean(ious),
        **{f"iou_{name}": value for name, value in zip(classes, ious, strict=True)},
    }
    speed = {"seconds": 1.0, "images_per_second": 24.0}
    return [
        {"epoch": epoch, "split": split, "images": 24, **figures, **lr, **speed}
        for split, lr in (("train", {"lr": 1e-3}), ("val", {}))
    ]
