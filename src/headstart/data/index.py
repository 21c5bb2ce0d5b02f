"""Folder -> Index: which images there are, their classes and their splits.

The layout is detected and said; what cannot be understood is an error that says why. Class names are in
natural order (2 before 10) over all splits together, so a class that is missing from one split never
shifts the others.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.errors import HeadstartError

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2"]
)
SPLIT_OF = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
LAYOUTS = "headstart check --help"
UNLABELLED = -1


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

    def __len__(self) -> int:
        return len(self.paths)

    def positions(self, split: str) -> list[int]:
        """Where the images of one split stand in the table."""
        return [i for i, s in enumerate(self.splits) if s == split]

    def counts(self, split: str) -> dict[str, int]:
        """Images per class in one split, every class named."""
        count = Counter(label for label, s in zip(self.labels, self.splits, strict=True) if s == split)
        return {name: count[i] for i, name in enumerate(self.classes)}

    def without(self, dropped: Iterable[int]) -> Index:
        """The table less some rows; the classes stay as they are."""
        gone = set(dropped)
        kept = [i for i in range(len(self)) if i not in gone]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in kept),
            labels=tuple(self.labels[i] for i in kept),
            splits=tuple(self.splits[i] for i in kept),
            groups=tuple(self.groups[i] for i in kept),
        )


Entry = tuple[str, str | None, str, str]
"""(path relative to the root, class name or None, split or "", group or "")"""


def natural(name: str) -> tuple[list[tuple[int, int | str]], str]:
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
    rows = sorted(entries, key=lambda entry: natural(entry[0]))
    classes = sorted({name for _, name, _, _ in rows if name is not None}, key=natural)
    number = {name: i for i, name in enumerate(classes)}
    group_of = _grouping(group)
    return Index(
        root=root,
        layout=layout,
        classes=tuple(classes),
        paths=tuple(path for path, _, _, _ in rows),
        labels=tuple(UNLABELLED if name is None else number[name] for _, name, _, _ in rows),
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
            f"--group (data.group) {expression}: expected a regular expression, found an error: {error}",
            r"quote it, for example --group '^[^_]+'",
        ) from None

    def group_of(path: str, given: str) -> str:
        match = pattern.search(path)
        return given if match is None else (match.group(1) if pattern.groups else match.group(0)) or given

    return group_of


def is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def images_below(folder: Path) -> list[str]:
    """Paths of all images below ``folder``, relative to it, with forward slashes."""
    found = []
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        inside = Path(place).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        found += [prefix + name for name in names if is_image(name)]
    return found


def split_named(folder: str) -> str | None:
    """The split that a folder's name means (``valid``, ``Train``, ``train_50``), or None."""
    match = re.match(r"([a-z]+)([_-]\w+)?$", folder.lower())
    return SPLIT_OF.get(match.group(1)) if match else None


def scan(root: str | os.PathLike[str], group: str | None = None) -> Index:
    """Detect the layout of ``root`` and list its images. Makes no split and demands nothing of the labels.

    Raises HeadstartError for a missing or empty folder, for mixed layouts, and for a broken CSV.
    """
    from headstart.data.listing import csv_tables, read_tables  # it builds on this module

    path = Path(root)
    if not path.exists():
        raise HeadstartError(f"{path}: expected a folder of images, found no such folder", f"ls {path.parent}")
    folder = path if path.is_dir() else path.parent
    tables = csv_tables(path)
    if tables:
        entries, problems = read_tables(folder, tables)
        names = ", ".join(table.name for table in tables)
        return make_index(folder, f"CSV ({names})", entries, group, problems)
    if not path.is_dir():
        raise HeadstartError(f"{path}: expected a folder of images or a CSV file, found another file", LAYOUTS)
    layout, entries = _from_folders(path)
    if not entries:
        raise HeadstartError(f"{path}: expected images, found none ({_what_is_there(path)})", LAYOUTS)
    return make_index(path, layout, entries, group)


def _from_folders(root: Path) -> tuple[str, list[Entry]]:
    inside: dict[str, list[str]] = {}
    for image in images_below(root):
        top, _, rest = image.rpartition("/") if "/" not in image else image.partition("/")
        inside.setdefault(top, []).append(rest)
    loose = inside.pop("", [])
    if not inside:
        return _from_files(loose, "", "")
    if loose:
        raise _mixed(root, f"{len(loose)} images (such as {loose[0]})", f"folders of images (such as {min(inside)}/)")
    splits = {name: split_named(name) for name in inside}
    meant = {split for split in splits.values() if split}
    if None in splits.values() and len(meant) > 1:
        stray = min(name for name, split in splits.items() if split is None)
        raise _mixed(root, f"the split folders {', '.join(sorted(filter(None, meant)))}", f"the folder {stray}/")
    if None in splits.values() or len(inside) == 1:
        return "folder per class", [(f"{c}/{r}", c, "", "") for c, rest in inside.items() for r in rest]
    if "train" not in meant:
        raise HeadstartError(f"{root}: expected a train folder, found only {', '.join(sorted(inside))}", LAYOUTS)
    parts = [_from_split(root, name, str(splits[name]), inside[name]) for name in sorted(inside)]
    phrases = {phrase for phrase, entries in parts if entries}
    if len(phrases) > 1:
        raise _mixed(root, *sorted(phrases))
    return f"{', '.join(sorted(inside))}: {phrases.pop()}", [entry for _, entries in parts for entry in entries]


def _from_split(root: Path, folder: str, split: str, images: list[str]) -> tuple[str, list[Entry]]:
    nested = [image for image in images if "/" in image]
    if not nested:
        return _from_files(images, f"{folder}/", split)
    if len(nested) < len(images):
        flat = next(image for image in images if "/" not in image)
        raise _mixed(root / folder, f"images (such as {flat})", f"class folders (such as {nested[0].split('/')[0]}/)")
    return "folder per class", [(f"{folder}/{i}", i.partition("/")[0], split, "") for i in nested]


def _from_files(names: list[str], prefix: str, split: str) -> tuple[str, list[Entry]]:
    """``{class}_{id}.ext`` files when every name reads so and more than one class comes of it."""
    matches = [re.match(r"(.+)_\d+\.\w+$", name) for name in names]
    classes = [match.group(1) for match in matches if match]
    if len(classes) == len(names) and (len(set(classes)) > 1 or split):
        return "{class}_{id} names", [(prefix + n, c, split, "") for n, c in zip(names, classes, strict=True)]
    return "flat folder, no labels", [(prefix + name, None, split, "") for name in names]


def _mixed(place: Path, one: str, other: str) -> HeadstartError:
    return HeadstartError(f"{place}: expected one layout, found two mixed: {one} and {other}", LAYOUTS)


def _what_is_there(root: Path) -> str:
    count = Counter(file.suffix.lower() or "no suffix" for file in root.rglob("*") if file.is_file())
    return ", ".join(f"{n} {suffix} files" for suffix, n in count.most_common(3)) or "the folder is empty"
