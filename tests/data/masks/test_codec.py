"""Masks: read as the data set writes them, written back the same, and never guessed at where there is doubt."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable
from headstart.data.masks.codec import examine_mask, mask_bytes, read_mask
from headstart.data.masks.palette_files import palette_template, read_palette
from headstart.errors import HeadstartError
from headstart.palette import IGNORE_INDEX, Palette

pytestmark = [pytest.mark.real_too, pytest.mark.slow]

LAND = "name,r,g,b\nurban,0,255,255\nfarm,255,255,0\nwater,0,0,255\nunknown,0,0,0\n"
ROADS = "name, r, g, b\nroad,128,64,128\ncar,64,0,128\ntree,128,128,0\n"


def save(array: NDArray[np.uint8], file: Path, **options: Any) -> Path:
    Image.fromarray(array).save(file, **options)
    return file


def blocks(values: list[int] | list[tuple[int, int, int]], side: int = 8) -> NDArray[np.uint8]:
    """Squares of ``side`` pixels beside each other, each of one value."""
    return np.repeat(np.repeat(np.array([values], np.uint8), side, axis=0), side, axis=1)


@pytest.mark.parametrize(
    ("name", "masks"), [("aerial", 40), pytest.param("camvid", 40, marks=pytest.mark.slow), ("deepglobe_sample", 3)]
)
def test_a_mask_that_is_written_back_has_the_same_pixels(
    name: str, masks: int, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    root = shared_data(name)
    files = sorted([*root.rglob("*_mask.png"), *root.glob("*/masks/*")])[:masks]
    palette = read_palette(root, files)
    assert len(files) == masks
    for file in files:
        mask = read_mask(file, palette)
        again = io.BytesIO(mask_bytes(mask, palette))
        with Image.open(file) as one, Image.open(again) as other:
            assert (one.mode, one.size) == (other.mode, other.size)
            assert np.array_equal(np.asarray(one), np.asarray(other))
        assert mask.max() < len(palette.names)


def test_the_convention_of_deepglobe(shared_data: Callable[[str], Path]) -> None:
    """Six classes count; each pixel is of the class whose color it has, by a comparison with each in turn."""
    root = shared_data("deepglobe_sample")
    files = sorted(root.glob("*_mask.png"))
    palette = read_palette(root, files)
    assert (len(palette.classes), palette.names[6], palette.kind) == (6, "unknown", "color")
    for file in files:
        rgb, mask = np.asarray(Image.open(file)), read_mask(file, palette)
        for number, color in enumerate(palette.colors):
            assert np.array_equal(mask == number, (rgb == color).all(axis=2))


def test_ignored_classes_come_last_by_name_by_number_and_by_custom(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("void\nroad\ncar\nBackground\n")
    file = save(blocks([0, 1, 2, 3, 255]), tmp_path / "a.png")
    palette = read_palette(tmp_path, [file])
    assert (palette.classes, palette.names) == (("road", "car", "Background"), ("road", "car", "Background", "void"))
    assert read_mask(file, palette)[0, ::8].tolist() == [3, 0, 1, 2, IGNORE_INDEX]
    assert read_palette(tmp_path, [file], ["CAR"]).classes == ("road", "Background")
    assert read_palette(tmp_path, [file], ["3", "255"]).classes == ("road", "car")
    with pytest.raises(HeadstartError, match=r"data.ignore_classes lorry: expected a class .* known: .*car"):
        read_palette(tmp_path, [file], ["lorry"])


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_colors_that_jpeg_has_blurred_go_to_their_class(quality: int, tmp_path: Path) -> None:
    """DeepGlobe's rule, written another way: the class of the mask that is as bright in each channel."""
    (tmp_path / "class_dict.csv").write_text(LAND)
    drawn = blocks([(0, 255, 255), (255, 255, 0), (0, 0, 255), (0, 0, 0)], 16)
    file = save(drawn, tmp_path / "a.jpg", quality=quality)
    palette = read_palette(tmp_path, [file])
    found, jpeg = examine_mask(file, palette), np.asarray(Image.open(file))
    bright = [tuple(bool(value) for value in color) for color in palette.colors]
    expected = np.full(jpeg.shape[:2], IGNORE_INDEX)
    for place in np.ndindex(expected.shape):
        as_bright = tuple(bool(value >= 128) for value in jpeg[place])
        if as_bright in bright:
            expected[place] = bright.index(as_bright)
    assert np.array_equal(found.classes, expected)
    exact = (jpeg[:, :, None] == np.array(palette.colors)).all(axis=3).any(axis=2)
    assert found.near.pixels == ((expected != IGNORE_INDEX) & ~exact).sum() > 0
    assert found.outside.pixels == (expected == IGNORE_INDEX).sum()
    assert (found.classes == read_mask(save(drawn, tmp_path / "b.png"), palette)).mean() > 0.9


