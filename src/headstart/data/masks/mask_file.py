"""Mask files to bands: numbers or colors, and transparency. The only module that opens mask files.

Numbers of 16 bits, 32 bits and floating point are read where they are whole and at most 255; NumPy files likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, digest, unsupported_depth, with_image
from headstart.data.memory import decoding, reserve
from headstart.data.open_image import read_content
from headstart.data.other_formats import load_npy, npy_header
from headstart.data.strips import blocks, pixels_of
from headstart.palette import IGNORE_INDEX, Transparency

MODES: dict[str, Literal["L", "P", "RGB"]] = {"P": "P", "PA": "P", "L": "L", "LA": "L", "La": "L", "1": "L"}
PER_PIXEL = 5
"""Bytes per pixel of the bands, an opacity and classes."""
COMMON_ALPHA = 0.05
"""Share of the pixels painted at all from which on an opacity is one that was chosen, not that of a soft edge."""


@dataclass(frozen=True)
class MaskFile:
    """The bands of one mask file, as they stand in it: not yet turned, not yet in classes."""

    bands: NDArray[np.uint8]
    """Gray levels or palette indices (H, W), or red, green and blue (H, W, 3)."""
    alpha: NDArray[np.uint8] | None
    """Opacity, (H, W); None without such a band. The transparent entries of a color table are merged in `bands`."""
    table: NDArray[np.int32] | None
    """Color code of each palette index, as `codes_of`; None without a color table."""
    mode: Literal["L", "P", "RGB"]
    content: str
    """BLAKE2b-128 of the file's bytes, in hexadecimal."""
    lossy: bool
    """Whether the format changes numbers and colors (JPEG)."""
    hidden: int = 0
    """Transparent pixels that were read as background (see `with_transparency`)."""
    black: int = 0
    """In a mask with transparent pixels, visible ones that are of number 0 or black too."""


def read_mask_file(file: Path) -> MaskFile:
    """Read the bands of a mask file. Raises Unreadable, and nothing else."""
    return _read_array(file) if file.suffix.lower() == ".npy" else with_image(file, _bands, PER_PIXEL)


def _bands(image: Image.Image, content: bytes) -> MaskFile:
    deep = image.mode.startswith(("I", "F"))
    found = unsupported_depth(image, content)
    if found and not (deep and "bands" not in found):
        raise Unreadable(f"of {found}", "expected a mask of one band of numbers, or of red, green and blue of 8 bits")
    plain = MaskFile(
        np.empty((0, 0), np.uint8), None, None, MODES.get(image.mode, "RGB"), digest(content), _is_lossy(image, content)
    )
    if deep:
        return replace(plain, bands=_whole_numbers(pixels_of(image)), mode="L")
    if image.mode in ("1", "L"):
        return replace(plain, bands=pixels_of(image.convert("L")))
    if image.mode in ("LA", "La"):
        return replace(plain, bands=np.asarray(image.getchannel(0)), alpha=np.asarray(image.getchannel(1)))
    if image.mode in ("P", "PA"):
        return _indices(image, plain)
    alpha = np.asarray(image.convert("RGBA").getchannel(3)) if image.has_transparency_data else None
    return replace(plain, bands=pixels_of(image.convert("RGB")), alpha=alpha)


def _is_lossy(image: Image.Image, content: bytes) -> bool:
    if image.format == "WEBP":
        return b"VP8L" not in content[:64]  # the chunk of lossless pixels
    if image.format == "JPEG2000":  # coding style: its last byte is 1 for the reversible wavelet
        start = content.find(b"\xff\x52")
        return start < 0 or content[start + 13 : start + 14] != b"\x01"
    return image.format in ("JPEG", "MPO")


def _indices(image: Image.Image, plain: MaskFile) -> MaskFile:
    """Palette indices; those of transparent colors become the lowest of them, which is black."""
    table = np.array(image.getpalette("RGB") or (), np.int32).reshape(-1, 3) @ np.array([65536, 256, 1], np.int32)
    table = np.concatenate([table, np.zeros(max(0, 256 - len(table)), np.int32)])
    if image.mode == "PA":
        alpha = np.asarray(image.getchannel(1))
        return replace(plain, bands=np.asarray(image.getchannel(0)), alpha=alpha, table=table)
    indices, opacity = pixels_of(image), image.info.get("transparency")
    hidden = [opacity] if isinstance(opacity, int) else [i for i, a in enumerate(opacity or b"") if a == 0]
    if hidden and not np.isin(indices, hidden).all():
        merged = np.arange(256, dtype=np.uint8)
        merged[hidden] = min(hidden)
        indices, table[min(hidden)] = merged[indices], 0
    return replace(plain, bands=indices, table=table)


