"""What a folder is taken for: the layouts on the edge between two readings, and the refusals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.checks.check import check
from headstart.data.layouts import scan
from headstart.data.splits import training_index
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data

pytestmark = pytest.mark.real_too


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


def test_links_between_folders_are_followed_once(photos: Path, tmp_path: Path) -> None:
    """Links in both directions between two folders, inside the data and outside, would be 2 to the 40 paths."""
    before = scan(photos).paths
    for one, other in (("hat", "shoes"), ("shoes", "hat")):
        for name in ("first", "second"):
            (photos / one / name).symlink_to(photos / other, target_is_directory=True)
    assert scan(photos).paths == before
    linked = tmp_path / "linked"
    linked.mkdir()
    for folder in photos.iterdir():
        (linked / folder.name).symlink_to(folder, target_is_directory=True)
    assert len(scan(linked)) == len(before)


def test_images_without_a_label_are_listed_and_good_for_learning_without(photos: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        shutil.copy(file, flat / f"{number}.jpg")
    health = check(flat)
    assert (health.split, health.images, health.classes, health.usable) == ("none", {"all": 60}, (), True)


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


def a_split_folder_beside_the_classes(photos: Path) -> None:
    shutil.copytree(photos / "hat", photos / "train" / "hat")


@pytest.mark.parametrize(
    "spoil",
    [
        one_loose_image,
        split_folders_beside_a_class,
        loose_images_within_a_split,
        a_split_folder_beside_the_classes,
    ],
)
def test_mixed_layouts_are_refused(spoil: Callable[[Path], None], photos: Path) -> None:
    (photos / "train").mkdir()
    spoil(photos)
    with pytest.raises(HeadstartError, match="found two mixed"):
        scan(photos)


def test_splits_inside_the_class_folders_are_honoured(photos: Path) -> None:
    """Every class folder holds train/ and val/, though one has no val/; an image beside them is a mixed layout."""
    for kind in photos.iterdir():
        images = sorted(kind.iterdir())
        (kind / "train").mkdir()
        for image in images:
            image.rename(kind / "train" / image.name)
        if kind.name != "hat":
            (kind / "val").mkdir()
            for image in sorted((kind / "train").iterdir())[:5]:
                image.rename(kind / "val" / image.name)
    index = scan(photos)
    assert (index.layout, index.classes) == ("folder per class, splits inside", ("dress", "hat", "shoes"))
    assert index.counts("train") == {"dress": 15, "hat": 20, "shoes": 15}
    assert index.counts("val") == {"dress": 5, "hat": 0, "shoes": 5}
    shutil.copy(next((photos / "hat" / "train").iterdir()), photos / "hat" / "loose.jpg")
    with pytest.raises(HeadstartError, match=r"found two mixed: .* splits inside and .*hat/loose\.jpg"):
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
        ("filename,label\na.jpg,hat\na.jpg,dress\n", r"line 3: expected each file once, found a\.jpg again"),
        ("filename,label\na.jpg,\n", "line 2: expected a filename and a label"),
        ("filename,label,split\na.jpg,hat,holdout\n", "expected a split .* found holdout"),
    ],
)
def test_a_faulty_csv_is_refused_with_its_line(rows: str, complaint: str, photos: Path) -> None:
    shutil.copy(next((photos / "hat").iterdir()), photos / "a.jpg")
    (photos / "train.csv").write_text(rows)
    with pytest.raises(HeadstartError, match=complaint):
        scan(photos)


def labels_of(photos: Path) -> str:
    """The rows of a table of all photographs."""
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    return "".join(f"{name}, {name.split('/')[0]}\n" for name in names)


@pytest.mark.parametrize("header", ["Filename, Label", " FILENAME ,label", "\ufefffilename,LABEL"])
def test_a_header_is_understood_in_any_case_and_with_spaces(header: str, photos: Path) -> None:
    (photos / "Labels.CSV").write_text(f"{header}\n{labels_of(photos)}", encoding="utf-8")
    index = scan(photos)
    assert (index.layout, index.classes) == ("CSV (Labels.CSV)", ("dress", "hat", "shoes"))


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("labels.csv", "file,label"),
        ("labels.csv", "image,class"),
        ("mine.csv", "path,Label"),
        ("train.csv", "id_code,diagnosis"),
    ],
)
def test_columns_are_known_by_what_is_in_them_and_by_usual_names(name: str, header: str, photos: Path) -> None:
    (photos / name).write_text(f"{header}\n{labels_of(photos)}")
    index = scan(photos)
    assert (index.layout, index.classes, len(index)) == (f"CSV ({name})", ("dress", "hat", "shoes"), 60)
    assert index.sources == (name,)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train_log.csv", b"epoch,loss\n1,0.5\n"),
        ("val.csv", b"epoch,loss\n1,0.5\n"),
        ("test.csv", b"filename\n1.jpg\n"),
        ("classes.csv", b"label,name\nhat,a hat\n"),
        ("pr\u00fcfung.csv", "gr\u00f6\u00dfe;note\n".encode("latin-1")),
        ("._labels.csv", b"\0\5\26\7"),
    ],
)
def test_a_csv_file_about_something_else_does_not_block_class_folders(name: str, content: bytes, photos: Path) -> None:
    (photos / name).write_bytes(content)
    (photos / "folder.csv").mkdir()
    assert scan(photos).layout == "folder per class"


def test_a_table_called_like_a_split_is_meant_where_folders_tell_no_classes_apart(photos: Path) -> None:
    for kind in ("dress", "shoes"):
        shutil.rmtree(photos / kind)
    (photos / "hat").rename(photos / "train")
    (photos / "train.csv").write_text("image,class\n")
    with pytest.raises(HeadstartError, match="expected a column that names images, found image, class"):
        scan(photos)


def test_a_table_called_like_a_split_is_meant_beside_a_table_of_another_split(photos: Path) -> None:
    (photos / "train.csv").write_text(f"filename,label\n{labels_of(photos)}")
    (photos / "val.csv").write_text("image,class\n")
    with pytest.raises(HeadstartError, match=r"val\.csv: expected a column that names images, found image, class"):
        scan(photos)
