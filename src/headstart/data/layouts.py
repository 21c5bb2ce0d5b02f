"""Read a folder: every reading that its files allow is made, the clear one is taken, and doubt is an error.

A reading is a table of labels, images with masks, a folder per class, or names that begin with a class. All files
below the folder are used, or listed with the reason why they are not (`Index.unused`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from headstart.data.annotations import overlap_notes, read_coco, unread_annotations
from headstart.data.csv_index import Tables, find_tables, only_labels, read_tables
from headstart.data.folder_notes import case_variants
from headstart.data.folders import read_folders
from headstart.data.index import Entry, Index, Note, make_index, natural_key, split_named, splits_named
from headstart.data.masks.combined import combine_masks
from headstart.data.masks.likeness import looks_like_mask
from headstart.data.masks.palette_files import palette_file
from headstart.data.pair_index import pair_problems, pair_splits
from headstart.data.pair_names import is_image_word
from headstart.data.pairs import Pairs, find_pairs, masks_among
from headstart.data.reading import Reading, of_one_class_each
from headstart.data.split_lists import with_listed_splits
from headstart.data.tree import Tree, describe_files, refuse_own_folder, walk
from headstart.data.unused import ORDINARY, Kind, Reason
from headstart.errors import HeadstartError, quoted
from headstart.files import similar_beside

HELP = "headstart check --help"
TEST_IMAGE = Reason(Kind.WAITING, "in a test folder, without a label: for headstart predict")
Layout = Literal["auto", "table", "pairs", "folders", "names", "none"]


@dataclass(frozen=True)
class Choice:
    """What the user says about a folder (`recipe.Data`): how to read it, and which column of a table is what."""

    layout: Layout = "auto"
    columns: str | None = None


def require_folder(path: Path) -> None:
    """Raise HeadstartError, with similar names beside it, where there is nothing at ``path``."""
    if not path.exists():
        hint = similar_beside(path, (".csv", ".tsv"))
        raise HeadstartError(
            f"{path}: expected a folder of images, found no such folder{hint}", f"ls {quoted(path.parent)}"
        )


def scan(root: str | os.PathLike[str], group: str | None = None, choice: Choice | None = None) -> Index:
    """List the images of ``root`` with their labels or masks. Makes no split and requires no labels.

    ``root`` is a folder or a CSV file; ``group`` is a regular expression as `recipe.Data.group_regex`. Raises
    HeadstartError for a missing or empty folder, for one that may be read in two ways, and for a malformed table.
    """
    path, choice = Path(root), choice or Choice()
    require_folder(path)
    if choice.layout not in get_args(Layout):
        raise HeadstartError(f"--layout {choice.layout}: expected one of {', '.join(get_args(Layout))}", HELP)
    only = None
    if not path.is_dir():
        if path.suffix.lower() not in (".csv", ".tsv"):
            raise HeadstartError(f"{path}: expected a folder of images or a CSV file, found another file", HELP)
        path, only = path.parent, path.name
    refuse_own_folder(path)
    tree = walk(path)
    tables = find_tables(tree, choice.columns, only)
    reading = _chosen(tree, tables, choice, only)
    if not reading.entries and not reading.problems:
        raise HeadstartError(f"{path}: expected images, found none ({describe_files(tree)})", HELP)
    index = make_index(path, reading.layout, reading.entries, group, reading.problems)
    index = replace(index, notes=reading.notes, sources=tuple(sorted(reading.sources)))
    return replace(index, unused=tuple(_unused(tree, tables, reading, index)))


def _chosen(tree: Tree, tables: Tables, choice: Choice, only: str | None) -> Reading:
    """The reading that was asked for, or the one that is clear."""
    if only or choice.layout == "table" or choice.columns:
        if not tables.labeled:
            raise _no_table(tree, tables, only)
        return read_tables(tree.root, tables, tree)
    if choice.layout == "pairs":
        pairs = find_pairs(tree.images) or find_pairs(tree.images, _likeness(tree))
        if pairs is None:
            raise HeadstartError(
                f"{tree.root}: expected images with masks (--layout pairs), found no names that pair up",
                "name each mask after its image: masks/7.png for images/7.jpg",
            )
        return _pairs_reading(tree, pairs)
    if choice.layout != "auto":
        masks = masks_among(tree.images, _likeness(tree)) if choice.layout != "none" else frozenset()
        reading = read_folders(replace(tree, images=[path for path in tree.images if path not in masks]), choice.layout)
        return replace(reading, unused={**reading.unused, **dict.fromkeys(masks, Reason(Kind.UNLISTED, "a mask"))})
    if not tree.images:
        return Reading("none", "", ())
    pairs = find_pairs(tree.images, _likeness(tree))
    if pairs is not None:
        return _pairs_or_table(tree, _pairs_reading(tree, pairs), tables)
    return _folders_or_table(tree, tables)


def _pairs_or_table(tree: Tree, pairs: Reading, tables: Tables) -> Reading:
    named = only_labels(tables, named=True)
    if named.labeled:
        table = read_tables(tree.root, named, tree)
        if table.name == "pairs":
            return table
        raise _two_readings(tree, pairs, table)
    masks = {entry.mask for entry in pairs.entries} | {*pairs.sources, *pairs.unused} | {p for _, p in pairs.problems}
    try:
        other = read_folders(replace(tree, images=[path for path in tree.images if path not in masks]))
    except HeadstartError:
        return pairs
    split_names = other.name == "names" and any(entry.split for entry in other.entries)  # numbers of films and places
    classes = {entry.label for entry in other.entries if entry.label and not is_image_word(entry.label)}
    if split_names or len(classes) < 2:
        return pairs
    note = Note("two readings", "note", f"{other.evidence} as well", (), f"to train on those: --layout {other.name}")
    return replace(pairs, notes=(*pairs.notes, note))


def _folders_or_table(tree: Tree, tables: Tables) -> Reading:
    """By a table of labels, if there is one that folders do not contradict; else by folders and names."""
    try:
        folders, refusal = read_folders(tree), None
    except HeadstartError as error:
        folders, refusal = Reading("none", "", ()), error
    # Beside class folders, a table counts only if it says which column is the label.
    tables = only_labels(tables, named=folders.labeled)
    if tables.labeled:
        return _table_beside_folders(tree, tables, folders)
    if folders.labeled:
        return folders
    # Nothing tells the labels: what was meant to is wrong, or in another file.
    wrong = next(iter(tables.unclear.values()), None) or refusal or _without_labels(tables)
    if wrong:
        raise wrong
    return read_coco(tree) or replace(folders, notes=(*folders.notes, *unread_annotations(tree)))


def _table_beside_folders(tree: Tree, tables: Tables, folders: Reading) -> Reading:
    """The reading of the tables, unless the folders tell other classes, or many more images."""
    for path, unclear in tables.unclear.items():  # val.csv beside train.csv is meant as well
        if split_named(Path(path).stem):
            raise unclear
    table = read_tables(tree.root, tables, tree)
    if folders.name == "folders" and not of_one_class_each(table, folders):
        raise _two_readings(tree, table, folders)
    if folders.labeled and 2 * len(table.entries) < len(folders.entries):
        raise _two_readings(tree, table, folders)
    classes = {entry.label or "" for entry in table.entries}
    return replace(table, notes=(*table.notes, *case_variants(classes)))


def _likeness(tree: Tree) -> Callable[[str], bool | None]:
    return lambda path: looks_like_mask(tree.root / path)


def _pairs_reading(tree: Tree, pairs: Pairs) -> Reading:
    """Entries with masks. Images outside the folders of images and masks are a mixture, unless of a test split."""
    split_of, split_folders = pair_splits([*pairs.mask_of, *pairs.images_elsewhere])
    elsewhere = [path for path in pairs.images_elsewhere if split_of[path] != "test"]
    if elsewhere:
        raise HeadstartError(
            f"{tree.root}: expected one layout, found two mixed: {pairs.layout} and images elsewhere"
            f" (such as {elsewhere[0]})",
            "move them elsewhere, or say how to read the folder: --layout pairs, folders, names or none",
        )
    combined, overlaps = _combined(tree, pairs)
    entries = [Entry(path, None, split_of[path], "", combined.get(path, mask)) for path, mask in pairs.mask_of.items()]
    lists: list[str] = []
    unlisted: list[str] = []
    if not any(entry.split for entry in entries):
        entries, lists, unlisted = with_listed_splits(tree, entries)
    layout = f"{', '.join(split_folders)}: {pairs.layout}" if split_folders else pairs.layout
    in_no_list = Reason(Kind.WAITING, f"in none of the lists ({', '.join(lists)})")
    masks_left = {pairs.mask_of[path] for path in unlisted} - {""}
    to_predict = Reason(Kind.WAITING, "in a test folder, without a mask: for headstart predict")
    unused = dict(pairs.unused) | dict.fromkeys((*unlisted, *masks_left), in_no_list)
    unused |= dict.fromkeys(pairs.images_elsewhere, to_predict)
    return Reading(
        "pairs",
        layout,
        tuple(entries),
        pairs.evidence,
        (*pairs.notes, *overlaps),
        tuple(pair_problems(entries, pairs.unpaired_masks)),
        (*lists, *(mask for some in pairs.parts.values() for _, mask in some)),
        unused,
    )


def _combined(tree: Tree, pairs: Pairs) -> tuple[Mapping[str, str], list[Note]]:
    """Image -> the mask that its several masks make together, in the cache; and where they overlap."""
    if not pairs.parts:
        return {}, []
    parts = {
        image: [(label or "foreground", tree.root / mask) for label, mask in some]
        for image, some in pairs.parts.items()
    }
    drawn = combine_masks(parts)
    return {image: str(mask) for image, mask in drawn.mask_of.items()}, overlap_notes(drawn)


def _no_table(tree: Tree, tables: Tables, only: str | None) -> HeadstartError:
    if tables.unclear:
        return next(iter(tables.unclear.values()))
    if missing := _without_labels(tables):
        return missing
    found = (
        f"{only}: {tables.unused[only].words}" if only and only in tables.unused else "no table that lists its images"
    )
    return HeadstartError(f"{tree.root}: expected a table of labels, found {found}", HELP)


def _without_labels(tables: Tables) -> HeadstartError | None:
    """The error of a table that lists the images but no labels, unless it is one of a test set."""
    table = next((t for t in tables.unlabeled if split_named(Path(t.path).stem) != "test"), None)
    if table is None:
        return None
    header = [name for name in table.content.header if name != table.columns.file]
    return HeadstartError(
        f"{table.content.file}: expected a column label beside {table.columns.file}, found"
        f" {', '.join(header) or 'no other column'}",
        f"--columns label={header[0]}"
        if header
        else f"name the columns on the first line of {table.content.file.name}",
    )


def _two_readings(tree: Tree, one: Reading, other: Reading) -> HeadstartError:
    return HeadstartError(
        f"{tree.root}: expected one way to read it, found two: {one.layout} ({one.evidence}) and {other.layout}"
        f" ({other.evidence})",
        f"headstart check {quoted(tree.root)} --layout {one.name}, or --layout {other.name} (data.layout in a recipe)",
    )


def _unused(tree: Tree, tables: Tables, reading: Reading, index: Index) -> list[tuple[str, Reason]]:
    """All files that the index does not use, with the reason; files of the system last."""
    masks = [index.root / mask for mask in index.masks if mask]
    named = palette_file(index.root, masks) if masks else None
    used = {*index.paths, *index.masks, *index.sources}
    used |= {os.path.relpath(named, index.root).replace(os.sep, "/")} if named else set()
    listed = {path for kind, path in index.problems}
    reasons = {table.path: Reason(Kind.ORDINARY, "lists images without labels") for table in tables.unlabeled}
    reasons |= {table.path: Reason(Kind.ORDINARY, "its labels are not used") for table in tables.labeled}
    reasons |= tables.unused | tree.others | dict(reading.unused)
    left = Reason(Kind.UNLISTED, "in no row of the table" if reading.name == "table" else "not part of the layout")
    split_of = splits_named({path.split("/")[0] for path in tree.images})
    tests = {path for path in tree.images if split_of[path.split("/")[0]] == "test"}
    files = {path: TEST_IMAGE if path in tests else left for path in tree.images}
    files |= dict.fromkeys((*tree.tables, *tree.others), ORDINARY)
    unused = [(path, default) for path, default in files.items() if path not in used and path not in listed]
    unused = [(path, why if (why := reasons.get(path)) and why.words else default) for path, default in unused]
    return [*sorted(unused, key=lambda each: natural_key(each[0])), *sorted(tree.system.items())]
