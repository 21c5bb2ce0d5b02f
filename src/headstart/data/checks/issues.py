"""What can be wrong with a data set: one function per question, each from tables to findings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from headstart.data.csv_index import files_to_predict
from headstart.data.index import UNLABELED, Index, images_below, is_image, natural, split_named

Severity = Literal["error", "warning", "note"]
SPLITS = ("train", "val", "test")
TINY, LONG, UNEVEN = 32, 4, 10
"""Pixels of the short side; long side over short; images of the largest class over those of the smallest."""


@dataclass(frozen=True)
class Issue:
    """One thing to know about a data set."""

    kind: str
    """A short name for the fault: ``truncated``, ``leak``, ``imbalance``, ..."""
    severity: Severity
    """``error``: training refuses the data; ``warning``: it would mislead; ``note``: good to know."""
    message: str
    files: tuple[str, ...] = ()
    """Every file concerned, as a path below the root."""
    fix: str = ""
    """What mends it."""
    sets: tuple[tuple[str, ...], ...] = ()
    """The same files in sets, where the finding is about files that belong together (copies, groups)."""


@dataclass(frozen=True)
class ImageInfo:
    """What is remembered of a file that was decoded."""

    content: str
    size: tuple[int, int]
    mode: str
    format: str
    rotated: bool
    upright: tuple[int, int] | None = None
    """Width and height after EXIF's rotation; None: as `size`."""


def count(number: int, noun: str) -> str:
    """``1 image``, ``2,500 images``, ``3 classes``."""
    plural = noun if number == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {plural}"


def check_labels(index: Index) -> Iterator[Issue]:
    """Whether the images have classes that can be learned."""
    for kind in dict.fromkeys(kind for kind, _ in index.problems):
        files = tuple(file for k, file in index.problems if k == kind)
        yield Issue(kind, "error", f"{count(len(files), 'listed file')} missing", files, "add them, or cut the rows")
    if UNLABELED in index.labels:  # then in all of them: no layout has some
        message = "no labels: headstart fit byol-quick learns from such images, a classifier does not"
        yield Issue("unlabeled", "note", message, (), "for one, put the images of each class in a folder of its name")
    elif len(index.classes) == 1:
        message = f"one class only ({index.classes[0]}): there is nothing to tell apart"
        yield Issue("one class", "error", message, (), "add a folder of images for every other class")


def check_splits(index: Index) -> Iterator[Issue]:
    """Whether every class can be trained and validated. ``index`` has its validation split, given or made."""
    counts = {split: index.counts(split) for split in SPLITS if index.positions(split)}
    train, val = counts.get("train", {}), counts.get("val", {})
    outside = tuple(index.paths[i] for i in index.positions("")) if val else ()
    if outside:
        message = f"{count(len(outside), 'image')} in no split, while others have one: they are not used"
        yield Issue("no split", "warning", message, outside, "fill in the split column")
    if index.split_made:
        yield from _of_made_split(index, train, val)
    for name in index.classes:
        lacking = [split for split in counts if not counts[split][name]]
        held = [split for split in SPLITS[1:] if not train.get(name) and counts.get(split, {}).get(name)]
        if held:
            message = f"class {name}: {count(counts[held[0]][name], 'image')} in {held[0]}, none in train"
            yield Issue("class missing", "error", message, _paths(index, name, held[0]), "move some of them to train")
        elif lacking and not (index.split_made and train.get(name) == 1):
            message = f"class {name}: no images in {' and '.join(lacking)}"
            yield Issue("class missing", "warning", message, (), f"add images of {name} to {' and '.join(lacking)}")
    present = {name: n for name, n in train.items() if n}
    if present and max(present.values()) > UNEVEN * min(present.values()):
        most, least = max(present, key=lambda n: present[n]), min(present, key=lambda n: present[n])
        message = f"uneven classes: {most} has {present[most]:,} training images, {least} has {present[least]:,}"
        do = "judge by balanced accuracy and macro F1, or add images of the rare class"
        yield Issue("imbalance", "warning", message, (), do)


