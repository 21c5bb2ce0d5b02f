"""Blurred masks are read as the sharp ones that they were made from, or refused; never as hundreds of classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from headstart.data.masks.codec import examine_mask, read_mask
from headstart.data.masks.color_stats import MAX_CODES, collect_color_stats
from headstart.data.masks.palette_files import read_palette
from headstart.errors import HeadstartError
from headstart.palette import IGNORE_INDEX

pytestmark = pytest.mark.slow

Numbers = NDArray[np.uint8]
VOC = np.array(
    [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
     (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0)], np.uint8
)  # fmt: skip


@pytest.fixture
def truth(shared_data: Callable[[str], Path]) -> list[Numbers]:
    """Twelve masks of class numbers 0 to 11, their speckles smoothed away."""
    files = sorted((shared_data("camvid") / "train" / "masks").iterdir())[:12]
    smooth = ImageFilter.ModeFilter(9)
    return [np.asarray(Image.open(file).filter(smooth)) for file in files]


def soft(image: Image.Image) -> Image.Image:
    """Resized and back, as annotation tools do: soft edges."""
    return image.resize((300, 230)).resize(image.size)


def save_all(
    truth: list[Numbers], make: Callable[[Numbers], Image.Image], folder: Path, name: str, **options: Any
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number}{name}" for number in range(len(truth))]
    for mask, file in zip(truth, files, strict=True):
        make(mask).save(file, **options)
    return files


@pytest.mark.parametrize("level", [255, 200])
@pytest.mark.parametrize(
    ("name", "blurred", "mode"),
    [(".png", True, "L"), (".png", True, "RGB"), (".jpg", False, "L"), (".jpg", True, "RGB"), (".gif", True, "L")],
)
def test_binary_masks_with_soft_edges_are_split_at_half(
    level: int, name: str, blurred: bool, mode: str, truth: list[Numbers], tmp_path: Path
) -> None:
    binaries = [((mask == 3) * level).astype(np.uint8) for mask in truth]
    half = (level + 1) // 2

    def make(binary: Numbers) -> Image.Image:
        image = Image.fromarray(binary)
        return (soft(image) if blurred else image).convert(mode)

    files = save_all(binaries, make, tmp_path, name)
    palette = read_palette(tmp_path, files)
    assert len(palette.classes) == 2
    for file in files:
        with Image.open(file) as image:
            expected = np.asarray(image.convert("L")) >= half
        found = read_mask(file, palette)
        assert np.array_equal(found == 1, expected)
        assert (found <= 1).all()
    near = sum(examine_mask(file, palette).near.pixels for file in files)
    assert near > 0


@pytest.mark.parametrize(("name", "quality"), [(".png", None), (".jpg", 90), (".jpg", 75)])
def test_gray_levels_far_apart_are_read_and_what_is_between_is_ignored(
    name: str, quality: int | None, truth: list[Numbers], tmp_path: Path
) -> None:
    spread = [mask * 20 for mask in truth]
    options = {"quality": quality} if quality else {}
    make = Image.fromarray if quality else lambda mask: soft(Image.fromarray(mask))
    files = save_all(spread, make, tmp_path, name, **options)
    palette = read_palette(tmp_path, files)
    present = sorted({int(value) for mask in spread for value in np.unique(mask)})
    assert set(palette.values) <= set(present)
    found = np.stack([read_mask(file, palette) for file in files])
    kept = found != IGNORE_INDEX
    wrong = np.array(palette.values)[np.where(kept, found, 0)] != np.stack(spread)
    assert (wrong & kept).mean() < 0.01
    assert kept.mean() > 0.75
    (tmp_path / "classes.txt").write_text("".join(f"kind {n}\n" for n in range(len(palette.values))))
    named = read_palette(tmp_path, files)
    assert named.values == palette.values
    assert np.array_equal(read_mask(files[0], named), found[0])


def test_colors_with_soft_edges_are_read_and_blends_are_ignored(truth: list[Numbers], tmp_path: Path) -> None:
    files = save_all(truth, lambda mask: soft(Image.fromarray(VOC[mask])), tmp_path, ".png")
    palette = read_palette(tmp_path, files)
    assert set(palette.colors) <= {tuple(map(int, color)) for color in VOC}
    found = np.stack([read_mask(file, palette) for file in files])
    kept = found != IGNORE_INDEX
    wrong = (np.array(palette.colors)[np.where(kept, found, 0)] != VOC[np.stack(truth)]).any(axis=-1)
    assert (wrong & kept).mean() < 0.01
    assert kept.mean() > 0.75


@pytest.mark.parametrize("number", [1, 11], ids=["0 and 1", "0 to 11"])
def test_numbers_that_jpeg_has_mixed_are_refused_with_and_without_names(
    number: int, truth: list[Numbers], tmp_path: Path
) -> None:
    masks = [np.minimum(mask, number) for mask in truth]
    files = save_all(masks, Image.fromarray, tmp_path, ".jpg", quality=75)
    with pytest.raises(HeadstartError, match=r"blurred by JPEG.* save the masks as PNG"):
        read_palette(tmp_path, files)
    (tmp_path / "classes.txt").write_text("".join(f"kind {n}\n" for n in range(number + 1)))
    with pytest.raises(HeadstartError, match=r"classes\.txt.* JPEG files.* save the masks as PNG"):
        read_palette(tmp_path, files)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\n" + "".join(f"k{n},{n},{n},{n}\n" for n in range(number + 1)))
    with pytest.raises(HeadstartError, match=r"class_dict\.csv.* JPEG files.* save the masks as PNG"):
        read_palette(tmp_path, files)


def test_photographs_and_instances_are_refused(
    shared_data: Callable[[str], Path], truth: list[Numbers], tmp_path: Path
) -> None:
    photos = sorted((shared_data("camvid") / "train" / "images").iterdir())[:6]
    with pytest.raises(HeadstartError, match=r"expected masks of a few colors or numbers, found at least \d+ colors"):
        read_palette(tmp_path, photos)
    gray = save_all([np.asarray(Image.open(photo).convert("L")) for photo in photos], Image.fromarray, tmp_path, ".png")
    with pytest.raises(HeadstartError, match=r"found at least \d+ numbers"):
        read_palette(tmp_path, gray)
    blocks = np.arange(240)[:, None] // 24 * 14 + np.arange(320) // 24 + 1
    many = save_all(
        [(blocks * (mask == 3)).astype(np.uint8) for mask in truth], Image.fromarray, tmp_path / "b", ".png"
    )
    with pytest.raises(HeadstartError, match=r"instance numbers\?.* save class numbers"):
        read_palette(tmp_path / "b", many)


def test_thin_sharp_classes_are_no_soft_edges(tmp_path: Path) -> None:
    """Lines one pixel wide, of four numbers between those of two areas: six classes, none of them blended away."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    for place, number in enumerate((40, 80, 120, 160)):
        mask[5 + 12 * place] = number
    Image.fromarray(mask).save(tmp_path / "a.png")
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert palette.values == (0, 40, 80, 120, 160)  # 255 beside others is ignored
    assert not palette.soft


