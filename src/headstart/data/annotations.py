"""Annotations in other files than images and tables: polygons of COCO are read, the others are named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from headstart.data.index import Entry, Note
from headstart.data.json_files import mentions, read_json
from headstart.data.masks.cached_masks import CachedMasks
from headstart.data.masks.coco import coco_masks, is_coco
from headstart.data.pair_index import pair_splits
from headstart.data.reading import Reading
from headstart.data.tree import Tree
from headstart.data.unused import Kind, Reason
from headstart.errors import HeadstartError
from headstart.file_memory import TooLargeError

MAX_FILES = 20
KINDS = {".xml": "Pascal VOC boxes", ".txt": "YOLO labels", ".json": "JSON annotations"}
MIN_NAMED = 0.5
"""Least share of the images that have a file of their name, for these files to be annotations."""


def read_coco(tree: Tree) -> Reading | None:
    """Images with masks from COCO's JSON files; None without polygons or run-length masks in them.

    Raises HeadstartError where pycocotools is not installed, and for a file that takes more memory than there is.
    """
    files = [path for path in tree.ordinary if path.lower().endswith(".json")][:MAX_FILES]
    found = [path for path in files if _has_polygons(tree.root / path)]
    if not found:
        return None
    drawn = coco_masks(tree.root, [tree.root / path for path in found], tree.images)
    mask_of = drawn.mask_of
    split_of, _ = pair_splits([*mask_of])
    entries = [Entry(path, None, split_of[path], "", str(mask)) for path, mask in mask_of.items()]
    names = ", ".join(PurePosixPath(path).name for path in found)
    return Reading(
        "pairs",
        f"COCO polygons ({names})",
        tuple(entries),
        f"{len(entries):,} of {len(tree.images):,} images are in {names}",
        tuple(overlap_notes(drawn) + _left_out_notes(drawn, found)),
        sources=tuple(found),
        unused=dict.fromkeys(tree.images, Reason(Kind.UNLISTED, f"not in {names}")),
    )


def overlap_notes(drawn: CachedMasks) -> list[Note]:
    """A note where annotations of several classes cover the same pixels."""
    if not drawn.overlaps:
        return []
    message = f"{sum(drawn.overlaps.values()):,} pixels of {len(drawn.overlaps):,} images are of several classes"
    return [Note("overlaps", "note", f"{message}: one of them is taken", tuple(drawn.overlaps))]


def _left_out_notes(drawn: CachedMasks, files: Sequence[str]) -> list[Note]:
    """A warning about what COCO files hold and masks do not."""
    said = [f"{number:,} {what}" for what, number in drawn.left_out.items() if number]
    fix = "add polygons or images, or take these entries out of the file"
    return [Note("left out", "warning", f"COCO: {', '.join(said)}", tuple(files), fix)] if said else []


def unread_annotations(tree: Tree) -> list[Note]:
    """A warning about files that bear the names of the images: boxes and keypoints that headstart does not read."""
    stems = {_stem(path) for path in tree.images}
    if not stems:
        return []
    by_kind = Counter(_suffix(path) for path in {_stem(p): p for p in tree.others if _stem(p) in stems}.values())
    notes = []
    for suffix, number in by_kind.items():
        if number >= MIN_NAMED * len(stems) and suffix in KINDS:
            message = f"{number:,} {suffix} files with the names of images are not read ({KINDS[suffix]}?)"
            files = tuple(path for path in tree.others if _suffix(path) == suffix and _stem(path) in stems)
            fix = "headstart trains on a class or a mask per image: folders of classes, a table, or masks as PNG"
            notes.append(Note("annotations not read", "warning", message, files, fix))
    coco = [path for path in tree.ordinary if path.lower().endswith(".json") and is_coco(tree.root / path)]
    broken = {path: why for path in coco if (why := _why_not_json(tree.root / path))}
    if broken:
        path, why = next(iter(broken.items()))
        message = f"{len(broken)} COCO files cannot be read ({path}: {why})"
        fix = "export or copy them again: their labels are not known"
        notes.append(Note("annotations damaged", "warning", message, tuple(broken), fix))
    coco = [path for path in coco if path not in broken]
    if coco:
        message = f"{len(coco)} COCO files without polygons are not read ({', '.join(coco[:3])})"
        fix = "headstart reads polygons (segmentation) as masks, no boxes"
        notes.append(Note("annotations not read", "warning", message, tuple(coco), fix))
    return notes


def _why_not_json(file: Path) -> str:
    """Why a file cannot be read as JSON; empty if it can, or is too large to tell."""
    try:
        read_json(file)
    except TooLargeError:
        return ""
    except HeadstartError as error:
        return error.message.partition("found")[2].lstrip(": ") or "damaged"
    return ""


def _stem(path: str) -> str:
    """``ann/7.jpg.json`` -> 7"""
    return PurePosixPath(path).name.split(".")[0]


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122


def _has_polygons(file: Path) -> bool:
    """Whether a file is COCO JSON with polygons. Raises TooLargeError for one that may be, and cannot be read."""
    if not is_coco(file):
        return False
    try:
        return any(each.get("segmentation") for each in read_json(file)["annotations"])
    except TooLargeError:
        if mentions(file, b'"segmentation"'):
            raise
        return False
    except (HeadstartError, KeyError, TypeError, AttributeError):
        return False
