"""The wheel alone, as `pip install` gives it: it is small, complete, and carries a run from images to report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MAX_BYTES = 1_000_000
PER_CLASS = 12


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment's bin/ where headstart comes from the wheel, and all it depends on from this environment.

    Python does not follow the .pth files of a folder that a .pth file names, so an editable install of headstart in
    this environment stays out.
    """
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    executables = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(executables / "python"), "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return executables


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Photographs of solar cells, a folder per class."""
    package = find_spec("elpv_dataset")
    assert package is not None and package.submodule_search_locations
    source = Path(package.submodule_search_locations[0]) / "data"
    wanted = {"defective": PER_CLASS, "functional": PER_CLASS}
    for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines():
        name, probability, _ = line.split()
        label = {1.0: "defective", 0.0: "functional"}.get(float(probability))
        if label is not None and wanted[label]:
            wanted[label] -= 1
            (tmp_path / "cells" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, tmp_path / "cells" / label)
    return tmp_path / "cells"


def test_the_wheel_is_small_and_has_the_recipes_and_the_templates(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_BYTES
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.endswith(".pyc")}
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "headstart").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files <= packed
    assert {name for name in packed if ".dist-info/" not in name} == files


def test_check_fit_and_report_from_the_wheel(installed: Path, cells: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*words: str) -> str:
        done = subprocess.run(
            words, cwd=cells.parent, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
        )
        assert done.returncode in ((0, 1) if "check" in words else (0,)), (words, done.stdout, done.stderr)
        return done.stdout

    python, headstart = str(installed / "python"), str(installed / "headstart")
    assert Path(call(python, "-c", "import headstart; print(headstart.__file__)").strip()).is_relative_to(
        installed.parent
    )
    call(headstart, "check", "cells")
    tiny = ("train.epochs=1", "backbone.name=test_resnet", "backbone.weights=none")
    call(headstart, "fit", "quick", "cells", "--out", "run", *tiny)
    (cells.parent / "run" / "report.html").unlink()
    call(headstart, "report", "run")
    assert (cells.parent / "run" / "report.html").stat().st_size > 0
