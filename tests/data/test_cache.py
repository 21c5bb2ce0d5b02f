"""The cache: what is damaged is decoded anew, what dead processes left goes, and it stays within its limit."""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from command import headstart, refused
from headstart import api
from headstart.data import pixels as module
from headstart.data.masks.cached_masks import cached_masks
from headstart.data.pixels import Pixels, decode
from headstart.data.splits import training_index
from headstart.environment import cache_limit
from headstart.recipes.recipe import Data

SETTINGS = Data(image_size=32)
SIZE = 60 * 3 * 32 * 32
FEW = 12
"""Images of `few`."""


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def few(photos: Path) -> Path:
    """Four photographs of each kind."""
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        if number % 5:
            file.unlink()
    return photos


def decoded(photos: Path) -> Pixels:
    return decode(training_index(str(photos), SETTINGS), SETTINGS)


def header(text: bytes) -> Callable[[Path], object]:
    """Replace the header of an array by another of the same length."""

    def damage(file: Path) -> None:
        content = file.read_bytes()
        file.write_bytes(content[:10] + text.ljust(118)[:118] + content[128:])

    return damage


def as_zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"")


def as_array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Callable[[Path], object]:
    content = io.BytesIO()
    np.save(content, array)
    return lambda file: file.write_bytes(content.getvalue())


def note(name: str, value: object) -> Callable[[Path], object]:
    """Change a note, as an editor or a broken disk does."""

    def damage(file: Path) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        content["notes"][name] = value
        file.write_text(json.dumps(content), encoding="utf-8")

    return damage


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


