"""Issues of masks: one function per check, each from tables to `Issue`s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.data.checks.image_info import Failures, ImageInfo, ImageInfos
from headstart.data.checks.issues import (
    SPLITS,
    Issue,
    Severity,
    check_unassigned,
    count,
    made_split,
    no_validation_images,
)
from headstart.data.checks.mask_doubts import (
    check_instances,
    check_listed_classes,
    check_transparency,
    check_turns,
)
from headstart.data.checks.mask_info import MaskInfo, MaskInfos, pixel_counts_of, rows_by_class
from headstart.data.index import Index
from headstart.data.masks.codec import ColorCounts
from headstart.data.masks.palette_files import palette_file, palette_template
from headstart.data.pair_index import NO_IMAGE, NO_MASK
from headstart.data.requirements import MAX_UNKNOWN_SHARE

RARE = 0.01
"""Classes with a smaller share of the training pixels are reported."""


def check_pairs(index: Index) -> Iterator[Issue]:
    """Images without a mask, and masks without an image."""
    kinds = {
        NO_MASK: ("image", "without a mask", "add its mask, or move the image elsewhere"),
        NO_IMAGE: ("mask", "without an image", "add its image, or move the mask elsewhere"),
    }
    for kind, (noun, what, fix) in kinds.items():
        files = tuple(file for k, file in index.problems if k == kind)
        if files:
            yield Issue(kind, "error", f"{count(len(files), noun)} {what}", files, fix)


def check_pair_splits(index: Index) -> Iterator[Issue]:
    """Images to train and validate on. ``index`` has its validation split, given or made."""
    train, val = (index.positions(split) for split in ("train", "val"))
    if val:
        yield from check_unassigned(index, "move them to train or val")
    if len(train) < 2:
        message = f"{count(len(train), 'training image')}: at least two are needed"
        yield Issue("no training", "error", message, (), "add images with their masks")
    elif not val:
        yield no_validation_images()
    elif index.split_made:
        yield made_split(len(val), len(train) + len(val))


def check_mask_files(index: Index, failures: Failures) -> Iterator[Issue]:
    """Mask files that cannot be decoded."""
    for kind in dict.fromkeys(kind for kind, _ in failures.values()):
        rows = [row for row, failure in failures.items() if failure[0] == kind]
        message = f"{count(len(rows), 'mask')}: {kind} ({failures[rows[0]][1]})"
        fix = "replace or delete them, or skip these pairs in training: data.skip_unreadable=true"
        if "above 255" in kind:
            fix = "save class numbers, not a number for each object: of one class, numpy's (mask > 0).astype('uint8')"
        yield Issue(kind, "error", message, tuple(index.masks[row] for row in rows), fix)


def check_mask_sizes(index: Index, images: ImageInfos, masks: MaskInfos) -> Iterator[Issue]:
    """Masks that differ in size from their image, and those that an EXIF orientation turns."""
    yield from check_turns(index, masks)
    differ = [row for row in masks if row in images and masks[row].size != _upright(images[row])]
    if differ:
        (width, height), (w, h) = _upright(images[differ[0]]), masks[differ[0]].size
        have = "has another size than its image" if len(differ) == 1 else "have another size than their images"
        message = f"{count(len(differ), 'mask')} {have}"
        message += f" ({index.masks[differ[0]]}: {w} x {h}, its image {width} x {height} pixels)"
        files = tuple(path for row in differ for path in (index.paths[row], index.masks[row]))
        pairs = tuple((index.paths[row], index.masks[row]) for row in differ)
        fix = "resize one to the other, masks by nearest neighbor"
        yield Issue("size mismatch", "error", message, files, fix, pairs)


def _upright(image: ImageInfo) -> tuple[int, int]:
    return image.upright or image.size


def check_mask_colors(index: Index, masks: MaskInfos) -> Iterator[Issue]:
    """Colors or numbers outside the palette, soft edges, colors blurred by lossy compression, and transparency."""
    yield from check_transparency(index, masks)
    soft = index.palette is not None and index.palette.soft
    noun = "colors" if index.palette and index.palette.kind == "color" else "numbers"
    rows, pixels = _pixels(masks, lambda mask: mask.outside)
    if rows:
        trained = [row for row in masks if index.splits[row] == "train"]
        outside = sum(masks[row].outside.pixels for row in trained)
        unusable = outside > MAX_UNKNOWN_SHARE * max(1, sum(sum(masks[row].pixel_counts) for row in trained))
        severity: Severity = "error" if unusable else "warning"
        message = f"{pixels} in {noun} of no class {_most_common(masks, rows)}: ignored in training and metrics"
        files = tuple(index.masks[row] for row in rows)
        fix = (
            "save masks as PNG, resized by nearest neighbor"
            if soft
            else "add them to the classes (a list that begins at 1: 1: sky), or correct the masks"
        )
        yield Issue("outside the palette", severity, message, files, fix)
    rows, pixels = _pixels(masks, lambda mask: mask.near)
    if rows:
        listed = _most_common(masks, rows, near=True)
        files = tuple(index.masks[row] for row in rows)
        if soft and index.palette is not None:
            binary = len(index.palette.names) == 2
            what = "split at half" if binary else "read as the nearest class"
            message = f"{pixels} between the {noun} of classes (resized, or JPEG?): {what} {listed}"
            yield Issue("soft edges", "note", message, files, "save masks as PNG, resized by nearest neighbor")
        else:
            message = f"{pixels} in {noun} near a class's (JPEG?): read as that class {listed}"
            yield Issue("blurred", "note", message, files, "save masks as PNG")


def _pixels(masks: MaskInfos, of: Callable[[MaskInfo], ColorCounts]) -> tuple[list[int], str]:
    """Rows of the masks that have such pixels, and ``200 pixels (1.6 %) of 2 masks``."""
    rows = [row for row, mask in masks.items() if of(mask).pixels]
    pixels, total = sum(of(masks[row]).pixels for row in rows), sum(sum(mask.pixel_counts) for mask in masks.values())
    return rows, f"{count(pixels, 'pixel')} ({_percent(pixels / max(1, total))}) of {count(len(rows), 'mask')}"


def _most_common(masks: MaskInfos, rows: list[int], near: bool = False) -> str:
    found: Counter[str] = Counter()
    for row in rows:
        found.update((masks[row].near if near else masks[row].outside).most_common)
    return f"({', '.join(name for name, _ in found.most_common(3))}{', ...' if len(found) > 3 else ''})"


def check_mask_classes(index: Index, masks: MaskInfos) -> Iterator[Issue]:
    """Classes that cannot be trained or evaluated, and rare ones."""
    splits = [split for split in SPLITS if index.positions(split)]
    pixel_counts = {split: pixel_counts_of(index, masks, split)[: len(index.classes)] for split in splits}
    total: NDArray[np.int64] = sum(pixel_counts.values(), np.zeros(len(index.classes), np.int64))
    train = pixel_counts.get("train", total)
    if masks:
        yield from _check_number_of_classes(index, train)
    for number, name in enumerate(index.classes):
        pixels = {split: int(counts[number]) for split, counts in pixel_counts.items()}
        yield from _check_class(index, masks, name, pixels, in_train=bool(train[number]))
    yield from _check_rare_classes(index, train)


def _check_number_of_classes(index: Index, train: NDArray[np.int64]) -> Iterator[Issue]:
    """At least two classes in the training masks. ``train``: training pixels of each class."""
    present = [name for name, pixels in zip(index.classes, train, strict=True) if pixels]
    if len(present) >= 2:
        return
    ignored = ", ".join(index.palette.names[len(index.classes) :]) if index.palette else ""
    message = f"Training masks hold {'one class' if present else 'no class'} only ({', '.join(present) or 'none'}"
    message += f"; ignored: {ignored})" if ignored else ")"
    yield Issue("one class", "error", f"{message}: at least two are needed", (), "look at what the masks hold")


def _check_class(index: Index, masks: MaskInfos, name: str, pixels: dict[str, int], in_train: bool) -> Iterator[Issue]:
    """Splits in which a class is missing. ``pixels``: split -> pixels of the class."""
    held_out = [split for split in pixels if split != "train" and pixels[split]]
    missing_from = [split for split in pixels if not pixels[split]]
    if not any(pixels.values()):
        message = f'Class "{name}" occurs in no mask'
        yield Issue("class missing", "warning", message, (), "its IoU is undefined and left out of the mean")
    elif held_out and not in_train:
        rows = rows_by_class(index, masks, held_out[0])[name]
        where = f"{count(len(rows), 'image')} of {held_out[0]}"
        message = f'Class "{name}" is in {where} but not in train: its IoU will be 0'
        files = tuple(index.paths[row] for row in rows)
        yield Issue("class missing", "warning", message, files, "move some of them to train")
    elif missing_from:
        message = f'Class "{name}" occurs in no mask of {" and ".join(missing_from)}'
        yield Issue("class missing", "warning", message, (), "its IoU there is undefined and left out of the mean")


def _check_rare_classes(index: Index, train: NDArray[np.int64]) -> Iterator[Issue]:
    shares = train / max(1, train.sum())
    rare = [f"{name} {_percent(share)}" for name, share in zip(index.classes, shares, strict=True) if 0 < share < RARE]
    if rare:
        message = f"{count(len(rare), 'rare class')}: {', '.join(rare)} of the training pixels"
        fix = "loss.class_weights=balanced or loss.dice_weight=1 gives them more weight"
        yield Issue("imbalance", "note", message, (), fix)


def check_images_without_masks(images: Sequence[str]) -> Iterator[Issue]:
    """Images of a validation or test split that has no masks at all."""
    if images:
        message = f"{count(len(images), 'image')} of a split without masks: used neither in training nor in validation"
        yield Issue("no masks", "note", message, tuple(images), "headstart predict writes masks for them")


def check_class_names(index: Index) -> Iterator[Issue]:
    """Classes without names, and binary masks of 0 and 255."""
    palette = index.palette
    if palette is None or not palette.names:
        return
    if palette.kind == "number" and palette.values == (0, 255):
        only = ", and soft edges" if palette.soft else " only"
        message = f"Masks hold 0 and 255{only}: read as two classes, {' and '.join(palette.names)}"
        yield Issue("binary masks", "note", message, (), "with other numbers beside them, 255 would be ignored")
    masks = [index.root / mask for mask in index.masks if mask]
    file = palette_file(index.root, masks)
    if file is not None:
        yield from check_listed_classes(palette, file)
    else:
        yield from check_instances(index)
        names = ", ".join(palette.names[:8]) + ", ..." * (len(palette.names) > 8)
        message = f"{count(len(palette.names), 'class')} in the masks without a name: {names}"
        fix = f"name them in {index.root / palette_template(palette)[0]}"
        yield Issue("unnamed classes", "warning", message, (), fix)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"
