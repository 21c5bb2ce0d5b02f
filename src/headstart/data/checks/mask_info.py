"""Facts about each mask file: one decoding pass for size, pixels per class, unknown colors and what fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.checks.image_info import Failures
from headstart.data.decode import Unreadable
from headstart.data.index import Index
from headstart.data.masks.codec import ColorCounts, examine_mask
from headstart.data.masks.orientation import Turn, turn_of
from headstart.data.parallel import Progress, map_ordered
from headstart.palette import IGNORE_INDEX


@dataclass(frozen=True)
class MaskInfo:
    """One mask file that could be decoded."""

    size: tuple[int, int]
    """Width and height."""
    pixel_counts: tuple[int, ...]
    """Pixels of each of the palette's names, then those of no class."""
    near: ColorCounts
    """Pixels whose color is only near that of their class."""
    outside: ColorCounts
    """Pixels whose color or number is no class's."""
    turn: Turn
    """How the mask is turned to lie on its upright image."""
    hidden: int = 0
    """Transparent pixels, read as background."""
    black: int = 0
    """Beside transparent pixels, visible ones that are read as the same class."""


MaskInfos = Mapping[int, MaskInfo]
"""Row of the index -> its mask, where it could be decoded."""


def read_mask_infos(index: Index, progress: Progress | None = None) -> tuple[MaskInfos, Failures]:
    """Decode every mask of ``index`` once: infos and failures."""
    palette = index.palette
    if palette is None:
        return {}, {}
    names = len(palette.names)

    def read_one(row: int) -> MaskInfo | Unreadable | None:
        if not index.masks[row]:
            return None
        try:
            turn = turn_of(index.root / index.paths[row], index.root / index.masks[row])
            mask = examine_mask(index.root / index.masks[row], palette, turn.orientation)
        except Unreadable as error:
            return error
        height, width = mask.classes.shape
        counts = np.bincount(mask.classes.ravel(), minlength=256).tolist()
        pixels = (*counts[:names], counts[IGNORE_INDEX])
        return MaskInfo((width, height), pixels, mask.near, mask.outside, turn, mask.hidden, mask.black)

    infos, failures = {}, {}
    for row, result in map_ordered(len(index), read_one, progress):
        if isinstance(result, Unreadable):
            failures[row] = (result.kind, result.detail)
        elif result is not None:
            infos[row] = result
    return infos, failures


def pixel_counts_of(index: Index, masks: MaskInfos, split: str) -> NDArray[np.int64]:
    """Pixels of each of the palette's K names, then those of no class, in the masks of a split: (K + 1,)."""
    names = len(index.palette.names) if index.palette else 0
    rows = [masks[row].pixel_counts for row in masks if index.splits[row] == split]
    pixel_counts: NDArray[np.int64] = np.array(rows, dtype=np.int64).reshape(-1, names + 1).sum(axis=0)
    return pixel_counts


def rows_by_class(index: Index, masks: MaskInfos, split: str) -> dict[str, list[int]]:
    """Class -> the rows of a split in whose masks it occurs."""
    rows = [row for row in masks if index.splits[row] == split]
    return {name: [row for row in rows if masks[row].pixel_counts[number]] for number, name in enumerate(index.classes)}