@pytest.mark.parametrize("values", [(0, 127, 255), (0, 128, 255), (0, 85, 170, 255), (0, 51, 102, 153, 204, 255)])
def test_255_is_a_class_where_the_numbers_are_spread_up_to_it(values: tuple[int, ...], tmp_path: Path) -> None:
    mask = np.array([values] * 8, np.uint8).repeat(8, axis=1)
    Image.fromarray(mask).save(tmp_path / "a.png")
    palette = read_palette(tmp_path, [tmp_path / "a.png"])
    assert palette.values == values
    assert read_mask(tmp_path / "a.png", palette)[0, ::8].tolist() == list(range(len(values)))


def test_color_tables_that_differ_do_not_double_the_classes(truth: list[Numbers], tmp_path: Path) -> None:
    """The numbers mean the classes where there are fewer of them than of colors: gray files beside indexed ones too."""
    files = [tmp_path / f"{number}.png" for number in range(len(truth))]
    for number, (mask, file) in enumerate(zip(truth, files, strict=True)):
        image = Image.fromarray(mask)
        if number % 3:
            image.putpalette([(7 + number) * k % 256 for k in range(768)])
        image.save(file)
    palette = read_palette(tmp_path, files)
    assert palette.values == tuple(sorted({int(value) for mask in truth for value in np.unique(mask)}))
    for mask, file in zip(truth, files, strict=True):
        assert np.array_equal(np.array(palette.values)[read_mask(file, palette)], mask)


def test_a_class_of_a_later_file_is_found_behind_tens_of_thousands_of_blended_colors(tmp_path: Path) -> None:
    colors = np.array([(40, 60, 200), (230, 120, 10), (90, 220, 90), (250, 250, 40)], np.uint8)
    noise = np.random.default_rng(0).integers(-3, 4, (12, 200, 200, 3))
    files = [tmp_path / f"{number}.webp" for number in range(13)]
    areas = np.arange(200)[None] // 67 + np.zeros((200, 1), int)
    for number, file in enumerate(files[:12]):
        Image.fromarray((colors[areas] + noise[number]).astype(np.uint8)).save(file, lossless=True)
    Image.fromarray(colors[np.where(areas == 1, 3, areas)]).save(files[12], lossless=True)
    stats = collect_color_stats(files)
    assert stats.codes.total() == 13 * 200 * 200
    assert len(stats.codes) < MAX_CODES + 2**15
    assert stats.solid[250 << 16 | 250 << 8 | 40] > 10_000
