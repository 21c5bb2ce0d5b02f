"""Issues of the images themselves: sizes, modes, orientation, and how deep values are scaled."""

from __future__ import annotations

import math
from collections.abc import Iterator

from headstart.data.checks.image_info import ImageInfos
from headstart.data.checks.issues import Issue, count
from headstart.data.index import Index
from headstart.value_range import ValueRange

MIN_SIDE = 32
"""Images with a shorter side, in pixels, are reported."""
MAX_ASPECT_RATIO = 4
"""Images with a larger ratio of long to short side are reported."""
MODES = {
    "1": "black and white", "L": "gray", "LA": "gray", "La": "gray", "P": "palette", "PA": "palette", "CMYK": "CMYK",
}  # fmt: skip
CONVERSIONS = {
    "black and white": "converted to RGB", "gray": "converted to RGB", "CMYK": "converted to RGB",
    "palette": "converted to the colors of the palette",
}  # fmt: skip


def check_images(index: Index, images: ImageInfos) -> Iterator[Issue]:
    """Unusual sizes, modes, transparency and EXIF orientations, as notes; value ranges."""

    def note(kind: str, rows: list[int], message: str, fix: str = "") -> Iterator[Issue]:
        if rows:
            files = tuple(index.paths[row] for row in rows)
            yield Issue(kind, "note", f"{count(len(rows), 'image')} {message}", files, fix)

    tiny = [row for row, image in images.items() if min(image.size) < MIN_SIDE]
    yield from note("tiny", tiny, f"with a side below {MIN_SIDE} pixels", "check that they are not thumbnails")
    long = [row for row, image in images.items() if max(image.size) > MAX_ASPECT_RATIO * min(image.size)]
    message = f"with an aspect ratio above {MAX_ASPECT_RATIO}"
    yield from note("aspect ratio", long, message, "data.resize=pad keeps the aspect ratio")
    modes = {row: MODES.get(image.mode) for row, image in images.items() if image.range is None}
    for mode in sorted({mode for mode in modes.values() if mode}):
        yield from note(mode, [row for row in modes if modes[row] == mode], f"{mode}: {CONVERSIONS[mode]}")
    transparent = [row for row, image in images.items() if image.transparent]
    message = "transparent: shown over white, as by a viewer"
    yield from note("transparent", transparent, message, "paste them on a background of your own")
    opaque = [row for row, image in images.items() if image.mode in ("RGBA", "RGBa") and not image.transparent]
    yield from note("opaque", opaque, "with a transparency that is the same all over: read as RGB")
    paged = [row for row, image in images.items() if image.paged]
    message = "with several pages or frames: the first is read"
    yield from note("several pages", paged, message, "save each page that matters as a file")
    rotated = [row for row, image in images.items() if image.rotated]
    yield from note("EXIF rotation", rotated, "rotated upright by their EXIF orientation")
    yield from check_ranges(index, images)


def check_ranges(index: Index, images: ImageInfos) -> Iterator[Issue]:
    """How images of more than 8 bits are scaled: a note; a warning where it is a guess, and where depths are mixed."""
    rows_of: dict[ValueRange | None, list[int]] = {}
    for row, image in images.items():
        rows_of.setdefault(image.range, []).append(row)
    for known, rows in rows_of.items():
        if known is not None:
            files = tuple(index.paths[row] for row in rows)
            what = f"{count(len(rows), 'image')} {_depth(images[rows[0]].mode, known)}"
            if known.source == "percentiles":
                message = f"{what}: {known} is scaled to 0 to 255, a guess from 99 % of their values"
                fix = f"state the range: data.range=[{known.low:.4g}, {known.high:.4g}]"
                yield Issue("value range", "warning", message, files, fix)
            else:
                message = f"{what}: {known} is scaled to 0 to 255"
                fix = f"another range: data.range=[{known.low:g}, {known.high:g}]"
                yield Issue("more than 8 bits", "note", message, files, fix)
    if len(rows_of) > 1:
        parts = sorted(rows_of.items(), key=lambda part: len(part[1]))
        found = " and ".join(
            f"{len(rows):,} {'of 8 bits' if known is None else _depth(images[rows[0]].mode, known)}"
            for known, rows in parts
        )
        message = f"Images of different depths: {found}, each scaled by its own range"
        files = tuple(index.paths[row] for row in parts[0][1])
        fix = "make sure that depth and class do not go together, or save all of them with the same depth"
        yield Issue("mixed depths", "warning", message, files, fix)


def _depth(mode: str, known: ValueRange) -> str:
    """``of 12 bits in 16``, ``of 16 bits``, ``of floats``."""
    if mode == "F" or mode.startswith("float"):
        return "of floats"
    if mode == "I" and known.source == "percentiles":
        return "of whole numbers"  # of 16 bits with a sign, or of 32
    bits = 32 if mode in ("I", "int32", "uint32") else 64 if mode in ("int64", "uint64") else 16
    used = math.log2(known.high + 1)
    return f"of {used:g} bits in {bits}" if known.source == "full scale" and used < bits else f"of {bits} bits"
