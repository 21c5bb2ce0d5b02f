"""The validation split: made where the data has none, and what training demands of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from typing import Literal

from headstart.data.index import UNLABELED, Index
from headstart.data.layouts import scan
from headstart.data.pairs import without_masks
from headstart.data.requirements import (
    require_labels,
    require_no_problems,
    require_trained_classes,
    require_two_each,
    with_masks,
)
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data


def make_val_split(index: Index, fraction: float) -> Index:
    """``index`` with about ``fraction`` of the training images of every class made validation images.

    The choice hangs on the names alone: the same for the same files in any order, and nearly the same when
    files are added. Images of one group stay on one side. Every class keeps an image on both sides, unless
    its images all belong to one group.
    """
    units: dict[str, list[int]] = {}
    for i, (path, group, split) in enumerate(zip(index.paths, index.groups, index.splits, strict=True)):
        if split in ("", "train"):
            units.setdefault(f"group {group}" if group else f"file {path}", []).append(i)
    left = Counter(index.labels[i] for rows in units.values() for i in rows)
    wanted = {label: max(1, round(fraction * count)) for label, count in left.items()}
    splits = [split or "train" for split in index.splits]
    for _, rows in sorted(units.items(), key=lambda unit: blake2b(unit[0].encode("utf-8", "surrogateescape")).digest()):
        need = Counter(index.labels[i] for i in rows)
        useful = sum(min(count, wanted[label]) for label, count in need.items())
        if 2 * useful < len(rows) or any(left[label] <= count for label, count in need.items()):
            continue
        for i in rows:
            splits[i] = "val"
        left -= need
        wanted = {label: max(0, count - need[label]) for label, count in wanted.items()}
    return replace(index, splits=tuple(splits), split_made=True)


def label_subset(index: Index, fraction: float, seed: int) -> list[int]:
    """The training rows of a label fraction, the same share of every class, in order; of images without a class
    (those with masks) a share of all, and at least one.

    A smaller fraction's rows are among a larger one's of the same seed. Raises HeadstartError when a class would be
    left without an image, naming the smallest fraction possible.
    """
    rows: dict[int, list[int]] = {}
    for i in index.positions("train"):
        rows.setdefault(index.labels[i], []).append(i)
    kept: list[int] = []
    for label, some in rows.items():
        count = max(math.floor(fraction * len(some) + 0.5), int(label == UNLABELED))
        if not count:
            smallest = max(0.5 / len(each) for each in rows.values())
            raise HeadstartError(
                f"data.label_fraction {fraction:g}: expected an image of every class, found none of {index.classes[label]}"
                f" ({len(some)} training images); the smallest fraction is {math.ceil(smallest * 1e4) / 1e4:g}",
                f"data.label_fraction={math.ceil(smallest * 1e4) / 1e4:g}",
            )
        drawn = sorted(
            some, key=lambda i: blake2b(f"{seed} {index.paths[i]}".encode("utf-8", "surrogateescape")).digest()
        )
        kept += drawn[:count]
    return sorted(kept)


def holdout_from_train(index: Index, fraction: float) -> Index:
    """``index`` with a part of the training images in the place of its validation images, which are set aside.

    For choices that must have no part of what they are judged by, such as a learning rate.
    """
    aside = replace(index, splits=tuple("aside" if split != "train" else split for split in index.splits))
    return make_val_split(aside, fraction)


def training_index(root: str, data: Data, target: Literal["label", "mask", "none"] = "label") -> Index:
    """The index that training uses: with a validation split, nothing missing, and what is learned from (``target``).

    Raises HeadstartError, naming the class or file, for anything that cannot be trained on.
    """
    return to_training_index(scan(root, data.group_regex), root, data, target)


def to_training_index(index: Index, root: str, data: Data, target: Literal["label", "mask", "none"]) -> Index:
    """`training_index` of a folder that was scanned already."""
    index = with_masks(index, data, root) if target == "mask" else without_masks(index) if target == "none" else index
    if target == "label":
        require_labels(index, root)
    require_no_problems(index, root)
    if not index.positions("val"):
        if target == "label":
            require_two_each(index, root)
        index = make_val_split(index, data.val_fraction)
    if target == "label":
        require_trained_classes(index, root)
    if len(index.positions("train")) < 2:
        raise HeadstartError(
            f"{index.root}: expected at least two training images, found {len(index.positions('train'))}",
            f"headstart check {root}",
        )
    if not index.positions("val"):
        raise HeadstartError(
            f"{index.root}: expected images for validation, found that groups leave none",
            "change --group or data.group_regex",
        )
    return index


def detect_target(root: str, data: Data) -> Literal["label", "mask"]:
    """What the images of a folder are judged by."""
    return "mask" if scan(root, data.group_regex).masks else "label"
