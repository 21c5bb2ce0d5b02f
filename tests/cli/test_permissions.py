"""Folders and files that this user may not open: one line, and nothing that is left out without a word."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest

from headstart.environment import cache_folder
from pictures import picture
from robustness import material

DROPPED = "-dac_override,-dac_read_search"
AS_ANYBODY = ["setpriv", f"--bounding-set={DROPPED}", f"--inh-caps={DROPPED}"]
"""Without what lets the superuser open every file."""


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Path]:
    folder = material.labeled(tmp_path / "photos")
    yield folder
    for each in (folder, folder / "train" / "coffee"):
        each.chmod(0o755)  # pytest removes it


def typed(*words: object) -> tuple[int, list[str]]:
    """Exit status, and the lines of standard error, of a process that opens only what the file modes permit."""
    root = os.geteuid() == 0
    if root and shutil.which("setpriv") is None:
        pytest.skip("the superuser opens everything, and there is no setpriv")
    command = [*(AS_ANYBODY if root else []), sys.executable, "-m", "headstart", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    return done.returncode, [line for line in done.stderr.splitlines() if line.strip()]


@pytest.mark.parametrize("command", [("check",), ("fit", "quick")])
def test_a_class_whose_folder_cannot_be_opened_is_named_and_not_left_out(photos: Path, command: tuple[str]) -> None:
    withheld = photos / "train" / "coffee"
    withheld.chmod(0)
    status, lines = typed(*command, photos, *(["--out", photos.parent / "run"] if command[0] == "fit" else []))
    assert status == 2
    (line,) = lines
    assert line.startswith(f"error {withheld}: expected a folder that can be opened, found one that cannot (")
    assert not (photos.parent / "run").exists()


@pytest.mark.parametrize(("mode", "named"), [(0o000, "photos"), (0o444, "photos/")])
def test_a_dataset_that_cannot_be_opened_is_one_line(photos: Path, mode: int, named: str) -> None:
    """With mode 444 its names can be listed, and nothing opened."""
    photos.chmod(mode)
    status, lines = typed("check", photos)
    assert status == 2
    (line,) = lines
    assert line.startswith(f"error {photos.parent / named}")
    assert "Permission denied" in line


def test_a_file_that_cannot_be_opened_is_not_called_missing(photos: Path) -> None:
    withheld = photos / "train" / "coffee" / "1.png"
    picture("coffee.png").save(withheld)
    withheld.chmod(0)
    status, lines = typed("fit", "quick", photos, "--out", photos.parent / "run")
    assert status == 2
    (line,) = lines
    assert line.startswith(f"error {withheld}: expected an image, found a file that is not to be opened (Permission")


def test_a_user_without_a_home_has_a_cache_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a number that a container was started with: there is neither HOME nor a line in /etc/passwd."""

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HEADSTART_CACHE")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert cache_folder() == Path(gettempdir()) / f"headstart-{os.getuid()}"
