"""What `check` remembers of each mask that it has read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.decode import Unreadable
from headstart.data.index import Index
from headstart.data.masks.codec import Strays, examine_mask
from headstart.data.parallel import Report, over
from headstart.palette import NOTHING


@dataclass(frozen=True)
class MaskLook:
    """One mask."""

    size: tuple[int, int]
    """Width and height."""
    census: tuple[int, ...]
    """Pixels of each of the palette's names, and last of none."""
    near: Strays
    outside: Strays


Looks = Mapping[int, MaskLook]
"""Row of the index -> its mask, where it could be read."""


def look_at_masks(index: Index, report: Report | None = None) -> tuple[Looks, dict[int, tuple[str, str]]]:
    """Every mask of ``index``, and the (kind, detail) of those that cannot be read, by row."""
    palette = index.palette
    if palette is None:
        return {}, {}
    names = len(palette.names)

    def one(row: int) -> MaskLook | Unreadable | None:
        if not index.masks[row]:
            return None
        try:
            mask = examine_mask(index.root / index.masks[row], palette)
        except Unreadable as error:
            return error
        height, width = mask.classes.shape
        counts = np.bincount(mask.classes.ravel(), minlength=256).tolist()
        return MaskLook((width, height), (*counts[:names], counts[NOTHING]), mask.near, mask.outside)

    looks, faults = {}, {}
    for row, result in over(len(index), one, report):
        if isinstance(result, Unreadable):
            faults[row] = (result.kind, result.detail)
        elif result is not None:
            looks[row] = result
    return looks, faults


def census_of(index: Index, masks: Looks, split: str) -> NDArray[np.int64]:
    """Pixels of each of the palette's K names, and last of none, in the masks of a split: (K + 1,)."""
    names = len(index.palette.names) if index.palette else 0
    rows = [masks[row].census for row in masks if index.splits[row] == split]
    census: NDArray[np.int64] = np.array(rows, dtype=np.int64).reshape(-1, names + 1).sum(axis=0)
    return census


def occurrences(index: Index, masks: Looks, split: str) -> dict[str, list[int]]:
    """The rows of a split in which each class occurs."""
    rows = [row for row in masks if index.splits[row] == split]
    return {name: [row for row in rows if masks[row].census[number]] for number, name in enumerate(index.classes)}
