"""Pairs of images and masks, in any two folders or side by side, and the splits that their folders tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headstart.data.index import Note, natural_key
from headstart.data.masks.likeness import look_like_masks
from headstart.data.pair_matching import Match, Named, by_order, match
from headstart.data.pair_names import (
    OTHER_WORDS,
    SURE_MASK_WORDS,
    class_of_ending,
    is_image_word,
    is_mask_word,
    mask_ending,
    plain_endings,
    stem_of,
    words_of,
)
from headstart.data.unused import Kind, Reason

MAX_FOLDERS = 40
"""With more folders of images than this, none is opened to see whether it holds masks."""
LABEL_STUDIO = re.compile(r"(task-\d+)-annotation-.*-tag-(.+?)-\d+$")
OTHER_DRAWING = Reason(Kind.WAITING, "another drawing of the annotation")
Likeness = Callable[[str], bool | None]
"""Path -> whether the image looks like a mask (`looks_like_mask`)."""


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
    parts: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Image -> (class, mask) of each of its masks, where images have several."""
    unused: Mapping[str, Reason] = field(default_factory=dict)
    """Other drawings of the same masks -> what they are."""
    evidence: str = ""
    notes: tuple[Note, ...] = ()


def find_pairs(paths: Sequence[str], likeness: Likeness | None = None) -> Pairs | None:
    """Detect pairs among ``paths``, image files relative to a folder; None if the layout is another.

    With ``likeness`` the files are opened where names could mislead: a class called mask is no folder of masks, and
    folders of other names may hold them.
    """
    ordered = sorted(paths, key=natural_key)
    return _in_folders(ordered, likeness) or _by_name(ordered, likeness)


def masks_among(paths: Sequence[str], likeness: Likeness | None = None) -> frozenset[str]:
    """Those of ``paths`` that are masks of others."""
    pairs = find_pairs(paths, likeness)
    return frozenset(paths) - {*pairs.mask_of, *pairs.images_elsewhere} if pairs else frozenset()


def _in_folders(paths: Sequence[str], likeness: Likeness | None) -> Pairs | None:
    """Masks in folders of their own: ``images/13.jpg`` and ``masks/13.png``, with splits outside or inside."""
    others = {path: OTHER_DRAWING for path in paths if _is_other(path)}
    kept = [path for path in paths if path not in others]
    masks = _mask_folders(kept, likeness)
    if not masks:
        return None
    depths = {folder.count("/") for folder in masks}
    mask_paths = [path for path in kept if _folder(path) in masks]
    images = [path for path in kept if _folder(path) not in masks]
    if not images:
        return None
    named = [_named(path, depths, masks, "sat") for path in images]
    found = match(named, [_named(path, depths, masks, "mask") for path in mask_paths])
    label_studio = found is None and _label_studio(images, mask_paths)
    if label_studio:
        return label_studio
    # images/ beside masks/ are meant as pairs though no name agrees: what is wrong with them will be said.
    if found is None and not _named_images_and_masks(images, masks):
        return None
    in_image_folders = {_folder(path) for path in (found.masks_of if found else ())}
    elsewhere = [
        p for p in images if _folder(p) not in in_image_folders and not any(map(is_image_word, p.split("/")[:-1]))
    ]
    folders = sorted({_pair_folder(p) for p in images if p not in elsewhere}) + sorted(
        {_pair_folder(p) for p in mask_paths}
    )
    layout = f"pairs in {' and '.join(dict.fromkeys(folders))}"
    return _pairs(layout, [p for p in images if p not in elsewhere], mask_paths, found, elsewhere, others)


def _by_name(paths: Sequence[str], likeness: Likeness | None) -> Pairs | None:
    """``13_mask.png`` beside ``13_sat.jpg`` or ``13.jpg``, if at least half of the masks have an image."""
    stems = {path: stem_of(path) for path in paths}
    before = {path: cut[0] for path in paths if (cut := mask_ending(stems[path]))}
    images = [path for path in paths if path not in before]
    # A mask's stem before its mask word must be that of an image of its folder, perhaps with _sat.
    own = {(_folder(path), _without_sat(stems[path])) for path in images}
    masks = [path for path in before if (_folder(path), before[path]) in own]
    if 2 * len(masks) < max(1, len(before)) or (likeness and not (masks and look_like_masks(masks, likeness))):
        return None
    masks_of: dict[str, dict[str, str]] = {}
    first: dict[tuple[str, str], str] = {}
    for path in sorted(images, key=lambda path: (not stems[path].endswith("_sat"), natural_key(path))):
        first.setdefault((_folder(path), _without_sat(stems[path])), path)
    for path in masks:
        image = first[_folder(path), before[path]]
        ending = stems[path].removeprefix(before[path])
        masks_of.setdefault(image, {}).setdefault(ending, path)
    return _pairs("pairs by name", images, [*before], Match(masks_of, "names with a mask's ending", 1), [], {})


