"""Decoded masks: a memory-mapped table beside that of the images, and pixels of each class per mask."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.cache_notes import CacheMetadata
from headstart.data.decode import Unreadable
from headstart.data.masks.codec import examine_mask, read_mask
from headstart.data.masks.orientation import turn_of
from headstart.data.parallel import Progress, map_ordered
from headstart.data.pixel_cache import cache_path, make_table, open_table, read_metadata
from headstart.palette import IGNORE_INDEX, Palette

VERSION = 3
"""Part of the cache key: increased when decoding the same file would give another mask."""


@dataclass(frozen=True)
class MaskTable:
    """Masks of N images, as class positions in their palette."""

    contents: tuple[str, ...]
    """BLAKE2b-128 of each mask file."""
    pixel_counts: NDArray[np.int64]
    """(N, K + 1): pixels of each of the palette's K names, then of no class (`IGNORE_INDEX`), within the image."""
    outside: NDArray[np.int64]
    """(N,): pixels whose color or number is not in the palette."""
    unreadable: dict[int, str]
    """Row -> reason."""
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]] = field(repr=False)
    """Rows -> uint8 (B, H, W), `IGNORE_INDEX` outside the image."""

    def at(self, kept: NDArray[np.int64]) -> MaskTable:
        """The masks at ``kept`` rows, all readable."""
        contents = tuple(self.contents[row] for row in kept)
        return MaskTable(contents, self.pixel_counts[kept], self.outside[kept], {}, lambda rows: self.read(kept[rows]))


def decode_masks(
    files: Sequence[Path],
    images: Sequence[Path],
    palette: Palette,
    sizes: NDArray[np.int64],
    progress: Progress | None = None,
) -> MaskTable:
    """Decode every mask, or open the table of an earlier run. ``sizes`` (N, 2): height and width of each image.

    A mask is turned as `turn_of` finds for it and its image; if it still differs in size, it counts as unreadable.
    """
    shape = (len(files), *(int(side) for side in sizes.max(axis=0)))
    path = cache_path([*files, *images], f"masks {VERSION} {json.dumps(palette.to_json())} {sizes.tolist()}")
    metadata, table = read_metadata(path, files), open_table(path, shape)
    pairs = tuple(zip(images, files, strict=True))
    if metadata is None or table is None:
        metadata, table = make_table(path, shape, lambda table: _fill(pairs, palette, sizes, table, progress), files)
    return MaskTable(
        contents=tuple(metadata["contents"]),
        pixel_counts=np.array(metadata["pixel_counts"], dtype=np.int64),
        outside=np.array(metadata["outside"], dtype=np.int64),
        unreadable={int(row): reason for row, reason in metadata["unreadable"].items()},
        read=_from_files(pairs, palette, shape) if table is None else table.__getitem__,
    )


def _fill(
    pairs: Sequence[tuple[Path, Path]],
    palette: Palette,
    sizes: NDArray[np.int64],
    table: NDArray[np.uint8] | None,
    progress: Progress | None,
) -> CacheMetadata:
    names = len(palette.names)

    def read_one(row: int) -> tuple[str, list[int], int, str | None]:
        try:
            mask = examine_mask(pairs[row][1], palette, turn_of(*pairs[row]).orientation)
        except Unreadable as error:
            return "", [0] * (names + 1), 0, str(error)
        height, width = mask.classes.shape
        if (height, width) != tuple(sizes[row]):
            reason = f"of another size ({width} x {height} pixels) than its image ({sizes[row, 1]} x {sizes[row, 0]})"
            return "", [0] * (names + 1), 0, reason
        if table is not None:
            table[row] = _pad_to(mask.classes, *table.shape[1:])
        counts = np.bincount(mask.classes.ravel(), minlength=256).tolist()
        return mask.content, [*counts[:names], counts[IGNORE_INDEX]], mask.outside.pixels, None

    metadata: CacheMetadata = {"contents": [], "pixel_counts": [], "outside": [], "unreadable": {}}
    for row, (content, pixel_counts, outside, failure) in map_ordered(len(pairs), read_one, progress):
        metadata["contents"].append(content)
        metadata["pixel_counts"].append(pixel_counts)
        metadata["outside"].append(outside)
        if failure is not None:
            metadata["unreadable"][row] = failure
    return metadata


def _pad_to(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """``mask`` at the top left of (height, width), padded with `IGNORE_INDEX`."""
    padded = np.full((height, width), IGNORE_INDEX, np.uint8)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded


def _from_files(
    pairs: Sequence[tuple[Path, Path]], palette: Palette, shape: tuple[int, ...]
) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    def read_one(row: int) -> NDArray[np.uint8]:
        return _pad_to(read_mask(pairs[row][1], palette, turn_of(*pairs[row]).orientation), *shape[1:])

    return lambda rows: np.stack([read_one(row) for row in rows.tolist()])
