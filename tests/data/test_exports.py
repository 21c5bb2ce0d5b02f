"""Folders as known data sets and annotation tools lay them out, with and without masks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.checks.check import check
from headstart.data.index import Index
from headstart.data.layouts import Choice, scan
from headstart.data.masks.codec import read_mask
from headstart.data.splits import training_index
from headstart.data.unused import Kind
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data

pytestmark = pytest.mark.slow

SIDE = 64
Pair = tuple[Image.Image, Image.Image]


@pytest.fixture
def pairs(shared_data: Callable[[str], Path]) -> list[Pair]:
    """Eight real images with masks of the numbers 0 to 5."""
    root = shared_data("aerial")
    found = []
    colors = {code: number for number, code in enumerate(sorted(_colors(root)))}
    for image in sorted((root / "train").glob("*_sat.jpg"))[:8]:
        with (
            Image.open(image) as photo,
            Image.open(image.with_name(image.name.replace("_sat.jpg", "_mask.png"))) as mask,
        ):
            rgb = np.asarray(mask.convert("RGB")).astype(int)[100 : 100 + SIDE, 100 : 100 + SIDE]
            codes = rgb[..., 0] * 65536 + rgb[..., 1] * 256 + rgb[..., 2]
            numbers = np.vectorize(colors.get)(codes).astype(np.uint8)
            found.append((photo.convert("RGB").crop((100, 100, 100 + SIDE, 100 + SIDE)), Image.fromarray(numbers)))
    return found


def _colors(root: Path) -> list[int]:
    lines = [line.split(",")[1:] for line in (root / "class_dict.csv").read_text().splitlines()[1:]]
    return [int(r) * 65536 + int(g) * 256 + int(b) for r, g, b in lines]


def lay(pairs: list[Pair], root: Path, image: str, mask: str, splits: tuple[str, str] = ("train", "val")) -> Path:
    """Save pairs under ``image`` and ``mask``: ``{n}`` is the number, ``{s}`` the split; the last two are held out."""
    for number, (photo, classes) in enumerate(pairs):
        split = splits[number >= len(pairs) - 2]
        for form, picture in ((image, photo), (mask, classes)):
            file = root / form.format(n=f"{number:04d}", s=split)
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.save(file)
    return root


def matched(index: Index, pairs: list[Pair]) -> bool:
    """Whether every image has its own mask, pixel for pixel."""
    assert index.masks
    for path, mask in zip(index.paths, index.masks, strict=True):
        with Image.open(index.root / path) as photo, Image.open(index.root / mask) as classes:
            differences = [
                np.abs(np.asarray(photo.convert("RGB")).astype(int) - np.asarray(p)).mean() for p, _ in pairs
            ]
            number = int(np.argmin(differences))
            if not np.array_equal(np.asarray(classes.convert("L")), np.asarray(pairs[number][1])):
                return False
    return True


@pytest.mark.parametrize(
    ("image", "mask", "splits"),
    [
        ("img_dir/{s}/{n}.png", "ann_dir/{s}/{n}.png", ("train", "val")),  # MMSegmentation
        ("images/{s}/ADE_{n}.jpg", "annotations/{s}/ADE_{n}.png", ("training", "validation")),  # ADE20K
        ("{s}/{n}.png", "{s}annot/{n}.png", ("train", "val")),  # SegNet's CamVid
        ("images/{n}.png", "labels/{n}_P.png", ("", "")),  # fastai's CamVid
        ("train/{n}.jpg", "train_masks/{n}_mask.gif", ("", "")),  # Carvana
        ("ISIC_{s}_Input/ISIC_{n}.jpg", "ISIC_{s}_GroundTruth/ISIC_{n}_segmentation.png", ("Training", "Validation")),
        ("leftImg8bit/{s}/bonn/b_{n}_leftImg8bit.png", "gtFine/{s}/bonn/b_{n}_gtFine_labelIds.png", ("train", "val")),
        ("imagesTr/case_{n}_0000.png", "labelsTr/case_{n}.png", ("", "")),  # nnU-Net
        ("ds0/img/{n}.png", "ds0/masks_machine/{n}.png", ("", "")),  # Supervisely
        ("images/img_{n}.png", "masks/mask_{n}.png", ("", "")),
        ("left/{n}.png", "right/{n}.png", ("", "")),
        ("a/photo {n}.jpg", "b/drawing {n}.png", ("", "")),
        ("{n}.jpg", "{n}_gt.png", ("", "")),
        ("{n}.jpg", "{n}.label.png", ("", "")),
        ("{s}/{n}_png.rf.0f3a.jpg", "{s}/{n}_png.rf.0f3a_mask.png", ("train", "valid")),  # Roboflow
        ("my export/images/{n}.jpg", "my export/SegmentationClass/{n}.png", ("", "")),
    ],
)
def test_images_find_their_masks(
    image: str, mask: str, splits: tuple[str, str], pairs: list[Pair], tmp_path: Path
) -> None:
    root = lay(pairs, tmp_path / "data", image, mask, splits)
    index = scan(root)
    assert (len(index), index.problems, [u for u in index.unused if u[1].words]) == (8, (), [])
    assert matched(index, pairs)
    assert len(index.positions("val")) == (2 if splits[1] else 0)
    assert check(root).usable


def test_pascal_voc_with_its_lists(pairs: list[Pair], tmp_path: Path) -> None:
    root = lay(pairs, tmp_path / "voc", "JPEGImages/{n}.jpg", "SegmentationClass/{n}.png")
    lay(pairs, root, "JPEGImages/{n}.jpg", "SegmentationObject/{n}.png")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{n:04d}\n" for n in range(5)))
    (lists / "val.txt").write_text("0005\n0006\n")
    index = scan(root)
    assert (len(index.positions("train")), len(index.positions("val")), index.problems) == (5, 2, ())
    assert set(index.sources) == {"ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt"}
    reasons = {path: why.words for path, why in index.unused}
    assert {path for path, why in reasons.items() if "another drawing" in why} == {
        f"SegmentationObject/{n:04d}.png" for n in range(8)
    }
    assert "in none of the lists" in reasons["JPEGImages/0007.jpg"]
    assert matched(index, pairs)


def test_a_list_of_the_validation_images_alone(pairs: list[Pair], tmp_path: Path) -> None:
    root = lay(pairs, tmp_path / "camvid", "images/{n}.png", "labels/{n}_P.png")
    (root / "valid.txt").write_text("0001.png\n0003.png\n")
    index = scan(root)
    assert [index.paths[row] for row in index.positions("val")] == ["images/0001.png", "images/0003.png"]
    assert len(index.positions("train")) == 6


def test_cityscapes_takes_the_numbers_of_the_classes(pairs: list[Pair], tmp_path: Path) -> None:
    image = "leftImg8bit/{s}/bonn/b_{n}_leftImg8bit.png"
    root = tmp_path / "cityscapes"
    for ending in ("color", "instanceIds", "labelIds"):
        lay(pairs, root, image, "gtFine/{s}/bonn/b_{n}_gtFine_" + ending + ".png")
    index = scan(root)
    assert all(mask.endswith("labelIds.png") for mask in index.masks)
    assert len([path for path, why in index.unused if "another drawing" in why.words]) == 16
    assert matched(index, pairs)


def test_several_masks_of_an_image_become_one(pairs: list[Pair], tmp_path: Path) -> None:
    root = tmp_path / "parts"
    for name, number in (("roof", 0), ("tree", 2)):
        binary = [(photo, Image.fromarray((np.asarray(m) == number).astype(np.uint8) * 255)) for photo, m in pairs]
        lay(binary, root, "images/{n}.jpg", "masks/{n}_" + name + ".png")
    index = training_index(str(root), Data(resize="keep", image_size=32), "mask")
    assert index.classes == ("background", "roof", "tree")
    assert index.palette is not None
    for path, mask in zip(index.paths, index.masks, strict=True):
        truth = np.asarray(pairs[int(Path(path).stem)][1])
        expected = np.where(truth == 0, 1, np.where(truth == 2, 2, 0))
        assert np.array_equal(read_mask(index.root / mask, index.palette), expected)


def test_a_second_mask_of_the_same_class_is_united_with_the_first(pairs: list[Pair], tmp_path: Path) -> None:
    """BUSI: ``benign (1).png``, ``benign (1)_mask.png``, ``benign (1)_mask_1.png``; folders may be classes as well."""
    root = tmp_path / "busi"
    for number, (photo, classes) in enumerate(pairs):
        kind = ("benign", "malignant")[number % 2]
        (root / kind).mkdir(parents=True, exist_ok=True)
        photo.save(root / kind / f"{kind} ({number}).png")
        for ending, value in (("_mask", 0), ("_mask_1", 2)):
            binary = (np.asarray(classes) == value).astype(np.uint8) * 255
            Image.fromarray(binary).save(root / kind / f"{kind} ({number}){ending}.png")
    index = training_index(str(root), Data(resize="keep", image_size=32), "mask")
    assert (len(index), index.classes) == (8, ("background", "foreground"))
    assert index.palette is not None
    for path, mask in zip(index.paths, index.masks, strict=True):
        truth = np.asarray(pairs[int(path.split("(")[1].split(")")[0])][1])
        assert np.array_equal(read_mask(index.root / mask, index.palette), np.isin(truth, (0, 2)))
    by_folder = scan(root, choice=Choice("folders"))
    assert (by_folder.classes, len(by_folder)) == (("benign", "malignant"), 8)
    assert len([path for path, why in by_folder.unused if why.words == "a mask"]) == 16


def test_classes_called_mask_are_classes(photos: Path) -> None:
    (photos / "hat").rename(photos / "with_mask")
    (photos / "dress").rename(photos / "without_mask")
    shutil.rmtree(photos / "shoes")
    for folder in photos.iterdir():
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"face_{number}.jpg")
    index = scan(photos)
    assert (index.classes, index.masks) == (("with_mask", "without_mask"), ())


def test_coco_polygons_are_masks(pairs: list[Pair], tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    root = tmp_path / "coco"
    images, annotations = [], []
    for number, (photo, _) in enumerate(pairs):
        (root / "train2017").mkdir(parents=True, exist_ok=True)
        photo.save(root / "train2017" / f"{number:012d}.jpg")
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": SIDE, "height": SIDE})
        square = [8, 8, 24 + number, 8, 24 + number, 40, 8, 40]
        annotations.append({"id": number, "image_id": number, "category_id": 3, "segmentation": [square], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "car"}]}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    index = training_index(str(root), Data(resize="keep", image_size=32), "mask")
    assert (index.classes, len(index)) == (("background", "car"), 8)
    assert index.palette is not None
    for path, mask in zip(index.paths, index.masks, strict=True):
        drawn = read_mask(index.root / mask, index.palette)
        assert drawn.sum() == (16 + int(Path(path).stem)) * 32
        assert drawn[8:40, 8:24].all()


def test_coco_in_folders_of_splits(pairs: list[Pair], tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    root = lay(pairs, tmp_path / "coco", "images/{s}2017/{n}.jpg", "unused/{n}.png")
    shutil.rmtree(root / "unused")
    for split in ("train", "val"):
        files = sorted((root / "images" / f"{split}2017").iterdir())
        images = [{"id": i, "file_name": file.name, "width": SIDE, "height": SIDE} for i, file in enumerate(files)]
        square = {"category_id": 1, "segmentation": [[8, 8, 24, 8, 24, 24, 8, 24]], "iscrowd": 0}
        annotations = [{"id": i, "image_id": i, **square} for i in range(len(files))]
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
        (root / f"instances_{split}2017.json").write_text(json.dumps(content))
    index = scan(root)
    assert (len(index.positions("train")), len(index.positions("val"))) == (6, 2)


@pytest.mark.parametrize(("name", "content"), [("{n}.txt", "0 .1 .1 .2 .2"), ("{n}.xml", "<annotation/>")])
def test_boxes_are_named_and_not_read(name: str, content: str, pairs: list[Pair], tmp_path: Path) -> None:
    root = tmp_path / "boxes"
    for number, (photo, _) in enumerate(pairs):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "labels").mkdir(exist_ok=True)
        photo.save(root / "images" / f"{number:04d}.jpg")
        (root / "labels" / name.format(n=f"{number:04d}")).write_text(content)
    result = check(root)
    assert result.status == 1
    assert len(next(each for each in result.issues if each.kind == "annotations not read").files) == 8


def move(photos: Path, root: Path, form: str, splits: tuple[str, str] = ("train", "val")) -> Path:
    """The photographs under other names: ``{c}`` is the class, ``{n}`` a number, ``{s}`` the split, ``{p}`` a part."""
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        split = splits[number % 5 == 0]
        target = root / form.format(c=file.parent.name, n=number, s=split, p=number % 2)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return root


@pytest.mark.parametrize(
    ("form", "splits"),
    [
        ("{s}/{s}/{c}/{n}.jpg", ("training_set", "test_set")),  # Kaggle's Cat and Dog
        ("my data set/{c}/{n}.jpg", ("", "")),
        ("zip/export/{s}/{c}/{n}.jpg", ("train2017", "val2017")),
        ("{s}/{c}/{n}", ("Train Images", "Test Images")),
        ("{c}_{s}/{n}.jpg", ("train", "test")),
        ("{s}-{c}/{n}.jpg", ("train", "val")),
        ("images/{c}/{n}.jpeg!d", ("", "")),
        ("{s}/{c}.{n}.jpg", ("train", "valid")),  # Kaggle's Dogs vs. Cats
        ("{c} ({n}).jpg", ("", "")),
        ("{c}-{n}.jpg", ("", "")),
        ("images/{c}_{n}.jpg", ("", "")),  # Oxford Pets
    ],
)
def test_folders_and_names_of_classes(form: str, splits: tuple[str, str], photos: Path, tmp_path: Path) -> None:
    index = scan(move(photos, tmp_path / "data", form, splits))
    assert (index.classes, len(index), index.unused) == (("dress", "hat", "shoes"), 60, ())
    held_out = len(index.positions("val")) + len(index.positions("test"))
    assert held_out == (12 if splits[0] else 0)


@pytest.mark.parametrize("form", ["IMG_{n}.jpg", "DSC{n:05d}.jpg", "frame-{n}.jpg", "{n}.jpg", "2024-05-01_{n}.jpg"])
def test_names_of_cameras_and_numbers_are_no_classes(form: str, photos: Path, tmp_path: Path) -> None:
    assert scan(move(photos, tmp_path / "data", form)).classes == ()


@pytest.mark.parametrize(
    "form",
    [
        "HAM_images_part_{p}/{c}{n}.jpg", "images_00{p}/{n}.jpg", "batch {p}/{n}.jpg", "2024-05-0{p}/{n}.jpg",
        "10{p}CANON/IMG_{n}.JPG",
    ],
)  # fmt: skip
def test_parts_of_a_set_are_no_classes(form: str, photos: Path, tmp_path: Path) -> None:
    index = scan(move(photos, tmp_path / "data", form))
    assert (index.classes, len(index)) == ((), 60)
    with pytest.raises(HeadstartError, match="a class for every image"):
        training_index(str(index.root), Data())


def test_a_test_folder_without_labels_waits(photos: Path, tmp_path: Path) -> None:
    root = move(photos, tmp_path / "data", "train/{c}/{n}.jpg")
    (root / "test1").mkdir()
    shutil.copy(next((photos / "hat").iterdir()), root / "test1" / "1.jpg")
    index = scan(root)
    assert (index.classes, len(index), set(index.splits)) == (("dress", "hat", "shoes"), 60, {"train"})
    assert dict(index.unused) == {"test1/1.jpg": (Kind.WAITING, "in a split without labels: for headstart predict")}
    assert check(root).status == 0


@pytest.mark.parametrize("content", [None, bytes(range(128, 256))])
def test_a_class_folder_that_gives_no_image_is_an_error(content: bytes | None, photos: Path) -> None:
    (photos / "scarf").mkdir()
    if content:
        (photos / "scarf" / "1.unknown").write_bytes(content)
    assert {each.kind for each in check(photos).issues if each.severity == "error"} == {"folder without images"}
    with pytest.raises(HeadstartError, match="scarf/ holds no image"):
        training_index(str(photos), Data())


def test_a_train_may_be_a_class(photos: Path) -> None:
    (photos / "hat").rename(photos / "train")
    (photos / "dress").rename(photos / "bus stop")
    assert scan(photos).classes == ("bus stop", "shoes", "train")


def test_two_folders_of_the_same_names_are_doubted(photos: Path) -> None:
    shutil.rmtree(photos / "shoes")
    for folder in ("dress", "hat"):
        for number, file in enumerate(sorted((photos / folder).iterdir())):
            file.rename(photos / folder / f"scene_{number:04d}.jpg")
    assert [note.kind for note in scan(photos).notes if note.severity == "warning"] == ["same names"]


def test_names_pair_up_in_any_case(pairs: list[Pair], tmp_path: Path) -> None:
    root = lay(pairs, tmp_path / "data", "images/IMG_{n}.JPG", "masks/img_{n}_Mask.png")
    assert matched(scan(root), pairs)


def test_run_and_study_folders_inside_the_data_are_left_out(photos: Path) -> None:
    before = scan(photos)
    run = photos / "runs" / "quick"
    run.mkdir(parents=True)
    for name in ("recipe.toml", "environment.json", "data.json"):
        (run / name).touch()
    shutil.copy(next((photos / "hat").iterdir()), run / "thumbnail.jpg")
    after = scan(photos)
    assert (after.paths, after.classes) == (before.paths, before.classes)
    assert ("runs/quick/", (Kind.SYSTEM, "run folder of headstart")) in after.unused
