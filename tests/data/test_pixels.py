"""Images are decoded once, found again, and known by what they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import headstart as hs
from forked import begin
from headstart.data import pixels as module
from headstart.data.decode import Picture, Unreadable, read
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.data.streaming import stream
from headstart.recipes.recipe import Data


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The files that were decoded, in a cache of the test's own."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    seen: list[Path] = []

    def counted(file: Path, **more: Any) -> Picture:
        seen.append(file)
        return read(file, **more)

    monkeypatch.setattr(module, "read", counted)
    return seen


def test_pixels_are_those_of_torchvision_s_resize(photos: Path) -> None:
    settings = Data(image_size=48)
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
    settings = Data(image_size=32)
    first = decode(training_index(str(photos), settings), settings)
    assert len(reads) == len(set(reads)) == 60
    again = decode(training_index(str(photos), settings), settings)
    assert len(reads) == 60
    assert again.fingerprint == first.fingerprint
    assert torch.equal(first.batch(range(60)), again.batch(range(60)))


def test_a_changed_file_is_decoded_anew(photos: Path, reads: list[Path]) -> None:
    settings = Data(image_size=32)
    before = decode(training_index(str(photos), settings), settings)
    one, other = sorted((photos / "hat").iterdir())[:2]
    shutil.copyfile(one, other)
    os.utime(other, ns=(1, 1))
    after = decode(training_index(str(photos), settings), settings)
    assert after.fingerprint != before.fingerprint
    rows = [after.index.paths.index(f"hat/{file.name}") for file in (one, other)]
    assert torch.equal(*after.batch(rows))


def test_the_fingerprint_is_of_what_the_images_are_not_of_where(photos: Path, tmp_path: Path) -> None:
    settings = Data(image_size=32)
    here = decode(training_index(str(photos), settings), settings)
    moved = decode(training_index(str(shutil.copytree(photos, tmp_path / "elsewhere")), settings), settings)
    larger = decode(training_index(str(photos), settings), Data(image_size=40))
    assert here.fingerprint == moved.fingerprint == larger.fingerprint
    (photos / "hat").rename(photos / "cap")
    assert decode(training_index(str(photos), settings), settings).fingerprint != here.fingerprint


@pytest.fixture(params=["a folder that cannot be made", "64k", "184k"])
def no_room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A place for the cache that holds nothing, or (184 KiB) the squares but not what is noted beside them."""
    if request.param == "a folder that cannot be made":
        (tmp_path / "file").touch()
        yield tmp_path / "file" / "cache"
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)  # a failing test may still hold a file open


