"""TIFF files: what their tags say, and bands that Pillow cannot give, read by rasterio (the optional extra ``geo``)."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from headstart.data.conversion import Conversion, too_many_bands
from headstart.data.memory import reserve
from headstart.data.unreadable import Unreadable
from headstart.value_range import Values

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR, FORMAT, NODATA = (
    254, 256, 257, 258, 262, 274, 277, 284, 339, 42113,
)  # fmt: skip
"""Tags of TIFF 6.0, and GDAL's of the value that stands for no data."""
CACHE_MB = 32
"""Memory of GDAL's cache of blocks, which by default is a twentieth of the machine's."""
NEEDS_RASTERIO = "pip install 'headstart[geo]'"


@dataclass(frozen=True)
class TiffTags:
    """Tags of the first image of a TIFF file."""

    width: int
    height: int
    bits: int
    """Bits per sample: the largest."""
    bands: int
    """Samples per pixel."""
    photometric: int
    """0 or 1: gray, from white or from black; 2: red, green and blue; 6: YCbCr, which GDAL converts."""
    separate: bool
    """Whether each band is stored on its own."""
    signed: bool
    nodata: float | None
    preview: bool
    """Whether the first image is a smaller copy of another one: in the raw files of cameras."""
    orientation: int

    @property
    def plain(self) -> bool:
        """Whether the values are gray levels or colors: not a palette's numbers, inks or L*a*b*."""
        return self.photometric in (0, 1, 2, 6)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def read_tags(content: bytes) -> TiffTags | None:
    """Tags of a TIFF file's content; None if it is damaged, or no TIFF."""
    return load_tags(io.BytesIO(content)) if content[:4] in MAGIC else None


def load_tags(source: IO[bytes]) -> TiffTags | None:
    """Tags of a TIFF file that is open at its start; None if it is damaged, or no TIFF."""
    head = source.read(16)
    if head[:4] not in MAGIC:
        return None
    try:
        tags = ImageFileDirectory_v2(head if 43 in head[2:4] else head[:8])  # 43: BigTIFF
        source.seek(tags.next)
        tags.load(source)
        bits, bands = max(int(each) for each in tags.get(BITS, (1,))), int(tags.get(SAMPLES, 1))
        return TiffTags(
            width=int(tags.get(WIDTH, 0)),
            height=int(tags.get(HEIGHT, 0)),
            bits=bits,
            bands=bands,
            photometric=int(tags.get(PHOTOMETRIC, 1)),
            separate=tags.get(PLANAR, 1) == 2 and bands > 1,
            signed=tags.get(FORMAT, (1,))[0] == 2,
            nodata=_number(tags.get(NODATA)),
            preview=bool(int(tags.get(SUBFILE, 0)) & 1) or head[8:10] == b"CR",
            orientation=int(tags.get(ORIENTATION, 1)),
        )
    except Exception:  # damaged: it cannot be decoded either
        return None


def _number(text: object) -> float | None:
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None


def read_bands(content: bytes, tags: TiffTags, conversion: Conversion, enough_for: int | None = None) -> Values:
    """Read the bands that become red, green and blue, or the one that is gray: (H, W, 3) or (H, W).

    With ``enough_for`` an image of more than ``conversion.max_pixels`` is averaged while it is read, strip by strip, to
    at least twice that side. Raises Unreadable for other bands, for a larger image, and without rasterio.
    """
    found = f"of {tags.bands} band{'s' * (tags.bands != 1)}"
    if conversion.bands is None and tags.bands not in (1, 3):
        raise too_many_bands(tags.bands)
    if conversion.bands is None and not tags.plain:
        raise Unreadable("a TIFF of colors that are not red, green and blue", "convert it")
    if conversion.bands is not None and max(conversion.bands) > tags.bands:
        raise Unreadable(found, f"data.bands={list(conversion.bands)} asks for band {max(conversion.bands)}")
    try:
        import rasterio
    except ImportError:
        conversion.require_pixels(*tags.size, f"to read it in strips: {NEEDS_RASTERIO}")
        raise Unreadable(f"a TIFF {found} of {tags.bits} bits", f"to read it: {NEEDS_RASTERIO}") from None
    ignored = rasterio.errors.NotGeoreferencedWarning
    if not any(each[2] is ignored for each in warnings.filters):  # permanent: `catch_warnings` is not thread-safe
        warnings.filterwarnings("ignore", category=ignored)
    chosen = list(conversion.bands or range(1, tags.bands + 1))
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
        rasterio.MemoryFile(content) as memory,
        memory.open(driver="GTiff") as source,
    ):
        shape = _shape(source.height, source.width, conversion, enough_for)
        sample = max(np.dtype(each).itemsize for each in source.dtypes)
        block = max(height * width for height, width in source.block_shapes) * sample * source.count
        taken = 3 * shape[0] * shape[1] * len(chosen) * sample  # as read, in the order of pixels, and as bytes
        reserve(len(content) + taken + block + (CACHE_MB << 20), conversion.max_bytes)
        averaged = rasterio.enums.Resampling.average
        values: Values = source.read(chosen, out_shape=(len(chosen), *shape), resampling=averaged)
    values = values[0] if len(chosen) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0))
    if tags.bits < 8 and values.dtype == np.uint8:
        values = values * np.uint8(255 // ((1 << tags.bits) - 1))
        return 255 - values if tags.photometric == 0 else values
    return complete(values, tags)


def _shape(height: int, width: int, conversion: Conversion, enough_for: int | None) -> tuple[int, int]:
    if height * width <= conversion.max_pixels:
        return height, width
    divisor = min(height, width) // (2 * enough_for) if enough_for else 1
    shape = height // max(1, divisor), width // max(1, divisor)
    conversion.require_pixels(shape[1], shape[0])
    return shape


def _without_nodata(values: Values, tags: TiffTags) -> Values:
    """Floats without the value that stands for no data, which would stretch the range."""
    if tags.nodata is None or values.dtype.kind != "f":
        return values
    return np.where(values == values.dtype.type(tags.nodata), np.nan, values)


def complete(values: Values, tags: TiffTags) -> Values:
    """Values as they are stored, made what the tags say: unsigned, dark where they are low, without nodata."""
    if tags.bits == 32 and values.dtype == np.int32 and not tags.signed:
        values = values.view(np.uint32)
    if tags.photometric == 0 and values.dtype.kind == "u":
        values = (
            values.dtype.type(((1 << min(tags.bits, 32)) - 1) & int(np.iinfo(values.dtype).max)) - values
        )  # modulo the type
    return _without_nodata(values, tags)
