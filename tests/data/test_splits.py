"""`check` and training agree on what can be trained on, and `check` judges the split that training makes."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from headstart.data.checks.check import check
from headstart.data.checks.duplicate_sets import duplicate_sets
from headstart.data.dataset import Dataset
from headstart.data.layouts import scan
from headstart.data.splits import label_subset, make_val_split, training_index
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data


def sound(photos: Path) -> None:
    pass


def one_class(photos: Path) -> None:
    shutil.rmtree(photos / "hat")
    shutil.rmtree(photos / "shoes")


def one_image(photos: Path) -> None:
    for file in sorted((photos / "hat").iterdir())[1:]:
        file.unlink()


def only_in_validation(photos: Path) -> None:
    (photos / "train").mkdir()
    (photos / "val").mkdir()
    shutil.copytree(photos / "hat", photos / "val" / "hat")
    for name in ("dress", "shoes"):
        shutil.copytree(photos / name, photos / "train" / name)
        shutil.copytree(photos / name, photos / "val" / name)
    for name in ("dress", "hat", "shoes"):
        shutil.rmtree(photos / name)


def only_in_test(photos: Path) -> None:
    only_in_validation(photos)
    (photos / "test").mkdir()
    (photos / "val" / "hat").rename(photos / "test" / "hat")


def nothing_to_train_on(photos: Path) -> None:
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    rows = "".join(f"{name},{name.split('/')[0]},test\n" for name in names)
    (photos / "labels.csv").write_text("filename,label,split\n" + rows)


def listed_but_missing(photos: Path) -> None:
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    rows = "".join(f"{name},{name.split('/')[0]}\n" for name in [*names, "hat/gone.jpg"])
    (photos / "labels.csv").write_text("filename,label\n" + rows)


FAULTS = [one_class, one_image, only_in_validation, only_in_test, nothing_to_train_on, listed_but_missing]


@pytest.mark.parametrize("spoil", [sound, *FAULTS])
def test_check_calls_usable_what_training_accepts(spoil: Callable[[Path], None], photos: Path) -> None:
    spoil(photos)
    try:
        training_index(str(photos), Data())
        accepted = True
    except HeadstartError:
        accepted = False
    assert check(photos).usable == accepted == (spoil is sound)


def test_groups_that_leave_nothing_to_hold_out_are_not_usable(photos: Path) -> None:
    health = check(photos, Data(group_regex="photos|/"))
    assert [each.kind for each in health.issues if each.severity == "error"] == ["no validation"]


def add_copies(photos: Path) -> dict[str, str]:
    """A copy beside every photograph, each third mirrored, each third half the size; path -> its original's."""
    added = {}
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        again = file.with_stem(f"{file.stem} again")
        with Image.open(file) as picture:
            if number % 3 == 0:
                shutil.copy(file, again)
            elif number % 3 == 1:
                ImageOps.mirror(picture).save(again, quality=60)
            else:
                picture.resize((picture.width // 2, picture.height // 2)).save(again)
        added[again.relative_to(photos).as_posix()] = file.relative_to(photos).as_posix()
    return added


@pytest.mark.real_too
def test_the_made_split_keeps_copies_on_one_side(photos: Path) -> None:
    added = add_copies(photos)
    health, index = check(photos), training_index(str(photos), Data())
    split_of = dict(zip(index.paths, index.splits, strict=True))
    assert {again for again, original in added.items() if split_of[again] != split_of[original]} == set()
    assert index.counts("val") == {"dress": 8, "hat": 8, "shoes": 8}
    assert health.images == {"train": 96, "val": 24}
    assert [issue.kind for issue in health.issues if "leakage" in issue.kind] == []
    within = [issue for issue in health.issues if issue.kind in ("duplicates", "near duplicates")]
    assert sum(len(issue.sets) for issue in within) == len(added)


@pytest.mark.slow
def test_the_split_is_that_of_check_at_any_image_size_and_target(photos: Path, tmp_path: Path) -> None:
    """Also without the cache that `check` leaves."""
    add_copies(photos)
    counts = check(photos).counts["val"]
    expected = training_index(str(photos), Data())
    assert expected.counts("val") == counts
    for place, (size, target) in enumerate(((32, "label"), (160, "label"), (64, "none"))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HEADSTART_CACHE", str(tmp_path / f"cache {place}"))
            pixels = Dataset(photos).pixels(Data(image_size=size), target)  # type: ignore[arg-type]
        assert (pixels.index.paths, pixels.index.splits) == (expected.paths, expected.splits)


def test_training_images_held_out_for_tuning_have_no_copies_in_training(photos: Path) -> None:
    added = add_copies(photos)
    index = Dataset(photos).index(Data(image_size=32, validate_on="train"))
    assert set(index.splits) == {"train", "val", "aside"}
    split_of = dict(zip(index.paths, index.splits, strict=True))
    assert {again for again, original in added.items() if split_of[again] != split_of[original]} == set()


def test_single_files_are_held_out_in_the_order_of_the_hash_of_their_names(photos: Path) -> None:
    index = scan(photos)
    expected = set()
    for name in index.classes:
        files = [path for path in index.paths if path.startswith(f"{name}/")]
        expected |= set(sorted(files, key=lambda path: blake2b(f"file {path}".encode()).digest())[:4])
    held = make_val_split(index, 0.2)
    assert {held.paths[row] for row in held.positions("val")} == expected


def test_sets_and_groups_that_overlap_are_one_unit(photos: Path) -> None:
    """A chain through every hat: a set of 0 and 1, a group of 1 and 2, a set of 2 and 3, and so on."""
    index = scan(photos)
    hats = [row for row, label in enumerate(index.labels) if index.classes[label] == "hat"][:10]
    groups = list(index.groups)
    for one, other in zip(hats[1::2], hats[2::2], strict=False):
        groups[one] = groups[other] = f"from {one}"
    grouped = replace(index, groups=tuple(groups))
    sets = [hats[start : start + 2] for start in range(0, len(hats), 2)]
    for fraction in (0.2, 0.5):
        for order in (sets, sets[::-1]):
            split = make_val_split(grouped, fraction, order)
            assert len({split.splits[row] for row in hats}) == 1
            assert split == make_val_split(grouped, fraction, [*sets, hats[:2]])
        back = replace(
            grouped, **{name: getattr(grouped, name)[::-1] for name in ("paths", "labels", "splits", "groups")}
        )
        mirrored = make_val_split(back, fraction, [[len(index) - 1 - row for row in rows] for rows in sets])
        assert mirrored.splits[::-1] == make_val_split(grouped, fraction, sets).splits


def test_only_where_nothing_could_be_held_out_duplicates_are_divided(photos: Path) -> None:
    index = scan(photos)
    for name in ("hat", "shoes"):
        some = [row for row, label in enumerate(index.labels) if index.classes[label] == name]
        assert make_val_split(index, 0.2, [some]).counts("val") == {"dress": 4, "hat": 4, "shoes": 4} | {name: 0}
    film = [list(range(len(index)))]
    assert make_val_split(index, 0.2, film) == make_val_split(index, 0.2)


def test_unreadable_files_are_in_no_set_and_stop_no_split(photos: Path) -> None:
    for name in ("one.jpg", "other.jpg"):
        (photos / "hat" / name).write_text("no picture")
    index = scan(photos)
    assert duplicate_sets(index) == []
    assert duplicate_sets(index) == [], "from the cache"
    assert training_index(str(photos), Data()).splits == make_val_split(index, 0.2).splits


def test_a_group_expression_that_matches_nothing_is_said(photos: Path) -> None:
    assert [each.kind for each in check(photos, Data(group_regex="patient")).issues if each.severity != "note"] == [
        "no groups"
    ]


@pytest.mark.skipif(os.name != "posix", reason="only there may a name be any bytes")
def test_names_that_are_not_utf_8_are_split_like_others(photos: Path) -> None:
    for number, file in enumerate(sorted((photos / "hat").iterdir())):
        os.rename(file, os.fsencode(file.parent) + b"/\xff" + str(number).encode() + b".jpg")  # noqa: PTH104
    assert training_index(str(photos), Data(val_fraction=0.2)).counts("val")["hat"] == 4


def test_label_fractions_are_nested_stratified_and_drawn_by_the_seed(photos: Path) -> None:
    index = make_val_split(scan(photos), 0.2)
    parts = [label_subset(index, fraction, seed=0) for fraction in (0.1, 0.5, 1)]
    assert set(parts[0]) < set(parts[1]) < set(parts[2])
    assert parts[2] == index.positions("train")
    for part, count in zip(parts, (2, 8, 16), strict=True):
        assert Counter(index.labels[row] for row in part) == dict.fromkeys(range(3), count)
    assert label_subset(index, 0.5, seed=1) != parts[1]


def test_a_fraction_that_leaves_a_class_empty_is_refused_with_the_smallest_possible(photos: Path) -> None:
    index = make_val_split(scan(photos), 0.2)
    with pytest.raises(HeadstartError, match=r"data.label_fraction 0.03.*the smallest fraction is 0.0313"):
        label_subset(index, 0.03, seed=0)
    assert len(label_subset(index, 0.0313, seed=0)) == 3