def _whole_numbers(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers of any depth as uint8: -1 and "not a number" are ignored (255), 0 and 65535 are 0 and 255."""
    whole = np.empty(array.shape, np.uint8)
    full = bool(array.size) and array.max() == 65535  # full scale of 16 bits: white beside black, or a border
    for rows in blocks(array.shape):
        whole[rows] = _whole(array[rows], full)
    return whole


def _whole(array: NDArray[Any], full: bool) -> NDArray[np.uint8]:
    numbers = np.where(np.isnan(array), -1, array) if array.dtype.kind == "f" else array
    if array.dtype.kind == "f" and (fractions := numbers[numbers != np.floor(numbers)]).size:
        raise Unreadable("of fractions", f"{fractions.flat[0]:.4g}: expected the number of a class in each pixel")
    low, high = (numbers.min(), numbers.max()) if numbers.size else (0, 0)
    if low < -1:
        raise Unreadable("of negative numbers", f"down to {low:.0f}: expected class numbers from 0 to 254")
    if full:
        numbers = np.where(numbers == 65535, IGNORE_INDEX, numbers)
        high = numbers.max()
    if high > IGNORE_INDEX:
        raise Unreadable(
            "of numbers above 255", f"up to {high:.0f}: instance numbers? expected class numbers from 0 to 254"
        )
    return np.where(numbers == -1, IGNORE_INDEX, numbers).astype(np.uint8) if low < 0 else numbers.astype(np.uint8)


def _read_array(file: Path) -> MaskFile:
    with decoding():
        content = read_content(file)
        reserve(2 * len(content), Conversion().max_bytes)
        return _of_array(content)


def _of_array(content: bytes) -> MaskFile:
    try:
        array = load_npy(content)
    except Exception as error:  # NumPy raises ValueError, EOFError, SyntaxError, ... as the damage leads it to
        raise Unreadable("not a NumPy array", str(error).partition("\n")[0]) from None
    plane = array.squeeze() if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]) else array
    if plane.ndim != 2 or plane.dtype.kind not in "buif":
        raise Unreadable("not an array of numbers", f"{array.dtype} {array.shape}: expected numbers (height, width)")
    plane = plane.astype(np.uint8) if plane.dtype.kind == "b" else plane
    return MaskFile(_whole_numbers(plane), None, None, "L", digest(content), lossy=False)


def numpy_size(file: Path) -> tuple[int, int]:
    """Height and width of a NumPy file, from its header; (0, 0) for an unreadable file."""
    if not file.is_file():  # a pipe would wait for ever
        return 0, 0
    with file.open("rb") as source:
        header = npy_header(source)
    shape = [side for side in header[0] if side != 1] if header is not None else []
    return (int(shape[0]), int(shape[1])) if len(shape) == 2 else (0, 0)


def visible_pixels(alpha: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Opacity (H, W) -> whether a pixel is painted: from half of the lowest opacity that is not that of a soft edge."""
    pixels = np.bincount(alpha.ravel(), minlength=256)
    pixels[0] = 0
    common = np.flatnonzero(pixels >= COMMON_ALPHA * max(1, pixels.sum()))
    visible: NDArray[np.bool_] = alpha >= (max(1, (int(common[0]) + 1) // 2) if len(common) else 128)
    return visible


def with_transparency(mask: MaskFile, transparency: Transparency) -> MaskFile:
    """``mask`` without its transparency, which is read as `Palette.transparency` says."""
    if transparency == "class":
        opaque = np.full(mask.bands.shape[:2], 255, np.uint8)
        return replace(mask, bands=opaque if mask.alpha is None else mask.alpha, alpha=None, table=None, mode="L")
    if transparency == "dropped" or mask.alpha is None or mask.alpha.all():
        return replace(mask, alpha=None)
    visible = visible_pixels(mask.alpha)
    painted = mask.bands if mask.bands.ndim == 2 else mask.bands.max(axis=2)
    hidden, black = int((~visible).sum()), int((visible & (painted == 0)).sum())
    bands = mask.bands * (visible if mask.bands.ndim == 2 else visible[..., None])
    return replace(mask, bands=bands, alpha=None, hidden=hidden, black=black if hidden else 0)


def numbers_of(mask: MaskFile) -> NDArray[np.uint8] | None:
    """Palette indices or gray levels, uint8 (H, W); None for a mask in colors."""
    bands = mask.bands
    if bands.ndim == 2:
        return bands
    gray = bool((bands[..., 0] == bands[..., 1]).all() and (bands[..., 1] == bands[..., 2]).all())
    return np.ascontiguousarray(bands[..., 0]) if gray else None


def codes_of(mask: MaskFile, rows: slice = slice(None)) -> NDArray[np.int32]:
    """Color codes, int32 (H, W), of all or some rows: red * 65536 + green * 256 + blue."""
    if mask.table is not None:
        return mask.table[mask.bands[rows]]
    bands = mask.bands[rows].astype(np.int32)
    codes: NDArray[np.int32] = (
        bands * 0x10101 if bands.ndim == 2 else (bands[..., 0] << 16) | (bands[..., 1] << 8) | bands[..., 2]
    )
    return codes


def colors_of(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Color codes int32 (N,) -> red, green, blue, (N, 3)."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)


def hexadecimal(code: int) -> str:
    return f"#{code:06x}"
