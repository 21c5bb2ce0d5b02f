"""Requirements of training: checks of labels and masks that raise HeadstartError, before and after decoding."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.data.decode import Unreadable, upright_size
from headstart.data.index import UNLABELED, Index
from headstart.data.masks.mask_file import read_mask_file
from headstart.data.masks.orientation import turn_of
from headstart.data.pair_index import rows_without_masks, with_classes
from headstart.errors import HeadstartError, quoted
from headstart.recipes.recipe import Data

if TYPE_CHECKING:  # `check` needs no torch
    from headstart.data.pixels import Pixels

MAX_UNKNOWN_SHARE = 0.5
"""With a larger share of pixels outside the palette, the palette is not that of the masks."""


def require_no_problems(index: Index, root: str) -> None:
    """Raise HeadstartError for listed files that are missing, and for images or masks without a partner."""
    if index.problems:
        kind, file = index.problems[0]
        expected = "a mask for every image, and an image for every mask" if index.masks else "every listed image"
        more = f" and {len(index.problems) - 1} more" if len(index.problems) > 1 else ""
        raise HeadstartError(
            f"{index.root}: expected {expected}, found {kind}: {file}{more}",
            f"headstart check {quoted(root)}",
        )


def require_no_errors(index: Index, root: str) -> None:
    """Raise HeadstartError for what the reader of the folder calls an error: a class folder without images."""
    for note in index.notes:
        if note.severity == "error":
            raise HeadstartError(f"{index.root}: {note.message}", note.fix or f"headstart check {quoted(root)}")


def require_labels(index: Index, root: str) -> None:
    """Raise HeadstartError unless every image has a class, and there are at least two."""
    if index.masks:
        raise HeadstartError(
            f"{index.root}: expected a class for every image, found masks ({index.layout})",
            f"headstart fit segment-quick {quoted(root)}",
        )
    if UNLABELED in index.labels:
        raise HeadstartError(
            f"{index.root}: expected a class for every image, found {index.layout} ({len(index)} images)",
            f"put the images of each class in a folder of its name, or pre-train without labels: headstart fit"
            f" byol-quick {root}",
        )
    if len(index.classes) < 2:
        raise HeadstartError(
            f"{index.root}: expected at least two classes, found {len(index.classes)} ({', '.join(index.classes)})",
            f"headstart check {quoted(root)}",
        )


def with_masks(index: Index, data: Data, root: str) -> Index:
    """``index`` with the classes of its masks. Raises HeadstartError unless masks, classes and sizes are usable."""
    if not index.masks:
        raise HeadstartError(
            f"{index.root}: expected images with masks, found {index.layout} ({len(index)} images)",
            f"put masks beside the images, X_mask.png to X_sat.jpg or X.jpg, or in masks/ beside images/: headstart"
            f" check {root}",
        )
    require_no_problems(index, root)
    index = with_classes(index.drop(rows_without_masks(index)), data.ignore_classes)
    if index.palette and not index.palette.names:
        _require_readable(index, root)
    if len(index.classes) < 2:
        ignored = ", ".join(index.palette.names[len(index.classes) :]) if index.palette else ""
        raise HeadstartError(
            f"{index.root}: expected masks of at least two classes, found {len(index.classes)}"
            f" ({', '.join(index.classes) or 'none'}{f'; ignored: {ignored}' if ignored else ''})",
            f"headstart check {quoted(root)}",
        )
    _require_sizes(index, data, root)
    return index


def _require_sizes(index: Index, data: Data, root: str) -> None:
    """Raise HeadstartError for a mask that differs in size from its image, and an image smaller than the window."""
    both, masks = ([index.root / path for path in paths] for paths in (index.paths, index.masks))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        sizes = list(threads.map(upright_size, both))
        turns = list(threads.map(turn_of, both, masks))
    for row, (one, other) in enumerate(zip(sizes, (turn.size for turn in turns), strict=True)):
        if one != other and all(one) and all(other):
            raise HeadstartError(
                f"{both[row]}: expected an image and a mask of one size, found {one[1]} x {one[0]} pixels, and"
                f" {other[1]} x {other[0]} in its mask {index.masks[row]}",
                f"headstart check {quoted(root)}",
            )
    trained = [row for row, split in enumerate(index.splits) if split in ("", "train") and all(sizes[row])]
    if data.resize != "keep" or not trained:
        return
    smallest = min(trained, key=lambda row: min(sizes[row]))
    height, width = sizes[smallest]
    if min(height, width) < data.image_size:
        raise HeadstartError(
            f"{both[smallest]}: expected an image of {data.image_size} x {data.image_size} pixels at least"
            f" (data.image_size, the training window), found {width} x {height}",
            f"data.image_size={window_within(min(height, width))}",
        )


def smallest_side(index: Index) -> int | None:
    """The shorter side of the smallest readable training image, in pixels; None without one."""
    paths = [index.root / path for path, split in zip(index.paths, index.splits, strict=True) if split in ("", "train")]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return min((min(size) for size in threads.map(upright_size, paths) if all(size)), default=None)


def window_within(side: int) -> int:
    """The largest training window, in pixels, that networks of stride 32 take and an image of this side holds."""
    return max(8, side // 32 * 32)


def require_different_masks(pixels: Pixels) -> None:
    """Raise HeadstartError unless the training masks are in their palette and hold at least two classes."""
    index, table = pixels.index, pixels.mask_table
    rows = index.positions("train")
    if table is None or not rows:
        return
    pixel_counts = table.pixel_counts[rows].sum(axis=0)
    hint = f"headstart check {quoted(index.root)}"
    if table.outside[rows].sum() > MAX_UNKNOWN_SHARE * pixel_counts.sum():
        share = table.outside[rows].sum() / pixel_counts.sum()
        raise HeadstartError(
            f"{index.root}: expected masks in the colors or numbers of their classes ({', '.join(index.classes)}),"
            f" found {share:.0%} of their pixels in others",
            hint,
        )
    present = [name for name, count in zip(index.classes, pixel_counts, strict=False) if count]
    if len(present) < 2:
        raise HeadstartError(
            f"{index.root}: expected at least two classes in the masks of the training images, found"
            f" {', '.join(present) or 'none'}",
            hint,
        )


def classes_missing_from_train(pixels: Pixels, rows: NDArray[np.int64]) -> list[str]:
    """Classes that occur in the validation masks but not in the masks at ``rows``, the training rows."""
    if pixels.mask_table is None:
        return []
    pixel_counts = pixels.mask_table.pixel_counts
    val, train = pixel_counts[pixels.index.positions("val")].sum(axis=0), pixel_counts[rows].sum(axis=0)
    classes = zip(pixels.index.classes, val, train, strict=False)  # not strict: without the ignored classes
    return [name for name, in_val, in_train in classes if in_val and not in_train]


def _require_readable(index: Index, root: str) -> None:
    """Raise HeadstartError for the first unreadable mask."""
    for mask in index.masks:
        try:
            read_mask_file(index.root / mask)
        except Unreadable as error:
            raise HeadstartError(
                f"{index.root / mask}: expected a mask, found a file that is {error}", f"headstart check {quoted(root)}"
            ) from None


def require_trained_classes(index: Index, root: str) -> None:
    """Raise HeadstartError for a class that is in validation or test but not in training."""
    trained = index.counts("train")
    for split, name in (("val", "validation"), ("test", "test")):
        unknown = [each for each, count in index.counts(split).items() if count and not trained[each]]
        if unknown:
            raise HeadstartError(
                f"{index.root}: expected every class of the {name} images among the training images,"
                f" found {', '.join(unknown[:5])} only in {name}",
                f"headstart check {quoted(root)}",
            )


def require_two_each(index: Index, root: str) -> None:
    """Raise HeadstartError for a class with a single image, which cannot be split."""
    usable = Counter(label for label, split in zip(index.labels, index.splits, strict=True) if split != "test")
    for label, name in enumerate(index.classes):
        if usable[label] == 1:
            raise HeadstartError(
                f"{index.root}: class {name}: expected at least two images (one is held out), found 1",
                f"headstart check {quoted(root)}",
            )


def without_unreadable(index: Index, skipped: Sequence[tuple[str, str]], rows: Sequence[int], allowed: bool) -> Index:
    """``index`` without the unreadable ``rows``; HeadstartError if not ``allowed`` or if a class loses all images."""
    if not skipped:
        return index
    if not allowed:
        path, reason = skipped[0]
        more = f" (and {len(skipped) - 1} more such files)" if len(skipped) > 1 else ""
        expected = "a mask" if path in index.masks else "an image"
        raise HeadstartError(
            f"{index.root / path}: expected {expected}, found a file that is {reason}{more}",
            f"headstart check {quoted(index.root)}, or skip such files: data.skip_unreadable=true",
        )
    readable = index.drop(rows)
    for split in ("train", "val"):
        if index.positions(split) and not readable.positions(split):
            raise HeadstartError(
                f"{index.root}: expected images for {split}, found only unreadable ones",
                f"headstart check {quoted(index.root)}",
            )
        before, after = index.counts(split), readable.counts(split)
        lost = [name for name in index.classes if before[name] and not after[name]]
        if lost:
            raise HeadstartError(
                f"{index.root}: class {lost[0]}: expected images for {split}, found only unreadable ones",
                f"headstart check {quoted(index.root)}",
            )
    return readable