def _pairs(
    layout: str,
    images: Sequence[str],
    masks: Sequence[str],
    found: Match | None,
    elsewhere: Sequence[str],
    others: Mapping[str, Reason],
) -> Pairs:
    masks_of = dict(found.masks_of) if found else {}
    mask_of, parts, unused, used = dict.fromkeys(images, ""), {}, dict(others), set()
    several = any(len(plain_endings([*some])) > 1 for some in masks_of.values())
    for image, some in masks_of.items():
        plain = plain_endings([*some])
        used |= {*some.values()}
        unused |= {some[ending]: OTHER_DRAWING for ending in some if ending not in plain}
        mask_of[image] = some[plain[0]] if plain else ""
        if several:
            parts[image] = tuple((class_of_ending(ending), some[ending]) for ending in plain)
    unpaired = tuple(path for path in masks if path not in used)
    matched = sum(map(bool, mask_of.values()))
    by = found.by if found else "no agreement of names"
    evidence = f"{matched:,} of {len(images):,} images have a mask, by {by}"
    notes = []
    if several:
        classes = sorted({label for some in parts.values() for label, _ in some} - {""})
        what = f"a class each ({', '.join(classes[:5])})" if classes else "of one class together"
        notes.append(Note("several masks", "note", f"Images have several masks: read as {what}"))
    elif found and found.dropped:
        example = next(iter(masks_of))
        message = f"Pairs by {by}: {example} and {mask_of[example]}"
        notes.append(Note("pairs", "note", message))
    return Pairs(layout, mask_of, unpaired, tuple(elsewhere), parts, unused, evidence, tuple(notes))


def _label_studio(images: Sequence[str], masks: Sequence[str]) -> Pairs | None:
    """Label Studio's brush export: ``task-7-annotation-1-by-1-tag-road-0.png``, a file per task and class.

    The files tell the number of the task, not the image: tasks and images are taken in order if there are as many.
    """
    found = {path: LABEL_STUDIO.match(stem_of(path)) for path in masks}
    if not all(found.values()):
        return None
    task_of = {path: (each.group(1), each.group(2)) for path, each in found.items() if each}
    image_of = by_order(images, sorted({task for task, _ in task_of.values()}))
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, (task, label) in task_of.items():
        if task in image_of:
            parts.setdefault(image_of[task], []).append((label, path))
    if not parts:
        return None
    example, some = next(iter(parts.items()))
    message = f"Masks of Label Studio name tasks, not images: taken in order ({example} and {some[0][1]})"
    return Pairs(
        "pairs of Label Studio (a mask per class)",
        {image: parts[image][0][1] if image in parts else "" for image in images},
        (),
        parts={image: tuple(some) for image, some in parts.items()},
        evidence=f"{len(parts)} tasks for {len(images)} images, by order",
        notes=(Note("by order", "warning", message, (), "compare some by eye, or name the masks after the images"),),
    )


def _mask_folders(paths: Sequence[str], likeness: Likeness | None) -> set[str]:
    """Folders (whole paths) that hold masks: called so and looking so, or looking so unlike the folders beside them."""
    files: dict[str, list[str]] = {}
    for path in paths:
        files.setdefault(_folder(path), []).append(path)
    named = {folder for folder in files if any(map(is_mask_word, folder.split("/")))}
    images = [path for folder, some in files.items() if folder not in named for path in some]
    if likeness is None:
        return named
    sure = bool(images) and _named_images_and_masks(images, named)
    named = {
        folder
        for folder in named
        if (sure and any(not SURE_MASK_WORDS.isdisjoint(words_of(f)) for f in folder.split("/")))
        or look_like_masks(files[folder], likeness)
    }
    if named or not 1 < len(files) <= MAX_FOLDERS:
        return named
    flat = {folder for folder in files if look_like_masks(files[folder], likeness)}
    photographs = [path for folder, some in files.items() if folder not in flat for path in some]
    return flat if photographs and _all_matched(photographs, [p for f in flat for p in files[f]], flat) else set()


def _all_matched(images: Sequence[str], masks: Sequence[str], folders: set[str]) -> bool:
    """Whether nearly all masks have an image and the reverse: asked of folders whose names tell nothing."""
    depths = {folder.count("/") for folder in folders}
    found = match(
        [_named(p, depths, folders, "sat") for p in images], [_named(p, depths, folders, "mask") for p in masks]
    )
    return found is not None and min(found.masks / len(masks), len(found.masks_of) / len(images)) >= 0.8


def _is_other(path: str) -> bool:
    """Whether a folder above says: another drawing of the annotation (SegmentationObject, masks_human)."""
    return any(is_mask_word(f) and not OTHER_WORDS.isdisjoint(words_of(f)) for f in path.split("/")[:-1])


def _named_images_and_masks(images: Sequence[str], masks: Iterable[str]) -> bool:
    """Whether a folder called images (or img, ...) and one called masks (or mask) stand side by side."""
    beside = {
        (*folders[:at],)
        for p in images
        for folders in [p.split("/")[:-1]]
        for at, f in enumerate(folders)
        if is_image_word(f)
    }
    return any(
        (*folders[:at],) in beside and words_of(f) and words_of(f)[0] in SURE_MASK_WORDS
        for folder in masks
        for folders in [folder.split("/")]
        for at, f in enumerate(folders)
    )


def _named(path: str, depths: set[int], masks: set[str], ending: str) -> Named:
    """What must agree between an image and its mask: all folders but those of images and of masks, and the stem."""
    *folders, name = path.split("/")
    told = [at for at, f in enumerate(folders) if is_image_word(f) or is_mask_word(f)]
    if not told and folders and len(folders) - 1 in depths:
        told = [len(folders) - 1]
    elif not told and folders:
        told = [0] if any(is_mask_word(folder.split("/")[0]) for folder in masks) else []
    rest = tuple(f.casefold() for at, f in enumerate(folders) if at not in told)
    stem = re.sub(f"[_-]{ending}$", "", stem_of(name), flags=re.IGNORECASE)
    return Named(path, rest, stem)


def _pair_folder(path: str) -> str:
    """The folder of images or of masks that a file lies in: the one of such a name, else the innermost."""
    folders = path.split("/")[:-1]
    return next((f for f in folders if is_image_word(f) or is_mask_word(f)), folders[-1] if folders else ".")


def _without_sat(stem: str) -> str:
    return re.sub(r"[_-]sat$", "", stem, flags=re.IGNORECASE)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
