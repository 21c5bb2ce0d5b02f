"""Photographs for the tests: cut or unpacked once per session, copied where a test wants to change them."""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# What takes seconds to import stands inside the fixtures: pytest imports this file before it starts its workers.
if TYPE_CHECKING:
    from headstart.comparison.study import Study
    from headstart.recipes.recipe import Recipe

Once = Callable[[str, Callable[[Path], object]], Path]
"""Of `once`."""
ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HEADSTART_SHARED") or ROOT.parent / "shared" / "data")
"""Data sets too large for the project, as tar files; nothing is missing where they are missing."""
HAVE_SHARED = all((SHARED / f"{name}.tar").is_file() for name in ("clothing", "aerial", "camvid", "deepglobe_sample"))
MEASURED_WHOLE = (ROOT / "tests" / "studies", ROOT / "tests" / "data")
"""Rooms whose slow tests count for the coverage; elsewhere fast ones cover nearly the same lines.

Before Python 3.12 tracing takes half of a test's time again, and more where it computes in Python.
"""


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
        unmeasured = ["browser", "shared"]
        if not any(room in item.path.parents for room in MEASURED_WHOLE):
            unmeasured.append("slow")
        if any(item.get_closest_marker(mark) for mark in unmeasured):
            item.add_marker(pytest.mark.no_cover)


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
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """``once(name, make)``: a folder that ``make(folder)`` writes, once for all workers of a session.

    To read and not to change.
    """
    from filelock import FileLock

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        target = root / "once" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "once" / f"{name.replace('/', '-')}.lock"):
            if not (done := target.with_name(f"{target.name}.done")).exists():
                make(target)
                done.touch()
        return target

    return folder


@pytest.fixture(scope="session")
def data_folder(once: Once) -> Callable[[str, str], Path]:
    """The folder of a data set, ``("made", "clothing")`` or ``("shared", "clothing")``; made or unpacked once."""

    def make(target: Path) -> None:
        from pictures import MADE

        if target.parent.name == "made":
            MADE[target.name](target)
        else:
            with tarfile.open(SHARED / f"{target.name}.tar") as archive:
                archive.extractall(target.parent, filter="data")

    return lambda source, name: once(f"{source}/{name}", make)


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


@pytest.fixture
def photos(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Sixty photographs of three kinds, in a folder per class, for a test to change."""
    from pictures import copy_photos

    return copy_photos(shared_data("clothing"), tmp_path / "photos")


@pytest.fixture(scope="session")
def photos_to_read(data_source: str, shared_data: Callable[[str], Path], once: Once) -> Path:
    """The same, to read and not to change: what is decoded from them is decoded once per session."""

    def make(folder: Path) -> None:
        from pictures import copy_photos

        copy_photos(shared_data("clothing"), folder)

    return once(f"photos-{data_source}", make)


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
def small_tiles(data_source: str, shared_data: Callable[[str], Path], once: Once) -> Path:
    """The same, seen from far: 48 pixels a side; to read and not to change."""

    def make(target: Path) -> None:
        from PIL import Image

        source = shared_data("aerial")
        for split, count in (("train", 12), ("val", 6)):
            (target / split).mkdir(parents=True)
            for file in sorted((source / split).iterdir())[: 2 * count]:
                how = Image.Resampling.NEAREST if "mask" in file.name else Image.Resampling.BOX
                with Image.open(file) as image:
                    image.resize((48, 48), how).save(target / split / file.name)
        shutil.copy(source / "class_dict.csv", target)

    return once(f"{data_source}-small/tiles", make)


def _recipes(name: str, fields: dict[str, object]) -> Callable[..., Recipe]:
    from headstart.recipes.recipe import load

    return lambda **changes: load(name, fields | {k.replace("__", "."): v for k, v in changes.items()})


SMALL: dict[str, object] = {
    "data.image_size": 32,
    "augment.sizes": [24, 32],
    "train.epochs": 3,
    "train.batch_size": 12,
    "backbone.name": "test_resnet",
    "backbone.weights": "none",
}
"""Changes to `quick` that train on sixty photographs in a second, with every kind of state that a run can have."""


@pytest.fixture(scope="session")
def small() -> Callable[..., Recipe]:
    """A small recipe; ``small(train__epochs=2)`` changes a field."""
    return _recipes("quick", SMALL)


SMALL_BYOL: dict[str, object] = {
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
def unlabeled() -> Callable[..., Recipe]:
    """A small recipe that needs no labels; ``unlabeled(train__epochs=1)`` changes a field."""
    return _recipes("byol-quick", SMALL_BYOL)


SMALL_MASKS: dict[str, object] = {
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
def masked() -> Callable[..., Recipe]:
    """A small recipe for masks; ``masked(train__epochs=1)`` changes a field."""
    return _recipes("segment-quick", SMALL_MASKS)


@pytest.fixture(scope="session")
def trained(
    data_source: str,
    shared_data: Callable[[str], Path],
    small: Callable[..., Recipe],
    once: Once,
) -> tuple[Path, Path]:
    """(a finished run, the photographs it was trained on), to read and not to change."""

    def make(folder: Path) -> None:
        import io

        from rich.console import Console

        import headstart as hs
        from pictures import copy_photos

        photographs = copy_photos(shared_data("clothing"), folder / "photos")
        hs.fit(small(), photographs, out=folder / "run", console=Console(file=io.StringIO()))

    folder = once(f"trained-{data_source}", make)
    return folder / "run", folder / "photos"


@pytest.fixture(scope="session")
def onnx_file(data_source: str, trained: tuple[Path, Path], once: Once) -> Path:
    """The ONNX file of `trained`, to read and not to change; to write one takes seconds, a minute if traced."""

    def make(folder: Path) -> None:
        from forked import type_in

        status, stdout, stderr = type_in(folder, "export", trained[0], folder / "model.onnx").ended()
        assert status == 0, stderr
        assert b"equal top-1 in 12 of 12 images" in stdout

    return once(f"onnx-{data_source}", make) / "model.onnx"


@pytest.fixture(scope="session")
def trained_masks(data_source: str, small_tiles: Path, masked: Callable[..., Recipe], once: Once) -> Path:
    """A finished run of segmentation on `small_tiles`, to read and not to change."""

    def make(folder: Path) -> None:
        import io

        from rich.console import Console

        import headstart as hs

        recipe = masked(train__epochs=1, data__image_size=32, decoder__name="fcn32s")
        hs.fit(recipe, small_tiles, out=folder / "run", console=Console(file=io.StringIO()))

    return once(f"trained-masks-{data_source}", make) / "run"


@pytest.fixture(scope="session")
def made_study() -> Callable[..., Study]:
    """`made_study.make_study`."""
    from made_study import make_study

    return make_study


@pytest.fixture(scope="session")
def made_segmentation(data_source: str, shared_data: Callable[[str], Path], once: Once) -> Path:
    """The run of `made_segmentation.make_segmentation`, to read and not to change."""

    def make(folder: Path) -> None:
        from made_segmentation import make_segmentation

        make_segmentation(shared_data("aerial"), folder / "run")

    return once(f"segmentation-{data_source}", make) / "run"
