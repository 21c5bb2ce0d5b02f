"""Splits: the validation split where the dataset has none, label fractions, and the index that training uses."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from typing import Literal

from headstart.data.index import UNLABELED, Index
from headstart.data.layouts import Choice, scan
from headstart.data.pairs import without_masks
from headstart.data.requirements import (
    require_labels,
    require_no_errors,
    require_no_problems,
    require_trained_classes,
    require_two_each,
    with_masks,
)
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data


def make_val_split(index: Index, fraction: float) -> Index:
    """``index`` with about ``fraction`` of the training images of every class moved to validation.

    A greedy stratified group split: images of one group stay on one side, and groups are visited in the order of a
    hash of their name and taken while their classes need validation images. Every class keeps an image on both sides,
    unless all its images belong to one group.

    Not scikit-learn's StratifiedGroupKFold: its folds depend on the order of the rows and on a seed, so that one new
    file would reshuffle them. Here the split depends on the names alone. It is the same for the same files in any
    order, and nearly the same when files are added.
    """
    # Units that cannot be divided: a group, or a single file.
    units: dict[str, list[int]] = {}
    for i, (path, group, split) in enumerate(zip(index.paths, index.groups, index.splits, strict=True)):
        if split in ("", "train"):
            units.setdefault(f"group {group}" if group else f"file {path}", []).append(i)
    in_train = Counter(index.labels[i] for rows in units.values() for i in rows)
    missing = {label: max(1, round(fraction * count)) for label, count in in_train.items()}
    splits = [split or "train" for split in index.splits]
    for _, rows in sorted(units.items(), key=lambda unit: _hash(unit[0])):
        # Take a unit if at least half of its images are of classes that need more, and no class leaves training.
        added = Counter(index.labels[i] for i in rows)
        needed = sum(min(count, missing[label]) for label, count in added.items())
        if 2 * needed < len(rows) or any(in_train[label] <= count for label, count in added.items()):
            continue
        for i in rows:
            splits[i] = "val"
        in_train -= added
        missing = {label: max(0, count - added[label]) for label, count in missing.items()}
    return replace(index, splits=tuple(splits), split_made=True)


def _hash(text: str) -> bytes:
    """A hash that orders names at random, but always the same; file names need not be UTF-8."""
    return blake2b(text.encode("utf-8", "surrogateescape")).digest()


def label_subset(index: Index, fraction: float, seed: int) -> list[int]:
    """Training rows of a label fraction, in order: the same share of every class.

    Of images without a class (those with masks), a share of all, and at least one. The rows of a smaller fraction are
    a subset of those of a larger one with the same seed. Raises HeadstartError when a class would be left without an
    image, naming the smallest possible fraction.
    """
    rows_of: dict[int, list[int]] = {}
    for i in index.positions("train"):
        rows_of.setdefault(index.labels[i], []).append(i)
    kept: list[int] = []
    for label, rows in rows_of.items():
        count = max(math.floor(fraction * len(rows) + 0.5), int(label == UNLABELED))
        if not count:
            smallest = math.ceil(max(0.5 / len(each) for each in rows_of.values()) * 1e4) / 1e4
            raise HeadstartError(
                f"data.label_fraction {fraction:g}: expected an image of every class, found none of"
                f" {index.classes[label]} ({len(rows)} training images); the smallest fraction is {smallest:g}",
                f"data.label_fraction={smallest:g}",
            )
        kept += sorted(rows, key=lambda i: _hash(f"{seed} {index.paths[i]}"))[:count]
    return sorted(kept)


def holdout_from_train(index: Index, fraction: float) -> Index:
    """``index`` with its validation images set aside and ``fraction`` of the training images in their place.

    For hyper-parameter selection (a learning rate), which must not use the images that results are reported on.
    """
    aside = replace(index, splits=tuple("aside" if split != "train" else split for split in index.splits))
    return make_val_split(aside, fraction)


def training_index(root: str, data: Data, target: Literal["label", "mask", "none"] = "label") -> Index:
    """The index that training uses: with a validation split and, by ``target``, a label or a mask for every image.

    Raises HeadstartError, naming the class or file, for a dataset that cannot be trained on.
    """
    return to_training_index(scan(root, data.group_regex, Choice(data.layout, data.columns)), root, data, target)


def to_training_index(index: Index, root: str, data: Data, target: Literal["label", "mask", "none"]) -> Index:
    """`training_index` of a folder that was scanned already."""
    index = with_masks(index, data, root) if target == "mask" else without_masks(index) if target == "none" else index
    if target == "label":
        require_labels(index, root)
    require_no_problems(index, root)
    if target != "none":
        require_no_errors(index, root)
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
            f"{index.root}: expected images for validation, found that no group can be held out",
            "change --group or data.group_regex",
        )
    return index


def detect_target(root: str, data: Data) -> Literal["label", "mask"]:
    """Whether the dataset has labels or masks, by its layout."""
    return "mask" if scan(root, data.group_regex, Choice(data.layout, data.columns)).masks else "label"
