"""The health of a data set: every file decoded once, and what was found said before any training."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.checks import duplicates
from headstart.data.checks import issues as findings
from headstart.data.checks import mask_issues as mask_findings
from headstart.data.checks.issues import SPLITS, ImageInfo, Issue
from headstart.data.checks.mask_info import MaskInfos, occurrences, pixel_counts_of, read_mask_infos
from headstart.data.decode import Unreadable, read, require_plain, upright_size
from headstart.data.index import UNLABELED, Index
from headstart.data.layouts import scan
from headstart.data.masks import palette_files as palettes
from headstart.data.pairs import rows_without_masks, with_classes
from headstart.data.parallel import Progress, map_ordered
from headstart.data.splits import make_val_split


@dataclass(frozen=True)
class CheckResult:
    """What a data set holds and what is wrong with it."""

    root: str
    layout: str
    """What was detected, in words."""
    split: str
    """``given``, ``made`` (by headstart) or ``none`` (nothing to split by)."""
    images: dict[str, int]
    """Images per split; under ``all`` where there is no split."""
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    """Split -> class -> images; with masks, images in which the class occurs."""
    sizes: dict[str, tuple[int, float, int]]
    """``width`` and ``height`` -> least, median and greatest, in pixels; empty when no file could be read."""
    modes: dict[str, int]
    """Pillow's mode -> images."""
    formats: dict[str, int]
    """JPEG, PNG, ... -> images."""
    issues: tuple[Issue, ...]
    """The gravest first."""
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of masks: split -> class -> share of the pixels that count."""
    ignored_shares: dict[str, float] = field(default_factory=dict)
    """Of masks: split -> share of all pixels that do not count."""
    to_name: tuple[str, str] | None = None
    """Of masks whose classes nothing names: (file name, text) of a file to fill in."""

    @property
    def usable(self) -> bool:
        """Whether training accepts the data as they are."""
        return self.status < 2

    @property
    def status(self) -> int:
        """0: clean, perhaps with notes; 1: warnings; 2: not usable."""
        severities = {finding.severity for finding in self.issues}
        return 2 if "error" in severities else 1 if "warning" in severities else 0

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, for ``json.dumps``."""
        return asdict(self) | {"usable": self.usable, "status": self.status}


def check(
    root: str | os.PathLike[str], group: str | None = None, val_fraction: float = 0.2, progress: Progress | None = None
) -> CheckResult:
    """Decode every image below ``root`` and say what is wrong with the data set.

    ``group`` is the regular expression of `recipe.Data.group`. Where there is no validation split, the one that
    training would make of ``val_fraction`` is judged. Raises HeadstartError when the layout cannot be understood.
    """
    index = scan(root, group)
    waiting = [index.paths[row] for row in rows_without_masks(index)]
    index = with_classes(index.drop(rows_without_masks(index))) if index.masks else index
    if not index.positions("val") and (index.masks or UNLABELED not in index.labels):
        index = make_val_split(index, val_fraction)
    looks, thumbs, faults = _look(index, progress)
    masks, mask_faults = read_mask_infos(index, progress) if index.masks else ({}, {})
    found = [*_find(index, group, looks, thumbs, faults), *_find_in_masks(index, looks, masks, mask_faults, waiting)]
    splits = [split for split in SPLITS if index.positions(split)]
    images = Counter(index.splits)
    return CheckResult(
        root=str(index.root),
        layout=index.layout,
        split="made" if index.split_made else "given" if splits else "none",
        images={split or "all": images[split] for split in (*SPLITS, "") if images[split]},
        classes=index.classes,
        counts={split: _counts(index, masks, split) for split in splits},
        sizes=_sizes(looks),
        modes=dict(Counter(look.mode for look in looks.values()).most_common()),
        formats=dict(Counter(look.format for look in looks.values()).most_common()),
        issues=tuple(sorted(found, key=_gravity)),
        **_pixels(index, masks, splits),
    )


def _counts(index: Index, masks: MaskInfos, split: str) -> dict[str, int]:
    if not index.masks:
        return index.counts(split)
    return {name: len(rows) for name, rows in occurrences(index, masks, split).items()}


