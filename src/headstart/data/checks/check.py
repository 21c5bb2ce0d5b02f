"""Check a dataset before training: layout, splits, class balance, broken files, duplicates, leakage, masks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

from headstart.data.checks import image_issues, issues, mask_issues, reading_issues
from headstart.data.checks.duplicate_sets import Sets, find_duplicates, store_duplicate_sets
from headstart.data.checks.image_info import Failures, ImageInfos, read_image_infos
from headstart.data.checks.issues import SPLITS, Issue
from headstart.data.checks.mask_info import MaskInfos, pixel_counts_of, read_mask_infos, rows_by_class
from headstart.data.checks.samples import describe, sample_rows
from headstart.data.index import UNLABELED, Index
from headstart.data.layouts import Choice, scan
from headstart.data.masks.palette_files import palette_file, palette_template
from headstart.data.pair_index import rows_without_masks, with_classes
from headstart.data.parallel import Progress
from headstart.data.splits import make_val_split
from headstart.recipes.recipe import Data


@dataclass(frozen=True)
class CheckResult:
    """What a dataset holds, and its issues."""

    root: str
    layout: str
    """The layout that was detected, in words."""
    split: str
    """``given``, ``made`` (by headstart) or ``none`` (no labels to split by)."""
    images: dict[str, int]
    """Images per split; under ``all`` without splits."""
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    """Split -> class -> images; with masks, images in which the class occurs."""
    sizes: dict[str, tuple[int, float, int]]
    """``width`` and ``height`` -> minimum, median and maximum, in pixels; empty when no file could be read."""
    modes: dict[str, int]
    """Pillow's mode -> images."""
    formats: dict[str, int]
    """JPEG, PNG, ... -> images."""
    issues: tuple[Issue, ...]
    """Most severe first."""
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    """Masks only: split -> class -> share of the pixels, without ignored ones."""
    ignored_shares: dict[str, float] = field(default_factory=dict)
    """Masks only: split -> share of all pixels that are ignored."""
    to_name: tuple[str, str] | None = None
    """Masks only, where no file names their classes: (file name, text) of a file to fill in."""
    samples: tuple[tuple[str, str], ...] = ()
    """(image, what its label or mask is taken to be) of a few images."""
    target: Literal["label", "mask", "none"] = "label"
    """What the images can be trained on."""

    @property
    def usable(self) -> bool:
        """Whether training accepts the dataset as it is."""
        return self.status < 2

    @property
    def status(self) -> int:
        """Exit status: 0 clean, perhaps with notes; 1 warnings; 2 not usable."""
        severities = {issue.severity for issue in self.issues}
        return 2 if "error" in severities else 1 if "warning" in severities else 0

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, for ``json.dumps``."""
        return asdict(self) | {"usable": self.usable, "status": self.status}


def check(root: str | os.PathLike[str], config: Data | None = None, progress: Progress | None = None) -> CheckResult:
    """The `CheckResult` of `check_with_index`."""
    return check_with_index(root, config, progress)[1]


def check_with_index(
    root: str | os.PathLike[str], config: Data | None = None, progress: Progress | None = None
) -> tuple[Index, CheckResult]:
    """Check the dataset in ``root`` as training with ``config`` would read it: decode every file once, list the issues.

    The index is that of training: where there is no validation split, with the one that headstart makes. Raises
    HeadstartError when the layout is not understood.
    """
    config = config or Data()
    # The table that training would use, with a validation split and the classes of the masks.
    index = scan(root, config.group_regex, Choice(config.layout, config.columns))
    for_prediction = [index.paths[row] for row in rows_without_masks(index)]
    index = with_classes(index.drop(rows_without_masks(index))) if index.masks else index
    # Every file decoded once, then the split, which keeps duplicates together, then the issues.
    images, thumbs, failures = read_image_infos(index, progress, config)
    exact, near = find_duplicates({row: image.content for row, image in images.items()}, thumbs)
    store_duplicate_sets(index, [*exact, *near], failures)
    if not index.positions("val") and (index.masks or UNLABELED not in index.labels):
        index = make_val_split(index, config.val_fraction, [*exact, *near])
    masks, mask_failures = read_mask_infos(index, progress) if index.masks else ({}, {})
    found = [
        *_image_issues(index, config.group_regex, images, failures, exact, near),
        *(_mask_issues(index, images, masks, mask_failures, for_prediction) if index.masks else ()),
    ]
    # The result.
    splits = [split for split in SPLITS if index.positions(split)]
    per_split = Counter(index.splits)
    result = CheckResult(
        root=str(index.root),
        layout=index.layout,
        split="made" if index.split_made else "given" if splits else "none",
        images={split or "all": per_split[split] for split in (*SPLITS, "") if per_split[split]},
        classes=index.classes,
        counts={split: _class_counts(index, masks, split) for split in splits},
        sizes=_size_ranges(images),
        modes=dict(Counter(image.mode for image in images.values()).most_common()),
        formats=dict(Counter(image.format for image in images.values()).most_common()),
        issues=tuple(sorted(found, key=_priority)),
        samples=tuple((index.paths[row], describe(index, row)) for row in sample_rows(index)),
        target="mask" if index.masks else "none" if UNLABELED in index.labels else "label",
        **_mask_fields(index, masks, splits),
    )
    return index, result


def _class_counts(index: Index, masks: MaskInfos, split: str) -> dict[str, int]:
    if not index.masks:
        return index.counts(split)
    return {name: len(rows) for name, rows in rows_by_class(index, masks, split).items()}


def _size_ranges(images: ImageInfos) -> dict[str, tuple[int, float, int]]:
    if not images:
        return {}
    sides = {"width": [i.size[0] for i in images.values()], "height": [i.size[1] for i in images.values()]}
    return {name: (min(values), median(values), max(values)) for name, values in sides.items()}


def _mask_fields(index: Index, masks: MaskInfos, splits: list[str]) -> dict[str, Any]:
    """The fields of `CheckResult` that only masks have."""
    if index.palette is None:
        return {}
    count = len(index.classes)
    pixel_counts = {split: pixel_counts_of(index, masks, split) for split in splits}
    counted = {split: pixels[:count] for split, pixels in pixel_counts.items()}
    named = palette_file(index.root, [index.root / mask for mask in index.masks if mask])
    return {
        "shares": {
            split: dict(zip(index.classes, (pixels / max(1, pixels.sum())).tolist(), strict=True))
            for split, pixels in counted.items()
        },
        "ignored_shares": {
            split: float(pixels[count:].sum() / max(1, pixels.sum())) for split, pixels in pixel_counts.items()
        },
        "to_name": palette_template(index.palette) if named is None and index.palette.names else None,
    }


def _priority(issue: Issue) -> tuple[int, bool]:
    """Errors first, then leakage (it inflates every validation score), then other warnings, then notes."""
    return ("error", "warning", "note").index(issue.severity), "leakage" not in issue.kind


def _image_issues(
    index: Index, group: str | None, images: ImageInfos, failures: Failures, exact: Sets, near: Sets
) -> Iterator[Issue]:
    if not index.masks:
        yield from issues.check_labels(index)
        yield from issues.check_splits(index)
    yield from issues.check_groups(index, group)
    yield from issues.check_files(index, failures)
    yield from issues.check_duplicates(index, exact, exact=True)
    yield from issues.check_duplicates(index, near, exact=False)
    yield from image_issues.check_images(index, images)
    yield from reading_issues.check_notes(index)
    yield from reading_issues.check_unused(index)


def _mask_issues(
    index: Index, images: ImageInfos, masks: MaskInfos, failures: Failures, for_prediction: list[str]
) -> Iterator[Issue]:
    yield from mask_issues.check_pairs(index)
    yield from mask_issues.check_pair_splits(index)
    yield from mask_issues.check_mask_files(index, failures)
    yield from mask_issues.check_mask_sizes(index, images, masks)
    yield from mask_issues.check_mask_colors(index, masks)
    yield from mask_issues.check_mask_classes(index, masks)
    yield from mask_issues.check_class_names(index)
    yield from mask_issues.check_images_without_masks(for_prediction)
