"""Decoded images: a memory-mapped uint8 table on disk, reused while the files stay the same.

The first run over a folder decodes it; later ones only read each file's size and modification time. Without room on
the disk for the table, the images are decoded again for every batch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.cache_notes import CacheMetadata
from headstart.data.conversion import Conversion
from headstart.data.decode import Picture, Unreadable, read, upright_size
from headstart.data.find_range import find_conversion
from headstart.data.headers import read_headers
from headstart.data.index import Index
from headstart.data.masks.mask_pixels import MaskTable, decode_masks
from headstart.data.memory import decoding
from headstart.data.parallel import Progress, map_ordered
from headstart.data.pixel_cache import cache_path, make_table, open_table, read_metadata
from headstart.data.requirements import without_unreadable
from headstart.data.resize import Resize, pad_to, resize_to_square
from headstart.data.sampling import Rows
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data

VERSION = 1
"""Part of the cache key: increased when decoding the same file would give other pixels."""
CONVERTED_VERSION = 1
"""Likewise, of data sets with deep or transparent images or chosen bands, whose key names their conversion as well."""
MAX_PADDING = 8
"""Largest ratio of the table's size to that of the images (data.resize=keep): each row is as large as the largest."""


@dataclass(frozen=True)
class Pixels:
    """Decoded images of an index as uint8, padded or resized to one size, and their masks if there are any."""

    index: Index
    """One row per readable image."""
    height: int
    """Height and width of the table's images: of the squares, or with data.resize=keep of the largest image."""
    width: int
    sizes: NDArray[np.int64]
    """(N, 2): height and width of each image; the rest of its row is black padding, below and to the right."""
    fingerprint: str
    """BLAKE2b of all paths, classes, splits and contents of images and masks; independent of the folder's location."""
    contents: tuple[str, ...]
    """BLAKE2b-128 of each image file, per row of the index."""
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of the files skipped as unreadable."""
    read: Callable[[Rows], NDArray[np.uint8]] = field(repr=False)
    streaming: bool = False
    """Whether images are decoded for every batch, because the disk has no room for the table."""
    mask_table: MaskTable | None = field(default=None, repr=False)
    """The masks, per row of the index."""
    conversion: Conversion = field(default_factory=Conversion)
    """How deep values and bands became RGB of 8 bits."""
    resident: Tensor | None = field(default=None, repr=False)
    """The images in a GPU's memory, uint8 (N, 3, height, width); None if they are read for every batch."""

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: Sequence[int] | Rows, device: torch.device | None = None) -> Tensor:
        """Images at ``rows`` of the index: uint8 (B, 3, height, width), on ``device`` (default: the CPU)."""
        rows = np.asarray(rows, dtype=np.int64)
        if self.resident is not None and device == self.resident.device:
            return self.resident[torch.from_numpy(rows).to(device)]
        images = torch.from_numpy(self.read(rows))
        return images if device is None else images.to(device)

    def on(self, device: torch.device) -> Pixels:
        """The same images, copied to a GPU once if they take at most half of its free memory: no copy per batch."""
        if device.type != "cuda" or self.streaming:
            return self
        bytes_needed, (free, _) = 3 * self.height * self.width * len(self), torch.cuda.mem_get_info(device)
        if bytes_needed > free / 2:
            return self
        resident = torch.empty((len(self), 3, self.height, self.width), dtype=torch.uint8, device=device)
        for start in range(0, len(self), 1024):
            rows = np.arange(start, min(start + 1024, len(self)))
            resident[start : start + len(rows)] = torch.from_numpy(self.read(rows)).to(device)
        return replace(self, resident=resident)

    def masks(self, rows: Sequence[int] | Rows) -> Tensor:
        """Masks at ``rows``, uint8 (B, height, width): positions in `Palette.names`; `IGNORE_INDEX` in the padding."""
        return torch.from_numpy(self._masks.read(np.asarray(rows, dtype=np.int64)))

    def counts(self, split: str) -> dict[str, int]:
        """Class -> images in one split; with masks, images in which the class occurs."""
        if self.mask_table is None:
            return self.index.counts(split)
        occurs = (self.mask_table.pixel_counts[self.index.positions(split)] > 0).sum(axis=0).tolist()
        return dict(zip(self.index.classes, occurs, strict=False))

    def shares(self, split: str) -> dict[str, float]:
        """Class -> share of a split's pixels, without ignored ones; 0 for all if every pixel is ignored."""
        classes = self.index.classes
        pixels = self._masks.pixel_counts[self.index.positions(split)].sum(axis=0)[: len(classes)]
        return dict(zip(classes, (pixels / max(1, pixels.sum())).tolist(), strict=True))

    def ignored(self, split: str) -> float:
        """Share of a split's pixels that are ignored: of ignored classes, or of no class."""
        pixels = self._masks.pixel_counts[self.index.positions(split)].sum(axis=0)
        return float(pixels[len(self.index.classes) :].sum() / max(1, pixels.sum()))

    def with_splits(self, splits: Sequence[str]) -> Pixels:
        """The same images in other splits, one per row of the index."""
        index = replace(self.index, splits=tuple(splits))
        masks = self.mask_table.contents if self.mask_table else None
        return replace(self, index=index, fingerprint=_fingerprint(index, self.contents, masks))

    @property
    def _masks(self) -> MaskTable:
        if self.mask_table is None:
            raise ValueError("these images have no masks")
        return self.mask_table