def test_a_color_between_two_classes_or_far_from_all_is_of_none(tmp_path: Path) -> None:
    (tmp_path / "class_dict.csv").write_text(ROADS)
    file = save(blocks([(130, 60, 126), (96, 32, 128), (255, 0, 0), (128, 128, 0)]), tmp_path / "a.png")
    found = examine_mask(file, read_palette(tmp_path, [file]))
    assert found.classes[0, ::8].tolist() == [0, IGNORE_INDEX, IGNORE_INDEX, 2]
    assert found.near.most_common == {"#823c7e": 64}
    assert (found.outside.pixels, found.outside.most_common) == (128, {"#602080": 64, "#ff0000": 64})


@pytest.mark.parametrize(
    ("mode", "named"),
    [(mode, None) for mode in ("L", "RGB", "1", "P")]
    + [(mode, "classes.txt") for mode in ("L", "RGB", "1", "P")]
    + [(mode, "class_dict.csv") for mode in ("L", "1", "P")],  # of RGB files it lists the colors
)
def test_masks_of_0_and_255_are_two_classes(mode: str, named: str | None, tmp_path: Path) -> None:
    """With other tools 255 is left out, which leaves one class, an IoU of 0 or nan, and not a word."""
    if named:
        rows = {"classes.txt": "land\nroad\n", "class_dict.csv": "name,r,g,b\nland,10,20,30\nroad,200,0,0\n"}
        (tmp_path / named).write_text(rows[named])
    drawn = blocks([0, 255, 0])
    Image.fromarray(drawn).convert(mode).save(tmp_path / "a.png")
    if mode == "P":
        picture = Image.fromarray(drawn)
        picture.putpalette(bytes(range(256)) * 3)
        picture.save(tmp_path / "a.png")
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert read_mask(tmp_path / "a.png", palette)[0, ::8].tolist() == [0, 1, 0]
    assert len(palette.classes) == 2
    with Image.open(tmp_path / "a.png") as one, Image.open(io.BytesIO(mask_bytes(drawn // 255, palette))) as other:
        form = "P" if mode == "P" else "RGB"
        assert np.array_equal(np.asarray(one.convert(form)), np.asarray(other.convert(form)))


def test_255_beside_other_numbers_is_no_class(tmp_path: Path) -> None:
    file = save(blocks([0, 3, 7, 255]), tmp_path / "a.png")
    palette = read_palette(tmp_path, [file])
    assert (palette.names, palette.values) == (("class 0", "class 3", "class 7"), (0, 3, 7))
    mask = read_mask(file, palette)
    assert mask[0, ::8].tolist() == [0, 1, 2, IGNORE_INDEX]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(mask_bytes(mask, palette)))), np.asarray(Image.open(file)))


