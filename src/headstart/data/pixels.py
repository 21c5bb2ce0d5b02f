"""Every image decoded once: a memory-mapped table of uint8 pixels, found again by what the files are.

The first run over a folder decodes it; later ones cost a look at each file's size and time. Where the disk has no
room for the table, the images are decoded anew for every batch instead.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.decode import (
    Picture,
    Resize,
    Unreadable,
    pad_to,
    read,
    require_plain,
    resize_to_square,
    upright_size,
)
from headstart.data.index import Index
from headstart.data.masks.mask_pixels import MaskTable, decode_masks
from headstart.data.parallel import Progress, map_ordered
from headstart.data.pixel_cache import CacheMetadata, cache_path, make_table, open_table, read_metadata
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data

VERSION = 1
"""Part of the key: raised when the same file would give other pixels."""
UNEVEN = 8
"""With data.resize=keep, so many times what the images hold the table may be: each takes as much as the largest."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Pixels:
    """The images of `index` as uint8, all of one height and width, and their masks where they have some."""

    index: Index
    """One row per image that could be read."""
    height: int
    """Height and width of every image: of the squares, or of the largest image (data.resize=keep)."""
    width: int
    sizes: NDArray[np.int64]
    """(N, 2): each image's own height and width; beside and below it is black."""
    fingerprint: str
    """BLAKE2b of every image's path, class, split and content, and of its mask's; it does not hang on where the folder
    is."""
    contents: tuple[str, ...]
    """BLAKE2b-128 of each image's file, a row of the index each."""
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of the files that were left out."""
    read: Callable[[Rows], NDArray[np.uint8]] = field(repr=False)
    streaming: bool = False
    """Whether the images are decoded anew for every batch, for want of room on the disk."""
    mask_table: MaskTable | None = field(default=None, repr=False)
    """The masks, a row of the index each."""

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: Sequence[int] | Rows) -> Tensor:
        """The images at some rows of the index: uint8 (B, 3, height, width)."""
        return torch.from_numpy(self.read(np.asarray(rows, dtype=np.int64)))

    def masks(self, rows: Sequence[int] | Rows) -> Tensor:
        """Their masks, uint8 (B, height, width): positions in `Palette.names`, `palette.NOTHING` beyond the image."""
        return torch.from_numpy(self._masks.read(np.asarray(rows, dtype=np.int64)))

    def counts(self, split: str) -> dict[str, int]:
        """Images of each class in one split; with masks, images in which it occurs."""
        if self.mask_table is None:
            return self.index.counts(split)
        occurs = (self.mask_table.pixel_counts[self.index.positions(split)] > 0).sum(axis=0).tolist()
        return dict(zip(self.index.classes, occurs, strict=False))

    def shares(self, split: str) -> dict[str, float]:
        """Share of each class among the pixels of a split that count; 0 of all where none does."""
        classes = self.index.classes
        pixels = self._masks.pixel_counts[self.index.positions(split)].sum(axis=0)[: len(classes)]
        return dict(zip(classes, (pixels / max(1, pixels.sum())).tolist(), strict=True))

    def ignored(self, split: str) -> float:
        """Share of a split's pixels that count in no figure: of ignored classes, or of none."""
        pixels = self._masks.pixel_counts[self.index.positions(split)].sum(axis=0)
        return float(pixels[len(self.index.classes) :].sum() / max(1, pixels.sum()))

    @property
    def _masks(self) -> MaskTable:
        if self.mask_table is None:
            raise ValueError("these images have no masks")
        return self.mask_table


