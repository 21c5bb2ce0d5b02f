"""COCO JSON drawn as masks, against scikit-image's polygons and run lengths written by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon2mask

from headstart.data.layouts import scan
from headstart.data.masks.coco import coco_masks, is_coco
from headstart.data.masks.codec import read_mask
from headstart.data.masks.palette_files import read_palette
from headstart.errors import HeadstartError

pytest.importorskip("pycocotools")
HEIGHT, WIDTH = 60, 90
SQUARE = [10.0, 10.0, 50.0, 10.0, 50.0, 40.0, 10.0, 40.0]
SMALL = [20.0, 20.0, 30.0, 20.0, 30.0, 30.0, 20.0, 30.0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


def write(file: Path, annotations: list[dict[str, Any]], names: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": n, "file_name": name, "height": HEIGHT, "width": WIDTH} for n, name in enumerate(names)]
    categories = [{"id": 7, "name": "road"}, {"id": 3, "name": "sky"}, {"id": 0, "name": "none of these"}]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def shape(image: int, category: int, segmentation: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths down the columns, beginning with zeros."""
    flat = mask.ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    lengths: list[int] = np.diff(np.concatenate([[0], changes])).tolist()
    return lengths


def test_polygons_and_run_lengths(tmp_path: Path) -> None:
    disk = (np.indices((HEIGHT, WIDTH)) - np.array([30, 70]).reshape(2, 1, 1)) ** 2
    round_one = disk.sum(axis=0) < 100
    annotations = [
        shape(0, 3, [SMALL]),
        shape(0, 7, [SQUARE]),
        shape(0, 7, {"size": [HEIGHT, WIDTH], "counts": runs(round_one)}),
    ]
    file = write(tmp_path / "annotations.json", annotations)
    assert is_coco(file)
    drawn = coco_masks(tmp_path, [file], ["images/a.jpg", "images/b.jpg", "images/c.jpg"])
    assert drawn.classes == ("background", "sky", "road")
    assert set(drawn.mask_of) == {"images/a.jpg", "images/b.jpg"}, "c.jpg is in no list"
    files = [drawn.mask_of[image] for image in sorted(drawn.mask_of)]
    palette = read_palette(tmp_path, files)
    found = np.array(palette.names)[read_mask(files[0], palette)]
    square, small = (
        polygon2mask((HEIGHT, WIDTH), np.array(points).reshape(-1, 2)[:, ::-1] - 0.5)  # type: ignore[no-untyped-call]
        for points in (SQUARE, SMALL)
    )
    assert np.array_equal(found == "sky", small), "the smaller lies over the larger"
    assert np.array_equal(found == "road", (square & ~small) | round_one)
    assert drawn.overlaps == {"images/a.jpg": int(small.sum())}
    assert not np.asarray(Image.open(files[1])).any(), "listed, without annotations: background"


def test_packed_run_lengths(tmp_path: Path) -> None:
    from pycocotools import mask as coco

    inside = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    inside[10:20, 30:70] = 1
    packed = coco.encode(inside)
    file = write(tmp_path / "x.json", [shape(0, 3, {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()})])
    mask = np.asarray(Image.open(coco_masks(tmp_path, [file], ["a.jpg"]).mask_of["a.jpg"]))
    assert np.array_equal(mask, inside)


