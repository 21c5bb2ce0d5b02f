"""Notes on classes that were read from folders and names: folders that give no image, names that look alike."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from headstart.data.index import Entry, Note, splits_named
from headstart.data.reading import LayoutName
from headstart.data.tree import Tree
from headstart.errors import quoted

MIN_SAME_NAMES = 8
ORDINARY = frozenset([".txt", ".csv", ".tsv", ".json", ".xml", ".md", ".yaml", ".yml", ".html", ".pdf", ".py"])
"""Files that a folder of notes or annotations holds."""


def folder_notes(tree: Tree, base: str, name: LayoutName, entries: Sequence[Entry]) -> Iterable[Note]:
    if name == "folders":
        yield from _folders_without_images(tree, base, entries)
        yield from case_variants({entry.label or "" for entry in entries})
        yield from _folders_inside(tree, base, entries)
        yield from _same_names(entries)
    if name == "names":
        message = f"Classes are read from file names: {entries[0].path} is {entries[0].label}"
        yield Note("names", "note", message, (), "--layout none reads no labels")


def _folders_without_images(tree: Tree, base: str, entries: Sequence[Entry]) -> Iterable[Note]:
    """Folders at the level of the class folders that give no image: a class that would vanish."""
    above = {entry.path.removeprefix(base).rpartition(f"{entry.label}/")[0] for entry in entries}
    with_images = {path.rsplit("/", n)[0] for path in tree.images for n in range(1, path.count("/") + 1)}
    for folder in sorted(tree.folders):
        parent = folder.removeprefix(base).rpartition("/")[0]
        level = f"{parent}/" if parent else ""
        if not folder.startswith(base) or level not in above or folder in with_images:
            continue
        files = [path for path in (*tree.others, *tree.tables) if path.startswith(f"{folder}/")]
        kinds = Counter(os.path.splitext(path)[1].lower() or "no suffix" for path in files)  # noqa: PTH122
        reasons = {why.words for path in files if (why := tree.others.get(path)) and why.words}
        found = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(3)) or "nothing"
        ordinary = files and kinds.keys() <= ORDINARY and not reasons
        fix = "; ".join(sorted(reasons)[:2]) or "put images in it, convert its files to PNG, or delete the folder"
        message = f"{folder}/ holds no image that headstart reads ({found})"
        severity: Literal["note", "error"] = "note" if ordinary else "error"
        yield Note("folder without images", severity, message, tuple(files) or (f"{folder}/",), fix)


def case_variants(classes: set[str]) -> Iterable[Note]:
    """Classes whose names differ in case or spaces only, or are one number: Hat and hat, 007 and 7, 1 and 1.0."""
    alike: dict[str, list[str]] = {}
    for name in sorted(classes):
        plain = re.sub(r"[\s_-]+", " ", name.strip().casefold())
        number = re.fullmatch(r"0*(\d+)(?:\.0*)?", plain)
        alike.setdefault(number.group(1) if number else plain, []).append(name)
    if some := [names for names in alike.values() if len(names) > 1]:
        listed = "; ".join(" and ".join(f'"{name}"' for name in names) for names in some[:3])
        message = f"Classes that differ in case, spaces or zeros only: {listed}"
        yield Note("classes alike", "warning", message, (), "give them one name")


def _folders_inside(tree: Tree, base: str, entries: Sequence[Entry]) -> Iterable[Note]:
    """Class folders with several folders inside, which may be the classes that were meant."""
    inside: dict[str, set[str]] = {}
    for entry in entries:
        before, found, after = f"/{entry.path}".partition(f"/{entry.label}/")
        if found and "/" in after and not before.endswith(f"/{entry.label}"):
            inside.setdefault(entry.label or "", set()).add(after.split("/")[0])
    several = sorted(
        label for label, folders in inside.items() if len(folders) > 1 and not all(splits_named(folders).values())
    )
    if several:
        some = ", ".join(sorted(inside[several[0]])[:3])
        message = f"Folders inside a class are not told apart: {several[0]}/ holds {some}"
        inner = os.path.abspath(tree.root / base / several[0])  # noqa: PTH100 (a link stays as it is; typed from anywhere)
        yield Note("folders in a class", "note", message, (), f"to train on those: `headstart check {quoted(inner)}`")


def _same_names(entries: Sequence[Entry]) -> Iterable[Note]:
    """Two class folders with files of the same names, more than counted numbers: perhaps two pictures of each thing."""
    stems: dict[str, set[str]] = {}
    for entry in entries:
        stems.setdefault(entry.label or "", set()).add(os.path.splitext(entry.path.rpartition("/")[2])[0])  # noqa: PTH122
    if len(stems) != 2:
        return
    (one, first), (other, second) = stems.items()
    same = [stem for stem in first & second if len(re.sub(r"\d+", "", stem)) > 1 or len(stem) > 6]
    if len(same) >= MIN_SAME_NAMES and len(same) >= 0.9 * max(len(first), len(second)):
        message = (
            f"{len(same):,} files of {one} and {other} have the same names: two classes, or two pictures of each thing?"
        )
        fix = f"if {other} holds masks: --layout pairs; if it is no class: move it elsewhere"
        yield Note("same names", "warning", message, (), fix)
