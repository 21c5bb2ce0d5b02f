"""What can be wrong with masks: one function per question, each from tables to findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from headstart.data.checks.issues import SPLITS, ImageInfo, Issue, Severity, count
from headstart.data.checks.mask_info import MaskInfo, MaskInfos, occurrences, pixel_counts_of
from headstart.data.index import Index
from headstart.data.masks.codec import Strays
from headstart.data.masks.palette_files import palette_file, to_fill_in
from headstart.data.pairs import NO_IMAGE, NO_MASK
from headstart.data.requirements import MAX_UNKNOWN_SHARE

RARE = 0.01
"""A class with a smaller share of the pixels is told of."""


def check_pairs(index: Index) -> Iterator[Issue]:
    """What has no partner."""
    mends = {
        NO_MASK: ("without a mask", "add its mask, or move the image elsewhere"),
        NO_IMAGE: ("without an image", "add its image, or move the mask elsewhere"),
    }
    for kind, (lacking, do) in mends.items():
        files = tuple(file for k, file in index.problems if k == kind)
        if files:
            what = count(len(files), "image" if kind == NO_MASK else "mask")
            yield Issue(kind, "error", f"{what} {lacking}", files, do)


def check_pair_splits(index: Index) -> Iterator[Issue]:
    """Whether there are images to train on and to judge by. ``index`` has its validation split, given or made."""
    train, val, outside = (index.positions(split) for split in ("train", "val", ""))
    if outside and val:
        message = f"{count(len(outside), 'image')} in no split, while others have one: they are not used"
        files = tuple(index.paths[row] for row in outside)
        yield Issue("no split", "warning", message, files, "move them to train or val")
    if len(train) < 2:
        message = f"{count(len(train), 'training image')}: at least two are needed"
        yield Issue("no training", "error", message, (), "add images with their masks")
    elif not val:
        message = "no image can be held out without tearing a group apart"
        yield Issue("no validation", "error", message, (), "change --group")
    elif index.split_made:
        total = len(train) + len(val)
        message = f"no validation split: headstart holds out {len(val):,} of {total:,} images, always the same"
        yield Issue("split made", "note", message, (), "make a val folder beside train for a split of your own")


def check_mask_files(index: Index, faults: Mapping[int, tuple[str, str]]) -> Iterator[Issue]:
    """Which files give no mask. ``faults``: row -> (kind, detail)."""
    for kind in dict.fromkeys(kind for kind, _ in faults.values()):
        rows = [row for row, fault in faults.items() if fault[0] == kind]
        message = f"{count(len(rows), 'mask')}: {kind} ({faults[rows[0]][1]})"
        do = "replace or delete them, or train without these pairs: data.skip_unreadable=true"
        yield Issue(kind, "error", message, tuple(index.masks[row] for row in rows), do)


def check_mask_sizes(index: Index, looks: Mapping[int, ImageInfo], masks: MaskInfos) -> Iterator[Issue]:
    """Which masks have another size than their image."""
    differ = [row for row in masks if row in looks and masks[row].size != _upright(looks[row])]
    if differ:
        (width, height), (w, h) = _upright(looks[differ[0]]), masks[differ[0]].size
        message = f"{count(len(differ), 'mask')} of another size than its image"
        message += f" ({index.masks[differ[0]]}: {w} x {h}, its image {width} x {height} pixels)"
        files = tuple(path for row in differ for path in (index.paths[row], index.masks[row]))
        pairs = tuple((index.paths[row], index.masks[row]) for row in differ)
        yield Issue("size differs", "error", message, files, "make both of one size, the mask without blending", pairs)


def _upright(look: ImageInfo) -> tuple[int, int]:
    return look.upright or look.size


def check_mask_colors(index: Index, masks: MaskInfos) -> Iterator[Issue]:
    """Colors and numbers that are not those of the classes."""
    what = "colors" if index.palette and index.palette.kind == "color" else "numbers"
    rows, message = _strays(masks, lambda look: look.outside)
    if rows:
        trained = [row for row in masks if index.splits[row] == "train"]
        outside = sum(masks[row].outside.pixels for row in trained)
        meaningless = outside > MAX_UNKNOWN_SHARE * max(1, sum(sum(masks[row].pixel_counts) for row in trained))
        do = "add them to the classes, or correct the masks: else they are left out of training and of every figure"
        files = tuple(index.masks[row] for row in rows)
        severity: Severity = "error" if meaningless else "warning"
        yield Issue(
            "outside the palette", severity, f"{message} in {what} of no class {_commonest(masks, rows)}", files, do
        )
    rows, message = _strays(masks, lambda look: look.near)
    if rows:
        names = _commonest(masks, rows, near=True)
        text = f"{message} in {what} near a class's (JPEG?): read as that class {names}"
        yield Issue("blurred", "note", text, tuple(index.masks[row] for row in rows), "keep masks as PNG")


def _strays(masks: MaskInfos, of: Callable[[MaskInfo], Strays]) -> tuple[list[int], str]:
    rows = [row for row, look in masks.items() if of(look).pixels]
    strange, total = sum(of(masks[row]).pixels for row in rows), sum(sum(look.pixel_counts) for look in masks.values())
    return rows, f"{count(strange, 'pixel')} ({_percent(strange / max(1, total))}) of {count(len(rows), 'mask')}"


def _commonest(masks: MaskInfos, rows: list[int], near: bool = False) -> str:
    found: Counter[str] = Counter()
    for row in rows:
        found.update((masks[row].near if near else masks[row].outside).commonest)
    return f"({', '.join(name for name, _ in found.most_common(3))}{', ...' if len(found) > 3 else ''})"


def check_mask_classes(index: Index, masks: MaskInfos) -> Iterator[Issue]:
    """Whether every class can be learned and judged."""
    splits = [split for split in SPLITS if index.positions(split)]
    pixel_counts = {split: pixel_counts_of(index, masks, split)[: len(index.classes)] for split in splits}
    images = {split: occurrences(index, masks, split) for split in splits}
    total = sum(pixel_counts.values(), np.zeros(len(index.classes), np.int64))
    train = pixel_counts.get("train", total)
    seen = [name for name, pixels in zip(index.classes, train, strict=True) if pixels]
    if len(seen) < 2 and masks:
        ignored = ", ".join(index.palette.names[len(index.classes) :]) if index.palette else ""
        message = f"masks of {'one class' if seen else 'no class'} only ({', '.join(seen) or 'none'}"
        message += f"; ignored: {ignored})" if ignored else ")"
        yield Issue("one class", "error", f"{message}: there is nothing to tell apart", (), "see what the masks hold")
    for number, name in enumerate(index.classes):
        held = [split for split in splits if split != "train" and pixel_counts[split][number]]
        lacking = [split for split in splits if not pixel_counts[split][number]]
        if not total[number]:
            message = f"class {name}: in no mask"
            yield Issue("class missing", "warning", message, (), "its IoU is undefined, and it is not in the mean")
        elif held and not train[number]:
            files = tuple(index.paths[row] for row in images[held[0]][name])
            message = (
                f"class {name}: in {count(len(files), 'image')} of {held[0]}, in none of train: it cannot be learned"
            )
            yield Issue("class missing", "warning", message, files, "move some of them to train")
        elif lacking:
            message = f"class {name}: in no mask of {' and '.join(lacking)}"
            yield Issue("class missing", "warning", message, (), "its IoU there is undefined, and not in the mean")
    shares = train / max(1, train.sum())
    rare = [f"{name} {_percent(share)}" for name, share in zip(index.classes, shares, strict=True) if 0 < share < RARE]
    if rare:
        message = f"{count(len(rare), 'rare class')}: {', '.join(rare)} of the training pixels"
        yield Issue(
            "imbalance", "note", message, (), "loss.class_weights=balanced, or loss.dice_weight=1, heeds them more"
        )


def check_images_without_masks(images: Sequence[str]) -> Iterator[Issue]:
    """Images of a validation or test split that has no mask at all."""
    if images:
        message = f"{count(len(images), 'image')} of a split without any mask: neither trained on nor judged by"
        yield Issue("waiting", "note", message, tuple(images), "headstart predict makes masks of them")


def check_class_names(index: Index) -> Iterator[Issue]:
    """Classes that were found in the masks, and have no names; and masks of 0 and 255."""
    palette = index.palette
    if palette is None or not palette.names:
        return
    if palette.kind == "number" and palette.values == (0, 255):
        message = f"masks of 0 and 255 only: read as two classes, {' and '.join(palette.names)}"
        yield Issue("0 and 255", "note", message, (), "other numbers beside them would make 255 no class")
    if palette_file(index.root, [index.root / mask for mask in index.masks if mask]) is None:
        message = (
            f"{count(len(palette.names), 'class')} without a name, found in the masks: {', '.join(palette.names[:8])}"
        )
        do = f"name them in {index.root / to_fill_in(palette)[0]}"
        yield Issue("no names", "warning", message + ", ..." * (len(palette.names) > 8), (), do)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"