def test_numbers_that_no_class_has_are_told(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\nroad\ntree\n")
    file = save(blocks([0, 1, 9, 255]), tmp_path / "a.png")
    found = examine_mask(file, read_palette(tmp_path, [file]))
    assert found.classes[0, ::8].tolist() == [0, 1, IGNORE_INDEX, IGNORE_INDEX]
    assert (found.outside.pixels, found.outside.most_common) == (64, {"9": 64})


def test_palette_files_keep_their_numbers_and_their_colors(tmp_path: Path) -> None:
    picture = Image.fromarray(blocks([0, 1, 2]))
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    picture.save(tmp_path / "a.png")
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert (palette.kind, palette.mode, palette.colors) == ("number", "P", ((9, 9, 9), (200, 0, 0), (0, 200, 0)))
    again = Image.open(io.BytesIO(mask_bytes(read_mask(tmp_path / "a.png", palette), palette)))
    assert again.mode == "P"
    assert np.array_equal(np.asarray(again), np.asarray(picture))
    assert np.array_equal(np.asarray(again.convert("RGB")), np.asarray(picture.convert("RGB")))


def test_palette_files_whose_numbers_disagree_are_read_by_their_colors(tmp_path: Path) -> None:
    drawn = blocks([(255, 0, 0), (0, 90, 0), (0, 0, 255)])
    for name, colors in (("a.png", [255, 0, 0, 0, 90, 0, 0, 0, 255]), ("b.png", [0, 0, 255, 0, 90, 0, 255, 0, 0])):
        key = Image.new("P", (1, 1))
        key.putpalette(colors)
        Image.fromarray(drawn).quantize(palette=key, dither=Image.Dither.NONE).save(tmp_path / name)
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    palette = read_palette(tmp_path, files)
    assert palette.names == ("#0000ff", "#005a00", "#ff0000")
    first, second = (read_mask(file, palette) for file in files)
    assert np.array_equal(first, second)


def test_classes_that_were_found_can_be_named_in_a_file(tmp_path: Path) -> None:
    """What is to be filled in, once it is filled in, reads the same masks as the same classes."""
    for number, drawn in enumerate(
        (blocks([0, 1, 2]), blocks([0, 3, 7]), blocks([(1, 2, 3), (255, 0, 0), (0, 99, 0)]), blocks([0, 255]))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = save(drawn, folder / "a.png")
        found = read_palette(folder, [file])
        name, text = palette_template(found)
        for place, old in enumerate(found.names):
            text = text.replace(old, f"kind {place}")
        (folder / name).write_text(text)
        named = read_palette(folder, [file])
        assert named.names == tuple(f"kind {place}" for place in range(len(found.names)))
        assert np.array_equal(read_mask(file, named), read_mask(file, found))


def test_masks_of_few_colors_that_jpeg_has_blurred_are_found_and_photographs_are_not(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "masks").mkdir()
    corners = save(blocks([(255, 0, 0), (0, 0, 255), (255, 255, 255)], 40), tmp_path / "masks" / "a.jpg", quality=85)
    assert read_palette(tmp_path, [corners]).names == ("#0000ff", "#ff0000", "#ffffff")
    gray = save(blocks([0, 255, 0], 40), tmp_path / "masks" / "b.jpg", quality=85)
    soft = Image.open(gray).resize((60, 20), Image.Resampling.BILINEAR)
    soft.save(tmp_path / "masks" / "c.png")
    assert len(read_palette(tmp_path, [gray, tmp_path / "masks" / "c.png"]).classes) == 2
    photo = next((photos / "hat").iterdir())
    numbers = save(np.arange(64, dtype=np.uint8).reshape(8, 8), tmp_path / "numbers.png")
    with pytest.raises(
        HeadstartError, match=r"found at least 64 numbers .0 to 63.* name the classes .* or .*classes.txt"
    ):
        read_palette(tmp_path, [numbers])
    with pytest.raises(HeadstartError, match=r"a few colors or numbers, found at least \d+ colors"):
        read_palette(tmp_path, [photo])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,x,y,z\na,1,2,3\n", r"expected the columns name,r,g,b, found name, x.*no r, g, b"),
        ("name,r,g,b\na,1,2,300\n", r"line 2: expected a name and three numbers from 0 to 255, found a, 1, 2, 300"),
        ("name,r,g,b\n,1,2,3\n", "line 2: expected a name"),
        ("name,r,g,b\na,1,2,3\nb,1,2,3\n", "expected distinct classes, found 1, 2, 3 twice"),
        ("name,r,g,b\na,1,2,3\na,1,2,4\n", "expected distinct classes, found a twice"),
        ("name,r,g,b\n", "found none"),
    ],
)
def test_a_file_of_classes_that_cannot_be_understood_is_an_error(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "class_dict.csv").write_text(text)
    with pytest.raises(HeadstartError, match=complaint):
        read_palette(tmp_path, [save(blocks([0, 1]), tmp_path / "a.png")])


def test_names_are_read_line_by_line(tmp_path: Path) -> None:
    file = save(blocks([0, 1, 2]), tmp_path / "a.png")
    (tmp_path / "classes.txt").write_bytes("\ufeffciel\r\n  chaussée \r\narbre\r\n\r\n".encode())
    assert read_palette(tmp_path, [file]).names == ("ciel", "chaussée", "arbre")
    (tmp_path / "classes.txt").write_text("sky\n\nroad\n")
    with pytest.raises(HeadstartError, match=r"classes.txt line 2: expected a name"):
        read_palette(tmp_path, [file])


def test_masks_of_large_numbers_or_four_bands_say_so(tmp_path: Path) -> None:
    palette = Palette(("a", "b"), ((0, 0, 0), (255, 0, 0)), (0, 1), "number")
    deep = tmp_path / "deep.png"
    Image.fromarray(np.arange(300, 364, dtype=np.uint16).reshape(8, 8)).save(deep)
    four = save(np.zeros((8, 8, 4), np.uint8), tmp_path / "four.tif")
    for file, complaint in ((deep, r"numbers above 255 .up to 363: instance"), (four, "4 bands")):
        with pytest.raises(Unreadable, match=complaint):
            read_mask(file, palette)
    with pytest.raises(Unreadable, match="not a mask of numbers"):
        read_mask(save(blocks([(255, 0, 0)]), tmp_path / "c.png"), palette)
    (tmp_path / "none.png").write_bytes(b"no picture")
    assert read_palette(tmp_path, [deep, four, tmp_path / "none.png"]).names == ()
