"""Images of more than 8 bits keep their range: one scaling for the whole data set, found in its training images."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

import headstart as hs
from headstart.data import find_range
from headstart.data.checks.check import check
from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, read, read_deep, upright_size
from headstart.data.find_range import choose_range, find_conversion, summarize
from headstart.data.index import Index
from headstart.data.pixel_cache import cache_path
from headstart.data.pixels import Pixels, decode
from headstart.data.splits import training_index
from headstart.data.streaming import stream
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Data
from headstart.value_range import ValueRange, ValueRanges
from narrow import given
from pictures import picture

pytestmark = pytest.mark.slow

Array = NDArray[Any]
TWELVE = ValueRange(0, 4095)
CONVERSION = Conversion(ValueRanges(TWELVE, TWELVE))
SMALL = Data(image_size=32)


@pytest.fixture(scope="module")
def scene() -> Array:
    """A photograph in 12 bits of 16: uint16 (60, 80, 3), with more levels than 8 bits have."""
    whole = np.asarray(picture("coffee.png").convert("RGB").resize((160, 120)), np.uint16)
    values: Array = (whole.reshape(60, 2, 80, 2, 3).sum(axis=(1, 3)) * 4).astype(np.uint16)
    return values


def scaled(values: Array, low: float = 0, high: float = 4095) -> NDArray[np.uint8]:
    """The oracle: the formula, in floats of 64 bits; (H, W, 3)."""
    levels = np.rint(((values.astype(np.float64) - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)
    return levels if levels.ndim == 3 else np.dstack([levels] * 3)


def save(file: Path, values: Array, driver: str = "PNG", **more: object) -> None:
    """Written by GDAL: Pillow writes no PNG of three times 16 bits."""
    bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    count, height, width = bands.shape
    facts = {"count": count, "height": height, "width": width, "dtype": values.dtype, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(file, "w", driver=driver, **facts) as target:
            target.write(bands)


GRAY_TIFF = [
    {}, {"compression": "zlib"}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True},
    {"compression": "zlib", "byteorder": ">", "rowsperstrip": 7}, {"tile": (16, 32)}, {"bigtiff": True},
]  # fmt: skip


class TestValues:
    """What is read from a file is what was written, to the last bit."""

    @pytest.mark.parametrize("how", GRAY_TIFF, ids=str)
    @pytest.mark.parametrize("bands", [1, 3])
    def test_tiffs_of_sixteen_bits(self, how: dict[str, Any], bands: int, scene: Array, tmp_path: Path) -> None:
        values = scene[..., 0] if bands == 1 else scene
        kind = "minisblack" if bands == 1 else "rgb"
        tifffile.imwrite(tmp_path / "x.tif", values, photometric=kind, **how)
        assert np.array_equal(given(read_deep(tmp_path / "x.tif")), values)
        assert np.array_equal(np.asarray(read(tmp_path / "x.tif", conversion=CONVERSION).rgb), scaled(values))

    def test_bands_that_are_stored_one_after_the_other(self, scene: Array, tmp_path: Path) -> None:
        bands = np.ascontiguousarray(scene.transpose(2, 0, 1))
        tifffile.imwrite(tmp_path / "x.tif", bands, photometric="rgb", planarconfig="separate")
        assert np.array_equal(given(read_deep(tmp_path / "x.tif")), scene)

    @pytest.mark.parametrize("bands", [1, 3, 4])
    def test_pngs_of_sixteen_bits(self, bands: int, scene: Array, tmp_path: Path) -> None:
        values = scene[..., 0] if bands == 1 else scene
        opaque = np.full((*scene.shape[:2], 1), 65535, np.uint16)
        save(tmp_path / "x.png", np.dstack([values, opaque]) if bands == 4 else values)
        assert np.array_equal(given(read_deep(tmp_path / "x.png")), values)
        shown = read(tmp_path / "x.png", conversion=CONVERSION)
        assert np.array_equal(np.asarray(shown.rgb), scaled(values))
        assert (shown.range, shown.transparent) == (TWELVE, False)

    def test_gray_with_transparency(self, scene: Array, tmp_path: Path) -> None:
        alpha = np.zeros((60, 80, 1), np.uint16)
        alpha[:, :30] = 65535
        save(tmp_path / "x.png", np.dstack([scene[..., :1], alpha]))
        assert np.array_equal(given(read_deep(tmp_path / "x.png")), np.dstack([scene[..., 0]] * 3))
        shown = np.asarray(read(tmp_path / "x.png", conversion=CONVERSION).rgb)
        assert np.array_equal(shown, np.where(alpha > 0, scaled(scene[..., 0]), 255))

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
    @pytest.mark.parametrize("bands", [1, 3])
    def test_a_single_row_or_pixel(self, shape: tuple[int, int], bands: int, scene: Array, tmp_path: Path) -> None:
        values = scene[: shape[0], : shape[1], 0] if bands == 1 else scene[: shape[0], : shape[1]]
        save(tmp_path / "x.png", values)
        assert np.array_equal(np.asarray(read(tmp_path / "x.png", conversion=CONVERSION).rgb), scaled(values))

    def test_transparent_parts_of_sixteen_bits_are_white(self, scene: Array, tmp_path: Path) -> None:
        alpha = np.zeros((*scene.shape[:2], 1), np.uint16)
        alpha[:, :30] = 65535
        save(tmp_path / "x.png", np.dstack([scene, alpha]))
        shown = read(tmp_path / "x.png", conversion=CONVERSION)
        assert np.array_equal(np.asarray(shown.rgb), np.where(alpha > 0, scaled(scene), 255))
        assert shown.transparent

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int32", "uint32"])
    @pytest.mark.parametrize("bands", [1, 3])
    def test_tiffs_of_other_numbers(self, dtype: str, bands: int, scene: Array, tmp_path: Path) -> None:
        values = (scene[..., 0] if bands == 1 else scene).astype(dtype)
        tifffile.imwrite(tmp_path / "x.tif", values, photometric="minisblack" if bands == 1 else "rgb")
        assert np.array_equal(np.asarray(read(tmp_path / "x.tif", conversion=CONVERSION).rgb), scaled(values))

    def test_negative_numbers_and_the_largest(self, scene: Array, tmp_path: Path) -> None:
        signed = scene[..., 0].astype(np.int16) - 1000
        large = scene[..., 0].astype(np.uint32) * 1_000_000
        for values in (signed, large):
            tifffile.imwrite(tmp_path / "x.tif", values)
            found = read_deep(tmp_path / "x.tif")
            assert found is not None
            assert np.array_equal(found.astype(np.int64), values.astype(np.int64))

    def test_inks_of_sixteen_bits_are_colors_all_the_same(self, tmp_path: Path) -> None:
        inks = picture("coffee.png").convert("CMYK").resize((80, 60))
        inks.save(tmp_path / "eight.tif")
        tifffile.imwrite(tmp_path / "deep.tif", np.asarray(inks).astype(np.uint16) * 257, photometric="separated")
        deep, eight = (np.asarray(read(tmp_path / name).rgb) for name in ("deep.tif", "eight.tif"))
        assert np.array_equal(deep, eight)

    def test_white_is_zero(self, scene: Array, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", scene[..., 0], photometric="miniswhite")
        assert np.array_equal(given(read_deep(tmp_path / "x.tif")), 65535 - scene[..., 0])

    def test_not_a_number_and_no_data_are_black_and_out_of_the_statistics(self, scene: Array, tmp_path: Path) -> None:
        heights = scene[..., 0].astype(np.float32)
        heights[:20], heights[20:30] = np.nan, -9999
        save(tmp_path / "x.tif", heights, "GTiff", nodata=-9999)
        values = read_deep(tmp_path / "x.tif")
        assert values is not None
        summary = summarize(values)
        assert summary is not None
        assert (summary.low, summary.high) == (heights[30:].min(), heights[30:].max())
        shown = np.asarray(read(tmp_path / "x.tif", conversion=CONVERSION).rgb)
        assert not shown[:30].any()
        assert np.array_equal(shown[30:], scaled(heights[30:]))

    @pytest.mark.parametrize("turn", range(1, 9))
    @pytest.mark.parametrize("bands", [1, 3])
    def test_exif_turns_them_as_it_turns_images_of_eight_bits(
        self, turn: int, bands: int, scene: Array, tmp_path: Path
    ) -> None:
        values = scene[..., 0] if bands == 1 else scene
        tag = (274, "H", 1, turn, True)
        tifffile.imwrite(
            tmp_path / "deep.tif", values, photometric="minisblack" if bands == 1 else "rgb", extratags=[tag]
        )
        tifffile.imwrite(
            tmp_path / "flat.tif", scaled(values)[..., 0] if bands == 1 else scaled(values), extratags=[tag]
        )
        deep, flat = read(tmp_path / "deep.tif", conversion=CONVERSION), read(tmp_path / "flat.tif")
        assert np.array_equal(np.asarray(deep.rgb), np.asarray(flat.rgb))
        assert deep.rotated == flat.rotated == (turn > 1)
        assert upright_size(tmp_path / "deep.tif") == deep.rgb.size[::-1]

    def test_sixteen_bits_that_are_used_need_no_range_and_others_are_refused(
        self, scene: Array, tmp_path: Path
    ) -> None:
        """What `predict` does where no training image was deeper than 8 bits: 12 bits of 16 would be black."""
        eight = np.asarray(picture("coffee.png").convert("L"))
        Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / "full.png")
        assert np.array_equal(np.asarray(read(tmp_path / "full.png").rgb)[..., 0], eight)
        Image.fromarray(scene[..., 0]).save(tmp_path / "twelve.png")
        tifffile.imwrite(tmp_path / "float.tif", eight.astype(np.float32))
        for name, kind in (("twelve.png", "of 16 bits"), ("float.tif", "of floats")):
            with pytest.raises(Unreadable, match="convert it to 8 bits") as refusal:
                read(tmp_path / name)
            assert refusal.value.kind == kind


def range_of(*images: Array) -> ValueRange | None:
    return choose_range([each for each in map(summarize, images) if each is not None])


class TestRange:
    """The range comes from the values of all training images together."""

    @pytest.mark.parametrize(
        ("highest", "full"), [(255, 255), (256, 1023), (1023, 1023), (1024, 4095), (4095, 4095), (4096, 16383),
                              (16383, 16383), (16384, 65535), (65535, 65535)],
    )  # fmt: skip
    def test_integers_use_so_many_bits(self, highest: int, full: int) -> None:
        ramp = np.linspace(0, highest, 4000).round().astype(np.uint16).reshape(40, 100)
        assert range_of(ramp // 2, ramp) == ValueRange(0, full, "full scale")

    @pytest.mark.parametrize(("highest", "full"), [(1.0, 1), (0.6, 1), (255.0, 255), (200.5, 255)])
    def test_floats_are_shares_or_levels(self, highest: float, full: int) -> None:
        ramp = np.linspace(0, highest, 4000, dtype=np.float32).reshape(40, 100)
        assert range_of(ramp) == ValueRange(0, full, "full scale")

    @pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "uint32"])
    def test_anything_else_is_a_guess_from_percentiles(self, dtype: str) -> None:
        shift = 100_000 if dtype == "uint32" else -1000
        ramp = (np.linspace(0, 3000, 40_000) + shift).reshape(200, 200).astype(dtype)
        found = range_of(ramp)
        assert found is not None
        assert found.source == "percentiles"
        assert found.low == pytest.approx(shift + 15, abs=40)
        assert found.high == pytest.approx(shift + 2985, abs=40)

    def test_a_scale_that_is_hardly_used_would_make_black_images(self) -> None:
        """A microscope's 16 bits, with one hot pixel."""
        cells = np.random.default_rng(0).integers(100, 900, (64, 64)).astype(np.uint16)
        cells[3, 5] = 60_000
        found = range_of(cells)
        assert found is not None
        assert found.source == "percentiles"
        assert 90 <= found.low < found.high <= 900

    @pytest.mark.parametrize("value", [0, 7])
    def test_images_of_one_value_have_a_range_too(self, value: int) -> None:
        found = range_of(np.full((8, 8), value, np.uint16))
        assert found is not None
        assert found.low < found.high

    def test_it_survives_a_trip_through_json(self) -> None:
        for ranges in (ValueRanges(), ValueRanges(TWELVE), ValueRanges(None, ValueRange(-1.5, 2.5, "percentiles"))):
            assert ValueRanges.from_json(json.loads(json.dumps(ranges.to_json()))) == ranges
        assert not ValueRanges()


