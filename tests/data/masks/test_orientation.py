"""Masks lie on their images as Pillow turns both: by their own EXIF orientation, by their image's, or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from headstart.data.masks.codec import read_mask
from headstart.data.masks.mask_pixels import decode_masks
from headstart.data.masks.orientation import turn_of, turned
from headstart.data.masks.palette_files import read_palette

TAG = 0x0112


def save(image: Image.Image, file: Path, orientation: int) -> Path:
    exif = Image.Exif()
    if orientation != 1:
        exif[TAG] = orientation
    image.save(file, exif=exif)
    return file


@pytest.fixture
def pair(shared_data: Callable[[str], Path]) -> tuple[Image.Image, Image.Image]:
    """A photograph of 320 x 240 pixels and its mask."""
    root = shared_data("camvid") / "train"
    image, mask = (sorted((root / kind).iterdir())[0] for kind in ("images", "masks"))
    return Image.open(image).convert("RGB"), Image.open(mask)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_array_is_turned_as_pillow_turns_an_image(orientation: int, pair: tuple[Image.Image, Image.Image]) -> None:
    mask = pair[1].copy()
    mask.getexif()[TAG] = orientation
    assert np.array_equal(turned(np.asarray(mask), orientation), np.asarray(ImageOps.exif_transpose(mask)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_image_and_mask_that_both_have_the_tag_are_turned_together(
    orientation: int, suffix: str, pair: tuple[Image.Image, Image.Image], tmp_path: Path
) -> None:
    image = save(pair[0], tmp_path / "a.jpg", orientation)
    mask = save(pair[1], tmp_path / f"a{suffix}", orientation)
    turn = turn_of(image, mask)
    with Image.open(io.BytesIO(mask.read_bytes())) as opened:  # by its name, Pillow maps a TIFF in the wrong shape
        upright = np.asarray(opened if suffix == ".tif" else ImageOps.exif_transpose(opened))
    assert (turn.origin, turn.size) == ("own tag", upright.shape)
    assert turn.orientation == (1 if suffix == ".tif" else orientation), "Pillow turns TIFF files itself"
    palette = read_palette(tmp_path, [mask])
    found = np.array(palette.values)[read_mask(mask, palette, turn.orientation)]
    assert np.array_equal(found, upright)
    assert np.array_equal(found, turned(np.asarray(pair[1]), orientation))


@pytest.mark.parametrize("orientation", range(5, 9))
def test_a_mask_without_a_tag_is_turned_where_only_then_it_fits(
    orientation: int, pair: tuple[Image.Image, Image.Image], tmp_path: Path
) -> None:
    image = save(pair[0], tmp_path / "a.jpg", orientation)
    stored = save(pair[1], tmp_path / "stored.png", 1)
    displayed = save(Image.fromarray(turned(np.asarray(pair[1]), orientation)), tmp_path / "displayed.png", 1)
    assert turn_of(image, stored) == (orientation, "image's tag", (320, 240))
    assert turn_of(image, displayed) == (1, "as stored", (320, 240))
    # Training decodes both to the same pixels.
    palette = read_palette(tmp_path, [stored, displayed])
    table = decode_masks([stored, displayed], [image, image], palette, np.array([[320, 240]] * 2))
    assert not table.unreadable
    one, other = table.read(np.array([0, 1]))
    assert np.array_equal(one, other)


def test_a_square_or_a_half_turn_leaves_doubt(pair: tuple[Image.Image, Image.Image], tmp_path: Path) -> None:
    square = [each.crop((0, 0, 200, 200)) for each in pair]
    for orientation, (photo, drawn) in ((3, pair), (2, pair), (6, square), (8, square)):
        image, mask = save(photo, tmp_path / "a.jpg", orientation), save(drawn, tmp_path / "a.png", 1)
        turn = turn_of(image, mask)
        assert (turn.orientation, turn.origin) == (1, "unknown")
    assert turn_of(save(pair[0], tmp_path / "a.jpg", 1), save(pair[1], tmp_path / "a.png", 1)).origin == "as stored"


def test_a_tag_that_a_mask_has_inherited_is_not_followed_where_it_does_not_fit(
    pair: tuple[Image.Image, Image.Image], tmp_path: Path
) -> None:
    """Drawn on the displayed picture, and the tag copied with the metadata."""
    image = save(pair[0], tmp_path / "a.jpg", 6)
    mask = save(pair[1].transpose(Image.Transpose.ROTATE_270), tmp_path / "a.png", 6)
    assert turn_of(image, mask) == (1, "as stored", (320, 240))


def test_unreadable_files_and_arrays(pair: tuple[Image.Image, Image.Image], tmp_path: Path) -> None:
    image = save(pair[0], tmp_path / "a.jpg", 6)
    (tmp_path / "none.png").write_bytes(b"no picture")
    assert turn_of(image, tmp_path / "none.png").size == (0, 0)
    np.save(tmp_path / "a.npy", np.asarray(pair[1]))
    assert turn_of(image, tmp_path / "a.npy") == (6, "image's tag", (320, 240))
    np.save(tmp_path / "b.npy", np.asarray(pair[1]).T)
    assert turn_of(image, tmp_path / "b.npy") == (1, "as stored", (320, 240))