def decode(index: Index, settings: Data, progress: Progress | None = None) -> Pixels:
    """Decode every image of ``index``, and its masks if it has some, or find that it has been done.

    Raises HeadstartError for unreadable files, unless ``settings.skip_unreadable``.
    """
    if index.masks and settings.resize != "keep":
        raise HeadstartError(
            f"data.resize: expected keep (a mask is never resized), found {settings.resize}",
            "data.resize=keep, with data.image_size the side of the training windows",
        )
    files = [index.root / path for path in index.paths]
    notes, images, sizes = _decode_images(files, settings, progress)
    unreadable = {int(row): (index.paths[int(row)], reason) for row, reason in notes["unreadable"].items()}
    masks = None
    if index.palette is not None and index.masks:
        masks = decode_masks([index.root / mask for mask in index.masks], index.palette, sizes, progress)
        unreadable = {row: (index.masks[row], reason) for row, reason in masks.unreadable.items()} | unreadable
    kept = np.array([row for row in range(len(files)) if row not in unreadable], dtype=np.int64)
    skipped = tuple(unreadable[row] for row in sorted(unreadable))
    readable = _leave_out(index, skipped, sorted(unreadable), settings.skip_unreadable)
    contents = tuple(notes["contents"][row] for row in kept)
    masks = masks.at(kept) if masks else None
    height, width = (int(side) for side in sizes.max(axis=0))
    return Pixels(
        index=readable,
        height=height,
        width=width,
        sizes=sizes[kept],
        fingerprint=_fingerprint(readable, contents, masks.contents if masks else None),
        contents=contents,
        skipped=skipped,
        read=_from_files(files, kept, settings, sizes) if images is None else _from_table(images, kept),
        streaming=images is None,
        mask_table=masks,
    )


def _decode_images(
    files: Sequence[Path], settings: Data, progress: Progress | None
) -> tuple[CacheMetadata, NDArray[np.uint8] | None, NDArray[np.int64]]:
    """Notes, table and sizes of all images, made or found."""
    keep = settings.resize == "keep"
    store = cache_path(files, f"{VERSION} {0 if keep else settings.image_size} {settings.resize}")
    notes = read_metadata(store, files)
    if not keep:
        sizes = np.full((len(files), 2), settings.image_size)
    else:
        sizes = np.array(notes["sizes"] if notes is not None else _sizes(files), dtype=np.int64).reshape(-1, 2)
        _require_even(files, sizes)
    shape = (len(files), 3, *(int(side) for side in sizes.max(axis=0)))
    table = open_table(store, shape)
    if notes is None or table is None:
        notes, table = make_table(store, shape, lambda table: _fill(files, settings, sizes, table, progress))
    return notes, table, sizes


def _sizes(files: Sequence[Path]) -> list[tuple[int, int]]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(upright_size, files))


def _require_even(files: Sequence[Path], sizes: NDArray[np.int64]) -> None:
    """Raise HeadstartError where a few large images would make a table of mostly nothing."""
    areas = sizes.prod(axis=1)
    table, largest = len(sizes) * int(sizes.max(axis=0).prod()), int(areas.argmax())
    if table > UNEVEN * areas.sum() and table > 2**30:
        height, width = sizes[largest]
        raise HeadstartError(
            f"{files[largest]}: expected an image of about the size of the others (median {np.median(areas) ** 0.5:.0f}"
            f" pixels a side), found {width} x {height} pixels",
            "cut it and its mask into tiles",
        )


def _fill(
    files: Sequence[Path],
    settings: Data,
    sizes: NDArray[np.int64],
    table: NDArray[np.uint8] | None,
    progress: Progress | None,
) -> CacheMetadata:
    def one(row: int) -> tuple[str, str | None]:
        try:
            picture = _read(files[row], settings)
            if table is not None:
                table[row] = _array(picture, settings, sizes, row)
        except Unreadable as error:
            return "", str(error)
        return picture.content, None

    contents, unreadable = [], {}
    for row, (content, fault) in map_ordered(len(files), one, progress):
        contents.append(content)
        if fault is not None:
            unreadable[row] = fault
    notes: CacheMetadata = {"contents": contents, "unreadable": unreadable}
    return notes | {"sizes": sizes.tolist()} if settings.resize == "keep" else notes


def _read(file: Path, settings: Data) -> Picture:
    return require_plain(read(file)) if settings.resize == "keep" else read(file, enough_for=settings.image_size)


