"""Real images for the tests: unpacked once per session, copied where a test wants to change them."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import headstart as hs
from headstart import recipe as recipes

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded pixels go to one folder per session, never to the developer's own cache."""
    os.environ["HEADSTART_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of one of the real data sets (``clothing``, ``objects50``, ...); skips where there is none."""
    unpacked: dict[str, Path] = {}

    def folder(name: str) -> Path:
        tar = SHARED / f"{name}.tar"
        if not tar.is_file():
            pytest.skip(f"{tar} is on development machines and in CI only")
        if name not in unpacked:
            target = tmp_path_factory.mktemp(name)
            with tarfile.open(tar) as archive:
                archive.extractall(target, filter="data")
            inside = list(target.iterdir())
            unpacked[name] = inside[0] if len(inside) == 1 and inside[0].is_dir() else target
        return unpacked[name]

    return folder


def copy_photos(source: Path, target: Path) -> Path:
    """Sixty photographs of three kinds of clothing, in a folder per class."""
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
    """Sixty real photographs of three kinds of clothing, in a folder per class, for a test to change."""
    return copy_photos(shared_data("clothing"), tmp_path / "photos")


SMALL = {
    "data.size": 32,
    "views.sizes": [24, 32],
    "train.epochs": 3,
    "train.batch": 12,
    "backbone.name": "resnet10t",
    "backbone.weights": "none",
}
"""Changes to `quick` that train on sixty photographs in a second, with every kind of state that a run can have."""


@pytest.fixture(scope="session")
def small() -> Callable[..., recipes.Recipe]:
    """A small recipe; ``small(train__epochs=2)`` changes a field."""
    return lambda **changes: recipes.load("quick", SMALL | {k.replace("__", "."): v for k, v in changes.items()})


SMALL_BYOL = {
    "data.size": 32,
    "train.epochs": 2,
    "train.batch": 12,
    "val.batch": 12,
    "backbone.name": "resnet10t",
    "byol.hidden": 64,
    "byol.projection": 16,
}
"""Changes to `byol-quick`, likewise."""


@pytest.fixture(scope="session")
def unlabelled() -> Callable[..., recipes.Recipe]:
    """A small recipe that needs no labels; ``unlabelled(train__epochs=1)`` changes a field."""
    return lambda **changes: recipes.load(
        "byol-quick", SMALL_BYOL | {k.replace("__", "."): v for k, v in changes.items()}
    )


@pytest.fixture(scope="session")
def trained(
    shared_data: Callable[[str], Path], small: Callable[..., recipes.Recipe], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """(a finished run, the photographs it was trained on), to read and not to change."""
    folder = tmp_path_factory.mktemp("trained")
    photographs = copy_photos(shared_data("clothing"), folder / "photos")
    run = hs.fit(small(), photographs, folder / "run", console=Console(file=io.StringIO()))
    return run.path, photographs
