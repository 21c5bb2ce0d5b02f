"""Classes by folders (train/hat/1.jpg, hat/1.jpg) and by file names (hat_1.jpg)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from headstart.data.folder_notes import folder_notes
from headstart.data.index import SPLIT_OF, Entry, splits_named
from headstart.data.reading import LayoutName, Reading
from headstart.data.tree import Tree
from headstart.data.unused import Kind, Reason
from headstart.errors import HeadstartError

HELP = "headstart check --help"
CONTAINERS = {
    "images", "image", "imgs", "img", "photos", "pictures", "pics", "data", "dataset", "jpg", "jpeg", "jpegs", "png",
    "files",
}  # fmt: skip
"""Folders named after images in general: no classes."""
PART = re.compile(
    r"(?:^|.*[ _-])(?:part|images?|imgs?|batch|chunk|shard|archive|volume|vol|disc)[ _-]*\d+$"
    r"|(?:19|20)\d\d[-_.](?:0\d|1[0-2])(?:[-_.][0-3]\d)?(?:[-_. T].*)?$"
    r"|\d{3}(?:[A-Z]{5}|_\d{4}|[A-Z]+_)$",
    re.IGNORECASE,
)
"""Folders that hold a part of one set: images_part_1, images_002, 2024-05-01, 100CANON."""
CLASS_IN_NAME = re.compile(r"([^\W\d_].*?)(?:[_.\- ]+\(?|\()\d+\)?$")
"""hat_1, hat-001, hat.7, hat (3): a class that begins with a letter, a separator and a number."""
CLASS_IN_SPLIT = re.compile(r"(.+?)(?:[_.\- ]+\(?|\()\d+\)?$")
"""The same in train/ and val/, where a class may be a number: 7_12."""
CAMERA = {
    "img", "image", "images", "dsc", "dscn", "dscf", "dcim", "p", "pxl", "mvimg", "vid", "video", "imgp", "pict", "pic",
    "picture", "photo", "foto", "screenshot", "screen", "scan", "scanned", "frame", "frames", "wp", "gopr", "gp", "dji",
    "page", "tile", "patch", "crop", "sample", "untitled", "whatsapp", "file", "capture", "snapshot", "cam", "camera",
    "signal", "mmexport", "received", "fb",
}  # fmt: skip
"""First words of names that cameras and programs give: no classes."""
NO_SPLIT_LABELS = Reason(Kind.WAITING, "in a split without labels: for headstart predict")


def read_folders(tree: Tree, only: LayoutName | None = None) -> Reading:
    """Read classes from folders or file names; without any, the images without labels.

    ``only`` holds the reading to ``folders``, ``names`` or ``none``. Raises HeadstartError for a mixture.
    """
    if only == "none":
        return Reading("none", "images, no labels", tuple(Entry(path, None) for path in tree.images))
    base = _enter(tree.images)
    inside = [path.removeprefix(base) for path in tree.images]
    place = f"in {base.rstrip('/')}: " if base else ""
    name, layout, entries, unused = _read(tree.root / base, inside, only)
    if only is not None and name != only:
        raise HeadstartError(
            f"{tree.root}: expected {'a folder per class' if only == 'folders' else 'names such as hat_1.jpg'}"
            f" (--layout {only}), found {layout}",
            "headstart check without --layout",
        )
    entries = [entry._replace(path=base + entry.path) for entry in entries]
    unused = {base + path: why for path, why in unused.items()}
    classes = {entry.label for entry in entries} - {None}
    return Reading(
        name,
        place + layout,
        tuple(entries),
        f"{len(entries):,} images in {len(classes)} classes by {'folder' if name == 'folders' else 'file name'}",
        tuple(folder_notes(tree, base, name, entries)),
        unused=unused,
    )


Part = tuple[LayoutName, str, list[Entry], dict[str, Reason]]
"""(name, layout in words, entries, unused images with the reason) relative to some folder."""


def _enter(images: Sequence[str]) -> str:
    """The folder to read: below folders that hold all images in other folders, as zip files and exports make them."""
    base = ""
    while True:
        rest = [path.removeprefix(base) for path in images]
        tops = {path.split("/")[0] if "/" in path else "" for path in rest}
        top = next(iter(tops), "")
        if len(tops) != 1 or not top or splits_named([top])[top]:
            return base
        flat = all(path.count("/") == 1 for path in rest)
        if any(path.count("/") == 1 for path in rest) and not (flat and _is_container(top, rest)):
            return base
        base += f"{top}/"


def _is_container(folder: str, paths: Sequence[str]) -> bool:
    """Whether a lone folder of images is no class: by its name, or because its files name several classes."""
    return folder.casefold() in CONTAINERS or len(set(_classes_of([p.split("/")[-1] for p in paths]))) > 1


def _read(root: Path, images: list[str], only: LayoutName | None) -> Part:
    # Top-level folder -> its images, relative to it.
    images_in: dict[str, list[str]] = {}
    for image in images:
        top, slash, rest = image.partition("/")
        images_in.setdefault(top if slash else "", []).append(rest if slash else image)
    loose = images_in.pop("", [])
    if not images_in:
        return _from_files(loose, "", "")
    if loose:
        folders = f"folders of images (such as {min(images_in)}/)"
        raise _mixed(root, f"{len(loose)} images (such as {loose[0]})", folders)
    # The folders are classes unless all are named after splits.
    split_of = splits_named(images_in)
    if only != "folders" and (both := _classes_with_splits(images_in)):
        rows = [(folder, image) for folder, inside in images_in.items() for image in inside]
        entries = [Entry(f"{folder}/{image}", both[folder][0], both[folder][1]) for folder, image in rows]
        return "folders", "folder per class and split", entries, {}
    if only != "folders" and None not in split_of.values() and "train" in split_of.values():
        return _from_splits(root, images_in, {name: str(split) for name, split in split_of.items()})
    if only != "folders" and len(images_in) > 1 and all(PART.match(name) for name in images_in):
        files = [Entry(f"{folder}/{image}", None) for folder, inside in images_in.items() for image in inside]
        return "none", f"parts ({', '.join(sorted(images_in)[:3])}), no labels", files, {}
    if None in split_of.values() or len(images_in) == 1:
        return _from_class_folders(root, images_in, split_of)
    raise HeadstartError(f"{root}: expected a train folder, found only {', '.join(sorted(images_in))}", HELP)


def _classes_with_splits(images_in: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """``cat_train`` or ``train_cat``, ``cat_test``, ``dog_train``, ...: folder -> (class, split); else nothing.

    Two classes at least, each with a folder of training images and one of another split, and no folders inside.
    """
    found: dict[str, tuple[str, str]] = {}
    for folder, inside in images_in.items():
        words = re.split(r"[ _-]+", folder)
        at = next((place for place in (0, -1) if len(words) > 1 and words[place].casefold() in SPLIT_OF), None)
        if at is None or any("/" in image for image in inside):
            return {}
        rest = words[1:] if at == 0 else words[:-1]
        found[folder] = " ".join(rest), SPLIT_OF[words[at].casefold()]
    classes = {label for label, _ in found.values()}
    splits = {split for _, split in found.values()}
    complete = {(label, "train") for label in classes} <= set(found.values()) and len(splits) > 1
    plain = any(label.casefold() in CONTAINERS or label.isdecimal() for label in classes)
    return found if len(classes) > 1 and complete and not plain else {}


def _from_splits(root: Path, images_in: dict[str, list[str]], split_of: dict[str, str]) -> Part:
    """One layout in all splits; a validation or test split without labels waits for `headstart predict`."""
    parts = {name: _from_split(root, name, split_of[name], images_in[name]) for name in sorted(images_in)}
    trained = {name for folder, (name, *_) in parts.items() if split_of[folder] == "train"}
    unused: dict[str, Reason] = {}
    if "none" not in trained:
        for folder in [folder for folder, part in parts.items() if part[0] == "none"]:
            unused |= {entry.path: NO_SPLIT_LABELS for entry in parts.pop(folder)[2]}
    layouts = {layout: name for name, layout, *_ in parts.values()}
    if len(layouts) > 1:
        raise _mixed(root, *sorted(layouts))
    layout, name = next(iter(layouts.items()))
    entries = [entry for _, _, some, _ in parts.values() for entry in some]
    return name, f"{', '.join(parts)}: {layout}", entries, unused


def _from_split(root: Path, folder: str, split: str, images: list[str]) -> Part:
    """The images of a split: in class folders, perhaps below a folder that holds them all, or in the split itself."""
    inside = ""
    while images and all("/" in image for image in images):
        tops = {image.split("/")[0] for image in images}
        top = next(iter(tops))
        deeper = all(image.count("/") > 1 for image in images)
        if len(tops) > 1 or not (splits_named([top])[top] or top.casefold() in CONTAINERS or deeper):
            break
        inside, images = f"{inside}{top}/", [image.partition("/")[2] for image in images]
    prefix = f"{folder}/{inside}"
    nested = [image for image in images if "/" in image]
    if not nested:
        return _from_files(images, prefix, split)
    if len(nested) < len(images):
        flat = next(image for image in images if "/" not in image)
        raise _mixed(root / folder, f"images (such as {flat})", f"class folders (such as {nested[0].split('/')[0]}/)")
    entries = [Entry(prefix + image, image.partition("/")[0], split) for image in nested]
    return "folders", "folder per class", entries, {}


def _from_class_folders(root: Path, images_in: dict[str, list[str]], split_of: dict[str, str | None]) -> Part:
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
        return "folders", "folder per class, splits inside", entries, {}
    # One folder named after a split may be a class; two, or one with folders inside, are splits beside something else.
    named = sorted(name for name, split in split_of.items() if split)
    if len(images_in) > 1 and (
        len({split_of[name] for name in named}) > 1 or any("/" in image for name in named for image in images_in[name])
    ):
        stray = min(name for name, split in split_of.items() if split is None)
        what = f"the split folder{'s' if len(named) > 1 else ''} {', '.join(named)}"
        raise _mixed(root, what, f"the folder {stray}/")
    return "folders", "folder per class", [Entry(f"{c}/{image}", c) for c, image, _ in rows], {}


def _from_files(names: list[str], prefix: str, split: str) -> Part:
    """``{class}_{id}.ext`` if all names are of this form, with more than one class or a split; else unlabeled."""
    classes = _classes_of(names, CLASS_IN_SPLIT if split else CLASS_IN_NAME)
    if classes and (len(set(classes)) > 1 or split):
        entries = [Entry(prefix + name, label, split) for name, label in zip(names, classes, strict=True)]
        return "names", "{class}_{id} names", entries, {}
    return "none", "flat folder, no labels", [Entry(prefix + name, None, split) for name in names], {}


def _classes_of(names: Sequence[str], pattern: re.Pattern[str] = CLASS_IN_NAME) -> list[str]:
    """The class of each file name; empty unless all names begin with one, and most classes have several files."""
    matches = [pattern.match(os.path.splitext(name)[0]) for name in names]  # noqa: PTH122
    classes = [match.group(1).strip() for match in matches if match]
    words = (re.findall(r"[^\W\d_]+", name) for name in set(classes))
    of_camera = any(word and word[0].casefold() in CAMERA for word in words)
    few = 2 * len(set(classes)) <= len(names) or len(set(classes)) == 1
    return classes if len(classes) == len(names) and few and not of_camera else []


def _mixed(folder: Path, one: str, other: str) -> HeadstartError:
    return HeadstartError(
        f"{folder}: expected one layout, found two mixed: {one} and {other}",
        "move one of them elsewhere, check a folder inside, or say how to read it: --layout folders, names or none",
    )