def _of_made_split(index: Index, train: Mapping[str, int], val: Mapping[str, int]) -> Iterator[Issue]:
    held, trained = sum(val.values()), sum(train.values())
    for name in index.classes:
        if train.get(name) == 1 and not val.get(name):
            message = f"class {name}: one image only, and one is needed on either side of the split"
            yield Issue("one image", "error", message, _paths(index, name, "train"), f"add images of {name}")
    if not held and any(n > 1 for n in train.values()):
        yield Issue(
            "no validation", "error", "no image can be held out without tearing a group apart", (), "change --group"
        )
    elif held:
        message = f"no validation split: headstart holds out {held:,} of {held + trained:,} images, always the same"
        yield Issue("split made", "note", message, (), "make a val folder beside train for a split of your own")


def check_groups(index: Index, expression: str | None) -> Iterator[Issue]:
    """Whether images of one source (a patient, a film) lie on both sides of a split."""
    if expression is not None and not any(index.groups):
        message = f"--group {expression} matches no path (such as {index.paths[0]})"
        yield Issue("no groups", "warning", message, (), "try the expression on one of the paths")
    members: dict[str, list[int]] = {}
    for row, group in enumerate(index.groups):
        if group:
            members.setdefault(group, []).append(row)
    for one, other, sets in _across(index, members.values()):
        groups = {index.groups[rows[0]] for rows in sets}
        some = ", ".join(sorted(groups)[:3]) + (", ..." if len(groups) > 3 else "")
        message = f"leakage: {count(len(groups), 'group')} with images in both {one} and {other} ({some})"
        yield _about_sets("group leak", "warning", message, index, sets, "move each group to one side")


def check_files(index: Index, faults: Mapping[int, tuple[str, str]]) -> Iterator[Issue]:
    """Which files give no picture. ``faults``: row -> (kind, detail)."""
    for split in SPLITS[:2]:
        rows = index.positions(split)
        before = Counter(index.labels[i] for i in rows)
        after = Counter(index.labels[i] for i in rows if i not in faults)
        for label in sorted(before):
            if not after[label] and label != UNLABELED:
                message = f"class {index.classes[label]}: not one readable image in {split}"
                files = _paths(index, index.classes[label], split)
                yield Issue("none readable", "error", message, files, "replace the files")
    for kind in dict.fromkeys(kind for kind, _ in faults.values()):
        rows = [row for row, fault in faults.items() if fault[0] == kind]
        what = "cannot be opened" if kind == "missing" else kind
        message = f"{count(len(rows), 'file')}: {what} ({faults[rows[0]][1]})"
        do = "replace or delete them, or train without them: data.skip_unreadable=true"
        yield Issue(kind, "error", message, tuple(index.paths[row] for row in rows), do)


def check_duplicates(index: Index, sets: Sequence[Sequence[int]], exact: bool) -> Iterator[Issue]:
    """What pictures that occur twice do to the figures. ``sets``: rows that are (nearly) the same picture."""
    kind = "duplicate" if exact else "near duplicate"
    look = "" if exact else "look at them: "
    for one, other, across in _across(index, sets):
        where = f"{one} and the {other} split that headstart makes" if index.split_made else f"{one} and {other}"
        message = f"leakage: {count(len(across), kind)} in both {where}, which flatters the figures"
        do = f"{look}delete them from one side" + (", or name their source (--group)" if index.split_made else "")
        yield _about_sets(f"{kind} leak", "warning", message, index, across, do)
    torn = [rows for rows in sets if len({index.labels[row] for row in rows} - {UNLABELED}) > 1]
    if torn:
        message = f"{count(len(torn), kind)} with two labels"
        yield _about_sets("two labels", "warning", message, index, torn, f"{look}keep each in the class it belongs to")
    for split in ("", *SPLITS):
        within = [kept for rows in sets if len(kept := [row for row in rows if index.splits[row] == split]) > 1]
        if within:
            message = f"{count(len(within), kind)}{f' within {split}' if split else ''}"
            do = "keep one of each" if exact else f"{look}a film or a burst belongs on one side of a split (--group)"
            yield _about_sets(kind, "warning" if exact else "note", message, index, within, do)


