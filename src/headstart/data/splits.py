"""Splits: the validation split where the dataset has none, label fractions, and the index that training uses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.data.checks.duplicate_sets import Sets, duplicate_sets
from headstart.data.components import components
from headstart.data.index import UNLABELED, Index
from headstart.data.layouts import Choice, scan
from headstart.data.pair_index import without_masks
from headstart.data.parallel import Progress
from headstart.data.requirements import (
    require_labels,
    require_no_errors,
    require_no_problems,
    require_trained_classes,
    require_two_each,
    with_masks,
)
from headstart.errors import HeadstartError, quoted
from headstart.recipes.recipe import Data

if TYPE_CHECKING:  # `check` needs no torch
    from headstart.data.pixels import Pixels


def make_val_split(index: Index, fraction: float, duplicates: Sets = ()) -> Index:
    """``index`` with about ``fraction`` of the training images of every class moved to validation.

    A greedy stratified group split: images of one group or of one of the sets of ``duplicates`` stay on one side, and
    these units are visited in the order of a hash of their name and taken while their classes need validation images.
    Every class keeps an image on both sides, unless all its images belong to one unit. Only where duplicates would
    leave nothing to validate on (a single film), they are divided.

    Not scikit-learn's StratifiedGroupKFold: its folds depend on the order of the rows and on a seed, so that one new
    file would reshuffle them. Here the split depends on the names alone. It is the same for the same files in any
    order, and nearly the same when files are added.
    """
    splits = _hold_out(index, fraction, _units(index, duplicates))
    if duplicates and "val" not in splits:
        splits = _hold_out(index, fraction, _units(index, ()))
    return replace(index, splits=tuple(splits), split_made=True)


def make_fold(index: Index, fold: tuple[int, int], duplicates: Sets = ()) -> Index:
    """``index`` with part ``fold`` = (part from 1, parts) of the training images moved to validation.

    Every image is in one part. As in `make_val_split`, groups and ``duplicates`` stay on one side, and the parts follow
    from the names alone: each unit, in the order of a hash of its name, goes to the part that has the fewest images of
    its most frequent class, then the fewest images. Raises HeadstartError for a class with fewer units than parts.
    """
    part, parts = fold
    units = sorted(_units(index, duplicates).items(), key=lambda unit: _hash(unit[0]))
    of_class = Counter(label for _, rows in units for label in {index.labels[row] for row in rows})
    for label, count in sorted(of_class.items(), key=lambda each: (each[1], each[0])):
        if count < parts:
            what = "images" if label == UNLABELED else f"images of {index.classes[label]}"
            raise HeadstartError(
                f"{parts} folds: expected as many {what}, or groups of them, found {count}",
                f"{count} folds, or fewer" if count > 1 else "more images of the class",
            )
    filled: list[Counter[int]] = [Counter() for _ in range(parts)]
    splits = [split or "train" for split in index.splits]
    for _, rows in units:
        added = Counter(index.labels[row] for row in rows)
        most = max(added, key=lambda label: (added[label], -label))
        place = min(range(parts), key=lambda each: (filled[each][most], filled[each].total(), each))
        filled[place] += added
        if place == part - 1:
            for row in rows:
                splits[row] = "val"
    return replace(index, splits=tuple(splits), split_made=True)


def _units(index: Index, duplicates: Sets) -> dict[str, list[int]]:
    """Name -> training rows that cannot be divided: a file, a group, or those of them that share duplicates.

    The latter have the first of their names in alphabetical order.
    """
    rows = [row for row, split in enumerate(index.splits) if split in ("", "train")]
    names = {row: f"group {index.groups[row]}" if index.groups[row] else f"file {index.paths[row]}" for row in rows}
    number = {name: i for i, name in enumerate(dict.fromkeys(names.values()))}
    edges = [
        (number[names[one]], number[names[other]])
        for same in ([row for row in rows if row in names] for rows in duplicates)
        for one, other in pairwise(same)
    ]
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    component = components(ends, len(number))
    first: dict[int, str] = {}
    for name, part in zip(number, component, strict=True):
        first[int(part)] = min(name, first.get(int(part), name))
    units: dict[str, list[int]] = {}
    for row in rows:
        units.setdefault(first[int(component[number[names[row]]])], []).append(row)
    return units


def _hold_out(index: Index, fraction: float, units: Mapping[str, Sequence[int]]) -> list[str]:
    """The split of every row, with whole units moved to validation."""
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
    return splits


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


def holdout_from_train(index: Index, fraction: float, duplicates: Sets = ()) -> Index:
    """``index`` with its validation images set aside and ``fraction`` of the training images in their place.

    For hyper-parameter selection (a learning rate), which must not use the images that results are reported on.
    """
    aside = replace(index, splits=tuple("aside" if split != "train" else split for split in index.splits))
    return make_val_split(aside, fraction, duplicates)


def holdout_from_labels(held_out: Index, data: Data, seed: int, duplicates: Sets = ()) -> Index:
    """The index of `holdout_from_train` with both sides taken from the labels of ``data.label_fraction`` alone.

    Whoever has so few labels has no others to select hyper-parameters on. Raises HeadstartError where nothing can be
    held out of them.
    """
    train = replace(held_out, splits=tuple("train" if split == "val" else split for split in held_out.splits))
    labeled = set(label_subset(train, data.label_fraction, seed))
    splits = tuple("train" if row in labeled else "aside" for row in range(len(train)))
    made = make_val_split(replace(train, splits=splits), data.val_fraction, duplicates)
    if not made.positions("val"):
        raise HeadstartError(
            f"data.label_fraction {data.label_fraction:g}: expected two labeled images of a class, to hold one out of"
            f" training, found {len(labeled)} images",
            "a larger data.label_fraction, or data.validate_on=val",
        )
    return made


def training_index(root: str, data: Data, target: Literal["label", "mask", "none"] = "label") -> Index:
    """The index that training uses: with a validation split and, by ``target``, a label or a mask for every image.

    Raises HeadstartError, naming the class or file, for a dataset that cannot be trained on.
    """
    return to_training_index(scan(root, data.group_regex, Choice(data.layout, data.columns)), root, data, target)


def to_training_index(
    index: Index,
    root: str,
    data: Data,
    target: Literal["label", "mask", "none"],
    progress: Progress | None = None,
) -> Index:
    """`training_index` of a folder that was scanned already. Making a validation split may decode every file."""
    index = with_masks(index, data, root) if target == "mask" else without_masks(index) if target == "none" else index
    if target == "label":
        require_labels(index, root)
    require_no_problems(index, root)
    if target != "none":
        require_no_errors(index, root)
    if not index.positions("val"):
        if target == "label":
            require_two_each(index, root)
        same = duplicate_sets(index, progress)
        index = make_fold(index, data.fold, same) if data.fold else make_val_split(index, data.val_fraction, same)
    elif data.fold is not None:
        raise HeadstartError(
            f"data.fold {list(data.fold)}: expected a dataset without a validation split, found"
            f" {len(index.positions('val'))} validation images in {root}",
            "data.fold left out",
        )
    if target == "label":
        require_trained_classes(index, root)
    if len(index.positions("train")) < 2:
        raise HeadstartError(
            f"{index.root}: expected at least two training images, found {len(index.positions('train'))}",
            f"headstart check {quoted(root)}",
        )
    if not index.positions("val"):
        raise HeadstartError(
            f"{index.root}: expected images for validation, found that no group can be held out",
            "change --group or data.group_regex",
        )
    return index


def with_stored_split(pixels: Pixels, held_out: Mapping[str, str], fingerprint: str) -> Pixels:
    """``pixels`` in the made split of an earlier run, path -> split of the images that are not in training.

    Decoders and processors round differently, and with them the similarity of two images: another machine might make
    another split, but a run that goes on, and its evaluation, keep the one it began with. Unchanged for images other
    than those of the ``fingerprint``.
    """
    made = ("", "train", "val", "aside")
    rows = zip(pixels.index.paths, pixels.index.splits, strict=True)
    stored = pixels.with_splits([held_out.get(path, "train") if split in made else split for path, split in rows])
    return stored if stored.fingerprint == fingerprint else pixels
