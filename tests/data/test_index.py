"""Layouts are understood, or the error says why not; class order never depends on what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headstart as hs
from headstart.data.index import natural_key, split_named
from headstart.data.layouts import scan
from headstart.data.splits import make_val_split, training_index
from headstart.recipes.recipe import Data

pytestmark = pytest.mark.real_too


def moved(photos: Path, to: Path, place: Callable[[int, Path], str]) -> Path:
    """The photographs in another layout: ``place(number, file)`` is each one's path below ``to``."""
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        target = to / place(number, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return to


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train", "val"),
        ("Train", "Valid"),
        ("training", "validation"),
        ("train_50", "val_50"),
        ("TRAIN", "VAL"),
        ("train-images", "val-images"),
    ],
)
def test_split_folders_are_understood_by_all_their_names(train: str, val: str, photos: Path, tmp_path: Path) -> None:
    root = moved(photos, tmp_path / "data", lambda n, f: f"{val if n % 4 == 0 else train}/{f.parent.name}/{f.name}")
    index = scan(root)
    assert (len(index.positions("train")), len(index.positions("val"))) == (45, 15)
    assert index.classes == ("dress", "hat", "shoes")


def test_a_test_folder_is_a_test_split(photos: Path, tmp_path: Path) -> None:
    names = ("train", "valid", "test")
    index = scan(moved(photos, tmp_path / "data", lambda n, f: f"{names[n % 3]}/{f.parent.name}/{f.name}"))
    assert [len(index.positions(split)) for split in ("train", "val", "test")] == [20, 20, 20]


def test_a_class_that_is_called_like_a_split_is_a_class_among_others(photos: Path) -> None:
    (photos / "hat").rename(photos / "test")
    assert scan(photos).classes == ("dress", "shoes", "test")


@pytest.mark.parametrize(("one", "other"), [("train_station", "bus_station"), ("train_station", "test_tube")])
def test_classes_whose_names_begin_like_a_split_are_classes(one: str, other: str, photos: Path) -> None:
    (photos / "hat").rename(photos / one)
    (photos / "dress").rename(photos / other)
    assert set(scan(photos).classes) == {one, other, "shoes"}
    shutil.rmtree(photos / "shoes")
    assert set(scan(photos).classes) == {one, other}


def test_tables_of_two_splits_may_share_an_ending(photos: Path) -> None:
    for split, images in (("train", slice(0, 15)), ("val", slice(15, 20))):
        rows = [f"{c}/{file.name},{c}\n" for c in ("hat", "dress") for file in sorted((photos / c).iterdir())[images]]
        (photos / f"{split}_labels.csv").write_text("filename,label\n" + "".join(rows))
    index = scan(photos)
    assert (len(index.positions("train")), len(index.positions("val"))) == (30, 10)


def test_class_id_names_in_split_folders_and_in_one(photos: Path, tmp_path: Path) -> None:
    kinds = {"dress": "0", "hat": "2", "shoes": "10"}
    course = moved(
        photos, tmp_path / "p1", lambda n, f: f"{'val_50' if n % 5 == 0 else 'train_50'}/{kinds[f.parent.name]}_{n}.png"
    )
    index = scan(course)
    assert index.classes == ("0", "2", "10"), "natural order: 2 before 10"
    assert len(index.positions("val")) == 12
    flat = scan(moved(photos, tmp_path / "flat", lambda n, f: f"{f.parent.name}_{n}.jpg"))
    assert (flat.classes, set(flat.splits)) == (("dress", "hat", "shoes"), {""})
    for name, label in zip(flat.paths, flat.labels, strict=True):
        assert name.startswith(flat.classes[label])


def test_a_class_missing_from_one_split_shifts_none(photos: Path, tmp_path: Path) -> None:
    root = moved(photos, tmp_path / "data", lambda n, f: f"{'val' if n % 4 == 0 else 'train'}/{f.parent.name}/{f.name}")
    shutil.rmtree(root / "val" / "dress")
    index = scan(root)
    for path, label in zip(index.paths, index.labels, strict=True):
        assert path.split("/")[1] == index.classes[label]
    assert index.counts("val")["dress"] == 0