MODES = {
    "1": "black and white", "L": "gray", "LA": "gray with transparency", "P": "palette", "PA": "palette",
    "RGBA": "transparent", "RGBa": "transparent", "CMYK": "CMYK", "I": "more than 8 bits", "F": "more than 8 bits",
}  # fmt: skip
BECOMES = {
    "black and white": "red, green and blue are made equal", "gray": "red, green and blue are made equal",
    "gray with transparency": "transparency is dropped", "transparent": "transparency is dropped",
    "palette": "read as the colors of the palette", "CMYK": "converted to RGB",
    "more than 8 bits": "the upper 8 of 16 bits are used",
}  # fmt: skip


def check_images(index: Index, looks: Mapping[int, ImageInfo]) -> Iterator[Issue]:
    """Unusual sizes, modes and orientations, as notes."""

    def note(kind: str, rows: list[int], message: str, do: str = "") -> Iterator[Issue]:
        if rows:
            files = tuple(index.paths[row] for row in rows)
            yield Issue(kind, "note", f"{count(len(rows), 'image')} {message}", files, do)

    tiny = [row for row, look in looks.items() if min(look.size) < TINY]
    yield from note("tiny", tiny, f"with a side below {TINY} pixels", "see whether they are thumbnails by mistake")
    long = [row for row, look in looks.items() if max(look.size) > LONG * min(look.size)]
    yield from note("long", long, f"more than {LONG} times as long as wide", "data.resize=pad keeps their shape")
    named = {row: MODES.get("I" if look.mode.startswith("I") else look.mode) for row, look in looks.items()}
    for mode in sorted({mode for mode in named.values() if mode}):
        yield from note(mode, [row for row in named if named[row] == mode], f"{mode}: {BECOMES[mode]}")
    turned = [row for row, look in looks.items() if look.rotated]
    yield from note("turned", turned, "turned upright, as their EXIF data ask")


def check_unlisted_images(index: Index) -> Iterator[Issue]:
    """Images that no row of a CSV names. Those of a test split wait for `headstart predict`, and are no fault."""
    used = {Path(index.root, path).absolute() for path in index.paths}
    left = sorted((n for n in images_below(index.root) if Path(index.root, n).absolute() not in used), key=natural)
    test = files_to_predict(index.root) if left else set()
    left = [name for name in left if name not in test and "test" not in map(split_named, name.split("/")[:-1])]
    if left:
        message = f"{count(len(left), 'image')} that no row of the CSV names: not used"
        yield Issue("not listed", "warning", message, tuple(left), "add rows for them, or move them elsewhere")


def check_unused_files(index: Index) -> Iterator[Issue]:
    """Files that lie among the images and are not looked at: phone formats and the like."""
    folders = {path.rpartition("/")[0] for path in index.paths}
    used, left = {*index.paths, *index.masks}, []
    for folder in sorted(folders):
        with os.scandir(index.root / folder) as entries:
            names = [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        paths = [f"{folder}/{name}".lstrip("/") for name in sorted(names) if not is_image(name)]
        left += [path for path in paths if path not in used]
    known = (".csv", ".md", *(("classes.txt",) if index.masks else ()))
    left = [name for name in left if not name.lower().endswith(known)]
    if left:
        suffixes = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in left)  # noqa: PTH122
        kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in suffixes.most_common(3))
        message = f"{count(len(left), 'file')} beside the images not looked at ({kinds})"
        yield Issue("left aside", "note", message, tuple(left), "convert images in other formats to JPEG or PNG")


def _across(index: Index, sets: Iterable[Sequence[int]]) -> Iterator[tuple[str, str, list[list[int]]]]:
    """For every two splits, the parts in them of the sets that lie in both."""
    sets = list(sets)
    for one, other in combinations(SPLITS, 2):
        parts = [[row for row in rows if index.splits[row] in (one, other)] for rows in sets]
        across = [rows for rows in parts if len({index.splits[row] for row in rows}) == 2]
        if across:
            yield one, other, across


def _about_sets(
    kind: str, severity: Severity, message: str, index: Index, sets: Sequence[Sequence[int]], do: str
) -> Issue:
    paths = tuple(tuple(index.paths[row] for row in rows) for rows in sets)
    return Issue(kind, severity, message, tuple(path for some in paths for path in some), do, paths)


def _paths(index: Index, name: str, split: str) -> tuple[str, ...]:
    label = index.classes.index(name)
    return tuple(index.paths[i] for i in index.positions(split) if index.labels[i] == label)
