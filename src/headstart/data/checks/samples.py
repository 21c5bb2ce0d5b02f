"""A few images of a dataset, for a person to see whether their labels or masks are read as they are meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from headstart.data.decode import Unreadable
from headstart.data.index import UNLABELED, Index
from headstart.data.masks.codec import read_mask

Item = TypeVar("Item")
MAX_SHARES = 3
"""Classes of a mask that are named."""


def sample_rows(index: Index, per_class: int = 1, limit: int = 4) -> list[int]:
    """Rows of at most ``limit`` images, always the same: ``per_class`` of each class, more where that leaves room.

    With more classes than fit, they are spread over all classes. Images with masks and without labels are spread over
    the whole dataset. In the order of the index.
    """
    if UNLABELED in index.labels or not index.classes:
        return spread(range(len(index)), limit)
    of_class = [[row for row, label in enumerate(index.labels) if label == k] for k in range(len(index.classes))]
    filled = [rows for rows in of_class if rows]
    each = max(per_class, -(-limit // max(1, len(filled))))
    some = [spread(rows, each) for rows in spread(filled, max(1, limit // per_class))]
    in_turn = [rows[place] for place in range(each) for rows in some if place < len(rows)]
    return sorted(in_turn[:limit])


def class_rows(index: Index, label: int, count: int) -> list[int]:
    """Rows of at most ``count`` images of a class, spread over it."""
    return spread([row for row, each in enumerate(index.labels) if each == label], count)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items at equal distances, the first among them."""
    if len(items) <= count:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items), count, endpoint=False).astype(int)]


def describe(index: Index, row: int) -> str:
    """What an image is taken to show: ``class hat``, ``mask a_mask.png: tree 63.1 %, water 36.9 %``, ``no label``."""
    if not index.masks:
        label = index.labels[row]
        return "no label" if label == UNLABELED else f"class {index.classes[label]}"
    if not index.masks[row]:
        return "no mask"
    if index.palette is None:  # as `layouts.scan` leaves it
        return f"mask {index.masks[row]}"
    try:
        mask = read_mask(index.root / index.masks[row], index.palette)
    except Unreadable as error:
        return f"mask {index.masks[row]}: {error}"
    counts = np.bincount(mask.ravel(), minlength=256)
    shares = {name: counts[place] for place, name in enumerate(index.palette.classes) if counts[place]}
    ignored = int(counts[len(index.palette.classes) :].sum())
    most = sorted(shares, key=lambda name: (-shares[name], name))
    words = [f"{name} {shares[name] / mask.size:.1%}" for name in most[:MAX_SHARES]]
    more = len(most) - MAX_SHARES
    words += [f"{more} more"] * (more > 0) + [f"ignored {ignored / mask.size:.1%}"] * (ignored > 0)
    return f"mask {index.masks[row]}: {', '.join(words)}"
