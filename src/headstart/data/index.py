"""The index: one table of image paths with their labels or masks, splits and groups.

Class names are in natural order (2 before 10) over all splits together, so that a class missing from one split never
shifts the label numbers of the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from headstart.data.unused import Reason
from headstart.errors import HeadstartError
from headstart.palette import Palette

SPLIT_OF = {
    "train": "train", "training": "train", "trainset": "train",
    "val": "val", "valid": "val", "validation": "val", "valset": "val", "dev": "val",
    "test": "test", "testing": "test", "testset": "test",
}  # fmt: skip
UNLABELED = -1
DIGITS = re.compile(r"(\d+)")


class Note(NamedTuple):
    """Something about how a folder was read that its owner should know."""

    kind: str
    severity: Literal["error", "warning", "note"]
    """``error``: training refuses the dataset."""
    message: str
    files: tuple[str, ...] = ()
    """Relative to the root."""
    fix: str = ""


@dataclass(frozen=True)
class Index:
    """Table of images, one row each: path, label or mask, split, group."""

    root: Path
    """Folder that the paths are relative to."""
    layout: str
    """The layout that was detected, in words."""
    classes: tuple[str, ...]
    """Class names in natural order; a label is a position in it."""
    paths: tuple[str, ...]
    """Relative to `root`, with forward slashes."""
    labels: tuple[int, ...]
    """Positions in `classes`, or -1 (`UNLABELED`)."""
    splits: tuple[str, ...]
    """`train`, `val` or `test`; "" where the dataset does not say."""
    groups: tuple[str, ...]
    """Source of each image (a patient, a video); "" where unknown."""
    split_made: bool = False
    """Whether the validation split was made by headstart."""
    problems: tuple[tuple[str, str], ...] = ()
    """(kind, file): rows of a CSV whose file is missing, images without a mask, ... Training refuses them."""
    masks: tuple[str, ...] = ()
    """Mask of each image, relative to `root`, or ""; an empty tuple for datasets without masks."""
    palette: Palette | None = None
    """Classes of the masks and their encoding; `classes` are those that are not ignored."""
    sources: tuple[str, ...] = ()
    """Files besides images and masks that were read: tables, lists of a split."""
    unused: tuple[tuple[str, Reason], ...] = ()
    """(file, or folder with a slash at its end; why) of all else below `root`: nothing is ignored in silence."""
    notes: tuple[Note, ...] = ()
    """What `check` says about the reading; training refuses a dataset with an error among them."""

    def __len__(self) -> int:
        return len(self.paths)

    def positions(self, split: str) -> list[int]:
        """Rows of one split."""
        return [i for i, s in enumerate(self.splits) if s == split]

    @property
    def held_out(self) -> str:
        """The split that results are of: ``test`` where there is one, else ``val``."""
        return "test" if "test" in self.splits else "val"

    def counts(self, split: str) -> dict[str, int]:
        """Class -> images in one split, for every class."""
        count = Counter(label for label, s in zip(self.labels, self.splits, strict=True) if s == split)
        return {name: count[i] for i, name in enumerate(self.classes)}

    def drop(self, dropped: Iterable[int]) -> Index:
        """The table without some rows; the classes stay as they are."""
        removed = set(dropped)
        kept = [i for i in range(len(self)) if i not in removed]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in kept),
            labels=tuple(self.labels[i] for i in kept),
            splits=tuple(self.splits[i] for i in kept),
            groups=tuple(self.groups[i] for i in kept),
            masks=tuple(self.masks[i] for i in kept) if self.masks else (),
        )


class Entry(NamedTuple):
    """One image of a layout."""

    path: str
    """Relative to the root, with forward slashes."""
    label: str | None
    """Class name; None without labels."""
    split: str = ""
    """`train`, `val` or `test`; "" where the layout does not say."""
    group: str = ""
    """Source of the image; "" where unknown."""
    mask: str | None = None
    """Its mask, "" without one; None in a dataset without masks."""


MAX_DIGITS = 1000
"""Python makes no numbers of more than 4,300 digits."""


@lru_cache(maxsize=1 << 16)  # the paths of a folder are sorted several times
def natural_key(name: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Sort key for natural order: 2 before 10."""
    parts = [part for part in DIGITS.split(name) if part]
    numbered = [(0, int(p)) if p.isdecimal() and len(p) <= MAX_DIGITS else (1, p.casefold()) for p in parts]
    return tuple(numbered), name


def make_index(
    root: Path,
    layout: str,
    entries: Iterable[Entry],
    group: str | None = None,
    problems: Sequence[tuple[str, str]] = (),
) -> Index:
    """Build an index: sort entries by path, number the classes, apply ``group``, a regular expression, to the paths."""
    rows = sorted(entries, key=lambda entry: natural_key(entry.path))
    classes = sorted({row.label for row in rows if row.label is not None}, key=natural_key)
    number = {name: i for i, name in enumerate(classes)}
    group_of = _group_function(group)
    return Index(
        root=root,
        layout=layout,
        classes=tuple(classes),
        paths=tuple(row.path for row in rows),
        labels=tuple(UNLABELED if row.label is None else number[row.label] for row in rows),
        splits=tuple(row.split for row in rows),
        groups=tuple(group_of(row.path, row.group) for row in rows),
        problems=tuple(problems),
        masks=tuple(row.mask or "" for row in rows) if any(row.mask is not None for row in rows) else (),
    )


def group_by(index: Index, expression: str | None) -> Index:
    """``index`` with the ``expression`` applied to its paths: the first group or whole match names an image's source.

    Raises HeadstartError for an invalid regular expression.
    """
    group_of = _group_function(expression)
    return replace(index, groups=tuple(group_of(*each) for each in zip(index.paths, index.groups, strict=True)))


def _group_function(expression: str | None) -> Callable[[str, str], str]:
    """(path, given group) -> group: the expression's first group or whole match in the path, else the given one."""
    if expression is None:
        return lambda _, given: given
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise HeadstartError(
            f"--group (data.group_regex) {expression}: expected a regular expression, found an error: {error}",
            r"quote it, for example --group '^[^_]+'",
        ) from None

    def group_of(path: str, given: str) -> str:
        match = pattern.search(path)
        return given if match is None else (match.group(1) if pattern.groups else match.group(0)) or given

    return group_of


def split_named(name: str) -> str | None:
    """The split that a folder or table is named after (``valid``, ``Train``, ``train_50``), or None."""
    split, suffix = _parse_split(name)
    return split if not suffix or suffix.isdecimal() else None


def splits_named(names: Iterable[str]) -> dict[str, str | None]:
    """The split that each of several sibling names is named after, or None.

    ``train_images`` is a split beside ``val_images``; alone, it may be a class like ``train_station``.
    """
    parsed = {name: _parse_split(name) for name in names}
    splits_of_suffix: dict[str, set[str]] = {}
    for split, suffix in parsed.values():
        if split:
            splits_of_suffix.setdefault(suffix, set()).add(split)
    return {
        name: split if split and (split_named(name) or len(splits_of_suffix[suffix]) > 1) else None
        for name, (split, suffix) in parsed.items()
    }


def _parse_split(name: str) -> tuple[str | None, str]:
    """``train_50`` -> (train, 50), ``val2017`` -> (val, 2017); (None, "") for names that do not begin with a split."""
    words = re.findall(r"[^\W\d_]+|\d+", name.lower())
    split = SPLIT_OF.get(words[0]) if words else None
    return (split, "_".join(words[1:])) if split else (None, "")
