"""Match masks to images by name: equal stems, stems between a common prefix and ending, or equal numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from headstart.data.index import natural_key
from headstart.data.pair_names import last_number, pieces, trimmed

MIN_MATCHED = 0.5
"""Least share of the masks that must have an image."""
MIN_SAME_NUMBERS = 0.8
"""The same where numbers are all that agrees."""
MAX_PREFIX, MAX_ENDING = 1, 4
"""Pieces of a stem that may differ between an image and its mask."""
MAX_PARTS = 64
"""Different endings of masks: a class each."""


class Named(NamedTuple):
    """An image or mask by what must agree: the folders apart from that of images or masks, and the stem."""

    path: str
    rest: tuple[str, ...]
    stem: str


class Match(NamedTuple):
    """Masks of images."""

    masks_of: Mapping[str, Mapping[str, str]]
    """Image -> ending of a mask -> mask."""
    by: str
    """What agrees, in words."""
    dropped: int
    """Pieces of the stems that do not agree."""

    @property
    def masks(self) -> int:
        return sum(map(len, self.masks_of.values()))


def match(images: Sequence[Named], masks: Sequence[Named]) -> Match | None:
    """The best way to match names, or None if fewer than half of the masks find an image."""
    best: Match | None = None
    for first, last, image_first, image_last in _trims(masks):
        found = _match_trimmed(images, masks, (first, last), (image_first, image_last))
        if found and (best is None or (found.masks, -found.dropped) > (best.masks, -best.dropped)):
            best = found
        if best and best.dropped == 0 and best.masks == len(masks):
            break  # the simplest comes first
    if best is None or best.masks < MIN_MATCHED * len(masks):
        best = _match_numbers(images, masks)
    return best


def _trims(masks: Sequence[Named]) -> list[tuple[int, int, int, int]]:
    longest = max((len(pieces(mask.stem)) for mask in masks), default=1)
    ends = range(min(MAX_ENDING, longest - 1) + 1)
    firsts = range(MAX_PREFIX + 1)
    found = product(firsts, ends, firsts, range(MAX_ENDING - 1))
    return sorted(found, key=lambda trim: (sum(trim), trim[2] + trim[3], trim[0]))


def _match_trimmed(
    images: Sequence[Named], masks: Sequence[Named], trim: tuple[int, int], image_trim: tuple[int, int]
) -> Match | None:
    # Images by what is left of their stem. What is cut off must be the same for all of them.
    by_key: dict[tuple[tuple[str, ...], str], str] = {}
    by_stem: dict[str, list[Named]] = {}
    cut: set[tuple[str, str]] = set()
    for image in images:
        parts = trimmed(image.stem, *image_trim)
        if parts is None:
            return None
        cut.add((parts[0].casefold(), parts[2].casefold()))
        if len(cut) > 1:
            return None
        by_key.setdefault((image.rest, parts[1].casefold()), image.path)
        by_stem.setdefault(parts[1].casefold(), []).append(image)
    masks_of: dict[str, dict[str, str]] = {}
    prefixes, endings = set(), set()
    for mask in masks:
        parts = trimmed(mask.stem, *trim)
        if parts is None:
            continue
        stem = parts[1].casefold()
        found = by_key.get((mask.rest, stem)) or _only(by_stem.get(stem, []), mask)
        if found is None:
            continue
        prefixes.add(parts[0].casefold())
        endings.add(parts[2].casefold())
        if len(prefixes) > 1 or len(endings) > MAX_PARTS:
            return None
        masks_of.setdefault(found, {}).setdefault(parts[2], mask.path)
    # Endings that differ from image to image are parts of names, unless an image has several of them.
    if len(endings) > 1 and all(len(some) == 1 for some in masks_of.values()):
        return None
    dropped = sum(trim) + sum(image_trim)
    return (
        Match(masks_of, "equal names" if not dropped else "names with a common prefix or ending", dropped)
        if masks_of
        else None
    )


def _only(images: Sequence[Named], mask: Named) -> str | None:
    """The image of a stem that occurs once, if one of the two lies in fewer folders than the other."""
    if len(images) != 1:
        return None
    own, other = {*images[0].rest}, {*mask.rest}
    return images[0].path if own <= other or other <= own else None


def _match_numbers(images: Sequence[Named], masks: Sequence[Named]) -> Match | None:
    """Equal last numbers, where every number occurs once among the images and once among the masks of a folder."""
    by_number: dict[tuple[tuple[str, ...], int | None], str] = {}
    for image in images:
        key = image.rest, last_number(image.stem)
        if key[1] is None or key in by_number:
            return None
        by_number[key] = image.path
    masks_of: dict[str, dict[str, str]] = {}
    for mask in masks:
        found = by_number.get((mask.rest, last_number(mask.stem)))
        if found in masks_of:
            return None
        if found:
            masks_of[found] = {"": mask.path}
    # Two lists that both count from 1 agree by chance: all numbers must be there.
    enough = len(masks_of) >= max(2, MIN_SAME_NUMBERS * max(len(masks), len(images)))
    return Match(masks_of, "equal numbers", MAX_ENDING) if enough else None


def by_order(images: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Key -> image, both in natural order, where there are as many of them."""
    if len(images) != len(keys):
        return {}
    return dict(zip(sorted(keys, key=natural_key), sorted(images, key=natural_key), strict=True))
