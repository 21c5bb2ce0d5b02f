"""Issues of a dataset: one function per check, each from tables to `Issue`s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from headstart.data.checks.image_info import Failures
from headstart.data.index import UNLABELED, Index
from headstart.data.unreadable import WITHHELD

Severity = Literal["error", "warning", "note"]
SPLITS = ("train", "val", "test")
MAX_IMBALANCE = 10
"""A larger ratio of training images, largest class to smallest, is reported."""


@dataclass(frozen=True)
class Issue:
    """One issue of a dataset."""

    kind: str
    """Short name: ``truncated``, ``duplicate leakage``, ``imbalance``, ..."""
    severity: Severity
    """``error``: training refuses the dataset; ``warning``: results would mislead; ``note``: good to know."""
    message: str
    files: tuple[str, ...] = ()
    """Every file concerned, relative to the root."""
    fix: str = ""
    """How to fix it."""
    sets: tuple[tuple[str, ...], ...] = ()
    """The same files in sets, where the issue is about files that belong together (duplicates, groups)."""


def count(number: int, noun: str) -> str:
    """``1 image``, ``2,500 images``, ``3 classes``."""
    plural = noun if number == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {plural}"


def check_labels(index: Index) -> Iterator[Issue]:
    """Labels: missing files, no labels at all, a single class."""
    for kind in dict.fromkeys(kind for kind, _ in index.problems):
        files = tuple(file for k, file in index.problems if k == kind)
        message = f"{count(len(files), 'file')} listed in the CSV not found"
        yield Issue(kind, "error", message, files, "add the files, or delete their rows")
    if UNLABELED in index.labels:  # no layout has labels for only some of its images
        message = "The images have no labels: headstart fit byol-quick pre-trains on them, a classifier needs labels"
        yield Issue("unlabeled", "note", message, (), "to label them, put the images of each class in a folder")
    elif len(index.classes) == 1:
        message = f"Only one class ({index.classes[0]}): a classifier needs two or more"
        yield Issue("one class", "error", message, (), "add a folder of images for every other class")


def check_splits(index: Index) -> Iterator[Issue]:
    """Classes per split and class balance. ``index`` has its validation split, given or made."""
    counts = {split: index.counts(split) for split in SPLITS if index.positions(split)}
    train = counts.get("train", {})
    if counts.get("val"):
        yield from check_unassigned(index, "fill in the split column")
    if index.split_made:
        yield from _check_made_split(index, train, counts.get("val", {}))
    for name in index.classes:
        yield from _check_class(index, name, counts)
    present = {name: n for name, n in train.items() if n}
    if present and max(present.values()) > MAX_IMBALANCE * min(present.values()):
        most, least = max(present, key=lambda n: present[n]), min(present, key=lambda n: present[n])
        message = f"Class imbalance: {most} has {present[most]:,} training images, {least} has {present[least]:,}"
        fix = "compare balanced accuracy and macro F1 instead of accuracy, or add images of the rare class"
        yield Issue("imbalance", "warning", message, (), fix)


def check_unassigned(index: Index, fix: str) -> Iterator[Issue]:
    """Images without a split in a dataset whose other images have one."""
    files = tuple(index.paths[row] for row in index.positions(""))
    if files:
        message = f"{count(len(files), 'image')} in no split, while others have one: not used"
        yield Issue("no split", "warning", message, files, fix)


def _check_class(index: Index, name: str, counts: Mapping[str, Mapping[str, int]]) -> Iterator[Issue]:
    """Splits in which a class is missing. An error where validation or test has it and training has not."""
    train = counts.get("train", {}).get(name, 0)
    missing_from = [split for split in counts if not counts[split][name]]
    held_out = [split for split in SPLITS[1:] if not train and counts.get(split, {}).get(name)]
    if held_out:
        message = f'Class "{name}" has {count(counts[held_out[0]][name], "image")} in {held_out[0]} but none in train'
        yield Issue("class missing", "error", message, _paths(index, name, held_out[0]), "move some of them to train")
    elif missing_from and not (index.split_made and train == 1):
        where = " and ".join(missing_from)
        message = f'Class "{name}" has no images in {where}'
        yield Issue("class missing", "warning", message, (), f"add images of {name} to {where}")


def _check_made_split(index: Index, train: Mapping[str, int], val: Mapping[str, int]) -> Iterator[Issue]:
    held_out, trained = sum(val.values()), sum(train.values())
    for name in index.classes:
        if train.get(name) == 1 and not val.get(name):
            message = f'Class "{name}" has one image only: training and validation each need one'
            yield Issue("one image", "error", message, _paths(index, name, "train"), f"add images of {name}")
    if not held_out and any(n > 1 for n in train.values()):
        yield no_validation_images()
    elif held_out:
        yield made_split(held_out, held_out + trained)


def no_validation_images() -> Issue:
    message = "No image can be held out for validation without dividing a group"
    return Issue("no validation", "error", message, (), "change --group")


def made_split(held_out: int, total: int) -> Issue:
    message = f"No validation split: headstart holds out {held_out:,} of {total:,} images, the same ones every time"
    return Issue("split made", "note", message, (), "for a split of your own, add a val folder beside train")


def check_groups(index: Index, expression: str | None) -> Iterator[Issue]:
    """Group leakage: images of one source (patient, video) in two splits."""
    if expression is not None and not any(index.groups):
        message = f"--group {expression} matches no path (such as {index.paths[0]})"
        yield Issue("no groups", "warning", message, (), "try the expression on one of the paths")
    members: dict[str, list[int]] = {}
    for row, group in enumerate(index.groups):
        if group:
            members.setdefault(group, []).append(row)
    for one, other, sets in _in_two_splits(index, members.values()):
        groups = {index.groups[rows[0]] for rows in sets}
        some = ", ".join(sorted(groups)[:3]) + (", ..." if len(groups) > 3 else "")
        have = "has" if len(groups) == 1 else "have"
        message = f"Leakage: {count(len(groups), 'group')} {have} images in both {one} and {other} ({some})"
        yield _issue_of_sets("group leakage", "warning", message, index, sets, "move each group to one split")


_FIXES = {
    "bands": "choose the bands that are red, green and blue: headstart fit RECIPE DATA data.bands=[4,3,2]",
    "large": "make them smaller, cut them into tiles, or raise the limit, data.max_pixels",
}
"""Last word of the kind of a failure -> how to fix it, where it is not the file that is wrong."""


def check_files(index: Index, failures: Failures) -> Iterator[Issue]:
    """Files that cannot be decoded, and classes that lose all their images by it."""
    for split in SPLITS[:2]:
        rows = index.positions(split)
        before = Counter(index.labels[i] for i in rows)
        after = Counter(index.labels[i] for i in rows if i not in failures)
        for label in sorted(before):
            if not after[label] and label != UNLABELED:
                message = f'Class "{index.classes[label]}" has no readable image in {split}'
                files = _paths(index, index.classes[label], split)
                yield Issue("none readable", "error", message, files, "replace the files")
    for kind in dict.fromkeys(kind for kind, _ in failures.values()):
        rows = [row for row, failure in failures.items() if failure[0] == kind]
        what = "cannot be opened" if kind in ("missing", WITHHELD) else kind
        message = f"{count(len(rows), 'file')}: {what} ({failures[rows[0]][1]})"
        fix = _FIXES.get(
            kind.split()[-1], "replace or delete them, or skip them in training: data.skip_unreadable=true"
        )
        yield Issue(kind, "error", message, tuple(index.paths[row] for row in rows), fix)


def check_duplicates(index: Index, sets: Sequence[Sequence[int]], exact: bool) -> Iterator[Issue]:
    """Duplicates across splits (leakage), with conflicting labels, and within a split. ``sets``: rows per image."""
    noun, kind = ("duplicate", "duplicate") if exact else ("near duplicate", "near-duplicate")
    review = "" if exact else "compare them by eye: "
    for one, other, across in _in_two_splits(index, sets):
        where = f"{one} and the {other} split that headstart makes" if index.split_made else f"{one} and {other}"
        number = count(len(across), "image")
        if exact:
            what = f"{number} {'occurs' if len(across) == 1 else 'occur'}"
        else:
            what = f"near duplicates of {number} occur"
        message = f"Leakage: {what} in both {where}; {_scores(other)} are inflated"
        fix = f"{review}delete them from one split" + (", or keep their source together (--group)" * index.split_made)
        yield _issue_of_sets(f"{kind} leakage", "warning", message, index, across, fix)
    conflicting = [rows for rows in sets if len({index.labels[row] for row in rows} - {UNLABELED}) > 1]
    if conflicting:
        message = f"{count(len(conflicting), noun)} with conflicting labels"
        fix = f"{review}keep each in the class it belongs to"
        yield _issue_of_sets("conflicting labels", "warning", message, index, conflicting, fix)
    for split in ("", *SPLITS):
        within = [kept for rows in sets if len(kept := [row for row in rows if index.splits[row] == split]) > 1]
        if within:
            message = f"{count(len(within), noun)}{f' within {split}' if split else ''}"
            fix = "keep one of each" if exact else f"{review}keep a video or a burst in one split (--group)"
            yield _issue_of_sets(f"{noun}s", "warning" if exact else "note", message, index, within, fix)


def _scores(split: str) -> str:
    return {"val": "validation scores", "test": "test scores"}[split]


def _in_two_splits(index: Index, sets: Iterable[Sequence[int]]) -> Iterator[tuple[str, str, list[list[int]]]]:
    """For each two splits: the sets that have rows in both, reduced to the rows in these two."""
    sets = list(sets)
    for one, other in combinations(SPLITS, 2):
        parts = [[row for row in rows if index.splits[row] in (one, other)] for rows in sets]
        across = [rows for rows in parts if len({index.splits[row] for row in rows}) == 2]
        if across:
            yield one, other, across


def _issue_of_sets(
    kind: str, severity: Severity, message: str, index: Index, sets: Sequence[Sequence[int]], fix: str
) -> Issue:
    paths = tuple(tuple(index.paths[row] for row in rows) for rows in sets)
    return Issue(kind, severity, message, tuple(path for some in paths for path in some), fix, paths)


def _paths(index: Index, name: str, split: str) -> tuple[str, ...]:
    label = index.classes.index(name)
    return tuple(index.paths[i] for i in index.positions(split) if index.labels[i] == label)
