"""COCO JSON: polygons and run lengths drawn as masks of numbers, by pycocotools."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.data.json_files import read_json
from headstart.data.masks.cached_masks import BACKGROUND, CachedMasks, cached_masks, files_key
from headstart.data.parallel import Progress
from headstart.errors import HeadstartError

MAX_SIDE = 1 << 15
"""Longest side of an image, in pixels."""
LEAST = 6
"""Coordinates of a polygon; lines and points have fewer, and cover nothing."""


class _Shape(NamedTuple):
    """One annotation."""

    name: str
    segmentation: Any
    """Polygons, ``[[x, y, x, y, ...], ...]``, or run lengths, ``{"size": [h, w], "counts": ...}``."""


class _Drawing(NamedTuple):
    """The annotations of one image."""

    file: Path
    size: tuple[int, int]
    """Height and width."""
    shapes: list[_Shape]


def coco_masks(
    root: Path, json_files: Sequence[Path], images: Sequence[str], progress: Progress | None = None
) -> CachedMasks:
    """Draw the masks of ``images`` (paths relative to ``root``) that COCO JSON files list, in the cache.

    Images that a file lists without annotations are all background; images that no file lists have no mask. Classes
    are in the order of their ids. Where annotations overlap, the smaller one wins. Raises HeadstartError without
    pycocotools, for files that are not COCO JSON, that hold boxes only, or that list an image that cannot be told.
    """
    _require_pycocotools(json_files)
    drawings: dict[str, _Drawing] = {}
    names: dict[str, int] = {}
    left_out = Counter[str]()
    for file in json_files:
        found, ids = _read(root, file, images, left_out)
        drawings |= found
        names |= {name: number for name, number in ids.items() if name not in names}
    if drawings and not any(drawing.shapes for drawing in drawings.values()):
        raise HeadstartError(
            f"{json_files[0]}: expected polygons or run lengths (segmentation), found none", "export them as masks"
        )
    order = sorted((name for name in names if name.casefold() != BACKGROUND), key=lambda name: (names[name], name))
    number_of = {name: number for number, name in enumerate(order, 1)}
    listed = [image for image in images if image in drawings]
    key = files_key(json_files)
    drawn = cached_masks(key, listed, order, lambda image: _draw(image, drawings[image], number_of), progress)
    return replace(drawn, left_out=left_out)


def is_coco(file: Path) -> bool:
    """Whether a JSON file begins like COCO's: it names images, annotations or categories in its first 64 kB."""
    try:
        with file.open("rb") as opened:
            start = opened.read(1 << 16)
    except OSError:
        return False
    keys = sum(key in start for key in (b'"images"', b'"annotations"', b'"categories"'))
    return start.removeprefix(BOM_UTF8).lstrip().startswith(b"{") and (
        keys >= 2 or (keys == 1 and b'"file_name"' in start)
    )


def _require_pycocotools(json_files: Sequence[Path]) -> None:
    try:
        import pycocotools.mask  # noqa: F401
    except ImportError:
        raise HeadstartError(
            f"{json_files[0] if json_files else 'COCO JSON'}: COCO JSON needs pycocotools, found it not installed",
            "pip install 'headstart[coco]'",
        ) from None


def _read(
    root: Path, file: Path, images: Sequence[str], left_out: Counter[str]
) -> tuple[dict[str, _Drawing], dict[str, int]]:
    """The drawings of the listed images, and the ids of the classes that occur. Counts what is ``left_out``."""
    content = _load(file)
    try:
        names = {int(each["id"]): _text(each["name"]) for each in content["categories"]}
        image_of = _match(root, file, content["images"], images)
        drawings = {
            image: _Drawing(file, (int(each["height"]), int(each["width"])), [])
            for each in content["images"]
            if (image := image_of.get(str(each["id"]))) is not None
        }
        listed = {str(each["id"]) for each in content["images"]}
        left_out["images listed, and not there"] += len(listed - image_of.keys())
        used: dict[str, int] = {}
        for each in content["annotations"]:
            of, shape = str(each["image_id"]), each.get("segmentation")
            number = int(each["category_id"])
            if number not in names:
                raise ValueError(f"an annotation of category {number}, which categories lack")
            used.setdefault(names[number], number)
            left_out["annotations of images that are not listed"] += of not in listed
            if of in image_of and shape:
                drawings[image_of[of]].shapes.append(_Shape(names[number], shape))
            left_out["annotations without a polygon or run lengths, drawn as background"] += (
                of in image_of and not _has_outline(shape)
            )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise HeadstartError(
            f"{file}: expected COCO JSON (images, annotations, categories), found {_said(error)}", f"fix {file}"
        ) from None
    for image, drawing in drawings.items():
        if not all(0 < side <= MAX_SIDE for side in drawing.size):
            height, width = drawing.size
            raise HeadstartError(f"{file}: expected an image size, found {width} x {height} of {image}", f"fix {file}")
    return drawings, used


