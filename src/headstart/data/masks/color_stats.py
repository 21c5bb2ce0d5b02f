"""What the masks of a data set are made of: which numbers, which colors, how many pixels of each."""

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
from headstart.data.masks.codec import MANY, codes_of, colors_of, numbers_of, require_mask

MODES: dict[str, Literal["L", "P"]] = {"P": "P", "PA": "P", "L": "L", "LA": "L", "La": "L", "1": "L"}
LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000")


class _Look(NamedTuple):
    """What one mask is made of."""

    mode: Literal["L", "P", "RGB"]
    numbers: Counter[int] | None
    codes: Counter[int]
    code_of: dict[int, int]
    lossy: bool


class MaskColorStats:
    """What all masks together are made of. Colors are codes: red * 65536 + green * 256 + blue."""

    def __init__(self) -> None:
        self.modes: set[Literal["L", "P", "RGB"]] = set()
        self.numbers: Counter[int] | None = Counter()
        """Number -> pixels; None as soon as one file has colors, or the same number means two colors."""
        self.codes: Counter[int] = Counter()
        """Color -> pixels, of the first few hundred colors."""
        self.code_of: dict[int, int] = {}
        """Number -> its color."""
        self.corners: Counter[int] = Counter()
        """Color -> pixels, where each channel counts as 255 from 128 on and else as 0 (DeepGlobe's rule)."""
        self.far = 0
        """Pixels more than 64 from that in some channel."""
        self.lossy = False
        """Whether some file is in a format that blurs colors."""

    def add(self, look: _Look) -> None:
        self.modes.add(look.mode)
        self.lossy |= look.lossy
        if look.numbers is None or any(self.code_of.get(number, code) != code for number, code in look.code_of.items()):
            self.numbers = None
        elif self.numbers is not None:
            self.numbers += look.numbers
            self.code_of |= look.code_of
        colors = colors_of(np.fromiter(look.codes, np.int32, len(look.codes)))
        counts = np.fromiter(look.codes.values(), np.int64, len(look.codes))
        bright = colors >= 128
        self.far += int(counts[(abs(255 * bright - colors) > 64).any(axis=1)].sum())
        pixels = np.bincount(bright @ np.array([4, 2, 1]), counts, minlength=8)
        for corner in pixels.nonzero()[0].tolist():
            code = 0xFF0000 * (corner >> 2) + 0xFF00 * (corner >> 1 & 1) + 0xFF * (corner & 1)
            self.corners[code] += int(pixels[corner])
        if len(self.codes) <= MANY:  # beyond, it does not matter which others there are
            self.codes += look.codes

    @property
    def mode(self) -> Literal["L", "P", "RGB"]:
        """How masks of this kind are written."""
        return "RGB" if "RGB" in self.modes else "P" if "P" in self.modes else "L"


def collect_color_stats(masks: Sequence[Path]) -> MaskColorStats:
    """Look at masks. Those that cannot be read are passed over: they will be told of when they are used."""

    def one(file: Path) -> _Look | None:
        try:
            return with_image(file, _look)
        except Unreadable:
            return None

    found = MaskColorStats()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for look in threads.map(one, masks):
            if look is not None:
                found.add(look)
    return found


def _look(image: Image.Image, content: bytes) -> _Look:
    require_mask(image, content)
    numbers, lossy = numbers_of(image), image.format in LOSSY
    if numbers is None:
        return _Look("RGB", None, _counted(codes_of(image)), {}, lossy)
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
    return _Look(MODES.get(image.mode, "RGB"), counts, codes, code_of, lossy)


def _counted(codes: NDArray[np.int32]) -> Counter[int]:
    """Code -> pixels. Most pixels are as the one before: only the first of each run is sorted."""
    flat = codes.ravel()
    first = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    found, place = np.unique(flat[first], return_inverse=True)
    counts = np.bincount(place, np.diff(first, append=len(flat)))
    return Counter(dict(zip(found.tolist(), counts.astype(int).tolist(), strict=True)))
