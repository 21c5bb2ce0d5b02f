"""Mask files of every depth and with transparency, against the array that was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable
from headstart.data.masks.codec import read_mask
from headstart.data.masks.palette_files import read_palette
from headstart.palette import IGNORE_INDEX

pytestmark = pytest.mark.slow

Numbers = NDArray[np.uint8]
Save = Callable[[Numbers, Path], Path]


@pytest.fixture
def numbers(shared_data: Callable[[str], Path]) -> list[Numbers]:
    """Four masks of class numbers, 0 to 10 (11, "unlabeled", becomes 0)."""
    files = sorted((shared_data("camvid") / "train" / "masks").iterdir())[:4]
    return [np.where(mask == 11, 0, mask) for mask in (np.asarray(Image.open(file)) for file in files)]


def saved(make: Callable[[Numbers], Image.Image], suffix: str, **options: Any) -> Save:
    def save(mask: Numbers, file: Path) -> Path:
        make(mask).save(file.with_suffix(suffix), **options)
        return file.with_suffix(suffix)

    return save


def saved_array(make: Callable[[Numbers], NDArray[np.generic]]) -> Save:
    def save(mask: Numbers, file: Path) -> Path:
        np.save(file.with_suffix(".npy"), make(mask))
        return file.with_suffix(".npy")

    return save


@pytest.mark.parametrize(
    "save",
    [
        saved(lambda mask: Image.fromarray(mask.astype(np.uint16)), ".png"),
        saved(lambda mask: Image.fromarray(mask.astype(np.uint16)), ".tif"),
        saved(lambda mask: Image.fromarray(mask.astype(np.int32)), ".tif"),
        saved(lambda mask: Image.fromarray(mask.astype(np.float32)), ".tif"),
        saved(Image.fromarray, ".webp", lossless=True),
        saved(Image.fromarray, ".jp2", irreversible=False),
        saved_array(lambda mask: mask),
        saved_array(lambda mask: mask.astype(np.int64)[None]),
        saved_array(lambda mask: mask.astype(np.float64)[..., None]),
    ],
    ids=["png16", "tiff16", "int32", "float32", "webp", "jp2", "npy", "npy_1hw", "npy_float_hw1"],
)
def test_numbers_of_any_depth_are_read_as_they_are(save: Save, numbers: list[Numbers], tmp_path: Path) -> None:
    files = [save(mask, tmp_path / str(number)) for number, mask in enumerate(numbers)]
    palette = read_palette(tmp_path, files)
    values = sorted({int(value) for mask in numbers for value in np.unique(mask)})
    assert (palette.kind, palette.values, palette.soft) == ("number", tuple(values), False)
    for mask, file in zip(numbers, files, strict=True):
        assert np.array_equal(np.array(values)[read_mask(file, palette)], mask)


def test_full_scale_of_16_bits_and_what_is_no_number_are_ignored_beside_classes(tmp_path: Path) -> None:
    deep = np.array([[0, 1, 2, 65535]] * 4, np.uint16).repeat(4, axis=1)
    Image.fromarray(deep).save(tmp_path / "a.png")
    minus = np.array([[0, 1, 2, np.nan], [0, 1, 2, -1]] * 2, np.float32).repeat(4, axis=1)
    Image.fromarray(minus).save(tmp_path / "b.tif")
    files = [tmp_path / "a.png", tmp_path / "b.tif"]
    palette = read_palette(tmp_path, files)
    assert palette.values == (0, 1, 2)
    for file in files:
        assert read_mask(file, palette)[1, ::4].tolist() == [0, 1, 2, IGNORE_INDEX]
    Image.fromarray(np.where(deep == 65535, 65535, 0).astype(np.uint16)).save(tmp_path / "c.png")
    assert read_palette(tmp_path, [tmp_path / "c.png"]).values == (0, 255)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.arange(64, dtype=np.float32).reshape(8, 8) / 100, "of fractions .0.01: expected the number of a class"),
        (np.arange(64, dtype=np.int32).reshape(8, 8) - 9, "of negative numbers .down to -9"),
        (np.arange(64, dtype=np.int32).reshape(8, 8) * 1000, "of numbers above 255 .up to 63000: instance numbers"),
    ],
)
def test_what_cannot_be_class_numbers_says_so(array: NDArray[np.generic], complaint: str, tmp_path: Path) -> None:
    Image.fromarray(array).save(tmp_path / "a.tif")
    np.save(tmp_path / "a.npy", array)
    palette = read_palette(tmp_path, [])
    for name in ("a.tif", "a.npy"):
        with pytest.raises(Unreadable, match=complaint):
            read_mask(tmp_path / name, palette)


def test_numpy_files_that_are_no_masks_say_so(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(tmp_path / "rgb.npy", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "text.npy").write_text("no array")
    palette = read_palette(tmp_path, [])
    for name, complaint in (("objects", "not a NumPy"), ("rgb", "not an array of numbers"), ("text", "not a NumPy")):
        with pytest.raises(Unreadable, match=complaint):
            read_mask(tmp_path / f"{name}.npy", palette)
    with pytest.raises(Unreadable, match="missing"):
        read_mask(tmp_path / "none.npy", palette)


def rgba(mask: NDArray[np.bool_], color: tuple[int, int, int], hidden: tuple[int, int, int], alpha: int) -> Image.Image:
    """``color`` where the mask is, at an opacity, on transparent ground that hides another color."""
    painted = np.where(mask[..., None], np.array(color, np.uint8), np.array(hidden, np.uint8))
    return Image.fromarray(np.dstack([painted, mask * np.uint8(alpha)]).astype(np.uint8), "RGBA")


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 0, 0), (255, 255, 255)], ids=["red", "black", "white"])
@pytest.mark.parametrize("hidden", [(255, 0, 0), (0, 0, 0), (255, 255, 255)], ids=["on red", "on black", "on white"])
@pytest.mark.parametrize("alpha", [255, 128, 40, 1])
def test_what_is_transparent_is_background_whatever_it_hides(
    color: tuple[int, int, int], hidden: tuple[int, int, int], alpha: int, numbers: list[Numbers], tmp_path: Path
) -> None:
    binaries = [*(mask == 3 for mask in numbers), np.zeros(numbers[0].shape, bool)]  # one without an object
    files = [tmp_path / f"{number}.png" for number in range(len(binaries))]
    for binary, file in zip(binaries, files, strict=True):
        rgba(binary, color, hidden, alpha).save(file)
    palette = read_palette(tmp_path, files)
    assert len(palette.classes) == 2
    for binary, file in zip(binaries, files, strict=True):
        assert np.array_equal(read_mask(file, palette), binary)


def test_several_opacities_under_one_color_are_classes(numbers: list[Numbers], tmp_path: Path) -> None:
    for number, mask in enumerate(numbers):
        Image.fromarray(np.dstack([np.full((*mask.shape, 3), 255, np.uint8), mask * 20])).save(
            tmp_path / f"{number}.png"
        )
    files = sorted(tmp_path.glob("*.png"))
    palette = read_palette(tmp_path, files)
    assert palette.transparency == "class"
    for mask, file in zip(numbers, files, strict=True):
        assert np.array_equal(np.array(palette.values)[read_mask(file, palette)], mask * 20)


def test_an_opacity_that_is_the_same_everywhere_says_nothing(numbers: list[Numbers], tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(30, 255, (256, 3)).astype(np.uint8)
    for alpha in (0, 90, 255):
        folder = tmp_path / str(alpha)
        folder.mkdir()
        for number, mask in enumerate(numbers):
            opacity = np.full(mask.shape, alpha, np.uint8)
            Image.fromarray(np.dstack([colors[mask], opacity])).save(folder / f"{number}.png")
        files = sorted(folder.iterdir())
        palette = read_palette(folder, files)
        assert set(palette.colors) == {tuple(map(int, colors[n])) for mask in numbers for n in np.unique(mask)}
        for mask, file in zip(numbers, files, strict=True):
            assert np.array_equal(np.array(palette.colors)[read_mask(file, palette)], colors[mask])


def test_transparent_entries_of_a_color_table_are_one_class(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2, 3]] * 8, np.uint8).repeat(8, axis=1)
    picture = Image.fromarray(indices)
    picture.putpalette([200, 0, 0, 0, 90, 0, 0, 0, 255, 255, 255, 255])
    picture.save(tmp_path / "a.png", transparency=bytes([0, 255, 255, 0]))
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert palette.values == (0, 1, 2)
    assert read_mask(tmp_path / "a.png", palette)[0, ::8].tolist() == [0, 1, 2, 0]
