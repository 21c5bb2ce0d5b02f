"""Progressive JPEG: what a small file may cost its decoder, in memory and in passes over the image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstart.data.decode import Unreadable, read_upload
from headstart.data.open_image import open_image, progressive_bytes


@pytest.fixture
def photo(photos: Path) -> Image.Image:
    with Image.open(sorted((photos / "dress").iterdir())[0]) as picture:
        return picture.convert("RGB")


def test_the_memory_of_a_progressive_jpeg_is_known_from_its_header(photo: Image.Image) -> None:
    """Two bytes for each coefficient: all of three components, a quarter of the colors, or one component."""
    for mode, subsampling, each in (("RGB", "4:4:4", 6), ("RGB", "4:2:2", 4), ("RGB", "4:2:0", 3), ("L", None, 2)):
        content = io.BytesIO()
        options: dict[str, Any] = {} if subsampling is None else {"subsampling": subsampling}
        photo.convert(mode).save(content, "JPEG", progressive=True, **options)
        with open_image(content.getvalue()) as image:
            assert progressive_bytes(image, content.getvalue()) == each * image.width * image.height
    photo.save(content := io.BytesIO(), "JPEG", progressive=True, subsampling="4:4:4")
    jpeg = bytearray(content.getvalue())
    frame = jpeg.index(b"\xff\xc2")
    jpeg[frame + 5 : frame + 9] = (12_300).to_bytes(2, "big") * 2  # fewer pixels than data.max_pixels
    with pytest.raises(Unreadable, match=r"decoding takes 0\.9"):
        read_upload(bytes(jpeg), enough_for=32)


def test_a_progressive_jpeg_of_too_many_scans_is_refused(photo: Image.Image) -> None:
    """Each is some bytes in the file, and a pass over the whole image for the decoder."""
    photo.save(content := io.BytesIO(), "JPEG", progressive=True)
    jpeg = content.getvalue()
    last = jpeg.rindex(b"\xff\xda")
    assert read_upload(jpeg).rgb.size == photo.size
    with pytest.raises(Unreadable, match="scans, more than 100"):
        read_upload(jpeg[:last] + jpeg[last:-2] * 100 + jpeg[-2:])
