"""The words of file and folder names that tell masks from images, and the endings that a pair does not share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from headstart.files import digits_to_int

IMAGE_WORDS = {
    "image", "images", "img", "imgs", "jpeg", "photo", "photos", "input", "inputs", "rgb", "raw", "sat",
}  # fmt: skip
MASK_WORDS = {
    "mask", "masks", "label", "labels", "annotation", "annotations", "annot", "annots", "ann", "anns", "gt",
    "groundtruth", "truth", "seg", "segs", "segmentation", "segmentations", "semantic", "trimap", "trimaps", "target",
    "targets", "labelids", "trainids", "labeltrainids",
}  # fmt: skip
SURE_MASK_WORDS = frozenset(["mask", "masks"])
"""Beside a folder called images, such a folder holds masks, whatever its files are called."""
OTHER_WORDS = {
    "instance", "instances", "instanceids", "object", "color", "colour", "human", "overlay", "polygons", "preview",
    "viz",
}  # fmt: skip
"""Further drawings of the same annotation: instances, colors for people, overlays."""
SPLIT_WORDS = {
    "train": "train", "training": "train", "tr": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test", "ts": "test",
}  # fmt: skip
GLUED = re.compile(r"(train|val|valid|test)(annot|masks?|labels?|gt)$")
"""trainannot, testmasks: two words that nothing separates."""


@lru_cache(maxsize=1 << 16)
def words_of(name: str) -> tuple[str, ...]:
    """``SegmentationClass`` -> segmentation, class; ``labelsTr`` -> labels, tr; ``train_masks`` -> train, masks."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    words: list[str] = []
    for part in parts:
        glued = GLUED.match(part.casefold())
        words += glued.groups() if glued else (part.casefold(),)
    return tuple(words)


def is_mask_word(name: str) -> bool:
    return not MASK_WORDS.isdisjoint(words_of(name))


def is_image_word(name: str) -> bool:
    return not IMAGE_WORDS.isdisjoint(words_of(name)) and not is_mask_word(name)


def split_word(name: str) -> str:
    """The split that some word of a folder's name means; "" for none, or for several."""
    found = {SPLIT_WORDS[word] for word in words_of(name) if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else ""


@lru_cache(maxsize=1 << 18)
def pieces(stem: str) -> tuple[str, ...]:
    """A stem cut at its separators, which stay with the piece after them: ``a_b-1`` -> a, _b, -1."""
    return tuple(piece for piece in re.findall(r"[_\-. ]*[^_\-. ]+|[_\-. ]+$", stem) if piece)


def trimmed(stem: str, first: int, last: int) -> tuple[str, str, str] | None:
    """(prefix, rest, ending) of a stem without its ``first`` and ``last`` pieces; None if nothing is left."""
    parts = pieces(stem)
    if len(parts) <= first + last:
        return None
    rest = "".join(parts[first : len(parts) - last]).lstrip("_-. ")
    return "".join(parts[:first]), rest, "".join(parts[len(parts) - last :])


def stem_of(path: str) -> str:
    """The name of a file without its folders and its last suffix, as pathlib has it, and several times as fast."""
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


def mask_ending(stem: str) -> tuple[str, str] | None:
    """``13_gt`` -> (13, _gt), ``x (1)_mask_1`` -> (x (1), _mask_1): a stem before its first mask word, and the rest."""
    parts = pieces(stem)
    for at in range(1, len(parts)):
        if is_mask_word(parts[at].strip("_-. ")):
            return "".join(parts[:at]), "".join(parts[at:])
    return None


def last_number(stem: str) -> int | None:
    found = re.findall(r"\d+", stem)
    return digits_to_int(found[-1]) if found else None


def class_of_ending(ending: str) -> str:
    """The class that a mask's ending names: ``_sky``, ``_mask_road`` -> road; "" for ``_mask`` and ``_mask_1``."""
    words = re.findall(r"[^\W\d_]+", ending)
    return " ".join(word for word in words if word.casefold() not in MASK_WORDS)


def plain_endings(endings: Sequence[str]) -> list[str]:
    """Of several endings of one image's masks, those that are not other drawings of the same (colors, instances)."""
    plain = [ending for ending in endings if OTHER_WORDS.isdisjoint(words_of(ending))]
    trained = [ending for ending in plain if "train" in words_of(ending)]
    numbers = [ending for ending in plain if {"ids", "labelids"} & {*words_of(ending)}]
    return trained or numbers or plain
