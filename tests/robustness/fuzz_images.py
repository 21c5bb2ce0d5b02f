"""Image and mask files to fuzz: every format that is read, plain and deep, and what is done with each."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from robustness import material
from robustness.mutate import Target, bytes_of


def image_targets(folder: Path) -> list[Target]:
    """Image files of every format that is read, and masks."""
    photo = material.photographs(1, "coffee.png")[0]
    gray, deep = photo.convert("L"), Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[274] = 6
    save, files = material.encoded, {}
    files["jpeg"] = [
        save(photo, "JPEG"), save(photo, "JPEG", progressive=True, exif=exif), save(gray, "JPEG"),
        save(photo.convert("CMYK"), "JPEG"),
    ]  # fmt: skip
    files["png"] = [
        save(photo, "PNG"), save(photo.convert("RGBA"), "PNG"), save(photo.quantize(16), "PNG", transparency=3),
        save(gray, "PNG", exif=exif), save(deep, "PNG"), save(gray.convert("1"), "PNG"),
        save(gray.convert("LA"), "PNG"),
    ]  # fmt: skip
    files["tiff"] = [
        save(photo, "TIFF"), save(photo, "TIFF", compression="tiff_lzw"), save(photo, "TIFF", compression="jpeg"),
        save(gray, "TIFF", compression="tiff_adobe_deflate"), save(photo.quantize(8), "TIFF"),
    ]  # fmt: skip
    files["tiff-deep"] = [
        save(deep, "TIFF"),
        save(Image.fromarray(np.asarray(gray) / np.float32(255)), "TIFF"),
        *_tiffs(photo),
    ]
    files["gif"] = [
        save(photo.quantize(16), "GIF"),
        save(gray, "GIF", save_all=True, append_images=[photo.quantize(4)]),
    ]
    files["bmp"] = [save(photo, "BMP"), save(gray, "BMP"), save(photo.quantize(16), "BMP")]
    files["webp"] = [save(photo, "WEBP"), save(photo.convert("RGBA"), "WEBP", lossless=True)]
    files["jpeg2000"] = [save(photo, "JPEG2000")]
    files["others"] = [
        save(photo, "PPM"),
        save(photo, "PCX"),
        save(photo, "SGI"),
        save(photo, "TGA"),
        save(gray, "PPM"),
    ]
    files["numpy"] = [_npy(np.asarray(photo)), _npy(np.asarray(deep)), _npy(np.asarray(gray) / np.float32(255))]
    files |= _optional(photo, deep)
    numbers = (np.asarray(gray) > 100).astype(np.uint8)
    palette = Image.fromarray(numbers, "P")
    palette.putpalette([0, 0, 255, 0, 255, 0])
    colors = Image.fromarray(np.array([*material.PALETTE.values()], np.uint8)[numbers])
    masks = [
        save(palette, "PNG"),
        save(Image.fromarray(numbers), "PNG"),
        save(colors, "PNG"),
        save(colors.convert("RGBA"), "PNG"),
    ]
    arrays = [_npy(numbers), _npy(numbers.astype(np.int32)), _npy(numbers.astype(np.float32)), _npy(numbers[None] > 0)]
    other = folder / "photo.png"
    other.write_bytes(files["png"][0])

    def read_image(file: Path, draw: random.Random) -> None:
        _read_image(file, draw)

    def read_mask(file: Path, draw: random.Random) -> None:
        _read_mask(file, other)

    return [
        *(Target(f"image-{name}", _name_of(name), corpus, bytes_of, read_image) for name, corpus in files.items()),
        Target("mask-png", "m.png", masks, bytes_of, read_mask),
        Target("mask-numpy", "m.npy", arrays, bytes_of, read_mask),
    ]


def _name_of(kind: str) -> str:
    return {"others": "x.tga", "numpy": "x.npy", "dicom": "x.dcm"}.get(kind, f"x.{kind.partition('-')[0]}")


def _npy(array: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


def _tiffs(photo: Image.Image) -> list[bytes]:
    import tifffile

    found = []
    rgb = np.asarray(photo).astype(np.uint16) * 257
    for array, photometric in ((rgb, "rgb"), (np.dstack([rgb, rgb[..., 0]]), "minisblack")):
        content = io.BytesIO()
        tifffile.imwrite(content, array, photometric=photometric)
        found.append(content.getvalue())
    return found


def _optional(photo: Image.Image, deep: Image.Image) -> dict[str, list[bytes]]:
    """HEIC, AVIF and DICOM, where their readers are installed."""
    found = {}
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        found["heic"] = [material.encoded(photo, "HEIF")]
    except ImportError:
        pass
    with suppress(KeyError, OSError):
        found["avif"] = [material.encoded(photo, "AVIF")]
    try:
        import pydicom
    except ImportError:
        return found
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3")
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = deep.height, deep.width, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PhotometricInterpretation, dataset.RescaleSlope, dataset.RescaleIntercept = "MONOCHROME2", 1, -100
    dataset.PixelData = (np.asarray(deep) >> 4).tobytes()
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    found["dicom"] = [content.getvalue()]
    return found


def _read_image(file: Path, draw: random.Random) -> None:
    from headstart.data.conversion import Conversion
    from headstart.data.decode import read, read_deep, resize_to_square, upright_size
    from headstart.data.formats import is_image_file, recognized_format
    from headstart.data.headers import read_header
    from headstart.data.unreadable import Unreadable
    from headstart.value_range import ValueRange, ValueRanges

    is_image_file(file)
    recognized_format(file)
    read_header(file)
    upright_size(file)
    known = ValueRange(0, 1000)
    conversion = draw.choice((Conversion(), Conversion(ValueRanges(known, known)), Conversion(bands=(3, 2, 1))))
    with suppress(Unreadable):
        picture = read(file, draw.choice((None, 8)), conversion)
        resize_to_square(picture.rgb, 8, draw.choice(("squash", "crop", "pad")))
        read_deep(file, conversion)


def _read_mask(file: Path, image: Path) -> None:
    from headstart.data.masks.codec import read_mask
    from headstart.data.masks.color_stats import collect_color_stats
    from headstart.data.masks.combined import read_binary
    from headstart.data.masks.likeness import looks_like_mask
    from headstart.data.masks.orientation import turn_of
    from headstart.data.masks.origin import is_written_by_headstart
    from headstart.data.unreadable import Unreadable
    from headstart.errors import HeadstartError
    from headstart.palette import Palette

    is_written_by_headstart(file)
    turn = turn_of(image, file)
    looks_like_mask(file)
    collect_color_stats([file])
    names, colors = tuple(material.PALETTE), tuple(material.PALETTE.values())
    for kind in ("number", "color"):
        with suppress(Unreadable):
            read_mask(file, Palette(names, colors, (0, 1), kind), turn.orientation)
    with suppress(Unreadable, HeadstartError):
        read_binary(file)