def decode(
    index: Index, config: Data, progress: Progress | None = None, *, conversion: Conversion | None = None
) -> Pixels:
    """Decode every image and mask of ``index``, or open the tables of an earlier run.

    ``conversion`` is that of the run that the images are for; by default it is found in the training images. Raises
    HeadstartError for unreadable files, unless ``config.skip_unreadable``.
    """
    if index.masks and config.resize != "keep":
        raise HeadstartError(
            f"data.resize: expected keep (a mask is never resized), found {config.resize}",
            "data.resize=keep, with data.image_size the side of the training windows",
        )
    files = [index.root / path for path in index.paths]
    decoding = _decoding(index, files, config, conversion)
    metadata, images, sizes = _decode_images(files, decoding, progress)
    unreadable = {int(row): (index.paths[int(row)], reason) for row, reason in metadata["unreadable"].items()}
    masks = None
    if index.palette is not None and index.masks:
        masks = decode_masks([index.root / mask for mask in index.masks], files, index.palette, sizes, progress)
        unreadable = {row: (index.masks[row], reason) for row, reason in masks.unreadable.items()} | unreadable
    kept = np.array([row for row in range(len(files)) if row not in unreadable], dtype=np.int64)
    skipped = tuple(unreadable[row] for row in sorted(unreadable))
    readable = without_unreadable(index, skipped, sorted(unreadable), config.skip_unreadable)
    contents = tuple(metadata["contents"][row] for row in kept)
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
        read=_from_files(files, kept, decoding, sizes) if images is None else _from_table(images, kept),
        streaming=images is None,
        mask_table=masks,
        conversion=decoding.conversion,
    )


@dataclass(frozen=True)
class _Decoding:
    """How files become rows of a table, and where that is stored."""

    image_size: int
    resize: Resize
    conversion: Conversion
    cache: Path
    plain: bool
    """Whether every file has three bands of 8 bits, or gray, and no transparency."""


def _decoding(index: Index, files: Sequence[Path], config: Data, conversion: Conversion | None) -> _Decoding:
    """How to decode ``files``: a data set that was found to be plain before is known by its table."""
    key = f"{VERSION} {0 if config.resize == 'keep' else config.image_size} {config.resize}"
    path = cache_path(files, key)
    limits = Conversion(bands=config.bands, max_pixels=config.max_pixels)
    if limits == Conversion() and (read_metadata(path, files) or {}).get("plain"):
        return _Decoding(config.image_size, config.resize, conversion or limits, path, plain=True)
    headers = read_headers(files)
    found = conversion or find_conversion(files, index.positions("train"), config, headers)
    plain = limits == Conversion() and not any(header.deep or header.transparent for header in headers)
    if not plain:
        path = cache_path(files, f"{key} converted {CONVERTED_VERSION} {found}")
    return _Decoding(config.image_size, config.resize, found, path, plain)