def _pixels(index: Index, masks: MaskInfos, splits: list[str]) -> dict[str, Any]:
    """The fields of `Health` that are of masks."""
    if index.palette is None:
        return {}
    count = len(index.classes)
    pixel_counts = {split: pixel_counts_of(index, masks, split) for split in splits}
    counted = {split: pixels[:count] for split, pixels in pixel_counts.items()}
    named = palettes.palette_file(index.root, [index.root / mask for mask in index.masks if mask])
    return {
        "shares": {
            split: dict(zip(index.classes, (pixels / max(1, pixels.sum())).tolist(), strict=True))
            for split, pixels in counted.items()
        },
        "ignored_shares": {
            split: float(pixels[count:].sum() / max(1, pixels.sum())) for split, pixels in pixel_counts.items()
        },
        "to_name": palettes.to_fill_in(index.palette) if named is None and index.palette.names else None,
    }


def _gravity(finding: Issue) -> tuple[int, bool]:
    """Errors, then leaks, which flatter the figures that everything is judged by, then other warnings, then notes."""
    return ("error", "warning", "note").index(finding.severity), "leak" not in finding.kind


def _find(
    index: Index,
    group: str | None,
    looks: dict[int, ImageInfo],
    thumbs: NDArray[np.uint8],
    faults: dict[int, tuple[str, str]],
) -> Iterator[Issue]:
    if not index.masks:
        yield from findings.check_labels(index)
        yield from findings.check_splits(index)
    yield from findings.check_groups(index, group)
    yield from findings.check_files(index, faults)
    pictures = duplicates.same_content({row: look.content for row, look in looks.items()})
    yield from findings.check_duplicates(index, [rows for rows in pictures if len(rows) > 1], exact=True)
    alike = duplicates.near_duplicates(thumbs[[rows[0] for rows in pictures]])
    near = [sorted(row for picture in some for row in pictures[picture]) for some in alike]
    yield from findings.check_duplicates(index, near, exact=False)
    yield from findings.check_images(index, looks)
    if not index.masks:
        yield from findings.check_unlisted_images(index)
    yield from findings.check_unused_files(index)


def _find_in_masks(
    index: Index,
    looks: dict[int, ImageInfo],
    masks: MaskInfos,
    faults: dict[int, tuple[str, str]],
    waiting: list[str],
) -> Iterator[Issue]:
    if not index.masks:
        return
    yield from mask_findings.check_pairs(index)
    yield from mask_findings.check_pair_splits(index)
    yield from mask_findings.check_mask_files(index, faults)
    yield from mask_findings.check_mask_sizes(index, looks, masks)
    yield from mask_findings.check_mask_colors(index, masks)
    yield from mask_findings.check_mask_classes(index, masks)
    yield from mask_findings.check_class_names(index)
    yield from mask_findings.check_images_without_masks(waiting)


def _look(
    index: Index, progress: Progress | None
) -> tuple[dict[int, ImageInfo], NDArray[np.uint8], dict[int, tuple[str, str]]]:
    """Decode every file: what it is by row, its thumbnail (N, 32, 32), and the (kind, detail) of those that fail."""
    looks: dict[int, ImageInfo] = {}
    faults: dict[int, tuple[str, str]] = {}
    thumbs = np.zeros((len(index), duplicates.SIDE, duplicates.SIDE), np.uint8)

    def one(row: int) -> ImageInfo | Unreadable:
        try:
            file = index.root / index.paths[row]
            picture = read(file, enough_for=duplicates.SIDE)
            if index.masks:
                require_plain(picture)
        except Unreadable as error:
            return error
        small = picture.rgb.convert("L").resize((duplicates.SIDE, duplicates.SIDE), Image.Resampling.LANCZOS)
        thumbs[row] = np.asarray(small)
        upright = upright_size(file)[::-1] if picture.rotated else picture.size
        return ImageInfo(picture.content, picture.size, picture.mode, picture.format, picture.rotated, upright)

    for row, result in map_ordered(len(index), one, progress):
        if isinstance(result, Unreadable):
            faults[row] = (result.kind, result.detail)
        else:
            looks[row] = result
    return looks, thumbs, faults


def _sizes(looks: dict[int, ImageInfo]) -> dict[str, tuple[int, float, int]]:
    if not looks:
        return {}
    sides = {"width": [k.size[0] for k in looks.values()], "height": [k.size[1] for k in looks.values()]}
    return {name: (min(values), median(values), max(values)) for name, values in sides.items()}
