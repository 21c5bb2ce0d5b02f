"""Images are decoded once, found again, and known by what they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import headstart as hs
from headstart.data import pixels as module
from headstart.data.pixels import decode, stream
from headstart.data.split import training_index
from headstart.recipe import Data


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The files that were decoded, in a cache of the test's own."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    seen: list[Path] = []
    genuine = module.read
    monkeypatch.setattr(module, "read", lambda file, **more: (seen.append(file), genuine(file, **more))[1])
    return seen


def test_pixels_are_those_of_torchvision_s_resize(photos: Path) -> None:
    settings = Data(size=48)
    pixels = decode(training_index(str(photos), settings), settings)
    resize = v2.Compose([v2.Resize((48, 48)), v2.PILToTensor()])
    for row, path in enumerate(pixels.index.paths[:10]):
        with Image.open(photos / path) as picture:
            difference = (resize(picture.convert("RGB")).float() - pixels.batch([row])[0].float()).abs()
        assert difference.mean() < 4, "a JPEG decoded at half its size differs a little"
    batch = pixels.batch([3, 1])
    assert (batch.dtype, tuple(batch.shape)) == (torch.uint8, (2, 3, 48, 48))
    assert torch.equal(batch[1], pixels.batch([1])[0])


def test_an_image_is_decoded_once(photos: Path, reads: list[Path]) -> None:
    settings = Data(size=32)
    first = decode(training_index(str(photos), settings), settings)
    assert len(reads) == len(set(reads)) == 60
    again = decode(training_index(str(photos), settings), settings)
    assert len(reads) == 60
    assert again.fingerprint == first.fingerprint
    assert torch.equal(first.batch(range(60)), again.batch(range(60)))


def test_a_changed_file_is_decoded_anew(photos: Path, reads: list[Path]) -> None:
    settings = Data(size=32)
    before = decode(training_index(str(photos), settings), settings)
    one, other = sorted((photos / "hat").iterdir())[:2]
    shutil.copyfile(one, other)
    os.utime(other, ns=(1, 1))
    after = decode(training_index(str(photos), settings), settings)
    assert after.fingerprint != before.fingerprint
    rows = [after.index.paths.index(f"hat/{file.name}") for file in (one, other)]
    assert torch.equal(*after.batch(rows))


def test_the_fingerprint_is_of_what_the_images_are_not_of_where(photos: Path, tmp_path: Path) -> None:
    settings = Data(size=32)
    here = decode(training_index(str(photos), settings), settings)
    moved = decode(training_index(str(shutil.copytree(photos, tmp_path / "elsewhere")), settings), settings)
    larger = decode(training_index(str(photos), settings), Data(size=40))
    assert here.fingerprint == moved.fingerprint == larger.fingerprint
    (photos / "hat").rename(photos / "cap")
    assert decode(training_index(str(photos), settings), settings).fingerprint != here.fingerprint


@pytest.fixture(params=["a folder that cannot be made", "a full disk"])
def no_room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A place for the cache that holds nothing."""
    if request.param == "a folder that cannot be made":
        (tmp_path / "file").touch()
        yield tmp_path / "file" / "cache"
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_without_room_on_the_disk_the_pixels_are_the_same(
    photos: Path, no_room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Data(size=32)
    index = training_index(str(photos), settings)
    stored = decode(index, settings)
    monkeypatch.setenv("HEADSTART_CACHE", str(no_room))
    streaming = decode(index, settings)
    assert streaming.streaming
    assert not stored.streaming
    assert streaming.fingerprint == stored.fingerprint
    assert torch.equal(stored.batch([5, 2, 59]), streaming.batch([5, 2, 59]))


def test_all_unreadable_files_are_counted_in_one_error(photos: Path) -> None:
    (photos / "hat" / "a.png").write_text("no picture")
    (photos / "hat" / "b.jpg").touch()
    settings = Data(size=32)
    with pytest.raises(hs.HeadstartError, match=r"a\.png: .*not an image.*and 1 more such file"):
        decode(training_index(str(photos), settings), settings)
    pixels = decode(training_index(str(photos), settings), Data(size=32, skip_unreadable=True))
    assert len(pixels) == 60
    assert {path for path, _ in pixels.skipped} == {"hat/a.png", "hat/b.jpg"}
    whole = [row for row, path in enumerate(pixels.index.paths) if path.startswith("shoes/")]
    assert pixels.batch(whole).float().mean() > 1, "rows are counted without the files that were left out"


def test_a_class_of_unreadable_files_is_an_error_even_when_they_are_skipped(photos: Path) -> None:
    for file in (photos / "hat").iterdir():
        file.write_bytes(b"")
    settings = Data(size=32, skip_unreadable=True)
    with pytest.raises(hs.HeadstartError, match="class hat: expected images for train"):
        decode(training_index(str(photos), settings), settings)


def test_a_stream_gives_the_pixels_of_the_store(photos: Path, tmp_path: Path) -> None:
    settings = Data(size=32)
    pixels = decode(training_index(str(photos), settings), settings)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    files = [photos / path for path in pixels.index.paths]
    files.insert(7, broken)
    found: dict[int, torch.Tensor] = {}
    faults = []
    for positions, batch, unreadable in stream(files, 32, "squash", 9):
        assert len(positions) + len(unreadable) <= 9
        found.update(zip(positions, batch, strict=True))
        faults += unreadable
    assert [position for position, _ in faults] == [7]
    assert list(found) == [i for i in range(61) if i != 7]
    assert torch.equal(torch.stack(list(found.values())), pixels.batch(np.arange(60)))
