"""Find the value ranges of a data set: one for all of its images of more than 8 bits, from its training images.

Integers are scaled by the bits that they use: 8, 10, 12, 14 or 16. Floats within 0 to 1, or within 0 to 255, by that.
Anything else, and images that use less than an eighth of such a scale, by percentiles of their values: a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.cache import touch
from headstart.data.cache_notes import read_notes, write_notes
from headstart.data.conversion import DARK, Conversion
from headstart.data.decode import read_deep
from headstart.data.headers import Header, read_headers
from headstart.data.pixel_cache import cache_path
from headstart.data.unreadable import Unreadable
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data
from headstart.value_range import ValueRange, ValueRanges, Values

VERSION = 1
"""Part of the key of stored ranges: increased when the same files would give others."""
MAX_IMAGES = 500
"""Images whose values are looked at, evenly spread over the training images."""
VALUES_PER_IMAGE = 1024
BITS = (8, 10, 12, 14, 16)
PERCENTILES = (0.5, 99.5)
THREADS = 4
"""Most deep images decoded at once: each may need eight bytes per pixel."""


@dataclass(frozen=True)
class ValueSummary:
    """Values of one deep image."""

    low: float
    high: float
    sample: NDArray[np.float64]
    """Some of its values, evenly spread."""
    is_float: bool


def summarize(values: Values) -> ValueSummary | None:
    """Minimum, maximum and a sample of the finite values of an image; None if it has none."""
    flat = values.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return None
    # Not every n-th value: that would be a few columns of the image.
    places = np.random.default_rng(0).integers(0, flat.size, VALUES_PER_IMAGE)
    return ValueSummary(float(flat.min()), float(flat.max()), flat[places].astype(np.float64), values.dtype.kind == "f")


def choose_range(summaries: Sequence[ValueSummary]) -> ValueRange | None:
    """The range of images that are all integers or all floats; None without images."""
    if not summaries:
        return None
    low, high = min(each.low for each in summaries), max(each.high for each in summaries)
    scales = (1.0, 255.0) if summaries[0].is_float else tuple(2.0**bits - 1 for bits in BITS)
    full = next((scale for scale in scales if low >= 0 and high <= scale), None)
    bottom, top = (float(each) for each in np.percentile([each.sample for each in summaries], PERCENTILES))
    if full is not None and top - bottom >= DARK * full:
        return ValueRange(0.0, full, "full scale")
    if bottom >= top:
        bottom, top = low, high
    return ValueRange(bottom, top if top > bottom else bottom + 1, "percentiles")


def find_ranges(files: Sequence[Path], conversion: Conversion) -> ValueRanges:
    """Ranges of deep images among ``files``: decodes at most `MAX_IMAGES`. Unreadable files are left out."""

    def one(place: int) -> ValueSummary | None:
        try:
            values = read_deep(files[place], conversion)
        except Unreadable:
            return None
        return None if values is None else summarize(values)

    chosen = np.unique(np.linspace(0, len(files) - 1, min(len(files), MAX_IMAGES)).round().astype(int)).tolist()
    with ThreadPoolExecutor(THREADS) as threads:
        summaries = [each for each in threads.map(one, chosen) if each is not None]
    return ValueRanges(
        integers=choose_range([each for each in summaries if not each.is_float]),
        floats=choose_range([each for each in summaries if each.is_float]),
    )


def find_conversion(
    files: Sequence[Path], training: Sequence[int], config: Data, headers: Sequence[Header] | None = None
) -> Conversion:
    """How the images of a data set become RGB of 8 bits: as ``config`` says, by ranges of the ``training`` rows.

    Only a data set with deep images is looked into, and once: its ranges are stored in the cache. A deep image that is
    not a training image counts only where no training image is deep.
    """
    given = config.range and ValueRange(*config.range)
    plain = Conversion(ValueRanges(given, given) if given else ValueRanges(), config.bands, config.max_pixels)
    deep = [row for row, header in enumerate(headers or read_headers(files)) if header.deep]
    if given or not deep:
        return plain if deep else Conversion(bands=config.bands, max_pixels=config.max_pixels)
    trained = set(training)
    rows = [row for row in deep if row in trained] or deep
    return Conversion(_stored_ranges([files[row] for row in rows], plain), config.bands, config.max_pixels)


def _stored_ranges(files: Sequence[Path], conversion: Conversion) -> ValueRanges:
    """`find_ranges`, from the cache if it was asked for these very files before."""
    names = blake2b("\n".join(map(str, files)).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    path = cache_path(files, f"ranges {VERSION} {names} {conversion.bands} {conversion.max_pixels}")
    path = path.with_suffix(".range.json")
    if (stored := read_notes(path)) is not None:
        touch(path)
        return ValueRanges.from_json(stored)
    ranges = find_ranges(files, conversion)
    with suppress(HeadstartError):  # no room: found anew the next time
        write_notes(path, ranges.to_json())
    return ranges
