"""The health of a data set: every file decoded once, and what was found said before any training."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data import duplicates, findings
from headstart.data.decode import Unreadable, read
from headstart.data.findings import SPLITS, Finding, Look
from headstart.data.index import UNLABELLED, Index
from headstart.data.layouts import scan
from headstart.data.split import hold_out

Report = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class Health:
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
    """Split -> class -> images."""
    sizes: dict[str, tuple[int, float, int]]
    """``width`` and ``height`` -> least, median and greatest, in pixels; empty when no file could be read."""
    modes: dict[str, int]
    """Pillow's mode -> images."""
    formats: dict[str, int]
    """JPEG, PNG, ... -> images."""
    findings: tuple[Finding, ...]
    """The gravest first."""

    @property
    def usable(self) -> bool:
        """Whether training accepts the data as they are."""
        return self.status < 2

    @property
    def status(self) -> int:
        """0: clean, perhaps with notes; 1: warnings; 2: not usable."""
        severities = {finding.severity for finding in self.findings}
        return 2 if "error" in severities else 1 if "warning" in severities else 0

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, for ``json.dumps``."""
        return asdict(self) | {"usable": self.usable, "status": self.status}


def check(
    root: str | os.PathLike[str], group: str | None = None, val_fraction: float = 0.2, progress: Report | None = None
) -> Health:
    """Decode every image below ``root`` and say what is wrong with the data set.

    ``group`` is the regular expression of `recipe.Data.group`. Where there is no validation split, the one that
    training would make of ``val_fraction`` is judged. Raises HeadstartError when the layout cannot be understood.
    """
    index = scan(root, group)
    if not index.positions("val") and UNLABELLED not in index.labels:
        index = hold_out(index, val_fraction)
    looks, thumbs, faults = _look(index, progress)
    found = sorted(_find(index, group, looks, thumbs, faults), key=_gravity)
    splits = [split for split in SPLITS if index.positions(split)]
    images = Counter(index.splits)
    return Health(
        root=str(index.root),
        layout=index.layout,
        split="made" if index.split_made else "given" if splits else "none",
        images={split or "all": images[split] for split in (*SPLITS, "") if images[split]},
        classes=index.classes,
        counts={split: index.counts(split) for split in splits},
        sizes=_sizes(looks),
        modes=dict(Counter(look.mode for look in looks.values()).most_common()),
        formats=dict(Counter(look.format for look in looks.values()).most_common()),
        findings=tuple(found),
    )


def _gravity(finding: Finding) -> tuple[int, bool]:
    """Errors, then leaks, which flatter the figures that everything is judged by, then other warnings, then notes."""
    return ("error", "warning", "note").index(finding.severity), "leak" not in finding.kind


def _find(
    index: Index,
    group: str | None,
    looks: dict[int, Look],
    thumbs: NDArray[np.uint8],
    faults: dict[int, tuple[str, str]],
) -> Iterator[Finding]:
    yield from findings.of_labels(index)
    yield from findings.of_splits(index)
    yield from findings.of_groups(index, group)
    yield from findings.of_files(index, faults)
    pictures = duplicates.same_content({row: look.content for row, look in looks.items()})
    yield from findings.of_copies(index, [rows for rows in pictures if len(rows) > 1], exact=True)
    alike = duplicates.near_duplicates(thumbs[[rows[0] for rows in pictures]])
    near = [sorted(row for picture in some for row in pictures[picture]) for some in alike]
    yield from findings.of_copies(index, near, exact=False)
    yield from findings.of_pictures(index, looks)
    yield from findings.of_unlisted(index)
    yield from findings.of_bystanders(index)


def _look(
    index: Index, progress: Report | None
) -> tuple[dict[int, Look], NDArray[np.uint8], dict[int, tuple[str, str]]]:
    """Decode every file: what it is by row, its thumbnail (N, 32, 32), and the (kind, detail) of those that fail."""
    looks: dict[int, Look] = {}
    faults: dict[int, tuple[str, str]] = {}
    thumbs = np.zeros((len(index), duplicates.SIDE, duplicates.SIDE), np.uint8)

    def one(row: int) -> Look | Unreadable:
        try:
            picture = read(index.root / index.paths[row], enough_for=duplicates.SIDE)
        except Unreadable as error:
            return error
        small = picture.rgb.convert("L").resize((duplicates.SIDE, duplicates.SIDE), Image.Resampling.LANCZOS)
        thumbs[row] = np.asarray(small)
        return Look(picture.content, picture.size, picture.mode, picture.format, picture.rotated)

    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for row, result in enumerate(threads.map(one, range(len(index)))):
            if isinstance(result, Unreadable):
                faults[row] = (result.kind, result.detail)
            else:
                looks[row] = result
            if progress is not None:
                progress(row + 1, len(index))
    finally:
        threads.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
    return looks, thumbs, faults


def _sizes(looks: dict[int, Look]) -> dict[str, tuple[int, float, int]]:
    if not looks:
        return {}
    sides = {"width": [k.size[0] for k in looks.values()], "height": [k.size[1] for k in looks.values()]}
    return {name: (min(values), median(values), max(values)) for name, values in sides.items()}
