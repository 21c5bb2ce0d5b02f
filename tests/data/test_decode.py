"""Whatever a file holds, decoding gives the picture that its peers give, or says why not, and warns of nothing."""

from __future__ import annotations

import io
import os
import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import EpsImagePlugin, Image

from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, read, resize_to_square, upright_size
from headstart.data.formats import recognized_format
from headstart.inference.geotiff import is_georeferenced
from headstart.recipes.recipe import Data
from headstart.value_range import ValueRange, ValueRanges
from narrow import narrow

pytestmark = pytest.mark.real_too

TORN = re.compile(r"missing|empty|not an image|truncated|too large|a raw file|of \d+ bands?|a TIFF of .*")


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
    assert all(TORN.fullmatch(reason) for reason in reasons), reasons


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


class TestTransparency:
    """Transparent parts are shown over white, as viewers do; what hides under them is not."""

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
    def test_what_is_clear_is_white_and_what_is_opaque_stays(
        self, kind: str, photo: Image.Image, tmp_path: Path
    ) -> None:
        colors = np.asarray(photo)
        alpha = np.zeros(colors.shape[:2], np.uint8)
        alpha[20:-20, 20:-20] = 255
        cut = Image.fromarray(np.dstack([colors, alpha]))
        cut.save(tmp_path / "cut", kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
        found = read(tmp_path / "cut")
        assert found.transparent
        assert np.array_equal(np.asarray(found.rgb), np.where(alpha[..., None] > 0, colors, 255))

    def test_what_is_half_clear_is_blended(self, photo: Image.Image, tmp_path: Path) -> None:
        colors = np.asarray(photo).astype(float)
        alpha = np.broadcast_to(np.linspace(0, 255, photo.width).round().astype(np.uint8), colors.shape[:2])
        Image.fromarray(np.dstack([colors.astype(np.uint8), alpha])).save(tmp_path / "cut.png")
        share = alpha[..., None] / 255
        blended = np.asarray(read(tmp_path / "cut.png").rgb).astype(float)
        assert np.abs(blended - (colors * share + 255 * (1 - share))).max() <= 1

    @pytest.mark.parametrize("opacity", [0, 128, 255])
    def test_a_constant_alpha_is_none(self, opacity: int, photo: Image.Image, tmp_path: Path) -> None:
        cut = photo.copy()
        cut.putalpha(opacity)
        for kind in ("PNG", "TIFF"):
            cut.save(tmp_path / "cut", kind)
            found = read(tmp_path / "cut")
            assert not found.transparent
            assert np.array_equal(np.asarray(found.rgb), np.asarray(photo))

    def test_a_palette_and_a_gray_level_can_be_transparent(self, photo: Image.Image, tmp_path: Path) -> None:
        palette, gray = photo.quantize(32), photo.convert("L")
        level = narrow(gray.getpixel((5, 5)), int)
        for image, clear, kind in ((palette, 3, "PNG"), (palette, 3, "GIF"), (gray, level, "PNG")):
            image.save(tmp_path / "cut", kind, transparency=clear)
            shown = np.asarray(read(tmp_path / "cut").rgb)
            hidden = np.asarray(image) == clear
            assert hidden.any()
            assert (shown[hidden] == 255).all()
            assert np.array_equal(shown[~hidden], np.asarray(image.convert("RGB"))[~hidden])


class TestLargeImages:
    """Nothing above the limit is decoded at its size; a JPEG or TIFF above it is reduced while it is read."""

    LIMIT = Conversion(max_pixels=100_000)

    def test_two_hundred_million_pixels_of_a_jpeg_are_read_small(self, tmp_path: Path) -> None:
        panorama = Image.new("L", (20_000, 10_000), 90)
        panorama.paste(200, (0, 0, 10_000, 10_000))
        panorama.save(tmp_path / "panorama.jpg", quality=30)
        found = read(tmp_path / "panorama.jpg", enough_for=64)
        assert (found.size, found.rgb.size) == ((20_000, 10_000), (2_500, 1_250))
        assert [narrow(found.rgb.getpixel((x, 600)), tuple)[0] for x in (100, 2_400)] == pytest.approx([200, 90], abs=1)
        assert upright_size(tmp_path / "panorama.jpg") == (10_000, 20_000)
        with pytest.raises(Unreadable, match=r"200000000|20000 x 10000 pixels, more than data\.max_pixels=178956970"):
            read(tmp_path / "panorama.jpg")

    @pytest.mark.slow
    def test_a_small_file_that_claims_to_be_huge_is_refused(self, photo: Image.Image, tmp_path: Path) -> None:
        """A decompression bomb: the header says 60,000 x 60,000, and there are no data for as many pixels."""
        content = io.BytesIO()
        photo.save(content, "JPEG")
        jpeg = bytearray(content.getvalue())
        frame = jpeg.index(b"\xff\xc0")
        jpeg[frame + 5 : frame + 9] = (60_000).to_bytes(2, "big") * 2
        (tmp_path / "bomb.jpg").write_bytes(jpeg)
        Image.new("1", (15_000, 15_000)).save(tmp_path / "bomb.png")
        for name in ("bomb.jpg", "bomb.png"):
            with pytest.raises(Unreadable) as refusal:
                read(tmp_path / name, enough_for=32)
            assert refusal.value.kind == "too large"

    def test_a_progressive_jpeg_would_be_held_in_memory_as_a_whole(self, photo: Image.Image, tmp_path: Path) -> None:
        large = photo.resize((1600, 1200))
        for progressive in (False, True):
            large.save(tmp_path / f"{progressive}.jpg", progressive=progressive)
        assert min(read(tmp_path / "False.jpg", 32, self.LIMIT).rgb.size) < 300
        with pytest.raises(Unreadable, match="too large"):
            read(tmp_path / "True.jpg", 32, self.LIMIT)

    @pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
    def test_a_tiff_is_averaged_while_it_is_read(self, mode: str, photo: Image.Image, tmp_path: Path) -> None:
        rgb = np.asarray(photo.resize((800, 640)))
        values = {"RGB": rgb, "L": rgb[..., 0], "I;16": rgb[..., 0].astype(np.uint16) * 16}[mode]
        Image.fromarray(values).save(tmp_path / "large.tif", compression="tiff_adobe_deflate")
        range_ = ValueRange(0, 255 * 16)
        limit = Conversion(ValueRanges(range_), max_pixels=100_000)
        found = read(tmp_path / "large.tif", 32, limit)
        assert (found.size, found.rgb.size) == ((800, 640), (80, 64))
        averaged = (rgb if mode == "RGB" else rgb[..., :1]).reshape(64, 10, 80, 10, -1).mean(axis=(1, 3))
        assert np.abs(np.asarray(found.rgb) - averaged).max() <= 1
        with pytest.raises(Unreadable, match="too large"):
            read(tmp_path / "large.tif", None, limit)

    def test_a_jpeg_2000_is_decoded_at_a_fraction(self, photo: Image.Image, tmp_path: Path) -> None:
        large = photo.resize((800, 640), Image.Resampling.BICUBIC)
        large.save(tmp_path / "large.jp2")
        found = read(tmp_path / "large.jp2", 32, self.LIMIT)
        assert (found.size, found.rgb.size) == ((800, 640), (100, 80))
        assert np.abs(np.asarray(found.rgb).astype(int) - np.asarray(large.resize((100, 80)))).mean() < 12

    def test_inks_too(self, photo: Image.Image, tmp_path: Path) -> None:
        photo.resize((800, 640)).convert("CMYK").save(tmp_path / "large.jpg")
        assert read(tmp_path / "large.jpg", 32, self.LIMIT).rgb.size == (100, 80)

    def test_without_a_reader_in_strips_it_is_refused_by_the_field(
        self, photo: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photo.resize((800, 640)).save(tmp_path / "large.tif")
        photo.resize((800, 640)).save(tmp_path / "large.png")
        monkeypatch.setitem(sys.modules, "rasterio", None)
        for name in ("large.tif", "large.png"):
            with pytest.raises(Unreadable, match=r"too large \(800 x 640 pixels, more than data\.max_pixels=100000"):
                read(tmp_path / name, 32, self.LIMIT)

    @pytest.mark.slow
    def test_the_limit_can_be_raised(self, tmp_path: Path) -> None:
        Image.new("1", (15_000, 13_000)).save(tmp_path / "large.png")
        with pytest.raises(Unreadable, match="too large"):
            read(tmp_path / "large.png")
        assert upright_size(tmp_path / "large.png") == (13_000, 15_000)
        field = Data(max_pixels=200_000_000).max_pixels
        assert read(tmp_path / "large.png", conversion=Conversion(max_pixels=field)).rgb.size == (15_000, 13_000)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"\n  <HTML><head>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n", "git lfs pull"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "a PostScript file"),
        (b"%PDF-1.7", "a PDF document"),
        (b'{"error": "quota exceeded"}', "JSON text"),
        (b"PK\3\4rest", "a ZIP archive"),
    ],
)
def test_what_is_no_image_is_told_what_it_is(content: bytes, detail: str, tmp_path: Path) -> None:
    (tmp_path / "download.jpg").write_bytes(content)
    with pytest.raises(Unreadable, match=detail) as refusal:
        read(tmp_path / "download.jpg")
    assert refusal.value.kind == "not an image"


