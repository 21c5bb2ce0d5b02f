"""HEIC, DICOM and NumPy files are images where their reader is installed; where it is not, the extra is named."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from headstart.data import formats, other_formats
from headstart.data.checks.check import check
from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, read, read_deep, upright_size
from headstart.data.formats import extra_for, is_image_file, recognized_format
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes.recipe import Data
from headstart.value_range import ValueRange, ValueRanges
from narrow import given
from pictures import picture

pytestmark = pytest.mark.slow

Array = NDArray[Any]
TWELVE = Conversion(ValueRanges(ValueRange(0, 4095), ValueRange(0, 1)))


@pytest.fixture
def gray() -> NDArray[np.uint8]:
    """A photograph: uint8 (60, 80)."""
    return np.asarray(picture("coffee.png").convert("L").resize((80, 60)))


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    return np.asarray(picture("coffee.png").convert("RGB").resize((80, 60)))


def save_dicom(file: Path, stored: Array, bits: int = 12, **more: object) -> Path:
    """Stored values (H, W) or (H, W, 3) as an image of a scanner."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(file, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = stored.shape[-2:] if stored.shape[-1] > 3 else stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 and stored.shape[-1] == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if dataset.SamplesPerPixel == 3 else "MONOCHROME2"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.save_as(file, enforce_file_format=True)
    return file


