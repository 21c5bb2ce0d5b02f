"""The index: which images there are, their classes, their splits and their sources.

Class names are in natural order (2 before 10) over all splits together, so a class that is missing from one split
never shifts the others.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.palette import Palette

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2"]
)
SPLIT_OF = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
UNLABELED = -1


@dataclass(frozen=True)
class Index:
    """One row per image: where it is, what it shows, and what it is used for."""

    root: Path
    """The folder that the paths are relative to."""
    layout: str
    """What was detected, in words."""
    classes: tuple[str, ...]
    """Class names in natural order; a label is a position in it."""
    paths: tuple[str, ...]
    """Relative to `root`, with forward slashes."""
    labels: tuple[int, ...]
    """Positions in `classes`, or -1 where there is no label."""
    splits: tuple[str, ...]
    """`train`, `val` or `test`; empty where the data does not say."""
    groups: tuple[str, ...]
    """The source of each image (a patient, a video); empty where unknown."""
    split_made: bool = False
    """Whether the validation split was made by headstart."""
    problems: tuple[tuple[str, str], ...] = ()
    """(kind, file): rows of a CSV that name no file, and the like. Training refuses them."""

    masks: tuple[str, ...] = ()
    """The mask of each image, relative to `root`, "" where one has none; empty where the data has no masks."""
    palette: Palette | None = None
    """The classes of the masks, and how their files write them; `classes` are those of them that count."""

    def __len__(self) -> int:
        return len(self.paths)

    def positions(self, split: str) -> list[int]:
        """Where the images of one split stand in the table."""
        return [i for i, s in enumerate(self.splits) if s == split]

    def counts(self, split: str) -> dict[str, int]:
        """Images per class in one split, every class named."""
        count = Counter(label for label, s in zip(self.labels, self.splits, strict=True) if s == split)
        return {name: count[i] for i, name in enumerate(self.classes)}

    def drop(self, dropped: Iterable[int]) -> Index:
        """The table less some rows; the classes stay as they are."""
        gone = set(dropped)
        kept = [i for i in range(len(self)) if i not in gone]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in kept),
            labels=tuple(self.labels[i] for i in kept),
            splits=tuple(self.splits[i] for i in kept),
            groups=tuple(self.groups[i] for i in kept),
            masks=tuple(self.masks[i] for i in kept) if self.masks else (),
        )


Entry = tuple[str, str | None, str, str]
"""(path relative to the root, class name or None, split or "", group or "")"""


def natural_key(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sort key under which 2 comes before 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p)) if p.isdecimal() else (1, p.casefold()) for p in parts if p], name


def make_index(
    root: Path,
    layout: str,
    entries: Iterable[Entry],
    group: str | None = None,
    problems: Sequence[tuple[str, str]] = (),
) -> Index:
    """Sort the entries by path, number the classes, and apply the ``group`` regular expression."""
    rows = sorted(entries, key=lambda entry: natural_key(entry[0]))
    classes = sorted({name for _, name, _, _ in rows if name is not None}, key=natural_key)
    number = {name: i for i, name in enumerate(classes)}
    group_of = _grouping(group)
    return Index(
        root=root,
        layout=layout,
        classes=tuple(classes),
        paths=tuple(path for path, _, _, _ in rows),
        labels=tuple(UNLABELED if name is None else number[name] for _, name, _, _ in rows),
        splits=tuple(split for _, _, split, _ in rows),
        groups=tuple(group_of(path, given) for path, _, _, given in rows),
        problems=tuple(problems),
    )


def _grouping(expression: str | None) -> Callable[[str, str], str]:
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


def is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def images_below(folder: Path) -> list[str]:
    """Paths of all images below ``folder``, relative to it, with forward slashes; links to folders are followed."""
    found = []
    for place, subfolders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(place) + os.sep
        above = [name for name in subfolders if here.startswith(os.path.realpath(Path(place, name)) + os.sep)]
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name not in above]
        inside = Path(place).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        found += [prefix + name for name in names if is_image(name)]
    return found


def split_named(name: str) -> str | None:
    """The split that the name of a folder or table means by itself (``valid``, ``Train``, ``train_50``), or None."""
    split, ending = _read_split(name)
    return split if not ending or ending.isdecimal() else None


def splits_named(names: Iterable[str]) -> dict[str, str | None]:
    """The split that each of some names side by side means, or None.

    ``train_images`` is one beside ``val_images``: alone, it may be a class like ``train_station``.
    """
    read = {name: _read_split(name) for name in names}
    sides: dict[str, set[str]] = {}
    for split, ending in read.values():
        if split:
            sides.setdefault(ending, set()).add(split)
    return {
        name: split if split and (split_named(name) or len(sides[ending]) > 1) else None
        for name, (split, ending) in read.items()
    }


def _read_split(name: str) -> tuple[str | None, str]:
    """``train_50`` -> (train, 50); (None, "") for what does not begin like a split."""
    match = re.match(r"([a-z]+)(?:[_-](\w+))?$", name.lower())
    split = SPLIT_OF.get(match.group(1)) if match else None
    return (split, match.group(2) or "") if match and split else (None, "")