def _decode_images(
    files: Sequence[Path], config: _Decoding, progress: Progress | None
) -> tuple[CacheMetadata, NDArray[np.uint8] | None, NDArray[np.int64]]:
    """Metadata, table (None without room) and sizes (N, 2) of all images, decoded or from the cache."""
    keep, path = config.resize == "keep", config.cache
    metadata = read_metadata(path, files)
    if not keep:
        sizes = np.full((len(files), 2), config.image_size)
    else:
        sizes = np.array(metadata["sizes"] if metadata is not None else _sizes(files), dtype=np.int64).reshape(-1, 2)
        _require_similar_sizes(files, sizes)
    shape = (len(files), 3, *(int(side) for side in sizes.max(axis=0)))
    table = open_table(path, shape)
    if metadata is None or table is None:
        metadata, table = make_table(path, shape, lambda table: _fill(files, config, sizes, table, progress), files)
    return metadata, table, sizes


def _sizes(files: Sequence[Path]) -> list[tuple[int, int]]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(upright_size, files))


def _require_similar_sizes(files: Sequence[Path], sizes: NDArray[np.int64]) -> None:
    """Raise HeadstartError where a few large images would make a table of mostly padding."""
    areas = sizes.prod(axis=1)
    table, largest = len(sizes) * int(sizes.max(axis=0).prod()), int(areas.argmax())
    if table > MAX_PADDING * areas.sum() and table > 2**30:
        height, width = sizes[largest]
        raise HeadstartError(
            f"{files[largest]}: expected an image of about the size of the others (median {np.median(areas) ** 0.5:.0f}"
            f" pixels a side), found {width} x {height} pixels",
            "cut it and its mask into tiles",
        )


def _fill(
    files: Sequence[Path],
    config: _Decoding,
    sizes: NDArray[np.int64],
    table: NDArray[np.uint8] | None,
    progress: Progress | None,
) -> CacheMetadata:
    def one(row: int) -> tuple[str, str | None]:
        try:
            with decoding():
                picture = _read(files[row], config)
                if table is not None:
                    table[row] = _array(picture, config, sizes, row)
        except Unreadable as error:
            return "", str(error)
        return picture.content, None

    contents, unreadable = [], {}
    for row, (content, failure) in map_ordered(len(files), one, progress):
        contents.append(content)
        if failure is not None:
            unreadable[row] = failure
    metadata: CacheMetadata = {"contents": contents, "unreadable": unreadable, "plain": config.plain}
    return metadata | {"sizes": sizes.tolist()} if config.resize == "keep" else metadata


def _read(file: Path, config: _Decoding) -> Picture:
    side = None if config.resize == "keep" else config.image_size
    return read(file, enough_for=side, conversion=config.conversion)


def _array(picture: Picture, config: _Decoding, sizes: NDArray[np.int64], row: int) -> NDArray[np.uint8]:
    if config.resize != "keep":
        return resize_to_square(picture.rgb, config.image_size, config.resize)
    if picture.rgb.size[::-1] != tuple(sizes[row]):  # a PNG with its EXIF after the pixels
        raise Unreadable("rotated by EXIF", "save it upright")
    return pad_to(picture.rgb, *(int(side) for side in sizes.max(axis=0)))


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
    files: Sequence[Path], kept: Rows, config: _Decoding, sizes: NDArray[np.int64]
) -> Callable[[Rows], NDArray[np.uint8]]:
    threads = ThreadPoolExecutor(os.cpu_count())

    def one(row: int) -> NDArray[np.uint8]:
        with decoding():
            return _array(_read(files[row], config), config, sizes, row)

    return lambda rows: np.stack(list(threads.map(one, kept[rows].tolist())))
