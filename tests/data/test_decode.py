"""Whatever a file holds, decoding gives the picture that its peers give, or says why not, and warns of nothing."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.decode import Unreadable, read, resize_to_square, upright_size

pytestmark = pytest.mark.real_too

TORN = {"missing", "empty", "not an image", "truncated", "too large"}


@pytest.fixture
def photo(photos: Path) -> Image.Image:
    with Image.open(sorted((photos / "dress").iterdir())[0]) as picture:
        return picture.convert("RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_any_damage_gives_a_picture_or_a_reason(kind: str, photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = io.BytesIO()
    photo.resize((80, 60)).save(content, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}))
    whole, draw, file = content.getvalue(), random.Random(0), tmp_path / "damaged"
    reasons = set()
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 8)):  # half of the time near the front, where the headers are
            damaged[draw.randrange(min(len(damaged), 300 if number % 2 else len(damaged)))] = draw.randrange(256)
        file.write_bytes(damaged if number % 3 else damaged[: draw.randrange(len(damaged))])
        try:
            assert read(file, enough_for=32).rgb.mode == "RGB"
        except Unreadable as error:
            reasons.add(error.kind)
    assert reasons
    assert reasons <= TORN


@pytest.mark.slow
def test_a_hundred_million_pixels_are_read_without_a_warning(tmp_path: Path) -> None:
    """Pillow warns from 89 million pixels on, and refuses at twice as many; so do we, but silently."""
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        picture = read(tmp_path / "large.png")
    assert picture.size == (10_000, 10_000)
    assert not heard


def test_a_missing_file_and_an_empty_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="missing"):
        read(tmp_path / "absent.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(Unreadable, match="empty"):
        read(tmp_path / "empty.jpg")


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_picture(turn: int, photo: Image.Image, tmp_path: Path) -> None:
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[turn]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    (photo.transpose(undo) if undo is not None else photo).save(tmp_path / "turned.png", exif=exif)
    picture = read(tmp_path / "turned.png")
    assert np.array_equal(np.asarray(picture.rgb), np.asarray(photo))
    assert picture.rotated == (turn > 1)


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_draft_keeps_twice_the_side_asked_for(kind: str, photo: Image.Image, tmp_path: Path) -> None:
    """Phones save two pictures in one file (MPO): the first is a JPEG like any other."""
    large = photo.resize((1600, 900))
    large.save(tmp_path / "large.jpg", kind, **({"save_all": True, "append_images": [large]} if kind == "MPO" else {}))
    picture = read(tmp_path / "large.jpg", enough_for=100)
    assert (picture.format, picture.size) == (kind, (1600, 900))
    assert 200 <= min(picture.rgb.size) < 900


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (301, 97), (97, 301), (64, 64), (63, 640), (31, 40)])
@pytest.mark.parametrize("side", [64, 97])
def test_a_crop_is_torchvision_s_to_the_bit(size: tuple[int, int], side: int, photo: Image.Image) -> None:
    from torchvision.transforms import v2

    picture = photo.resize(size)
    theirs = v2.Compose([v2.Resize(side), v2.CenterCrop(side), v2.PILToTensor()])(picture)
    assert np.array_equal(resize_to_square(picture, side, "crop"), theirs.numpy())


def test_a_pad_holds_the_whole_picture_between_black_bars(photo: Image.Image) -> None:
    wide = photo.resize((128, 64))
    padded = resize_to_square(wide, 64, "pad").transpose(1, 2, 0)
    assert np.array_equal(padded[16:48], np.asarray(wide.resize((64, 32), Image.Resampling.BILINEAR)))
    assert not padded[:16].any()
    assert not padded[48:].any()


def test_the_size_of_a_picture_of_a_hundred_million_pixels_is_told_without_a_warning(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_500)).save(tmp_path / "large.png")
    assert upright_size(tmp_path / "large.png") == (9_500, 10_000)
