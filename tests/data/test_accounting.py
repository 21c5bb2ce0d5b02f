"""Whatever lies in a folder: every file is used, or listed with the reason why not, or the folder is refused."""

from __future__ import annotations

import io
import itertools
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.data.index import Index
from headstart.data.layouts import scan
from headstart.errors import HeadstartError

FOLDERS = [
    "train",
    "val",
    "test1",
    "images",
    "masks",
    "labels",
    "hat",
    "dress",
    "part_1",
    ".git",
    "__MACOSX",
    "ann_dir",
    "mask",
]
STEMS = [
    "1",
    "2",
    "3",
    "hat_1",
    "hat_2",
    "dress_1",
    "dress_2",
    "IMG_7",
    "1_mask",
    "2_mask",
    "1_gt",
    "Thumbs",
    ".DS_Store",
]
SUFFIXES = [".jpg", ".png", ".JPG", "", ".txt", ".json", ".heic", ".svg", ".db", ".jpg?w=64"]
TABLES = ["labels.csv", "train.csv", "test.csv", "sample_submission.csv", "predictions.csv", "notes.tsv"]


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


PHOTO = encoded(Image.effect_noise((16, 16), 60).convert("RGB"), "JPEG")
MASK = encoded(Image.new("L", (16, 16), 1), "PNG")
CONTENTS = [PHOTO, PHOTO, MASK, b"", b"no image at all", b"images: [1, 2]"]


def joined(place: str, name: str) -> str:
    return f"{place}/{name}".lstrip("/")


names = st.builds(lambda stem, suffix: stem + suffix, st.sampled_from(STEMS), st.sampled_from(SUFFIXES))
places = st.lists(st.sampled_from(FOLDERS), max_size=3).map("/".join)
files = st.dictionaries(st.builds(joined, places, names), st.sampled_from(CONTENTS), max_size=14)
headers = st.sampled_from(["filename,label", "id,breed", "image;class", "filename", "id,a,b", "filename,label,split"])
rows = st.lists(st.sampled_from(["1.jpg,hat", "2,dress", "train/1.jpg,0,1", "hat_1.jpg;hat", "3.jpg"]), max_size=4)
tables = st.dictionaries(
    st.builds(joined, st.sampled_from(["", "train"]), st.sampled_from(TABLES)), st.tuples(headers, rows), max_size=2
)


def unaccounted(root: Path, index: Index) -> set[str]:
    """Files below ``root`` that an index neither uses nor lists as unused."""
    used = {*index.paths, *index.masks, *index.sources, *(path for _, path in index.problems)}
    left = [path for path, _ in index.unused]
    assert len(left) == len(set(left)), "no file is listed twice"
    assert not used & set(left), "what is used is not unused"
    folders = tuple(path for path in left if path.endswith("/"))
    below = {Path(current, name).relative_to(root).as_posix() for current, _, some in os.walk(root) for name in some}
    return {path for path in below if path not in used and path not in left and not path.startswith(folders or "\0")}


@pytest.mark.slow
@pytest.mark.no_cover  # two thousand folders
def test_every_file_of_any_folder_is_used_or_accounted_for(tmp_path: Path) -> None:
    numbers = itertools.count()
    read = []

    @settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(files, tables, st.booleans())
    def property_of(contents: dict[str, bytes], written: dict[str, tuple[str, list[str]]], odd: bool) -> None:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        texts = {path: "\n".join([header, *rows]).encode() for path, (header, rows) in written.items()}
        for path, content in {**contents, **texts}.items():
            if not any((root / above).is_file() for above in Path(path).parents) and not (root / path).is_dir():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        if odd:
            os.mkfifo(root / "pipe.jpg")
            (root / "gone.jpg").symlink_to("/nowhere/gone.jpg")
        try:
            index = scan(root)
        except HeadstartError as error:
            assert str(root) in error.message or "--" in error.message, "a refusal names the file"
            assert error.hint
            return
        read.append(index.layout)
        assert unaccounted(root, index) == set()

    property_of()
    kinds = {layout.split(": ")[-1].split(" ")[0] for layout in read}
    assert {"folder", "pairs", "CSV", "{class}_{id}", "flat"} <= kinds, "the trees are of every layout"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are files on Unix alone")
def test_no_pipe_is_opened_whatever_its_name_promises(tmp_path: Path) -> None:
    """Opening one would wait for a writer for ever: in a process that is ended after a while."""
    for name in ("hat/1.jpg", "hat/2.jpg", "dress/3.jpg", "dress/4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PHOTO)
    pipes = ["list.txt", "train.txt", "classes.txt", "x.json", "dataset.json", "x.csv", "class_dict.csv", "x.xml", "x"]
    for name in pipes:
        os.mkfifo(tmp_path / name)
    signal.alarm(30)
    try:
        index = scan(tmp_path)
    finally:
        signal.alarm(0)
    assert len(index) == 4
    assert {path: why.words for path, why in index.unused} == dict.fromkeys(pipes, "not a regular file")


def test_the_reasons_are_the_files_own(tmp_path: Path) -> None:
    for path, content in {
        "hat/1.jpg": PHOTO, "hat/2.jpg": PHOTO, "dress/3.jpg": PHOTO, "dress/4": PHOTO, "dress/5.jpg_large": PHOTO,
        "dress/6.heic": b"\0\0\0\x18ftypheic", "dress/7.svg": b"<svg/>", "notes.md": b"# notes",
        "size.csv": b"width,height\n640,480\n",
        ".DS_Store": b"x", "__MACOSX/hat/._1.jpg": b"x", "$RECYCLE.BIN/$R1.jpg": PHOTO,
        "run/recipe.toml": b"", "run/environment.json": b"", "run/data.json": b"", "run/thumb.jpg": PHOTO,
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    os.mkfifo(tmp_path / "hat" / "pipe.jpg")
    index = scan(tmp_path)
    assert set(index.paths) == {"hat/1.jpg", "hat/2.jpg", "dress/3.jpg", "dress/4", "dress/5.jpg_large"}
    reasons = {path: why.words for path, why in index.unused}
    assert reasons.pop("dress/6.heic") in ("needs pip install 'headstart[heif]'", "not part of the layout", "")
    assert reasons == {
        "hat/pipe.jpg": "not a regular file",
        "dress/7.svg": "needs converting to PNG",
        "notes.md": "",
        "size.csv": "its columns name no image here",
        ".DS_Store": "file of the system",
        "__MACOSX/": "folder of the system",
        "$RECYCLE.BIN/": "folder of the system",
        "run/": "run folder of headstart",
    }
