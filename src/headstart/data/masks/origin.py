"""The mark by which files that headstart wrote are known: ``Software`` in PNG text, TIFF tags or EXIF."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from headstart.data.formats import raster_formats

SOFTWARE = "headstart"
TAG = 305
"""Number of the tag Software in TIFF and EXIF."""
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG_TIFF = (b"II+\0", b"MM\0+")


def png_mark() -> PngInfo:
    """Text of a PNG file: ``Image.save(..., pnginfo=png_mark())``."""
    text = PngInfo()
    text.add_text("Software", SOFTWARE)
    return text


def exif_mark() -> Image.Exif:
    """EXIF of a JPEG file: ``Image.save(..., exif=exif_mark())``."""
    exif = Image.Exif()
    exif[TAG] = SOFTWARE
    return exif


def is_written_by_headstart(file: Path) -> bool:
    """Whether a mask or overlay file carries the mark. Reads the header alone; False for another kind of file."""
    try:
        if not file.is_file():  # a pipe would wait for ever
            return False
        with file.open("rb") as source:
            head = source.read(8)
            if head[:4] in TIFF:  # not by Pillow, which refuses the largest
                head += source.read(8) if head[:4] in BIG_TIFF else b""
                tags = ImageFileDirectory_v2(head)
                source.seek(tags.next)
                tags.load(source)
                return str(tags.get(TAG, "")) == SOFTWARE
        with Image.open(file, formats=raster_formats()) as image:
            return str(image.info.get("Software") or image.getexif().get(TAG)) == SOFTWARE
    except Exception:  # damaged, or no image
        return False
