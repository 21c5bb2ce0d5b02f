"""Files that name classes, as annotation tools and data sets write them, found where they put them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.masks.class_lists import parse_color
from headstart.data.masks.codec import read_mask
from headstart.data.masks.palette_files import palette_file, read_palette
from headstart.errors import HeadstartError

COLORS = ((10, 20, 30), (0, 255, 0), (200, 0, 100))
NAMES = ("sky", "road", "old tree")

IN_COLORS = {
    "class_dict.csv": "name,r,g,b\nsky,10,20,30\nroad,0,255,0\nold tree,200,0,100\n",
    "label_class_dict.csv": "name, r, g, b\nsky, 10, 20, 30\nroad, 0, 255, 0\nold tree, 200, 0, 100\n",
    "class_dict_seg.csv": "r,g,b,class\n10,20,30,sky\n0,255,0,road\n200,0,100,old tree\n",
    "classes.csv": "id;class_name;red;green;blue\n0;sky;10;20;30\n1;road;0;255;0\n2;old tree;200;0;100\n",
    "class_colors.csv": "label,hex\nsky,#0a141e\nroad,#00FF00\nold tree,c80064\n",
    "Class_Dict.csv": 'name,color\nsky,"[10, 20, 30]"\nroad,"(0, 255, 0)"\nold tree,200 0 100\n',
    "labelmap.txt": "# label:color_rgb:parts:actions\nsky:10,20,30::\nroad:0,255,0::\nold tree:200,0,100::\n",
    "label_colors.txt": "10 20 30\tsky\n0 255 0\t\troad\n200 0 100\told tree\n",
    "labels.txt": "sky 10 20 30\nroad 0 255 0\nold tree 200 0 100\n",
}
IN_NUMBERS = {
    "classes.txt": "sky\nroad\nold tree\n",
    "codes.txt": "sky\nroad\nold tree\n",
    "class_names.txt": "0: sky\n1: road\n2: old tree\n",
    "labels.txt": "0 sky\n1 road\n2 old tree\n",
    "label_map.txt": "2,old tree\n0,sky\n1,road\n",
    "_classes.csv": "Pixel Value, Class\n0, sky\n1, road\n2, old tree\n",
    "classes.csv": "id,name\n0,sky\n1,road\n2,old tree\n",
    "dataset.json": '{"labels": {"sky": 0, "road": 1, "old tree": 2}, "file_ending": ".png"}',
    "Dataset.json": '{"modality": {"0": "CT"}, "labels": {"0": "sky", "1": "road", "2": "old tree"}}',
    "notes.json": '{"categories": [{"id": 0, "name": "sky"}, {"id": 1, "name": "road"},'
    ' {"id": 2, "name": "old tree"}]}',
    "classes.json": '["sky", "road", "old tree"]',
    "obj_class_to_machine_color.json": '{"sky": [0, 0, 0], "road": [1, 1, 1], "old tree": [2, 2, 2]}',
}


@pytest.fixture
def numbers(shared_data: Callable[[str], Path]) -> np.ndarray:
    mask = np.asarray(Image.open(sorted((shared_data("camvid") / "train" / "masks").iterdir())[0]))
    numbers = mask % 3
    assert set(np.unique(numbers)) == {0, 1, 2}
    return numbers.astype(np.uint8)


@pytest.mark.parametrize("place", [".", "masks", "masks/train"])
@pytest.mark.parametrize("name", IN_COLORS)
def test_lists_of_names_and_colors(name: str, place: str, numbers: np.ndarray, tmp_path: Path) -> None:
    mask = tmp_path / "masks" / "train" / "a.png"
    mask.parent.mkdir(parents=True)
    Image.fromarray(np.array(COLORS, np.uint8)[numbers]).save(mask)
    (tmp_path / place / name).write_text(IN_COLORS[name])
    assert palette_file(tmp_path, [mask]) == tmp_path / place / name
    palette = read_palette(tmp_path, [mask])
    assert (palette.names, palette.colors) == (NAMES, COLORS)
    assert np.array_equal(read_mask(mask, palette), numbers)


@pytest.mark.parametrize("place", [".", "masks", "masks/train"])
@pytest.mark.parametrize("name", IN_NUMBERS)
def test_lists_of_names_and_numbers(name: str, place: str, numbers: np.ndarray, tmp_path: Path) -> None:
    mask = tmp_path / "masks" / "train" / "a.png"
    mask.parent.mkdir(parents=True)
    Image.fromarray(numbers).save(mask)
    (tmp_path / place / name).write_text(IN_NUMBERS[name])
    assert palette_file(tmp_path, [mask]) == tmp_path / place / name
    palette = read_palette(tmp_path, [mask])
    found = np.array([NAMES.index(name) for name in palette.names])[read_mask(mask, palette)]
    assert set(palette.names) == set(NAMES)
    assert np.array_equal(found, numbers)


def test_numbers_that_are_stated_are_the_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1, 4, 9]] * 8, np.uint8).repeat(8, axis=1)).save(tmp_path / "a.png")
    for name, text in (
        ("classes.txt", "9: tree\n1: sky\n4: road\n"),
        ("_classes.csv", "Pixel Value, Class\n9, tree\n1, sky\n4, road\n"),
        ("dataset.json", '{"labels": {"tree": 9, "sky": 1, "road": 4}}'),
    ):
        (tmp_path / name).write_text(text)
        palette = read_palette(tmp_path, [tmp_path / "a.png"])
        assert dict(zip(palette.names, palette.values, strict=True)) == {"tree": 9, "sky": 1, "road": 4}
        (tmp_path / name).unlink()


def test_two_listed_classes_are_0_and_255_where_the_masks_hold_these(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]] * 8, np.uint8).repeat(8, axis=1)).save(tmp_path / "a.png")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "cell": 1}}')
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert (palette.names, palette.values) == (("background", "cell"), (0, 255))


def test_supervisely_does_not_list_the_background(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 2]] * 8, np.uint8).repeat(8, axis=1)).save(tmp_path / "a.png")
    (tmp_path / "meta.json").write_text(
        '{"classes": [{"title": "cat", "shape": "bitmap", "color": "#FF0000"},'
        ' {"title": "dog", "shape": "bitmap", "color": "#00FF00"}], "tags": []}'
    )
    assert read_palette(tmp_path, [tmp_path / "a.png"]).names == ("background", "cat", "dog")
    (tmp_path / "obj_class_to_machine_color.json").write_text('{"dog": [1, 1, 1], "cat": [2, 2, 2]}')
    assert read_palette(tmp_path, [tmp_path / "a.png"]).names == ("background", "dog", "cat")


def test_a_list_of_another_tool_that_is_too_short_does_not_drop_classes(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 2, 3]] * 8, np.uint8).repeat(8, axis=1)).save(tmp_path / "a.png")
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, sky\n1, road\n")
    assert read_palette(tmp_path, [tmp_path / "a.png"]).names == ("sky", "road", "class 2", "class 3")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_classes.csv", "filename, dress, hat\na.jpg, 1, 0\n"),
        ("labels.txt", "a.jpg 3\nb.jpg 4\n"),
        ("meta.json", "{}"),
        ("dataset.json", '{"name": "photos", "version": 1}'),
        ("dataset.json", "no JSON"),
        ("classes.json", '{"labels": [[1, 2]]}'),
        ("class_dict.found.csv", "name,r,g,b\nclass 0,0,0,0\n"),
    ],
)
def test_files_of_the_same_names_that_hold_no_classes_are_left_alone(name: str, text: str, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1]] * 8, np.uint8).repeat(8, axis=1)).save(tmp_path / "a.png")
    (tmp_path / name).write_text(text)
    assert palette_file(tmp_path, [tmp_path / "a.png"]) is None
    assert read_palette(tmp_path, [tmp_path / "a.png"]).names == ("class 0", "class 1")


def test_the_nearest_list_above_the_masks_is_found_but_none_above_the_root(tmp_path: Path) -> None:
    root = tmp_path / "set"
    mask = root / "SegmentationClass" / "a.png"
    mask.parent.mkdir(parents=True)
    Image.fromarray(np.array([[0, 1]] * 8, np.uint8).repeat(8, axis=1)).save(mask)
    (tmp_path / "codes.txt").write_text("sky\nroad\n")
    assert palette_file(root, [mask]) is None
    (root / "codes.txt").write_text("sky\nroad\n")
    assert palette_file(root, [mask]) == root / "codes.txt"
    (mask.parent / "classes.txt").write_text("ground\nroad\n")
    assert palette_file(root, [mask]) == mask.parent / "classes.txt", "headstart's own file first"


def test_broken_lists_of_colors_are_errors_that_name_the_line(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1]] * 8, np.uint8).repeat(8, axis=1)).save(tmp_path / "a.png")
    for name in ("class_dict.csv", "label_class_dict.csv"):
        (tmp_path / name).write_text("name,r,g,b\nsky,1,2,3\nroad,4,5,600\n")
        with pytest.raises(HeadstartError, match=rf"{name} line 3: expected a name and three numbers"):
            read_palette(tmp_path, [tmp_path / "a.png"])
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("text", "color"),
    [("#FF8000", (255, 128, 0)), ("255 128 0", (255, 128, 0)), ("[255, 128,0]", (255, 128, 0)), ("256 0 0", None),
     ("red", None), ("", None), ("1 2", None)],
)  # fmt: skip
def test_colors_in_words(text: str, color: tuple[int, int, int] | None) -> None:
    assert parse_color(text) == color


def test_a_list_of_colors_of_another_tool_that_is_too_short_or_of_other_masks(tmp_path: Path) -> None:
    colors = np.array([COLORS], np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    Image.fromarray(colors).save(tmp_path / "a.png")
    (tmp_path / "labelmap.txt").write_text("sky:10,20,30::\nroad:0,255,0::\n")
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert (palette.names, palette.colors) == (("sky", "road", "#c80064"), COLORS)
    assert read_mask(tmp_path / "a.png", palette)[0, ::8].tolist() == [0, 1, 2]
    (tmp_path / "labelmap.txt").write_text("sky:1,2,3::\nroad:4,5,6::\n")
    assert read_palette(tmp_path, [tmp_path / "a.png"]).names == ("#00ff00", "#0a141e", "#c80064")


def test_a_list_for_numbers_from_1_is_counted_from_1_where_no_mask_holds_0(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    (tmp_path / "classes.txt").write_text("sky\nroad\ntree\n")
    for numbers, values in (
        ((1, 2, 3), (1, 2, 3)),
        ((1, 3, 255), (1, 2, 3)),
        ((0, 1, 3), (0, 1, 2)),
        ((1, 2), (0, 1, 2)),
    ):
        Image.fromarray(np.array([numbers] * 8, np.uint8).repeat(8, axis=1)).save(file)
        assert read_palette(tmp_path, [file]).values == values
    for number in range(12):  # the highest number, only in the last of many masks
        Image.fromarray(np.array([[1, 3 if number == 11 else 2]] * 8, np.uint8)).save(tmp_path / f"{number}.png")
    assert read_palette(tmp_path, [tmp_path / f"{number}.png" for number in range(12)]).values == (1, 2, 3)