def _array(picture: Picture, settings: Data, sizes: NDArray[np.int64], row: int) -> NDArray[np.uint8]:
    if settings.resize != "keep":
        return resize_to_square(picture.rgb, settings.image_size, settings.resize)
    if picture.rgb.size[::-1] != tuple(sizes[row]):  # EXIF data behind the pixels
        raise Unreadable("turned", "save it upright")
    return pad_to(picture.rgb, *(int(side) for side in sizes.max(axis=0)))


def _leave_out(index: Index, skipped: Sequence[tuple[str, str]], rows: Sequence[int], allowed: bool) -> Index:
    if not skipped:
        return index
    if not allowed:
        path, reason = skipped[0]
        more = f" (and {len(skipped) - 1} more such files)" if len(skipped) > 1 else ""
        expected = "a mask" if path in index.masks else "an image"
        raise HeadstartError(
            f"{index.root / path}: expected {expected}, found a file that is {reason}{more}",
            f"headstart check {index.root}, or leave such files out: data.skip_unreadable=true",
        )
    readable = index.drop(rows)
    for split in ("train", "val"):
        if index.positions(split) and not readable.positions(split):
            raise HeadstartError(
                f"{index.root}: expected images for {split}, found only unreadable ones",
                f"headstart check {index.root}",
            )
        before, after = index.counts(split), readable.counts(split)
        gone = [name for name in index.classes if before[name] and not after[name]]
        if gone:
            raise HeadstartError(
                f"{index.root}: class {gone[0]}: expected images for {split}, found only unreadable ones",
                f"headstart check {index.root}",
            )
    return readable


def _fingerprint(index: Index, contents: Sequence[str], masks: Sequence[str] | None) -> str:
    names = [index.classes[label] if label >= 0 else "" for label in index.labels]
    columns = (index.paths, names, index.splits, contents, *(() if masks is None else (masks,)))
    lines = sorted("\0".join(row) for row in zip(*columns, strict=True))
    if index.palette is not None:
        lines.append(json.dumps(index.palette.to_json()))
    return blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _from_table(table: NDArray[np.uint8], kept: Rows) -> Callable[[Rows], NDArray[np.uint8]]:
    return lambda rows: table[kept[rows]]


def _from_files(
    files: Sequence[Path], kept: Rows, settings: Data, sizes: NDArray[np.int64]
) -> Callable[[Rows], NDArray[np.uint8]]:
    threads = ThreadPoolExecutor(os.cpu_count())

    def one(row: int) -> NDArray[np.uint8]:
        return _array(_read(files[row], settings), settings, sizes, row)

    return lambda rows: np.stack(list(threads.map(one, kept[rows].tolist())))


def stream(
    files: Sequence[Path], size: int, resize: Resize, batch: int
) -> Iterator[tuple[list[int], Tensor, list[tuple[int, str]]]]:
    """Decode files that are needed once, a batch at a time and one batch ahead of its use.

    Yields (positions in ``files``, their pixels as uint8 (B, 3, size, size), (position, reason) of unreadable ones).
    The pixels are those of `decode`, bit for bit.
    """

    def one(position: int) -> NDArray[np.uint8] | str:
        try:
            return resize_to_square(read(files[position], enough_for=size).rgb, size, resize)
        except Unreadable as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ahead: deque[tuple[int, Future[NDArray[np.uint8] | str]]] = deque()
        waiting = iter(range(len(files)))
        while True:
            for position in waiting:
                ahead.append((position, threads.submit(one, position)))
                if len(ahead) >= 2 * batch:
                    break
            if not ahead:
                return
            done = [ahead.popleft() for _ in range(min(batch, len(ahead)))]
            results = [(position, future.result()) for position, future in done]
            good = [(position, result) for position, result in results if not isinstance(result, str)]
            bad = [(position, result) for position, result in results if isinstance(result, str)]
            pixels = np.stack([result for _, result in good]) if good else np.empty((0, 3, size, size), np.uint8)
            yield [position for position, _ in good], torch.from_numpy(pixels), bad
