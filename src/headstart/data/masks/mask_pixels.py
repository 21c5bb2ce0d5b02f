"""Every mask decoded once: a table beside that of its images, and how many pixels of each class are in each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.decode import Unreadable
from headstart.data.masks.codec import examine_mask, read_mask
from headstart.data.parallel import Progress, map_ordered
from headstart.data.pixel_cache import CacheMetadata, cache_path, make_table, open_table, read_metadata
from headstart.palette import IGNORE_INDEX, Palette

VERSION = 2
"""Part of the key: raised when the same file would give another mask."""


@dataclass(frozen=True)
class MaskTable:
    """The masks of N images, as they are in `Palette`."""

    contents: tuple[str, ...]
    """BLAKE2b-128 of each mask's file."""
    pixel_counts: NDArray[np.int64]
    """(N, K + 1): pixels of each of the palette's K names, and last of none (`NOTHING`), within the image."""
    outside: NDArray[np.int64]
    """(N,): of those of none, pixels whose color or number the palette does not know."""
    unreadable: dict[int, str]
    """Row -> reason."""
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]] = field(repr=False)
    """Rows -> uint8 (B, H, W), `NOTHING` beyond the image."""

    def at(self, kept: NDArray[np.int64]) -> MaskTable:
        """The masks at some rows alone, all readable."""
        contents = tuple(self.contents[row] for row in kept)
        return MaskTable(contents, self.pixel_counts[kept], self.outside[kept], {}, lambda rows: self.read(kept[rows]))


def decode_masks(
    files: Sequence[Path], palette: Palette, sizes: NDArray[np.int64], report: Progress | None = None
) -> MaskTable:
    """Decode every mask, or find that it has been done. ``sizes`` (N, 2): height and width of each image.

    A mask of another size than its image is unreadable.
    """
    shape = (len(files), *(int(side) for side in sizes.max(axis=0)))
    store = cache_path(files, f"masks {VERSION} {json.dumps(palette.to_json())} {sizes.tolist()}")
    notes, table = read_metadata(store, files), open_table(store, shape)
    if notes is None or table is None:
        notes, table = make_table(store, shape, lambda squares: _fill(files, palette, sizes, squares, report))
    return MaskTable(
        contents=tuple(notes["contents"]),
        pixel_counts=np.array(notes["pixel_counts"], dtype=np.int64),
        outside=np.array(notes["outside"], dtype=np.int64),
        unreadable={int(row): reason for row, reason in notes["unreadable"].items()},
        read=_from_files(files, palette, shape) if table is None else table.__getitem__,
    )


def _fill(
    files: Sequence[Path],
    palette: Palette,
    sizes: NDArray[np.int64],
    table: NDArray[np.uint8] | None,
    report: Progress | None,
) -> CacheMetadata:
    names = len(palette.names)

    def one(row: int) -> tuple[str, list[int], int, str | None]:
        try:
            mask = examine_mask(files[row], palette)
        except Unreadable as error:
            return "", [0] * (names + 1), 0, str(error)
        height, width = mask.classes.shape
        if (height, width) != tuple(sizes[row]):
            reason = f"of another size ({width} x {height} pixels) than its image ({sizes[row, 1]} x {sizes[row, 0]})"
            return "", [0] * (names + 1), 0, reason
        if table is not None:
            table[row] = _framed(mask.classes, *table.shape[1:])
        counts = np.bincount(mask.classes.ravel(), minlength=256).tolist()
        return mask.content, [*counts[:names], counts[IGNORE_INDEX]], mask.outside.pixels, None

    notes: CacheMetadata = {"contents": [], "pixel_counts": [], "outside": [], "unreadable": {}}
    for row, (content, pixel_counts, outside, fault) in map_ordered(len(files), one, report):
        notes["contents"].append(content)
        notes["pixel_counts"].append(pixel_counts)
        notes["outside"].append(outside)
        if fault is not None:
            notes["unreadable"][row] = fault
    return notes


def _framed(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """``mask`` at the top left of a larger one, `NOTHING` beside and below."""
    framed = np.full((height, width), IGNORE_INDEX, np.uint8)
    framed[: mask.shape[0], : mask.shape[1]] = mask
    return framed


def _from_files(
    files: Sequence[Path], palette: Palette, shape: tuple[int, ...]
) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    def one(row: int) -> NDArray[np.uint8]:
        return _framed(read_mask(files[row], palette), *shape[1:])

    return lambda rows: np.stack([one(row) for row in rows.tolist()])