def test_without_room_on_the_disk_the_pixels_are_the_same(
    photos: Path, no_room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Data(image_size=32)
    index = training_index(str(photos), settings)
    stored = decode(index, settings)
    monkeypatch.setenv("HEADSTART_CACHE", str(no_room))
    streaming = decode(index, settings)
    assert streaming.streaming
    assert not stored.streaming
    assert streaming.fingerprint == stored.fingerprint
    assert torch.equal(stored.batch([5, 2, 59]), streaming.batch([5, 2, 59]))
    assert not [file for file in no_room.rglob("*") if file.is_file()], "nothing is left on a full disk"


def test_a_disk_that_fails_at_the_end_leaves_nothing_behind(photos: Path, reads: list[Path], tmp_path: Path) -> None:
    settings = Data(image_size=32)
    index = training_index(str(photos), settings)
    stored = decode(index, settings)
    folder = tmp_path / "cache" / "pixels"
    (notes,) = folder.glob("*.json")
    shutil.rmtree(folder)
    notes.mkdir(parents=True)  # what is noted beside the squares cannot take its name
    pixels = decode(index, settings)
    assert pixels.streaming
    assert torch.equal(pixels.batch(range(60)), stored.batch(range(60)))
    assert list(folder.iterdir()) == [notes]


def test_a_store_that_was_cut_short_is_made_again(photos: Path, reads: list[Path], tmp_path: Path) -> None:
    settings = Data(image_size=32)
    index = training_index(str(photos), settings)
    whole = decode(index, settings).batch(range(60))
    (store,) = (tmp_path / "cache" / "pixels").glob("*.npy")
    shutil.copyfile(store, tmp_path / "copy")
    os.truncate(tmp_path / "copy", 5000)
    (tmp_path / "copy").replace(store)
    assert torch.equal(decode(index, settings).batch(range(60)), whole)
    assert len(reads) == 120


def test_a_file_that_was_withheld_for_a_while_is_tried_again(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk that comes back, or a permission that is given, changes neither size nor time."""
    settings = Data(image_size=32)
    index = training_index(str(photos), settings)
    withheld = photos / index.paths[7]

    def reading(file: Path, **more: Any) -> Picture:
        if file == withheld:
            raise Unreadable("missing", "Input/output error")
        return read(file, **more)

    with monkeypatch.context() as patch:
        patch.setattr(module, "read", reading)
        with pytest.raises(hs.HeadstartError, match="Input/output error"):
            decode(index, settings)
    assert len(decode(index, settings)) == 60


DECODER = """
import os, sys
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes.recipe import Data
os.getpid = lambda: 7  # as in containers, where all processes may have one number
settings = Data(image_size=32)
index = training_index(sys.argv[1], settings)
pipe.send("ready")
while cache := pipe.recv():
    os.environ["HEADSTART_CACHE"] = cache
    pipe.send(int(decode(index, settings).batch(range(len(index))).long().sum()))
"""


@pytest.mark.slow
def test_processes_that_decode_the_same_at_once_do_not_disturb_each_other(photos: Path, tmp_path: Path) -> None:
    settings = Data(image_size=32)
    expected = int(decode(training_index(str(photos), settings), settings).batch(range(60)).long().sum())
    pipes, processes = [], []
    for number in range(3):
        ours, theirs = Pipe()
        processes.append(begin(tmp_path / f"output-{number}.txt", DECODER, photos, pipe=theirs))
        theirs.close()
        pipes.append(ours)
    assert [answers.recv() for answers in pipes] == ["ready"] * 3
    for turn in range(8):
        cache = tmp_path / f"cache-{turn}"
        for orders in pipes:
            orders.send(str(cache))
        assert [answers.recv() for answers in pipes] == [expected] * 3
        assert sorted(file.suffix for file in (cache / "pixels").iterdir()) == [".json", ".npy"]
    for process, orders in zip(processes, pipes, strict=True):
        orders.send(None)
        process.join(60)
        assert process.exitcode == 0


def test_all_unreadable_files_are_counted_in_one_error(photos: Path) -> None:
    (photos / "hat" / "a.png").write_text("no picture")
    (photos / "hat" / "b.jpg").touch()
    settings = Data(image_size=32)
    with pytest.raises(hs.HeadstartError, match=r"a\.png: .*not an image.*and 1 more such file"):
        decode(training_index(str(photos), settings), settings)
    pixels = decode(training_index(str(photos), settings), Data(image_size=32, skip_unreadable=True))
    assert len(pixels) == 60
    assert {path for path, _ in pixels.skipped} == {"hat/a.png", "hat/b.jpg"}
    whole = [row for row, path in enumerate(pixels.index.paths) if path.startswith("shoes/")]
    assert pixels.batch(whole).float().mean() > 1, "rows are counted without the files that were left out"


def test_a_class_of_unreadable_files_is_an_error_even_when_they_are_skipped(photos: Path) -> None:
    for file in (photos / "hat").iterdir():
        file.write_bytes(b"")
    settings = Data(image_size=32, skip_unreadable=True)
    with pytest.raises(hs.HeadstartError, match="class hat: expected images for train"):
        decode(training_index(str(photos), settings), settings)


def test_a_stream_gives_the_pixels_of_the_store(photos: Path, tmp_path: Path) -> None:
    settings = Data(image_size=32)
    pixels = decode(training_index(str(photos), settings), settings)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    files = [photos / path for path in pixels.index.paths]
    files.insert(7, broken)
    found: dict[int, torch.Tensor] = {}
    faults = []
    for positions, batch, unreadable in stream(files, 32, "squash", 9):
        assert len(positions) + len(unreadable) <= 9
        found.update(zip(positions, torch.from_numpy(batch), strict=True))
        faults += unreadable
    assert [position for position, _ in faults] == [7]
    assert list(found) == [i for i in range(61) if i != 7]
    assert torch.equal(torch.stack(list(found.values())), pixels.batch(np.arange(60)))
