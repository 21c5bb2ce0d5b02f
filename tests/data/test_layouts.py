"""What a folder is taken for: the layouts on the edge between two readings, and the refusals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.check import check
from headstart.data.layouts import scan
from headstart.data.split import training_index
from headstart.errors import HeadstartError
from headstart.recipe import Data


@pytest.mark.parametrize("place", ["train/{c}/{n}.jpg", "train_50/{c}_{n}.jpg"])
def test_a_train_folder_alone_is_a_split_and_not_a_class(place: str, photos: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        target = tmp_path / "data" / place.format(c=file.parent.name, n=number)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    index = training_index(str(tmp_path / "data"), Data(val_fraction=0.2))
    assert (index.classes, index.split_made) == (("dress", "hat", "shoes"), True)
    assert index.counts("val") == {"dress": 4, "hat": 4, "shoes": 4}


def test_links_to_class_folders_are_followed(photos: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for folder in photos.iterdir():
        (linked / folder.name).symlink_to(folder, target_is_directory=True)
    assert scan(linked).paths == scan(photos).paths


def test_a_link_to_a_folder_above_is_not_walked_for_ever(photos: Path) -> None:
    before = scan(photos).paths
    (photos / "hat" / "round").symlink_to(photos, target_is_directory=True)
    assert scan(photos).paths == before


def test_images_without_a_label_are_listed_and_not_usable(photos: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        shutil.copy(file, flat / f"{number}.jpg")
    health = check(flat)
    assert (health.split, health.images, health.classes, health.usable) == ("none", {"all": 60}, (), False)


def one_loose_image(photos: Path) -> None:
    shutil.copy(next((photos / "hat").iterdir()), photos)


def split_folders_beside_a_class(photos: Path) -> None:
    (photos / "hat").rename(photos / "train")
    (photos / "dress").rename(photos / "val")


def loose_images_within_a_split(photos: Path) -> None:
    for folder in ("dress", "shoes"):
        shutil.move(photos / folder, photos / "train" / folder)
    (photos / "hat").rename(photos / "val")
    shutil.copy(next((photos / "val").iterdir()), photos / "train")


@pytest.mark.parametrize("spoil", [one_loose_image, split_folders_beside_a_class, loose_images_within_a_split])
def test_mixed_layouts_are_refused(spoil: Callable[[Path], None], photos: Path) -> None:
    (photos / "train").mkdir()
    spoil(photos)
    with pytest.raises(HeadstartError, match="found two mixed"):
        scan(photos)


def test_an_empty_or_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="the folder is empty"):
        scan(tmp_path)
    with pytest.raises(HeadstartError, match="no such folder"):
        scan(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(HeadstartError, match=r"1 \.txt files"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("file,label\na.jpg,hat\n", "expected a column filename"),
        ("filename,class\na.jpg,hat\n", "expected a column label"),
        ("filename,label\na.jpg,hat\na.jpg,dress\n", r"line 3: expected each file once, found a\.jpg again"),
        ("filename,label\na.jpg,\n", "line 2: expected a filename and a label"),
        ("filename,label,split\na.jpg,hat,holdout\n", "expected a split .* found holdout"),
        ("filename,label\n", "expected rows of images, found none"),
    ],
)
def test_a_faulty_csv_is_refused_with_its_line(rows: str, complaint: str, photos: Path) -> None:
    shutil.copy(next((photos / "hat").iterdir()), photos / "a.jpg")
    (photos / "train.csv").write_text(rows)
    with pytest.raises(HeadstartError, match=complaint):
        scan(photos)
