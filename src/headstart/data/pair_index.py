"""An index of pairs: its splits, its problems, the classes of its masks, and the images alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from headstart.data.index import Entry, Index, natural_key, splits_named
from headstart.data.masks.palette_files import read_palette
from headstart.data.pair_names import is_image_word, is_mask_word, split_word

NO_MASK, NO_IMAGE = "image without mask", "mask without image"
"""Kinds of problems of an index of pairs."""


def pair_splits(paths: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Path -> split, by its outermost folder that is named after one; and the names of these folders."""
    folders = {path: path.split("/")[:-1] for path in paths}
    names = {folder for some in folders.values() for folder in some}
    split_of = splits_named(names)
    # imagesTr, ISIC2018_Training_Input: a split among the words of a folder of images.
    within = {name: split_word(name) for name in names if is_image_word(name) or is_mask_word(name)}
    if len({split for split in within.values() if split}) > 1:
        split_of |= {name: split for name, split in within.items() if split and not split_of[name]}
    found = {path: next((each for each in some if split_of[each]), "") for path, some in folders.items()}
    return (
        {path: split_of.get(folder) or "" for path, folder in found.items()},
        sorted({folder for folder in found.values() if folder}),
    )


def rows_without_masks(index: Index) -> list[int]:
    """Rows of a validation or test split that has no masks at all: used neither in training nor in validation."""
    found: list[int] = []
    for split in ("val", "test"):
        rows = index.positions(split)
        if index.masks and not any(index.masks[row] for row in rows):
            found += rows
    return found


def pair_problems(entries: Sequence[Entry], unpaired: Sequence[str]) -> list[tuple[str, str]]:
    """Images without a mask, unless their whole split waits for prediction, and masks without an image."""
    waiting = {s for s in ("val", "test") if not any(entry.mask for entry in entries if entry.split == s)}
    no_mask = sorted((e.path for e in entries if not e.mask and e.split not in waiting), key=natural_key)
    return [*((NO_MASK, path) for path in no_mask), *((NO_IMAGE, path) for path in sorted(unpaired, key=natural_key))]


def with_classes(index: Index, ignore: Iterable[str] = ()) -> Index:
    """An index of pairs with the palette of its masks. Raises HeadstartError as `read_palette` does."""
    palette = read_palette(index.root, [index.root / mask for mask in index.masks if mask], ignore)
    return replace(index, palette=palette, classes=palette.classes)


def without_masks(index: Index) -> Index:
    """The images of an index of pairs, without masks and classes."""
    kept = tuple(problem for problem in index.problems if problem[0] not in (NO_MASK, NO_IMAGE))
    return replace(index, masks=(), palette=None, classes=() if index.masks else index.classes, problems=kept)