class TestDicom:
    def test_twelve_bits(self, gray: Array, tmp_path: Path) -> None:
        stored = gray.astype(np.uint16) * 16
        file = save_dicom(tmp_path / "IM000001", stored)
        assert np.array_equal(given(read_deep(file)), stored)
        found = read(file, conversion=TWELVE)
        assert (found.format, found.size, upright_size(file)) == ("DICOM", (80, 60), (60, 80))
        assert np.array_equal(np.asarray(found.rgb)[..., 0], np.rint(stored * (255 / 4095)))

    def test_slope_and_intercept_give_the_units_of_the_scanner(self, gray: Array, tmp_path: Path) -> None:
        """Hounsfield units: whole numbers, and negative ones."""
        stored = gray.astype(np.uint16) * 16
        file = save_dicom(tmp_path / "x.dcm", stored, RescaleSlope="1", RescaleIntercept="-1024")
        assert np.array_equal(given(read_deep(file)), stored.astype(int) - 1024)
        file = save_dicom(tmp_path / "y.dcm", stored, RescaleSlope="0.5", RescaleIntercept="0.25")
        assert np.allclose(given(read_deep(file)), stored * 0.5 + 0.25)

    @pytest.mark.parametrize("signed", [False, True])
    def test_monochrome1_is_inverted(self, signed: bool, gray: Array, tmp_path: Path) -> None:
        stored = gray.astype(np.uint16) * 16
        white_is_zero = (4095 - stored).astype(np.uint16)
        if signed:
            white_is_zero, stored = (2047 - stored.astype(int)).astype(np.int16), stored.astype(int) - 2048
        file = save_dicom(tmp_path / "x.dcm", white_is_zero, PhotometricInterpretation="MONOCHROME1")
        assert np.array_equal(given(read_deep(file)), stored)

    def test_eight_bits_and_colors_need_no_range(self, gray: Array, rgb: Array, tmp_path: Path) -> None:
        for values in (gray, rgb):
            file = save_dicom(tmp_path / "x.dcm", values, bits=8)
            assert read_deep(file) is None
            assert np.array_equal(np.asarray(read(file).rgb), values if values.ndim == 3 else np.dstack([values] * 3))
        save_dicom(tmp_path / "x.dcm", 255 - gray, bits=8, PhotometricInterpretation="MONOCHROME1")
        assert np.array_equal(np.asarray(read(tmp_path / "x.dcm").rgb)[..., 0], gray)

    def test_colors_are_red_green_and_blue(self, rgb: Array, gray: Array, tmp_path: Path) -> None:
        """YCbCr, as ultrasound has it, and numbers in a palette."""
        ycbcr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
        save_dicom(tmp_path / "x.dcm", ycbcr, bits=8, PhotometricInterpretation="YBR_FULL")
        assert np.abs(np.asarray(read(tmp_path / "x.dcm").rgb).astype(int) - rgb).max() <= 3
        tables: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
        for number, name in enumerate(("Red", "Green", "Blue")):
            table = np.roll(np.arange(256, dtype=np.uint16) * 257, number * 50)
            tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            tables[f"{name}PaletteColorLookupTableData"] = table.tobytes()
        save_dicom(tmp_path / "y.dcm", gray, bits=8, **tables)
        expected = np.dstack([np.roll(np.arange(256), number * 50)[gray] for number in range(3)])
        assert np.array_equal(np.asarray(read(tmp_path / "y.dcm").rgb), expected)

    def test_several_frames_and_files_without_pixels_are_refused(self, gray: Array, tmp_path: Path) -> None:
        file = save_dicom(tmp_path / "x.dcm", np.stack([gray] * 4).astype(np.uint16), NumberOfFrames="4")
        with pytest.raises(Unreadable, match="of 4 frames"):
            read(file)
        (tmp_path / "y.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(200)))
        with pytest.raises(Unreadable, match="not an image"):
            read(tmp_path / "y.dcm")

    def test_it_is_recognized_with_and_without_a_suffix(
        self, gray: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = [save_dicom(tmp_path / name, gray, bits=8) for name in ("IM1", "x.dcm", "y.ima")]
        save_dicom(tmp_path / "DICOMDIR", gray, bits=8)
        assert all(is_image_file(file) for file in files)
        assert not is_image_file(tmp_path / "DICOMDIR")
        monkeypatch.setattr(other_formats, "find_spec", lambda name: None)
        assert not any(is_image_file(file) for file in files)
        assert extra_for(files[0]) == extra_for(files[1]) == "medical"
        with pytest.raises(Unreadable, match=r"pip install 'headstart\[medical\]'"):
            read(files[0])


class TestNumpy:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int64", ">u2"])
    @pytest.mark.parametrize("color", [False, True])
    def test_arrays_of_numbers(self, dtype: str, color: bool, gray: Array, rgb: Array, tmp_path: Path) -> None:
        values = (rgb if color else gray).astype(dtype) * (1 if dtype == "uint8" else 16)
        values = values / 4095 if dtype == "float32" else values
        np.save(tmp_path / "x.npy", values)
        found = read(tmp_path / "x.npy", conversion=TWELVE)
        high = {"uint8": 255, "float32": 1}.get(dtype, 4095)
        expected = np.rint(values.astype(float) * 255 / high)
        assert np.array_equal(np.asarray(found.rgb), expected if color else np.dstack([expected] * 3))
        assert (found.format, found.size, upright_size(tmp_path / "x.npy")) == ("NumPy", (80, 60), (60, 80))
        assert recognized_format(tmp_path / "x.npy") == "NumPy"

    def test_a_fourth_band_is_transparency_only_if_it_is_the_same_all_over(self, rgb: Array, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.dstack([rgb, np.full((60, 80), 255, np.uint8)]))
        assert np.array_equal(np.asarray(read(tmp_path / "x.npy").rgb), rgb)
        np.save(tmp_path / "x.npy", np.dstack([rgb, rgb[..., 0]]))
        with pytest.raises(Unreadable, match=r"of 4 bands \(choose three with data\.bands=\[4, 3, 2\]"):
            read(tmp_path / "x.npy")
        chosen = read(tmp_path / "x.npy", conversion=Conversion(bands=(4, 3, 2)))
        assert np.array_equal(np.asarray(chosen.rgb), rgb[..., [0, 2, 1]])

    @pytest.mark.parametrize(
        "array",
        [np.zeros(90), np.zeros((60, 80), bool), np.zeros((60, 80), complex), np.zeros((9, 9, 9, 9)),
         np.zeros((9, 9, 7)), np.zeros((60_000, 512), np.float16), np.array([[None] * 9] * 9)],
        ids=lambda array: f"{array.dtype} {array.shape}",
    )  # fmt: skip
    def test_arrays_that_are_no_images(self, array: Array, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", array)
        assert not is_image_file(tmp_path / "x.npy")
        if array.shape[0] < 60_000:
            with pytest.raises(Unreadable, match="an array of shape"):
                read(tmp_path / "x.npy")

    def test_bands_that_come_first_are_refused_by_their_shape(self, rgb: Array, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", rgb.transpose(2, 0, 1))
        assert is_image_file(tmp_path / "x.npy")
        with pytest.raises(Unreadable, match=r"an array of shape \(3, 60, 80\) and type uint8"):
            read(tmp_path / "x.npy")

    def test_nothing_is_unpickled(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.array([[{"a": 1}] * 9] * 9, dtype=object), allow_pickle=True)
        with pytest.raises(Unreadable):
            read(tmp_path / "x.npy")


class TestHeif:
    @pytest.fixture
    def heic(self, rgb: Array, tmp_path: Path) -> Path:
        import pillow_heif

        file = tmp_path / "phone.heic"
        pillow_heif.from_pillow(Image.fromarray(rgb)).save(file, quality=-1)  # lossless
        return file

    def test_a_photograph_of_a_phone(self, heic: Path, rgb: Array) -> None:
        assert is_image_file(heic)
        found = read(heic, enough_for=32)
        assert (found.format, found.size, upright_size(heic)) == ("HEIF", (80, 60), (60, 80))
        assert np.abs(np.asarray(found.rgb).astype(int) - rgb).mean() < 4, "colors are stored at half the size"

    def test_without_the_reader_the_extra_is_named(self, heic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        assert not is_image_file(heic)
        assert extra_for(heic) == "heif"
        with pytest.raises(Unreadable, match=r"pip install 'headstart\[heif\]'"):
            read(heic)

    def test_avif(self, rgb: Array, tmp_path: Path) -> None:
        Image.fromarray(rgb).save(tmp_path / "x.avif", quality=95)
        assert is_image_file(tmp_path / "x.avif")
        assert np.abs(np.asarray(read(tmp_path / "x.avif").rgb).astype(int) - rgb).mean() < 8


def test_a_file_that_a_new_reader_opens_is_tried_again(
    photos: Path, gray: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its size nor its time changes when the extra is installed."""
    save_dicom(photos / "hat" / "scan.png", gray, bits=8)  # under a suffix that is taken for an image
    config = Data(image_size=32, skip_unreadable=True)
    index = training_index(str(photos), config)
    with monkeypatch.context() as patch:
        patch.setattr(other_formats, "find_spec", lambda name: None)
        assert len(decode(index, config)) == 60
    assert len(decode(index, config)) == 61


def test_formats_by_content_not_by_suffix(photos: Path, gray: Array, tmp_path: Path) -> None:
    source = Image.open(sorted((photos / "hat").iterdir())[0])
    writers: dict[str, Callable[[Path], object]] = {
        "a.jpg_large": lambda file: source.save(file, "JPEG"),
        "b.jfif": lambda file: source.save(file, "JPEG"),
        "c": lambda file: source.save(file, "PNG"),
        "d.tga": lambda file: source.save(file, "TGA"),
        "e.dat": lambda file: source.save(file, "WEBP"),
    }
    for name, write in writers.items():
        write(tmp_path / name)
        assert is_image_file(tmp_path / name), name
    for name, content in {
        "f.dat": b"nothing", "g.csv": (tmp_path / "c").read_bytes(), "h.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n", "i": b"",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        assert not is_image_file(tmp_path / name), name
    assert not {"EPS", "WMF", "PDF"} & {*formats.raster_formats()}


def test_a_picture_above_the_limit_is_an_image_all_the_same(tmp_path: Path) -> None:
    """So that it is refused by its size, and does not vanish."""
    content = io.BytesIO()
    Image.new("1", (15_000, 13_000)).save(content, "PNG")
    (tmp_path / "large").write_bytes(content.getvalue())
    assert recognized_format(tmp_path / "large") == "PNG"


def test_check_scales_a_set_of_scans_as_a_whole(photos: Path) -> None:
    for file in sorted(photos.rglob("*.jpg")):
        values = np.asarray(Image.open(file).convert("L")).astype(np.uint16) * 16
        file.unlink()
        save_dicom(file.with_suffix(".png"), values, RescaleIntercept="-1024", RescaleSlope="1")
    (guess,) = (each for each in check(photos).issues if each.kind == "value range")
    assert (guess.severity, len(guess.files)) == ("warning", 60)
    assert "data.range=[-" in guess.fix
