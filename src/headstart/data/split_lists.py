"""Lists of the images of a split: ImageSets/Segmentation/train.txt of Pascal VOC, valid.txt of CamVid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from headstart.data.index import Entry, split_named, splits_named
from headstart.data.locate import Locator
from headstart.data.tree import Tree

MAX_BYTES = 2**26
MIN_FOUND = 0.9
"""Least share of the lines that must name an image."""


def with_listed_splits(tree: Tree, entries: Sequence[Entry]) -> tuple[list[Entry], list[str], list[str]]:
    """Entries with the splits that lists tell, the lists that were read, and the images that no list names.

    Where only some splits are listed, all other images are for training.
    """
    lists = _lists(tree, [entry.path for entry in entries])
    split_of = {path: split for split, (_, paths) in lists.items() for path in paths}
    if not {"val", "test"} & lists.keys() or len(split_of) < sum(len(paths) for _, paths in lists.values()):
        return list(entries), [], []
    rest = "" if "train" in lists else "train"
    found = [entry._replace(split=split_of.get(entry.path, rest)) for entry in entries]
    return (
        [entry for entry in found if entry.split],
        [name for name, _ in lists.values()],
        [entry.path for entry in found if not entry.split],
    )


def _lists(tree: Tree, images: Sequence[str]) -> dict[str, tuple[str, set[str]]]:
    """Split -> (its list, the images listed), of the folder whose lists name the most images."""
    by_folder: dict[str, list[str]] = {}
    for path in tree.ordinary:
        if path.lower().endswith(".txt") and split_named(PurePosixPath(path).stem):
            by_folder.setdefault(str(PurePosixPath(path).parent), []).append(path)
    locator = Locator(tree.root, images)
    best: dict[str, tuple[str, set[str]]] = {}
    for files in by_folder.values():
        split_of = splits_named(PurePosixPath(path).stem for path in files)
        named = {path: str(split_of[PurePosixPath(path).stem]) for path in files}
        found = {named[path]: (path, listed) for path in files if (listed := _listed(tree, path, locator))}
        if _listed_images(found) > _listed_images(best):
            best = found
    return best


def _listed_images(lists: dict[str, tuple[str, set[str]]]) -> int:
    return sum(len(listed) for _, listed in lists.values())


def _listed(tree: Tree, path: str, locator: Locator) -> set[str]:
    """The images that the first words of a file's lines name; empty unless nearly all lines do."""
    file = tree.root / path
    try:
        if file.stat().st_size > MAX_BYTES:
            return set()
        lines = [line.strip() for line in file.read_text("utf-8-sig", errors="replace").splitlines() if line.strip()]
    except OSError:
        return set()
    found = [locator.find(line, path) or locator.find(line.split()[0], path) for line in lines]
    named = [each[0] for each in found if len(each) == 1]
    return set(named) if len(named) >= MIN_FOUND * len(lines) else set()