def test_nothing_is_run_to_read_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the suffix."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    (tmp_path / "x.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(Unreadable, match="a PostScript file"):
        read(tmp_path / "x.jpg")


def test_pipes_devices_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "pipe.tif").symlink_to(tmp_path / "pipe.jpg")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "pipe.tif", "zero.png", "folder.jpg"):
        with pytest.raises(Unreadable) as refusal:
            read(tmp_path / name)
        assert refusal.value.kind == "not a regular file"
        assert upright_size(tmp_path / name) == (0, 0)
        assert recognized_format(tmp_path / name) is None
        assert not is_georeferenced(tmp_path / name)


def test_a_camera_s_raw_file_is_not_its_preview(photo: Image.Image, tmp_path: Path) -> None:
    """DNG, NEF and the like are TIFF files whose first image is a thumbnail."""
    tifffile.imwrite(tmp_path / "shot.dng", np.asarray(photo.resize((80, 60))), subfiletype=1)
    with pytest.raises(Unreadable) as refusal:
        read(tmp_path / "shot.dng")
    assert refusal.value.kind == "a raw file"


def test_further_pages_and_frames_are_noticed(photo: Image.Image, tmp_path: Path) -> None:
    small = photo.resize((40, 30))
    for kind in ("TIFF", "GIF", "WEBP", "PNG", "MPO"):
        for more in ([], [small.rotate(180)]):
            small.save(tmp_path / "x", kind, save_all=True, append_images=more)
            found = read(tmp_path / "x")
            assert found.paged == (bool(more) and kind != "MPO"), kind
            with Image.open(tmp_path / "x") as first:
                assert np.array_equal(np.asarray(found.rgb), np.asarray(first.convert("RGB"))), kind