def _has_outline(shape: Any) -> bool:
    return any(len(polygon) >= LEAST for polygon in shape) if isinstance(shape, list) else bool(shape)


def _said(error: Exception) -> str:
    """What an error of the content means, in words."""
    if isinstance(error, KeyError):
        return f"an entry without {error.args[0]}"
    return str(error) if isinstance(error, ValueError) else "an entry that is no object, or a value of another kind"


def _text(name: object) -> str:
    """A name in characters that UTF-8 has: JSON may hold halves of some."""
    return str(name).encode("utf-8", "replace").decode()


def _load(file: Path) -> Mapping[str, Any]:
    content = read_json(file)
    if not isinstance(content, Mapping):
        raise HeadstartError(f"{file}: expected COCO JSON, found a list", f"fix {file}")
    return content


def _match(root: Path, file: Path, listed: Iterable[Mapping[str, Any]], images: Sequence[str]) -> dict[str, str]:
    """Id of a listed image -> its path among ``images``: the same path, or one that ends in it."""
    by_name: dict[str, list[str]] = {}
    for image in images:
        by_name.setdefault(PurePosixPath(image).name, []).append(image)
    found = {}
    for each in listed:
        wanted = PurePosixPath(str(each["file_name"]).replace("\\", "/").removeprefix("./"))
        same = by_name.get(wanted.name, [])
        if len(same) > 1:
            ending = [image for image in same if f"/{image}".endswith(f"/{wanted}")]
            same = _nearest_folder(root, file, ending or same)
        if len(same) > 1:
            raise HeadstartError(
                f"{file}: image {wanted}: expected one such file, found {same[0]} and {same[1]}",
                f"write the path below {root} as file_name",
            )
        if same:
            found[str(each["id"])] = same[0]
    return found


def _nearest_folder(root: Path, file: Path, images: Sequence[str]) -> list[str]:
    """Of several images of one name, those beside the JSON file, or in a folder that its name names (train2017)."""
    if len(images) < 2:
        return list(images)
    beside = [image for image in images if (root / image).parent == file.parent]
    words = file.stem.casefold().replace("-", "_").split("_")
    named = [image for image in images if any(part.casefold() in words for part in PurePosixPath(image).parts[:-1])]
    below = [image for image in images if file.parent in (root / image).parents and file.parent != root]
    return beside or named or below or list(images)


def _draw(image: str, drawing: _Drawing, number_of: Mapping[str, int]) -> tuple[NDArray[np.uint8], int]:
    """A mask, uint8 (H, W), and its pixels of more than one class. Large annotations first, small ones over them."""
    from pycocotools import mask as coco

    height, width = drawing.size
    mask, overlap = np.zeros((height, width), np.uint8), np.zeros((height, width), bool)
    try:
        runs = [(number_of.get(shape.name, 0), _runs(shape.segmentation, height, width)) for shape in drawing.shapes]
    except ValueError as error:
        raise HeadstartError(
            f"{drawing.file}: image {image}: expected polygons or run lengths, found {error}", f"fix {drawing.file}"
        ) from None
    for number, run in sorted(runs, key=lambda each: -int(coco.area(each[1]))):
        inside = coco.decode(run).astype(bool)
        overlap |= inside & (mask != 0) & (mask != number)
        mask[inside] = number
    return mask, int(overlap.sum())


def _require_near(coordinates: Sequence[float]) -> None:
    """Raise ValueError for polygons far outside of any image, along whose sides pycocotools would walk for minutes."""
    if not all(abs(each) <= 10 * MAX_SIDE for each in coordinates):  # not for "not a number" either
        raise ValueError("coordinates far outside of the image")


def _runs(segmentation: Any, height: int, width: int) -> Any:
    """Polygons or run lengths -> run lengths as pycocotools packs them. Raises ValueError for others."""
    from pycocotools import mask as coco

    try:
        if isinstance(segmentation, list):
            _require_near([float(each) for polygon in segmentation for each in polygon])
            polygons = [polygon for polygon in segmentation if len(polygon) >= LEAST]
            if not polygons:  # lines and points: they cover nothing
                return coco.encode(np.zeros((height, width), np.uint8, order="F"))
            return coco.merge(coco.frPyObjects(polygons, height, width))
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"run lengths of size {segmentation['size']} in an image of {[height, width]}")
        if isinstance(segmentation["counts"], list):
            if min(segmentation["counts"]) < 0 or sum(segmentation["counts"]) != height * width:
                raise ValueError(f"runs of {sum(segmentation['counts'])} pixels in all")
            return coco.frPyObjects(segmentation, height, width)
        run = {"size": [height, width], "counts": segmentation["counts"].encode()}
        coco.decode(run)  # raises for runs of more or fewer pixels
        return run
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{str(segmentation)[:60]}: {error}") from None