TABLE: dict[str, Callable[[Path], object]] = {
    "black": as_array(np.zeros((FEW, 3, 32, 32), np.uint8)),
    "of another type": as_array(np.zeros((FEW, 3, 32, 32), np.float32)),
    "of another shape": as_array(np.zeros((FEW, 3, 64, 16), np.uint8)),
    "a zip file": as_zip,
    "emptied": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:5000]),
    "with half a header": header(b"{'descr': '|u1', 'fortran_order': False, ("),
    "with a header that is no Python": header(b"\xff\x00 ]]"),
    "with one byte changed": lambda file: file.write_bytes(file.read_bytes()[:-7] + b"\x01" + file.read_bytes()[-6:]),
}
NOTES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda file: file.write_bytes(b""),
    "a list": lambda file: file.write_text("[]"),
    "deep": lambda file: file.write_text("[" * 100_000),
    "not UTF-8": lambda file: file.write_bytes(b"\xff\xfe{}"),
    "with other contents": note("contents", 7),
    "with a row too many": note("unreadable", {str(FEW + 1): "broken"}),
    "with rows of another table": note("rows", [0] * FEW),
    "removed": lambda file: file.unlink(),
}
FOLDERS: dict[str, Callable[[Path], object]] = {"a folder": as_folder}


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        pytest.param(suffix, damage, id=f"{suffix} {name}")
        for suffix, kinds in ((".npy", TABLE | FOLDERS), (".json", NOTES | FOLDERS))
        for name, damage in kinds.items()
    ],
)
def test_a_damaged_entry_is_decoded_anew(
    suffix: str, damage: Callable[[Path], object], few: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, fingerprint = decoded(few).batch(range(FEW)), decoded(few).fingerprint
    (file,) = (cache / "pixels").glob(f"*{suffix}")
    times = file.stat()
    damage(file)
    if file.is_file():
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = decoded(few)
    assert torch.equal(after.batch(range(FEW)), before)
    assert after.fingerprint == fingerprint
    if file.is_file():  # nothing takes the name of a folder
        monkeypatch.setattr(module, "read", None)
        assert torch.equal(decoded(few).batch(range(FEW)), before)


def dead_process() -> str:
    program = "from headstart.process import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_what_killed_processes_were_decoding_is_removed(photos: Path, cache: Path) -> None:
    folder = cache / "pixels"
    folder.mkdir(parents=True)
    dead = folder / f".{dead_process()}-0123abcd.0f.npy.part"
    old, new = folder / f".0f.npy.{'0' * 32}.part", folder / f".0f.npy.{'1' * 32}.part"
    for path in (dead, old, new):
        path.write_bytes(b"1" * 1000)
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    decoded(photos)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [new.name]


@pytest.mark.slow
def test_the_least_recently_used_makes_room_and_what_is_in_use_never(
    photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = photos, tmp_path / "two", tmp_path / "three"
    shutil.copytree(one, two)
    shutil.copytree(one, three)
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", str(int(2.5 * SIZE)))
    for number, folder in enumerate((one, two)):
        assert not decoded(folder).streaming
        for notes in (cache / "pixels").glob("*.json"):
            os.utime(notes, (1000 + number,) * 2) if notes.stat().st_mtime > 2000 else None
    gc.collect()
    assert not decoded(one).streaming  # used again: the other one is the older now
    gc.collect()
    held = decoded(three)
    assert not held.streaming
    tables = [entry for entry in api.cache() if entry.kind == "images"]
    assert {Path(entry.of).name for entry in tables} == {one.name, "three"}
    assert [Path(entry.of).name for entry in tables if entry.in_use] == ["three"]
    # One that does not fit beside what is in use takes nobody's room.
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", str(int(1.5 * SIZE)))
    before = held.batch(range(60))
    refused_room = decoded(two)
    assert refused_room.streaming
    assert torch.equal(refused_room.batch(range(3)), held.batch(range(3)))
    assert [entry.of for entry in api.cache() if entry.kind == "images"] == [entry.of for entry in tables]
    api.clear_cache()
    assert torch.equal(held.batch(range(60)), before)
    del held
    gc.collect()
    assert api.clear_cache()[0] == 1


HOLDS = """
import sys
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes.recipe import Data
settings = Data(image_size=32)
pixels = decode(training_index(sys.argv[1], settings), settings)
print("decoded", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_clear_leaves_what_another_process_uses_until_it_has_died(photos: Path, cache: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(photos)], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"decoded\n"
        assert "; 1 in use" in headstart("cache", "clear").stdout
        line = next(line for line in headstart("cache", "ls").stdout.splitlines() if "images" in line)
        assert "in use" in line
        assert str(photos) in line
        other.kill()
    assert headstart("cache", "clear").stdout.startswith("1 entries removed, 1")
    assert not list((cache / "pixels").iterdir())
    assert headstart("cache", "ls").stdout.startswith("0 entries, 0 B of at most ")


@pytest.mark.parametrize(
    ("text", "size"), [("50GB", 50e9), ("1.5 t", 1.5e12), ("300", 300), ("7kb", 7000), ("0", 0), ("12M", 12e6)]
)
def test_the_limit_is_a_size(text: str, size: float, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", text)
    assert cache_limit() == size


def test_the_limit_is_a_share_of_the_disk(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    total = shutil.disk_usage(cache.parent).total
    assert cache_limit() == pytest.approx(0.2 * total)
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", "50%")
    assert cache_limit() == pytest.approx(0.5 * total)
    for text in ("much", "-1", "1e9", "5 PB", "%"):
        monkeypatch.setenv("HEADSTART_CACHE_SIZE", text)
        assert "HEADSTART_CACHE_SIZE: expected a size such as 50GB or 10%, found" in refused("cache", "ls")


def test_with_a_limit_of_nothing_the_pixels_are_the_same(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = decoded(photos).batch(range(60))
    monkeypatch.setenv("HEADSTART_CACHE", str(cache / "other"))
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", "0")
    streaming = decoded(photos)
    assert streaming.streaming
    assert torch.equal(streaming.batch(range(60)), stored)


@pytest.mark.parametrize("damage", ["a mask cut", "a mask removed", "notes edited", "notes emptied"])
def test_drawn_masks_that_are_damaged_are_drawn_anew(damage: str, cache: Path) -> None:
    drawn: list[str] = []

    def draw(image: str) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], int]:
        drawn.append(image)
        return np.full((20, 30), len(image), np.uint8), 0

    names = ["a.jpg", "bb.jpg"]
    before = {image: file.read_bytes() for image, file in cached_masks("key", names, ["x"] * 6, draw).mask_of.items()}
    cached_masks("key", names, ["x"] * 6, draw)
    assert drawn == names
    (notes,) = (cache / "masks").rglob("masks.json")
    (mask, *_) = sorted((cache / "masks").rglob("*.png"))
    if "notes" in damage:
        notes.write_bytes(notes.read_bytes().replace(b'"x"', b'"y"') if damage == "notes edited" else b"")
    elif damage == "a mask cut":
        os.truncate(mask, 30)
    else:
        mask.unlink()
    again = cached_masks("key", names, ["x"] * 6, draw)
    assert drawn == names * 2
    assert again.classes == ("x",) * 6
    assert {image: file.read_bytes() for image, file in again.mask_of.items()} == before
