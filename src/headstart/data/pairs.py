"""Layouts of image and mask pairs: by file names in one folder, or in folders of images and of masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from headstart.data.index import Entry, Index, make_index, natural_key, splits_named
from headstart.data.masks.palette_files import read_palette
from headstart.errors import HeadstartError

IMAGE_FOLDERS = frozenset(["images", "image", "imgs", "img"])
MASK_FOLDERS = frozenset(["masks", "mask", "labels", "label", "annotations", "annotation"])
NO_MASK, NO_IMAGE = "image without mask", "mask without image"
"""Kinds of problems of an index of pairs."""


@dataclass(frozen=True)
class Pairs:
    """Images of a folder, each with its mask."""

    layout: str
    """The layout that was detected, in words."""
    mask_of: dict[str, str]
    """Image -> mask, or "" without one."""
    unpaired_masks: tuple[str, ...]
    """Masks without an image."""
    images_elsewhere: tuple[str, ...] = ()
    """Images outside the folders of images and masks."""


def find_pairs(paths: Sequence[str]) -> Pairs | None:
    """Detect pairs among ``paths``, image files relative to a folder; None if the layout is another."""
    return _pairs_in_folders(paths) or _pairs_by_name(paths)


def pairs_index(root: Path, pairs: Pairs, group: str | None) -> Index:
    """An index of pairs, still without classes (see `with_classes`). Unpaired files are among its problems.

    Images of a validation or test split that has no masks at all are for `headstart predict`, and no problem. Raises
    HeadstartError for images outside the folders of images and masks, unless they are of a test split.
    """
    split_of, split_folders = _splits([*pairs.mask_of, *pairs.images_elsewhere])
    elsewhere = [path for path in pairs.images_elsewhere if split_of[path] != "test"]
    if elsewhere:
        raise HeadstartError(
            f"{root}: expected one layout, found two mixed: {pairs.layout} and images elsewhere"
            f" (such as {elsewhere[0]})",
            "headstart check --help",
        )
    layout = f"{', '.join(split_folders)}: {pairs.layout}" if split_folders else pairs.layout
    index = make_index(root, layout, [Entry(path, None, split_of[path]) for path in pairs.mask_of], group)
    index = replace(index, masks=tuple(pairs.mask_of[path] for path in index.paths))
    for_prediction = set(rows_without_masks(index))
    no_mask = [index.paths[row] for row, mask in enumerate(index.masks) if not mask and row not in for_prediction]
    no_image = sorted(pairs.unpaired_masks, key=natural_key)
    problems = [*((NO_MASK, path) for path in no_mask), *((NO_IMAGE, path) for path in no_image)]
    return replace(index, problems=tuple(problems))


def rows_without_masks(index: Index) -> list[int]:
    """Rows of a validation or test split that has no masks at all: used neither in training nor in validation."""
    found: list[int] = []
    for split in ("val", "test"):
        rows = index.positions(split)
        if index.masks and not any(index.masks[row] for row in rows):
            found += rows
    return found


def with_classes(index: Index, ignore: Iterable[str] = ()) -> Index:
    """An index of pairs with the palette of its masks. Raises HeadstartError as `read_palette` does."""
    palette = read_palette(index.root, [index.root / mask for mask in index.masks if mask], ignore)
    return replace(index, palette=palette, classes=palette.classes)


def without_masks(index: Index) -> Index:
    """The images of an index of pairs, without masks and classes."""
    kept = tuple(problem for problem in index.problems if problem[0] not in (NO_MASK, NO_IMAGE))
    return replace(index, masks=(), palette=None, classes=() if index.masks else index.classes, problems=kept)


class _Classified(NamedTuple):
    """A file in a folder of images or of masks."""

    path: str
    is_mask: bool
    above: tuple[str, ...]
    """The folders above the folder of images or masks."""
    folder: str
    """The folder of images or masks itself."""
    key: tuple[str, ...]
    """All other folders of the path and the stem: equal for an image and its mask."""


def _pairs_in_folders(paths: Sequence[str]) -> Pairs | None:
    """``images/13.jpg`` and ``masks/13.png``, with train/ and val/ outside or inside these folders.

    ``images`` beside ``masks`` is such a layout by name. Other names (``imgs`` and ``labels``) are one only if at
    least one image has a mask of its stem: they may as well be classes.
    """
    files, elsewhere = _classify(paths)
    # Join by stem. Of two files with one stem, the second has no partner.
    images: dict[tuple[str, ...], str] = {}
    masks: dict[tuple[str, ...], str] = {}
    second_images: list[str] = []
    unpaired: list[str] = []
    for file in files:
        if file.is_mask and masks.setdefault(file.key, file.path) != file.path:
            unpaired.append(file.path)
        elif not file.is_mask and images.setdefault(file.key, file.path) != file.path:
            second_images.append(file.path)
    mask_of = {path: masks.pop(key, "") for key, path in images.items()}
    if not any(mask_of.values()) and not _named_images_and_masks(files):
        return None
    unpaired += masks.values()
    folders = dict.fromkeys(file.folder for file in files)
    layout = f"pairs in {' and '.join(folders)}"
    return Pairs(layout, mask_of | dict.fromkeys(second_images, ""), tuple(unpaired), tuple(elsewhere))


def _classify(paths: Sequence[str]) -> tuple[list[_Classified], list[str]]:
    """The files in folders of images and of masks, by the outermost such folder; and the paths of all others."""
    files: list[_Classified] = []
    elsewhere: list[str] = []
    for path in sorted(paths, key=natural_key):
        *folders, name = path.split("/")
        at = next((i for i, each in enumerate(folders) if each.casefold() in IMAGE_FOLDERS | MASK_FOLDERS), None)
        if at is None:
            elsewhere.append(path)
            continue
        is_mask = folders[at].casefold() in MASK_FOLDERS
        stem = _stem_without("mask" if is_mask else "sat", name)
        key = (*folders[:at], "", *folders[at + 1 :], stem)  # "": images/train/1 is not train/images/1
        files.append(_Classified(path, is_mask, tuple(folders[:at]), folders[at], key))
    return files, elsewhere


def _named_images_and_masks(files: Sequence[_Classified]) -> bool:
    """Whether a folder called images (or img, ...) and one called masks (or mask) stand side by side."""
    image_parents = {file.above for file in files if not file.is_mask}
    mask_parents = {file.above for file in files if file.folder.casefold() in ("mask", "masks")}
    return bool(image_parents & mask_parents)


def _pairs_by_name(paths: Sequence[str]) -> Pairs | None:
    """``13_mask.png`` beside ``13_sat.jpg`` or ``13.jpg``, if at least half of the masks have an image."""
    # Classify by name: masks by folder and stem, all others are images.
    masks: dict[tuple[str, str], str] = {}
    unpaired, images = [], []
    for path in sorted(paths, key=natural_key):
        file = PurePosixPath(path)
        stem = _stem_without("mask", file.name)
        if stem == file.stem:
            images.append(path)
        elif masks.setdefault((str(file.parent), stem), path) != path:
            unpaired.append(path)
    # Join by stem, 13_sat.jpg before 13.jpg.
    count = len(masks)
    mask_of = {}
    for path in sorted(images, key=lambda path: (not PurePosixPath(path).stem.endswith("_sat"), natural_key(path))):
        file = PurePosixPath(path)
        mask_of[path] = masks.pop((str(file.parent), _stem_without("sat", file.name)), "")
    if 2 * sum(map(bool, mask_of.values())) < max(1, count):
        return None
    return Pairs("pairs by name", mask_of, (*unpaired, *masks.values()))


def _stem_without(ending: str, name: str) -> str:
    """``0013_mask.png`` -> 0013"""
    return re.sub(f"[_-]{ending}$", "", PurePosixPath(name).stem, flags=re.IGNORECASE)


def _splits(paths: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Path -> split, by its outermost folder that is named after one; and the names of these folders."""
    folders = {path: path.split("/")[:-1] for path in paths}
    split_of_folder = splits_named({folder for some in folders.values() for folder in some})
    found = {path: next((each for each in some if split_of_folder[each]), "") for path, some in folders.items()}
    split_of = {path: split_of_folder.get(folder) or "" for path, folder in found.items()}
    return split_of, sorted({folder for folder in found.values() if folder})
