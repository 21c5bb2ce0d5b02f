"""Folder -> Index: the layout is detected and said; what cannot be understood is an error that says why."""

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
"""What to type next when a layout is not understood."""


def scan(root: str | os.PathLike[str], group: str | None = None) -> Index:
    """Detect the layout of ``root`` and list its images. Makes no split and demands nothing of the labels.

    Raises HeadstartError for a missing or empty folder, for mixed layouts, and for a broken CSV.
    """
    path = Path(root)
    if not path.exists():
        raise HeadstartError(f"{path}: expected a folder of images, found no such folder", f"ls {path.parent}")
    if tables := csv_tables(path):
        return _from_tables(path if path.is_dir() else path.parent, tables, group)
    if not path.is_dir():
        raise HeadstartError(f"{path}: expected a folder of images or a CSV file, found another file", LAYOUTS)
    images = images_below(path)
    if pairs := find_pairs(images):
        return pairs_index(path, pairs, group)
    layout, entries = _from_folders(path, images)
    if len({label for _, label, _, _ in entries} - {None}) < 2 and (tables := split_tables(path)):
        return _from_tables(path, tables, group)  # where folders tell no classes apart, train.csv is meant to
    if not entries:
        raise HeadstartError(f"{path}: expected images, found none ({_what_is_there(path)})", LAYOUTS)
    return make_index(path, layout, entries, group)


def _from_tables(folder: Path, tables: list[Path], group: str | None) -> Index:
    entries, problems = read_tables(folder, tables)
    return make_index(folder, f"CSV ({', '.join(table.name for table in tables)})", entries, group, problems)


def _from_folders(root: Path, images: list[str]) -> tuple[str, list[Entry]]:
    inside: dict[str, list[str]] = {}
    for image in images:
        top, _, rest = image.rpartition("/") if "/" not in image else image.partition("/")
        inside.setdefault(top, []).append(rest)
    loose = inside.pop("", [])
    if not inside:
        return _from_files(loose, "", "")
    if loose:
        raise _mixed(root, f"{len(loose)} images (such as {loose[0]})", f"folders of images (such as {min(inside)}/)")
    splits = splits_named(inside)
    meant = {split for split in splits.values() if split}
    if None in splits.values():
        return _from_classes(root, inside, splits)
    if len(inside) == 1 and "train" not in meant:
        return "folder per class", [(f"{c}/{r}", c, "", "") for c, rest in inside.items() for r in rest]
    if "train" not in meant:
        raise HeadstartError(f"{root}: expected a train folder, found only {', '.join(sorted(inside))}", LAYOUTS)
    parts = [_from_split(root, name, str(splits[name]), inside[name]) for name in sorted(inside)]
    phrases = {phrase for phrase, entries in parts if entries}
    if len(phrases) > 1:
        raise _mixed(root, *sorted(phrases))
    return f"{', '.join(sorted(inside))}: {phrases.pop()}", [entry for _, entries in parts for entry in entries]


def _from_classes(root: Path, inside: dict[str, list[str]], splits: dict[str, str | None]) -> tuple[str, list[Entry]]:
    """Folders that are not all called like splits: a class each, perhaps with train/ and val/ folders inside."""
    places = [(c, image, image.rpartition("/")[0].partition("/")[0]) for c, rest in inside.items() for image in rest]
    within = splits_named({folder for _, _, folder in places})
    if {"train", "val"} <= set(within.values()) and None in within.values():
        stray = next(f"{c}/{image}" for c, image, folder in places if within[folder] is None)
        raise _mixed(root, "folders per class with splits inside", f"images in none of these (such as {stray})")
    if None not in within.values() and "train" in within.values():
        return "folder per class, splits inside", [(f"{c}/{i}", c, str(within[folder]), "") for c, i, folder in places]
    meant = sorted(name for name, split in splits.items() if split)
    if len({splits[name] for name in meant}) > 1 or any("/" in image for name in meant for image in inside[name]):
        stray = min(name for name, split in splits.items() if split is None)
        what = f"the split folder{'s' if len(meant) > 1 else ''} {', '.join(meant)}"
        raise _mixed(root, what, f"the folder {stray}/")
    return "folder per class", [(f"{c}/{image}", c, "", "") for c, image, _ in places]


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
