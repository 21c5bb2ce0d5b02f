"""What `check` remembers of each mask that it has read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.decode import Unreadable
from headstart.data.index import Index
from headstart.data.masks.codec import Strays, examine_mask
from headstart.data.parallel import Progress, map_ordered
from headstart.palette import IGNORE_INDEX


@dataclass(frozen=True)
class MaskInfo:
    """One mask."""

    size: tuple[int, int]
    """Width and height."""
    pixel_counts: tuple[int, ...]
    """Pixels of each of the palette's names, and last of none."""
    near: Strays
    outside: Strays


MaskInfos = Mapping[int, MaskInfo]
"""Row of the index -> its mask, where it could be read."""


def read_mask_infos(index: Index, report: Progress | None = None) -> tuple[MaskInfos, dict[int, tuple[str, str]]]:
    """Every mask of ``index``, and the (kind, detail) of those that cannot be read, by row."""
    palette = index.palette
    if palette is None:
        return {}, {}
    names = len(palette.names)

    def one(row: int) -> MaskInfo | Unreadable | None:
        if not index.masks[row]:
            return None
        try:
            mask = examine_mask(index.root / index.masks[row], palette)
        except Unreadable as error:
            return error
        height, width = mask.classes.shape
        counts = np.bincount(mask.classes.ravel(), minlength=256).tolist()
        return MaskInfo((width, height), (*counts[:names], counts[IGNORE_INDEX]), mask.near, mask.outside)

    looks, faults = {}, {}
    for row, result in map_ordered(len(index), one, report):
        if isinstance(result, Unreadable):
            faults[row] = (result.kind, result.detail)
        elif result is not None:
            looks[row] = result
    return looks, faults


def pixel_counts_of(index: Index, masks: MaskInfos, split: str) -> NDArray[np.int64]:
    """Pixels of each of the palette's K names, and last of none, in the masks of a split: (K + 1,)."""
    names = len(index.palette.names) if index.palette else 0
    rows = [masks[row].pixel_counts for row in masks if index.splits[row] == split]
    pixel_counts: NDArray[np.int64] = np.array(rows, dtype=np.int64).reshape(-1, names + 1).sum(axis=0)
    return pixel_counts


def occurrences(index: Index, masks: MaskInfos, split: str) -> dict[str, list[int]]:
    """The rows of a split in which each class occurs."""
    rows = [row for row in masks if index.splits[row] == split]
    return {name: [row for row in rows if masks[row].pixel_counts[number]] for number, name in enumerate(index.classes)}
