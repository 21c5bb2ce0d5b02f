"""Layouts of image and mask pairs: by their names in one folder, or in folders of images and of masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from headstart.data.index import Index, make_index, natural_key, splits_named
from headstart.data.masks.palette_files import read_palette
from headstart.errors import HeadstartError

IMAGE_FOLDERS = frozenset(["images", "image", "imgs", "img"])
MASK_FOLDERS = frozenset(["masks", "mask", "labels", "label", "annotations", "annotation"])
NO_MASK, NO_IMAGE = "image without mask", "mask without image"
"""The problems of an index of pairs."""


@dataclass(frozen=True)
class Pairs:
    """The images of a folder, and the mask of each."""

    layout: str
    """What was detected, in words."""
    mask_of: dict[str, str]
    """Image -> mask, "" where it has none."""
    alone: tuple[str, ...]
    """Masks whose image is not there."""
    apart: tuple[str, ...] = ()
    """Images that lie in no folder of images or masks."""


def find_pairs(paths: Sequence[str]) -> Pairs | None:
    """The pairs among the images of a folder, as paths relative to it; None where these are no pairs."""
    return _in_folders(paths) or _by_names(paths)


def pairs_index(root: Path, pairs: Pairs, group: str | None) -> Index:
    """An index of pairs, whose classes are to be read (`with_classes`). What has no partner is among its problems.

    Images of a validation or test split in which none has a mask wait for `headstart predict`: no problem.
    Raises HeadstartError for images that lie elsewhere.
    """
    split_of, named = _splits([*pairs.mask_of, *pairs.apart])
    strays = [path for path in pairs.apart if split_of[path] != "test"]
    if strays:
        raise HeadstartError(
            f"{root}: expected one layout, found two mixed: {pairs.layout} and images elsewhere (such as {strays[0]})",
            "headstart check --help",
        )
    layout = f"{', '.join(named)}: {pairs.layout}" if named else pairs.layout
    index = make_index(root, layout, [(path, None, split_of[path], "") for path in pairs.mask_of], group)
    index = replace(index, masks=tuple(pairs.mask_of[path] for path in index.paths))
    waiting = set(rows_without_masks(index))
    bare = [index.paths[row] for row, mask in enumerate(index.masks) if not mask and row not in waiting]
    problems = [*((NO_MASK, path) for path in bare), *((NO_IMAGE, path) for path in sorted(pairs.alone, key=natural_key))]
    return replace(index, problems=tuple(problems))


def rows_without_masks(index: Index) -> list[int]:
    """The rows of pairs that are neither trained on nor judged by: of a val or test split that has no mask at all."""
    found: list[int] = []
    for split in ("val", "test"):
        rows = index.positions(split)
        if index.masks and not any(index.masks[row] for row in rows):
            found += rows
    return found


def with_classes(index: Index, ignore: Iterable[str] = ()) -> Index:
    """An index of pairs with the palette of its masks. Raises HeadstartError as `palettes.read_palette` does."""
    palette = read_palette(index.root, [index.root / mask for mask in index.masks if mask], ignore)
    return replace(index, palette=palette, classes=palette.classes)


def without_masks(index: Index) -> Index:
    """The images of an index of pairs, as if there were no masks."""
    kept = tuple(problem for problem in index.problems if problem[0] not in (NO_MASK, NO_IMAGE))
    return replace(index, masks=(), palette=None, classes=() if index.masks else index.classes, problems=kept)


def _in_folders(paths: Sequence[str]) -> Pairs | None:
    """``images/`` and ``masks/`` with the same stems, train/ and val/ outside or inside.

    Other names of these folders are believed where stems agree; ``masks`` beside ``images`` is believed by itself.
    """
    images: dict[tuple[str, ...], dict[str, str]] = {}
    masks: dict[tuple[str, ...], dict[str, str]] = {}
    second: list[str] = []
    alone: list[str] = []
    apart: list[str] = []
    names: dict[tuple[tuple[str, ...], str], None] = {}
    for path in sorted(paths, key=natural_key):
        *folders, name = path.split("/")
        at = next((i for i, each in enumerate(folders) if each.casefold() in IMAGE_FOLDERS | MASK_FOLDERS), None)
        if at is None:
            apart.append(path)
            continue
        names[tuple(folders[:at]), folders[at]] = None
        is_mask = folders[at].casefold() in MASK_FOLDERS
        table = (masks if is_mask else images).setdefault((*folders[:at], "", *folders[at + 1 :]), {})
        if table.setdefault(_without("mask" if is_mask else "sat", name), path) != path:
            (alone if is_mask else second).append(path)  # of two with one name, the second has no partner
    mask_of = {
        path: masks.get(place, {}).pop(stem, "") for place, some in images.items() for stem, path in some.items()
    }
    above: dict[bool, set[tuple[str, ...]]] = {True: set(), False: set()}
    for parents, name in names:
        if name.casefold() in IMAGE_FOLDERS or name.casefold() in ("mask", "masks"):
            above[name.casefold() in IMAGE_FOLDERS].add(parents)
    if not any(mask_of.values()) and not above[True] & above[False]:
        return None
    alone += [path for some in masks.values() for path in some.values()]
    kinds = dict.fromkeys(name for _, name in names)
    return Pairs(f"pairs in {' and '.join(kinds)}", mask_of | dict.fromkeys(second, ""), tuple(alone), tuple(apart))


def _by_names(paths: Sequence[str]) -> Pairs | None:
    """``X_mask.png`` beside ``X_sat.jpg`` or ``X.jpg``."""
    masks: dict[tuple[str, str], str] = {}
    alone, images = [], []
    for path in sorted(paths, key=natural_key):
        place = PurePosixPath(path)
        stem = _without("mask", place.name)
        if stem == place.stem:
            images.append(path)
        elif masks.setdefault((str(place.parent), stem), path) != path:
            alone.append(path)
    count = len(masks)
    mask_of = {}
    for path in sorted(images, key=lambda path: (not PurePosixPath(path).stem.endswith("_sat"), natural_key(path))):
        place = PurePosixPath(path)
        mask_of[path] = masks.pop((str(place.parent), _without("sat", place.name)), "")
    if 2 * sum(map(bool, mask_of.values())) < max(1, count):
        return None
    return Pairs("pairs by name", mask_of, (*alone, *masks.values()))


def _without(ending: str, name: str) -> str:
    """``0013_mask.png`` -> 0013"""
    return re.sub(f"[_-]{ending}$", "", PurePosixPath(name).stem, flags=re.IGNORECASE)


def _splits(paths: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The split of each path, that of the outermost folder which is named like one; and the names of these folders."""
    folders = {path: path.split("/")[:-1] for path in paths}
    meant = splits_named({folder for some in folders.values() for folder in some})
    found = {path: next((folder for folder in some if meant[folder]), "") for path, some in folders.items()}
    split_of = {path: meant.get(folder) or "" for path, folder in found.items()}
    return split_of, sorted({folder for folder in found.values() if folder})