def test_images_of_one_name_are_told_apart_by_folder(tmp_path: Path) -> None:
    images = ["train2017/a.jpg", "val2017/a.jpg"]
    whole = [0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]
    files = [
        write(tmp_path / "annotations" / "instances_train2017.json", [shape(0, 3, [SQUARE])], ("a.jpg",)),
        write(tmp_path / "annotations" / "instances_val2017.json", [shape(0, 3, [whole])], ("a.jpg",)),
    ]
    drawn = coco_masks(tmp_path, files, images)
    assert [np.asarray(Image.open(drawn.mask_of[image])).mean() for image in images] == [
        pytest.approx(40 * 30 / HEIGHT / WIDTH), 1
    ]  # fmt: skip
    # Roboflow: the list beside the images.
    beside = [
        write(tmp_path / split / "_annotations.coco.json", [shape(0, 3, [SQUARE])], ("a.jpg",))
        for split in ("train", "valid")
    ]
    assert set(coco_masks(tmp_path, beside, ["train/a.jpg", "valid/a.jpg"]).mask_of) == {"train/a.jpg", "valid/a.jpg"}
    unclear = write(tmp_path / "all.json", [shape(0, 3, [SQUARE])], ("a.jpg",))
    with pytest.raises(HeadstartError, match=r"image a.jpg: expected one such file, found one/a.jpg and two/a.jpg"):
        coco_masks(tmp_path, [unclear], ["one/a.jpg", "two/a.jpg"])
    exact = write(tmp_path / "all.json", [shape(0, 3, [SQUARE])], ("two/a.jpg",))
    assert set(coco_masks(tmp_path, [exact], ["one/a.jpg", "two/a.jpg"]).mask_of) == {"two/a.jpg"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("no JSON", "expected JSON"),
        ("[1, 2]", "expected COCO JSON, found a list"),
        ('{"images": []}', "expected COCO JSON"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "expected COCO JSON"),
    ],
)
def test_files_that_are_not_coco_say_so(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(HeadstartError, match=rf"x\.json: {complaint}"):
        coco_masks(tmp_path, [tmp_path / "x.json"], ["a.jpg"])


def test_boxes_and_broken_shapes_say_so(tmp_path: Path) -> None:
    boxes = write(tmp_path / "boxes.json", [shape(0, 3, []) | {"bbox": [1, 2, 3, 4]}])
    with pytest.raises(
        HeadstartError, match=r"boxes.json: expected polygons or run lengths .segmentation., found none"
    ):
        coco_masks(tmp_path, [boxes], ["a.jpg"])
    for broken in ({"size": [3, 3], "counts": [9]}, {"size": [HEIGHT, WIDTH]}, [["a"] * 6]):
        file = write(tmp_path / "broken.json", [shape(0, 3, broken)])
        with pytest.raises(HeadstartError, match="expected polygons or run lengths, found"):
            coco_masks(tmp_path, [file], ["a.jpg"])
    huge = write(tmp_path / "huge.json", [shape(0, 3, [SQUARE])])
    huge.write_text(huge.read_text().replace(f'"height": {HEIGHT}', '"height": 99999999'))
    with pytest.raises(HeadstartError, match=r"expected an image size, found 90 x 99999999"):
        coco_masks(tmp_path, [huge], ["a.jpg"])


def test_without_pycocotools_the_hint_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(HeadstartError, match=r"pycocotools.*pip install 'headstart\[coco\]'"):
        coco_masks(tmp_path, [write(tmp_path / "x.json", [])], ["a.jpg"])


def test_other_json_is_no_coco(tmp_path: Path) -> None:
    for text in ("{}", '{"labels": {"sky": 0}}', '{"categories": [{"id": 0, "name": "sky"}]}', "[]", ""):
        (tmp_path / "x.json").write_text(text)
        assert not is_coco(tmp_path / "x.json")
    assert not is_coco(tmp_path / "none.json")


def test_what_is_not_drawn_is_counted(tmp_path: Path) -> None:
    drawn = [shape(0, 3, [SQUARE]), shape(0, 7, []), shape(1, 7, [[1, 2, 3, 4]]), shape(1, 7, None)]
    file = write(tmp_path / "x.json", [*drawn, shape(99, 3, [SQUARE])], ("a.jpg", "b.jpg", "gone.jpg"))
    assert coco_masks(tmp_path, [file], ["a.jpg", "b.jpg"]).left_out == {
        "annotations without a polygon or run lengths, drawn as background": 3,
        "annotations of images that are not listed": 1,
        "images listed, and not there": 1,
    }


def test_errors_name_the_file_and_what_is_wrong_in_it(tmp_path: Path) -> None:
    for annotation, said in (
        (shape(0, 99, [SQUARE]), "an annotation of category 99, which categories lack"),
        ({"image_id": 0}, "an entry without category_id"),
        (None, "an entry that is no object"),
        (shape(0, 3, [["a"] * 6]), r"\[\['a'.*could not convert"),
    ):
        file = write(tmp_path / "x.json", [shape(0, 3, [SQUARE]), annotation])  # type: ignore[list-item]
        with pytest.raises(HeadstartError, match=rf"x\.json: .*found {said}"):
            coco_masks(tmp_path, [file], ["a.jpg"])


def test_a_byte_order_mark_is_no_reason_to_overlook_labels(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [shape(0, 3, [SQUARE])])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert is_coco(file)
    assert set(coco_masks(tmp_path, [file], ["a.jpg"]).mask_of) == {"a.jpg"}


def test_a_cut_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name)
    file = write(tmp_path / "x.json", [shape(0, 3, [SQUARE])])
    file.write_text(file.read_text()[:-40])
    warned = [note for note in scan(tmp_path).notes if note.severity == "warning"]
    assert [note.files for note in warned] == [("x.json",)]
    assert "cannot be read (x.json: " in warned[0].message


def test_a_relative_cache_is_that_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "data" / "a.jpg")
    write(tmp_path / "data" / "x.json", [shape(0, 3, [SQUARE])], ("a.jpg",))
    monkeypatch.chdir(tmp_path)
    for cache in ("cache", "data/cache"):
        monkeypatch.setenv("HEADSTART_CACHE", cache)
        for _ in range(2):  # the second time, the cache is there
            index = scan("data")
            assert [(index.root / mask).is_file() for mask in index.masks if mask] == [True]