def test_a_csv_of_one_table_or_one_per_split(photos: Path, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    rows = "".join(f"{i},{name},{name.split('/')[0]}\n" for i, name in enumerate(names))
    (photos / "labels.csv").write_text("﻿id,filename,label\n" + rows, encoding="utf-8")
    index = scan(photos)
    assert (len(index), index.classes) == (60, ("dress", "hat", "shoes"))
    root = shared_data("clothing")
    clothing = scan(root)
    for split in ("train", "val"):
        names = [clothing.paths[row] for row in clothing.positions(split)]
        assert sorted(names) == sorted(f"{split}/{file.name}" for file in (root / split).iterdir())
    assert scan(photos / "labels.csv").paths == index.paths


def test_non_ascii_and_space_laden_names(photos: Path) -> None:
    (photos / "hat").rename(photos / "große Hüte 帽子")
    file = sorted((photos / "shoes").iterdir())[0]
    file.rename(file.with_name("a b ' é.jpg"))
    index = scan(photos)
    assert index.classes == ("dress", "große Hüte 帽子", "shoes")
    assert "shoes/a b ' é.jpg" in index.paths


def test_hidden_files_and_folders_are_left_alone(photos: Path) -> None:
    shutil.copytree(photos / "hat", photos / ".thumbnails")
    shutil.copy(next((photos / "hat").iterdir()), photos / "hat" / "._hidden.jpg")
    assert len(scan(photos)) == 60


@given(numbers=st.lists(st.integers(0, 10_000), unique=True))
def test_natural_order_is_the_order_of_the_numbers(numbers: list[int]) -> None:
    names = [f"class {n}" for n in sorted(numbers)]
    assert sorted(names, key=natural_key) == names


def test_names_that_are_no_split() -> None:
    assert [split_named(name) for name in ("trainers", "valentine", "tests", "images")] == [None] * 4


class TestSplit:
    """The validation images that headstart holds out where the data has none."""

    def test_it_is_stratified_and_the_same_whatever_the_order(self, photos: Path) -> None:
        index = scan(photos)
        held = make_val_split(index, 0.25)
        assert held.counts("val") == {"dress": 5, "hat": 5, "shoes": 5}
        shuffled = index.drop([])
        turned = type(index)(
            **{
                **shuffled.__dict__,
                **{name: getattr(index, name)[::-1] for name in ("paths", "labels", "splits", "groups")},
            }
        )
        again = make_val_split(turned, 0.25)
        assert dict(zip(held.paths, held.splits, strict=True)) == dict(zip(again.paths, again.splits, strict=True))

    def test_it_stays_nearly_the_same_when_images_are_added(self, photos: Path) -> None:
        before = make_val_split(scan(photos), 0.2)
        shutil.copy(sorted((photos / "hat").iterdir())[0], photos / "hat" / "new.jpg")
        after = make_val_split(scan(photos), 0.2)
        first, second = ({i.paths[row] for row in i.positions("val")} for i in (before, after))
        assert len(first - second) <= 1

    def test_groups_stay_on_one_side(self, photos: Path) -> None:
        index = training_index(str(photos), Data(group_regex=r"/(\d+)\d\."))
        sides: dict[str, set[str]] = {}
        for group, split in zip(index.groups, index.splits, strict=True):
            sides.setdefault(group, set()).add(split)
        assert all(len(splits) == 1 for splits in sides.values())
        assert all(index.counts("val").values())

    def test_groups_that_leave_nothing_are_an_error(self, photos: Path) -> None:
        with pytest.raises(hs.HeadstartError, match="no group can be held out"):
            training_index(str(photos), Data(group_regex="photos|/"))

    def test_a_broken_expression_is_an_error(self, photos: Path) -> None:
        with pytest.raises(hs.HeadstartError, match="expected a regular expression"):
            scan(photos, "(")
