"""Masks that may mean something else: turned by EXIF, transparent, numbers of instances, a list that fits in part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.checks.issues import Issue, count
from headstart.data.checks.mask_info import MaskInfos
from headstart.data.decode import Unreadable
from headstart.data.index import Index
from headstart.data.masks.class_lists import COLORS, NAMES, read_class_list
from headstart.data.masks.codec import read_mask
from headstart.data.parallel import map_ordered
from headstart.palette import IGNORE_INDEX, Palette

INSTANCE_MASKS, INSTANCE_SIDE = 32, 320
"""Masks in which instances are looked for, and the longest side in pixels that they are thinned to."""
ONE_REGION = 0.95
"""Share of a number's pixels in its largest region, from which on it marks one object."""
MOST = 0.8
"""Share of the numbers that mark one object each, from which on they are taken for instance numbers."""


def check_turns(index: Index, masks: MaskInfos) -> Iterator[Issue]:
    """Masks turned by the EXIF orientation of their image, and those where nothing tells whether they should be."""
    turned = [row for row, mask in masks.items() if mask.turn.origin == "image's tag"]
    if turned:
        message = f"{count(len(turned), 'mask')} drawn on the stored pixels of an image that EXIF turns: turned along"
        files = tuple(index.masks[row] for row in turned)
        yield Issue("EXIF masks", "note", message, files, "to be sure, save image and mask upright")
    unknown = [row for row, mask in masks.items() if mask.turn.origin == "unknown"]
    if unknown:
        message = f"{count(len(unknown), 'mask')} that fit their image as it is stored and as EXIF turns it"
        message += " (square, or by 180 degrees): read as drawn on the image that viewers show"
        files = tuple(path for row in unknown for path in (index.paths[row], index.masks[row]))
        fix = "if they were drawn on the stored pixels, remove the orientation from the images: exiftool -Orientation="
        yield Issue("EXIF masks unknown", "warning", message, files, fix)


def check_transparency(index: Index, masks: MaskInfos) -> Iterator[Issue]:
    """Transparent pixels, read as background."""
    palette = index.palette
    if palette is not None and palette.transparency == "class":
        message = "Masks of one color: their opacity is read as the class"
        yield Issue("transparent masks", "note", message, (), "save masks without transparency")
        return
    rows = [row for row, mask in masks.items() if mask.hidden]
    if not rows:
        return
    background = "number 0" if palette is not None and palette.kind == "number" else "black"
    message = f"{count(len(rows), 'mask')} with transparent pixels: read as {background}"
    black = [row for row in rows if masks[row].black]
    files = tuple(index.masks[row] for row in black or rows)
    if black:
        message += f", and so one class with the visible pixels that are {background}"
    yield Issue("transparent masks", "warning" if black else "note", message, files, "save masks without transparency")


def check_listed_classes(palette: Palette, file: Path) -> Iterator[Issue]:
    """Colors or numbers that the list leaves out, and listed classes spread over the gray levels."""
    own = file.name in (COLORS, NAMES)  # all its names are the user's, even "class 3"
    unlisted = [
        name for name in palette.names if re.fullmatch(r"#[0-9a-f]{6}" if own else r"class \d+|#[0-9a-f]{6}", name)
    ]
    if len(unlisted) == len(palette.names):
        message = f"Masks hold other {palette.kind}s than {file.name} lists: {', '.join(unlisted[:8])}"
        yield Issue("unnamed classes", "warning", message, (), f"list them in {file.with_name('class_dict.csv')}")
    elif unlisted and not own:
        message = (
            f"{count(len(unlisted), 'class')} in the masks that {file.name} does not name: {', '.join(unlisted[:8])}"
        )
        yield Issue("unnamed classes", "warning", message, (), f"name them in {file}")
    values = sorted(palette.values)
    plain = values in ([0, 255], list(range(len(values)))) or bool(read_class_list(file).values)
    if palette.kind == "number" and not plain and not unlisted:
        pairs = ", ".join(
            f"{value} {name}" for value, name in sorted(zip(palette.values, palette.names, strict=True))[:6]
        )
        message = f"Numbers of the masks matched with the classes of {file.name}: {pairs}{', ...' * (len(values) > 6)}"
        yield Issue("spread numbers", "note", message, (), "list them with their numbers to be sure: 1: sky")


def check_instances(index: Index) -> Iterator[Issue]:
    """Numbers that mark one object each, others in each image: instance numbers look like classes."""
    palette = index.palette
    if palette is None or palette.kind != "number" or len(palette.values) < 4 or palette.soft:
        return
    step = max(1, len(index) // INSTANCE_MASKS)
    files = [index.root / mask for mask in index.masks if mask]
    files = sorted(files, key=lambda file: file.name)[::step][:INSTANCE_MASKS]
    background = palette.values.index(min(palette.values))

    def regions(row: int) -> tuple[frozenset[int], list[bool]]:
        try:
            return _regions(read_mask(files[row], palette), background)
        except Unreadable:
            return frozenset(), []

    found = [regions_of for _, regions_of in map_ordered(len(files), regions)]
    several = [(numbers, single) for numbers, single in found if len(numbers) >= 2]
    single = [each for _, every in several for each in every]
    varies = len({numbers for numbers, _ in several}) > 1
    if len(several) >= 2 and varies and sum(single) >= MOST * len(single):
        message = "Numbers mark one region each, and others in each image: instance numbers?"
        message += f" They are read as {len(palette.values)} classes"
        fix = "save class numbers, not a number for each object; if these are classes, name them in classes.txt"
        yield Issue("instance numbers", "warning", message, (), fix)


def _regions(mask: NDArray[np.uint8], background: int) -> tuple[frozenset[int], list[bool]]:
    """The classes of a mask but the background, and whether each fills one connected region."""
    from scipy.ndimage import label  # slow to import

    mask = mask[:: (step := -(-max(mask.shape) // INSTANCE_SIDE)), ::step]
    numbers = [n for n in np.unique(mask).tolist() if n not in (background, IGNORE_INDEX)]
    single = []
    for number in numbers:
        regions, _ = label(mask == number, np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())[1:]
        single.append(bool(sizes.max() >= ONE_REGION * sizes.sum()))
    return frozenset(numbers), single
