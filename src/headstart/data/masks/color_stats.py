"""Color statistics of the masks of a dataset: which numbers and colors they hold, and pixels of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable, with_image
from headstart.data.masks.codec import MAX_CLASSES, codes_of, colors_of, numbers_of, require_mask

MODES: dict[str, Literal["L", "P"]] = {"P": "P", "PA": "P", "L": "L", "LA": "L", "La": "L", "1": "L"}
LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000")


class _FileStats(NamedTuple):
    """Color statistics of one mask file."""

    mode: Literal["L", "P", "RGB"]
    numbers: Counter[int] | None
    codes: Counter[int]
    code_of: dict[int, int]
    lossy: bool


class MaskColorStats:
    """Color statistics of all masks together. Colors are codes: red * 65536 + green * 256 + blue."""

    def __init__(self) -> None:
        self.modes: set[Literal["L", "P", "RGB"]] = set()
        self.numbers: Counter[int] | None = Counter()
        """Number -> pixels; None once a file is in colors, or two files show the same number in different colors."""
        self.codes: Counter[int] = Counter()
        """Color -> pixels; no further colors are added beyond `MAX_CLASSES`."""
        self.code_of: dict[int, int] = {}
        """Number -> its color."""
        self.corners: Counter[int] = Counter()
        """Color -> pixels, with each channel rounded to 0 or 255 (DeepGlobe's rule)."""
        self.far = 0
        """Pixels more than 64 from that rounding in some channel."""
        self.lossy = False
        """Whether any file is in a lossy format."""

    def add(self, file: _FileStats) -> None:
        """Add the statistics of one more file."""
        self.modes.add(file.mode)
        self.lossy |= file.lossy
        if file.numbers is None or any(self.code_of.get(number, code) != code for number, code in file.code_of.items()):
            self.numbers = None
        elif self.numbers is not None:
            self.numbers += file.numbers
            self.code_of |= file.code_of
        colors = colors_of(np.fromiter(file.codes, np.int32, len(file.codes)))
        counts = np.fromiter(file.codes.values(), np.int64, len(file.codes))
        bright = colors >= 128
        self.far += int(counts[(abs(255 * bright - colors) > 64).any(axis=1)].sum())
        pixels = np.bincount(bright @ np.array([4, 2, 1]), counts, minlength=8)
        for corner in pixels.nonzero()[0].tolist():
            code = 0xFF0000 * (corner >> 2) + 0xFF00 * (corner >> 1 & 1) + 0xFF * (corner & 1)
            self.corners[code] += int(pixels[corner])
        if len(self.codes) <= MAX_CLASSES:  # beyond, it does not matter which others there are
            self.codes += file.codes

    @property
    def mode(self) -> Literal["L", "P", "RGB"]:
        """Pillow's mode in which such masks are written."""
        return "RGB" if "RGB" in self.modes else "P" if "P" in self.modes else "L"


def collect_color_stats(masks: Sequence[Path]) -> MaskColorStats:
    """Read masks and add up their color statistics. Unreadable files are skipped: their use raises the error."""

    def read_one(file: Path) -> _FileStats | None:
        try:
            return with_image(file, _file_stats)
        except Unreadable:
            return None

    stats = MaskColorStats()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for file_stats in threads.map(read_one, masks):
            if file_stats is not None:
                stats.add(file_stats)
    return stats


def _file_stats(image: Image.Image, content: bytes) -> _FileStats:
    require_mask(image, content)
    numbers, lossy = numbers_of(image), image.format in LOSSY
    if numbers is None:
        return _FileStats("RGB", None, _count_codes(codes_of(image)), {}, lossy)
    pixels = np.bincount(numbers.ravel(), minlength=256).tolist()
    counts = Counter({number: count for number, count in enumerate(pixels) if count})
    colors = list(range(0, 0x1000000, 0x10101))
    if image.mode == "P":
        table = np.array(image.getpalette("RGB") or (), np.int32).reshape(-1, 3) @ np.array([65536, 256, 1])
        colors[: len(table)] = table.tolist()
    code_of = {number: colors[number] for number in counts}
    codes: Counter[int] = Counter()
    for number, count in counts.items():
        codes[code_of[number]] += count
    return _FileStats(MODES.get(image.mode, "RGB"), counts, codes, code_of, lossy)


def _count_codes(codes: NDArray[np.int32]) -> Counter[int]:
    """Color code -> pixels. Masks are runs of equal pixels: sorting only the first of each run is much faster."""
    flat = codes.ravel()
    first = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    found, position = np.unique(flat[first], return_inverse=True)
    counts = np.bincount(position, np.diff(first, append=len(flat)))
    return Counter(dict(zip(found.tolist(), counts.astype(int).tolist(), strict=True)))
