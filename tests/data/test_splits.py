"""`check` and training agree on what can be trained on, and `check` judges the split that training makes."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.checks.check import check
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
    health = check(photos, group="photos|/")
    assert [each.kind for each in health.issues if each.severity == "error"] == ["no validation"]


def test_copies_that_the_made_split_tears_apart_are_leaks(photos: Path) -> None:
    """Every photograph twice: with a fifth held out by name, some pairs cannot but be torn."""
    for file in sorted(photos.rglob("*.jpg")):
        shutil.copy(file, file.with_stem(f"{file.stem} again"))
    health, index = check(photos), training_index(str(photos), Data())
    split_of = dict(zip(index.paths, index.splits, strict=True))
    torn = {
        frozenset({path, path.replace(".jpg", " again.jpg")})
        for path, split in split_of.items()
        if "again" not in path and split != split_of[path.replace(".jpg", " again.jpg")]
    }
    leaks = [each for each in health.issues if each.kind == "duplicate leakage"]
    assert torn, "the case that is tested"
    assert [{frozenset(pair) for pair in leak.sets} for leak in leaks] == [torn]
    assert "the val split that headstart makes" in leaks[0].message


def test_a_group_expression_mends_such_a_leak(photos: Path) -> None:
    for file in sorted(photos.rglob("*.jpg")):
        shutil.copy(file, file.with_stem(f"{file.stem} again"))
    assert not [each for each in check(photos, group=r"(\d+)( again)?\.jpg").issues if "leak" in each.kind]


def test_a_group_expression_that_matches_nothing_is_said(photos: Path) -> None:
    assert [each.kind for each in check(photos, group="patient").issues if each.severity != "note"] == ["no groups"]


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
