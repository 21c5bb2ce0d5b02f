"""Formats that Pillow does not open by itself: NumPy arrays, DICOM (the extra ``medical``), HEIC (the extra ``heif``).

The readers are imported when the first such file is met.
"""

from __future__ import annotations

import io
import math
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
from PIL import Image

from headstart.data.conversion import Conversion
from headstart.data.memory import reserve
from headstart.data.unreadable import Unreadable
from headstart.value_range import Values

NPY = b"\x93NUMPY"
DICOM_AT, DICOM = 128, b"DICM"
"""A DICOM file has its magic bytes after a preamble."""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of DICOM files that are compressed as a whole."""
RGB, DICOM_PER_PIXEL = 4, 20
"""Bytes per pixel of an RGB image, and of the tables and real numbers that make the values of a DICOM file."""
HEIF_BRANDS = frozenset([b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"])
MIN_SIDE, MAX_ASPECT = 8, 8
"""A NumPy array is taken for an image from this side on, unless it is longer than this: a table of features, rather."""


def is_dicom(head: bytes) -> bool:
    return head[DICOM_AT : DICOM_AT + 4] == DICOM


def is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def has_dicom_reader() -> bool:
    return find_spec("pydicom") is not None


def register_heif() -> bool:
    """Let Pillow open HEIC files, by pillow-heif; False if it is not installed."""
    if "HEIF" not in Image.OPEN:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return False
        register_heif_opener()
    return True


def npy_header(source: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and dtype of a NumPy array in a file that is open at its start; None if it is none."""
    try:
        version = np.lib.format.read_magic(source)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(source)
    except Exception:  # no array, or damaged: nothing to tell
        return None
    return shape, dtype


def is_image_shaped(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array looks like an image: numbers, (H, W), (H, W, 1, 3 or 4), or (3 or 4, H, W), which is refused."""
    if dtype.kind not in "uif" or len(shape) not in (2, 3):
        return False
    sides = shape if len(shape) == 2 else shape[:2] if shape[2] in (1, 3, 4) else shape[1:]
    bands = 1 if len(shape) == 2 else shape[2] if sides == shape[:2] else shape[0]
    return bands in (1, 3, 4) and min(sides) >= MIN_SIDE and max(sides) <= MAX_ASPECT * min(sides)


def array_size(source: IO[bytes], head: bytes) -> tuple[int, int] | None:
    """Height and width of a NumPy or DICOM file that is open at its start and begins with ``head``; None for others."""
    if head.startswith(NPY):
        header = npy_header(source)
        shape = header[0] if header is not None else ()
        return (shape[0], shape[1]) if len(shape) in (2, 3) else (0, 0)
    if not is_dicom(head):
        return None
    import pydicom

    if DEFLATED in source.read(1 << 12):
        return 0, 0
    source.seek(0)
    dataset = pydicom.dcmread(source, stop_before_pixels=True)
    return int(dataset.Rows), int(dataset.Columns)


def read_array(content: bytes, conversion: Conversion | None = None) -> tuple[Values, str] | None:
    """Pixels (H, W) or (H, W, C) and format of a NumPy or DICOM file; None for any other. Raises Unreadable.

    To be called within a scope `decoding`.
    """
    limit = conversion or Conversion()
    if content.startswith(NPY):
        return _read_npy(content, limit), "NumPy"
    if is_dicom(content):
        return _read_dicom(content, limit), "DICOM"
    return None


def load_npy(content: bytes) -> Values:
    """The array of a NumPy file, which is never larger than the file. Raises what NumPy raises."""
    header = npy_header(io.BytesIO(content))
    if header is None:
        raise ValueError("its header cannot be read")
    if math.prod(header[0]) * header[1].itemsize > len(content):
        raise ValueError(f"it ends before an array of shape {header[0]} and type {header[1]} does")
    values: Values = np.load(io.BytesIO(content), allow_pickle=False)
    return values


def _read_npy(content: bytes, limit: Conversion) -> Values:
    header = npy_header(io.BytesIO(content))
    if header is None:
        raise Unreadable("truncated", "a NumPy array whose header cannot be read")
    shape, dtype = header
    if dtype.kind not in "uif" or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        raise Unreadable(
            f"an array of shape {shape} and type {dtype}", "expected (height, width) or (height, width, 3) of numbers"
        )
    limit.require_pixels(shape[1], shape[0])
    reserve(len(content) + (dtype.itemsize + RGB) * math.prod(shape), limit.max_bytes)
    values = load_npy(content)
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))


def _read_dicom(content: bytes, limit: Conversion) -> Values:
    if not has_dicom_reader():
        raise Unreadable("not an image", "a DICOM file; to read it: pip install 'headstart[medical]'")
    import pydicom
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    if DEFLATED in content[: 1 << 12]:  # unfolds to a thousand times its size before anything can be looked at
        raise Unreadable("a deflated DICOM file", "save it without compression of the whole file")
    dataset = pydicom.dcmread(io.BytesIO(content))
    if "PixelData" not in dataset:
        raise Unreadable("not an image", "a DICOM file without pixels")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise Unreadable(f"of {dataset.NumberOfFrames} frames", "expected one; save each as a file")
    pixels = int(dataset.Rows) * int(dataset.Columns)
    limit.require_pixels(int(dataset.Columns), int(dataset.Rows))
    stored_bytes = int(dataset.SamplesPerPixel) * ((int(dataset.BitsAllocated) + 7) // 8)
    reserve(2 * len(content) + pixels * (3 * stored_bytes + DICOM_PER_PIXEL), limit.max_bytes)
    try:
        stored: Values = dataset.pixel_array
    except (RuntimeError, NotImplementedError) as error:  # a compression that needs another package
        raise Unreadable("a compressed DICOM file", str(error).partition("\n")[0].rstrip(":")) from None
    if int(dataset.SamplesPerPixel) > 1:
        return stored
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colors = apply_color_lut(stored, dataset)
        return (colors >> 8).astype(np.uint8) if colors.dtype == np.uint16 else colors
    ends = _ends(dataset)
    values, ends = apply_modality_lut(stored, dataset), apply_modality_lut(_ends(dataset), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":  # the lowest value is white
        values = float(ends.min()) + float(ends.max()) - values
    return _narrowest(values, float(ends.min()), float(ends.max()))


def _ends(dataset: Any) -> Values:
    """The lowest and the highest value that the stored bits hold."""
    bits, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation)
    return np.array([-(1 << bits - 1), (1 << bits - 1) - 1] if signed else [0, (1 << bits) - 1], np.int64)


def _narrowest(values: Values, low: float, high: float) -> Values:
    """Whole numbers as uint8, uint16 or int32, whichever holds ``low`` to ``high``; others as float32."""
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        return values.astype(np.float32)
    if low < 0 or high > 65535:
        return values.astype(np.int32)
    return values.astype(np.uint8 if high <= 255 else np.uint16)
