"""Detect the layout of a folder and list its images as an Index. A layout that is not understood is an error."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from headstart.data.csv_index import csv_tables, read_tables, split_tables
from headstart.data.index import Entry, Index, images_below, make_index, splits_named
from headstart.data.pairs import find_pairs, pairs_index
from headstart.errors import HeadstartError

LAYOUTS = "headstart check --help"
"""The hint of errors about layouts."""


def scan(root: str | os.PathLike[str], group: str | None = None) -> Index:
    """Detect the layout of ``root`` and list its images. Makes no split and requires no labels.

    ``root`` is a folder or a CSV file; ``group`` is a regular expression as `recipe.Data.group_regex`. Raises
    HeadstartError for a missing or empty folder, for mixed layouts, and for a malformed CSV.
    """
    path = Path(root)
    if not path.exists():
        raise HeadstartError(f"{path}: expected a folder of images, found no such folder", f"ls {path.parent}")
    # CSV files come first, then pairs of images and masks, then folders and file names.
    if tables := csv_tables(path):
        return _from_tables(path if path.is_dir() else path.parent, tables, group)
    if not path.is_dir():
        raise HeadstartError(f"{path}: expected a folder of images or a CSV file, found another file", LAYOUTS)
    images = images_below(path)
    if pairs := find_pairs(images):
        return pairs_index(path, pairs, group)
    layout, entries = _from_folders(path, images)
    if len({entry.label for entry in entries} - {None}) < 2 and (tables := split_tables(path)):
        return _from_tables(path, tables, group)  # without classes in the folders, train.csv must hold the labels
    if not entries:
        raise HeadstartError(f"{path}: expected images, found none ({_describe_files(path)})", LAYOUTS)
    return make_index(path, layout, entries, group)


def _from_tables(folder: Path, tables: list[Path], group: str | None) -> Index:
    entries, problems = read_tables(folder, tables)
    return make_index(folder, f"CSV ({', '.join(table.name for table in tables)})", entries, group, problems)


def _from_folders(root: Path, images: list[str]) -> tuple[str, list[Entry]]:
    """Layout and entries by the top-level folders: splits, classes, or none."""
    # Top-level folder -> its images, relative to it.
    images_in: dict[str, list[str]] = {}
    for image in images:
        top, _, rest = image.rpartition("/") if "/" not in image else image.partition("/")
        images_in.setdefault(top, []).append(rest)
    loose = images_in.pop("", [])
    if not images_in:
        return _from_files(loose, "", "")
    if loose:
        folders = f"folders of images (such as {min(images_in)}/)"
        raise _mixed(root, f"{len(loose)} images (such as {loose[0]})", folders)
    # The folders are classes unless all are named after splits.
    split_of = splits_named(images_in)
    if None in split_of.values():
        return _from_class_folders(root, images_in, split_of)
    if "train" not in split_of.values():
        if len(images_in) == 1:
            return "folder per class", [Entry(f"{c}/{i}", c) for c, inside in images_in.items() for i in inside]
        raise HeadstartError(f"{root}: expected a train folder, found only {', '.join(sorted(images_in))}", LAYOUTS)
    # Within the splits there must be one layout.
    parts = [_from_split(root, name, str(split_of[name]), images_in[name]) for name in sorted(images_in)]
    layouts = {layout for layout, entries in parts if entries}
    if len(layouts) > 1:
        raise _mixed(root, *sorted(layouts))
    return f"{', '.join(sorted(images_in))}: {layouts.pop()}", [entry for _, entries in parts for entry in entries]


def _from_class_folders(
    root: Path, images_in: dict[str, list[str]], split_of: dict[str, str | None]
) -> tuple[str, list[Entry]]:
    """A folder per class, perhaps with train/ and val/ folders inside. ``split_of``: of the top-level folders."""
    # (class, image relative to its folder, first folder inside)
    rows = [(c, i, i.rpartition("/")[0].partition("/")[0]) for c, inside in images_in.items() for i in inside]
    split_within = splits_named({folder for _, _, folder in rows})
    found = set(split_within.values())
    if {"train", "val"} <= found and None in found:
        stray = next(f"{c}/{image}" for c, image, folder in rows if split_within[folder] is None)
        raise _mixed(root, "folders per class with splits inside", f"images in none of these (such as {stray})")
    if None not in found and "train" in found:
        entries = [Entry(f"{c}/{image}", c, str(split_within[folder])) for c, image, folder in rows]
        return "folder per class, splits inside", entries
    # One folder named after a split may be a class; two, or one with folders inside, are splits beside something else.
    named = sorted(name for name, split in split_of.items() if split)
    if len({split_of[name] for name in named}) > 1 or any("/" in image for name in named for image in images_in[name]):
        stray = min(name for name, split in split_of.items() if split is None)
        what = f"the split folder{'s' if len(named) > 1 else ''} {', '.join(named)}"
        raise _mixed(root, what, f"the folder {stray}/")
    return "folder per class", [Entry(f"{c}/{image}", c) for c, image, _ in rows]


def _from_split(root: Path, folder: str, split: str, images: list[str]) -> tuple[str, list[Entry]]:
    nested = [image for image in images if "/" in image]
    if not nested:
        return _from_files(images, f"{folder}/", split)
    if len(nested) < len(images):
        flat = next(image for image in images if "/" not in image)
        raise _mixed(root / folder, f"images (such as {flat})", f"class folders (such as {nested[0].split('/')[0]}/)")
    return "folder per class", [Entry(f"{folder}/{image}", image.partition("/")[0], split) for image in nested]


def _from_files(names: list[str], prefix: str, split: str) -> tuple[str, list[Entry]]:
    """``{class}_{id}.ext`` if all names are of this form, with more than one class or a split; else unlabeled."""
    matches = [re.match(r"(.+)_\d+\.\w+$", name) for name in names]
    classes = [match.group(1) for match in matches if match]
    if len(classes) == len(names) and (len(set(classes)) > 1 or split):
        return "{class}_{id} names", [Entry(prefix + n, c, split) for n, c in zip(names, classes, strict=True)]
    return "flat folder, no labels", [Entry(prefix + name, None, split) for name in names]


def _mixed(folder: Path, one: str, other: str) -> HeadstartError:
    return HeadstartError(f"{folder}: expected one layout, found two mixed: {one} and {other}", LAYOUTS)


def _describe_files(root: Path) -> str:
    count = Counter(file.suffix.lower() or "no suffix" for file in root.rglob("*") if file.is_file())
    return ", ".join(f"{n} {suffix} files" for suffix, n in count.most_common(3)) or "the folder is empty"