@pytest.fixture
def photos(photos: Path) -> Path:
    """Eight photographs of each of three kinds."""
    for kind in photos.iterdir():
        for file in sorted(kind.iterdir())[8:]:
            file.unlink()
    return photos


def deepen(photos: Path, change: Callable[[Array], Array], suffix: str = ".png", every: int = 1) -> Path:
    """The photographs as gray images of other numbers: every one of them, or some."""
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        if number % every == 0:
            values = change(np.asarray(Image.open(file).convert("L")))
            Image.fromarray(values).save(file.with_suffix(suffix))
            file.unlink()
    return photos


def twelve_bits(gray: Array) -> Array:
    return (gray.astype(np.float64) * 4095 / 255).round().astype(np.uint16)


def decoded(photos: Path, config: Data = SMALL) -> tuple[Index, Pixels]:
    index = training_index(str(photos), config)
    return index, decode(index, config)


class TestDataset:
    """A data set is scaled as a whole, and looked into once."""

    def test_twelve_bits_look_as_the_photographs_did(self, photos: Path) -> None:
        index, before = decoded(deepen(photos, lambda gray: gray))
        gray = before.batch(range(len(index)))
        for file in photos.rglob("*.png"):
            Image.fromarray(twelve_bits(np.asarray(Image.open(file)))).save(file)
        _, after = decoded(photos)
        assert after.conversion.ranges == ValueRanges(ValueRange(0, 4095, "full scale"))
        assert (after.batch(range(len(index))).int() - gray.int()).abs().max() <= 1

    def test_the_range_is_that_of_the_training_images(self, photos: Path) -> None:
        index = training_index(str(deepen(photos, twelve_bits)), SMALL)
        held_out = photos / index.paths[index.positions("val")[0]]
        Image.fromarray(np.asarray(Image.open(held_out)) * 16).save(held_out)
        assert decode(index, SMALL).conversion.ranges.integers == ValueRange(0, 4095, "full scale")

    def test_the_field_states_it(self, photos: Path) -> None:
        config = Data(image_size=32, range=(1000, 2000))
        index, pixels = decoded(deepen(photos, twelve_bits), config)
        assert pixels.conversion.ranges.integers == ValueRange(1000, 2000, "given")
        with Image.open(photos / index.paths[0]) as opened:
            shown = scaled(np.asarray(opened), 1000, 2000)
        small = Image.fromarray(shown).resize((32, 32), Image.Resampling.BILINEAR)
        assert np.array_equal(pixels.batch([0])[0].permute(1, 2, 0).numpy(), np.asarray(small))
        with pytest.raises(hs.HeadstartError, match=r"data\.range: expected the lowest value, then the highest"):
            recipes.load("quick", {"data.range": [5, 1]})

    def test_values_are_looked_at_once(self, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
        seen: list[Path] = []

        def counted(file: Path, conversion: Conversion | None = None) -> Array | None:
            seen.append(file)
            return read_deep(file, conversion)

        monkeypatch.setattr(find_range, "read_deep", counted)
        monkeypatch.setattr(find_range, "MAX_IMAGES", 10)
        index, first = decoded(deepen(photos, twelve_bits))
        assert len(seen) == len(set(seen)) == 10
        assert {str(file.relative_to(photos)) for file in seen} <= {
            index.paths[row] for row in index.positions("train")
        }
        _, again = decoded(photos, Data(image_size=40))
        assert len(seen) == 10
        assert again.conversion == first.conversion

    def test_images_of_eight_bits_are_stored_where_they_always_were(self, photos: Path) -> None:
        for mode, file in zip(("L", "P", "RGB"), sorted(photos.rglob("*.jpg")), strict=False):
            with Image.open(file) as opened:
                opened.convert(mode).save(file.with_suffix(".png"))
            file.unlink()
        index, pixels = decoded(photos)
        files = [photos / path for path in index.paths]
        assert cache_path(files, "1 32 squash").is_file()
        assert pixels.conversion == Conversion()

    def test_a_stream_with_the_run_s_conversion_gives_the_pixels_of_the_table(self, photos: Path) -> None:
        index, pixels = decoded(deepen(photos, twelve_bits))
        files = [photos / path for path in index.paths]
        for positions, batch, unreadable in stream(files, 32, "squash", 16, pixels.conversion):
            assert not unreadable
            assert np.array_equal(batch, pixels.batch(positions).numpy())


class TestCheck:
    """`check` says how images are scaled, and warns where that is a guess."""

    def kinds(self, photos: Path) -> dict[str, str]:
        return {each.kind: each.severity for each in check(photos).issues if each.kind != "split made"}

    def test_twelve_bits_are_a_note_that_names_the_field(self, photos: Path) -> None:
        issues = check(deepen(photos, twelve_bits)).issues
        (note,) = (each for each in issues if each.kind == "more than 8 bits")
        assert (note.severity, len(note.files)) == ("note", 24)
        assert "12 bits in 16: 0 to 4095" in note.message
        assert "data.range=[0, 4095]" in note.fix

    def test_floats_of_levels_are_a_note(self, photos: Path) -> None:
        assert self.kinds(deepen(photos, lambda gray: gray.astype(np.float32), ".tif")) == {"more than 8 bits": "note"}

    def test_a_guess_is_a_warning(self, photos: Path) -> None:
        deepen(photos, lambda gray: gray.astype(np.float32) * 7 - 300, ".tif")
        assert self.kinds(photos) == {"value range": "warning"}

    def test_different_depths_are_a_warning(self, photos: Path) -> None:
        deepen(photos, twelve_bits, every=4)
        assert self.kinds(photos) == {"more than 8 bits": "note", "mixed depths": "warning"}

    def test_bands_and_sizes_are_refused_with_the_field(self, photos: Path) -> None:
        for file in sorted(photos.rglob("*.jpg")):
            bands = np.dstack([np.asarray(Image.open(file).convert("L"))] * 5)
            tifffile.imwrite(file.with_suffix(".tif"), bands, photometric="minisblack", planarconfig="contig")
            file.unlink()
        Image.new("1", (15_000, 13_000)).save(photos / "hat" / "large.png")
        fixes = {each.kind: each.fix for each in check(photos).issues if each.severity == "error"}
        assert "data.bands=[4,3,2]" in fixes["of 5 bands"]
        assert "data.max_pixels" in fixes["too large"]

    def test_near_duplicates_of_different_depth_are_found(self, photos: Path) -> None:
        """The thumbnails that are compared are scaled by the range of the data set."""
        (photos / "val").mkdir()
        (photos / "train").mkdir()
        for kind in ("dress", "hat", "shoes"):
            (photos / kind).rename(photos / "train" / kind)
        deepen(photos, twelve_bits)
        (photos / "val/hat").mkdir(parents=True)
        twin = sorted((photos / "train/hat").iterdir())[0]
        Image.fromarray((np.asarray(Image.open(twin)) // 16).astype(np.uint8)).save(photos / "val/hat/twin.png")
        leak = next(each for each in check(photos).issues if each.kind == "near-duplicate leakage")
        assert "val/hat/twin.png" in leak.files


def test_images_with_masks_may_be_of_sixteen_bits(tiles: Path) -> None:
    """A note in `check`, and pixels at their own size."""
    for file in sorted(tiles.rglob("*_sat.jpg")):
        gray = np.asarray(ImageOps.grayscale(Image.open(file)))
        file.unlink()
        tifffile.imwrite(file.with_suffix(".tif"), twelve_bits(gray), metadata=None)
    assert {each.kind: each.severity for each in check(tiles).issues if "bits" in each.kind} == {
        "more than 8 bits": "note"
    }
    config = Data(image_size=64, resize="keep")
    index = training_index(str(tiles), config, "mask")
    pixels = decode(index, config)
    for row in (0, len(index) - 1):
        values = tifffile.imread(tiles / index.paths[row])
        assert np.array_equal(pixels.batch([row])[0].permute(1, 2, 0).numpy(), scaled(values))


def test_the_range_of_a_run_goes_before_that_of_the_images(photos: Path) -> None:
    index, _ = decoded(deepen(photos, twelve_bits))
    config = replace(CONVERSION, ranges=ValueRanges(ValueRange(0, 65535)))
    assert decode(index, SMALL, conversion=config).batch(range(24)).max() <= 16


def test_headers_tell_which_files_are_deep(photos: Path, tmp_path: Path, scene: Array) -> None:
    files = sorted((photos / "hat").iterdir())[:2]
    assert find_conversion(files, [0, 1], SMALL) == Conversion()
    writers: dict[str, Callable[[Path], object]] = {
        "a.png": lambda file: save(file, scene),
        "b.tif": lambda file: tifffile.imwrite(file, scene, photometric="rgb"),
        "c.npy": lambda file: np.save(file, scene),
        "d.pgm": lambda file: Image.fromarray(scene[..., 0]).save(file, "PPM"),
        "e.jp2": lambda file: Image.fromarray(scene[..., 0]).save(file),
    }
    for name, write in writers.items():
        write(tmp_path / name)
        assert find_conversion([*files, tmp_path / name], [2], SMALL).ranges.integers is not None, name
