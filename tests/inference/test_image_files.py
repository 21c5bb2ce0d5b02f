"""Which files of a camera's folder are looked at, what they are called, and that none is passed over in silence."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import headstart as hs
from headstart.inference.image_files import find_images


@pytest.fixture
def camera(photos: Path, tmp_path: Path) -> Path:
    """Two days of photographs, with what else a telephone and a computer leave beside them."""
    folder = tmp_path / "camera"
    pictures = sorted((photos / "hat").iterdir())
    for place, picture in zip(("1/a.jpg", "2/a.jpg", "2/b", "2/c.JFIF"), pictures, strict=False):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder / place)
    for name in ("1/x.heic", "2/y.CR2", "2/z.tga"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic")
    for name in ("1/firmware.bin", "2/LICENSE"):
        (folder / name).write_bytes(b"no picture")
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "1/exif.JSON"):
        (folder / name).write_text("{}")
    return folder


def test_every_file_of_a_folder_is_looked_at_or_named(camera: Path) -> None:
    found = find_images([camera])
    assert found.names == ("1/a.jpg", "2/a.jpg", "2/b", "2/c.JFIF")
    reasons = {file.relative_to(camera).as_posix(): reason for file, reason in found.unread}
    assert reasons.keys() == {"1/x.heic", "2/y.CR2", "2/z.tga"}
    assert "headstart[heif]" in reasons["1/x.heic"]
    others = {file.relative_to(camera).as_posix() for file in found.others}
    assert others == {"1/firmware.bin", "2/LICENSE", "Thumbs.db", ".DS_Store", "notes.txt", "1/exif.JSON"}
    every = {file for file in camera.rglob("*") if file.is_file()}
    assert {*found.files, *(file for file, _ in found.unread), *found.others} == every


def test_a_file_that_is_named_is_taken_whatever_it_is(camera: Path) -> None:
    asked = [camera / "notes.txt", camera / "1" / "x.heic", camera / ".DS_Store"]
    assert find_images(asked).files == tuple(asked)


def test_of_several_paths_the_names_are_as_given(camera: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(camera)
    found = find_images(["1", "./2/a.jpg", "2"])
    assert found.names == ("1/a.jpg", "./2/a.jpg", "2/b", "2/c.JFIF")
    assert len(set(found.files)) == len(found.files), "each once"
    with pytest.raises(hs.HeadstartError, match=r"2/a\.jpg: expected every file name once, found 1/a\.jpg as well"):
        find_images(["."]).with_bare_names()
    assert find_images(["2"]).with_bare_names().names == ("a.jpg", "b", "c.JFIF")


def test_patterns_find_images_and_folders_of_images(camera: Path) -> None:
    assert {file.name for file in find_images([camera / "*"]).files} == {"a.jpg", "b", "c.JFIF"}
    assert len(find_images([camera / "**" / "*"]).files) == 4


def test_a_folder_of_what_cannot_be_read_says_what_to_install(camera: Path) -> None:
    (camera / "1" / "a.jpg").unlink()
    with pytest.raises(hs.HeadstartError, match=r"expected images, found none \(1 \.heic.*headstart\[heif\]"):
        find_images([camera / "1"])


def test_pipes_broken_links_and_closed_folders_are_named_and_not_opened(camera: Path) -> None:
    os.mkfifo(camera / "pipe.jpg")
    (camera / "gone.jpg").symlink_to(camera / "nowhere")
    (camera / "2" / "again").symlink_to(camera, target_is_directory=True)
    reasons = {file.name: reason for file, reason in find_images([camera]).unread}
    assert reasons["pipe.jpg"] == "not a regular file"
    assert reasons["gone.jpg"].startswith("missing")
    assert len(find_images([camera]).files) == 4


def test_links_between_two_folders_are_followed_once(camera: Path) -> None:
    """In both directions they would be 2 to the 40 paths."""
    for one, other in (("1", "2"), ("2", "1")):
        for name in ("first", "second"):
            (camera / one / name).symlink_to(camera / other, target_is_directory=True)
    assert len(find_images([camera]).files) == 4
