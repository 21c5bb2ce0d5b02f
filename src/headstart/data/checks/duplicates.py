"""Pictures that occur twice: the same bytes, or the same look. Arrays in, sets of row numbers out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Side of the gray thumbnails, which is what a perceptual hash is made from."""
NEAR = 8
"""Most bits of 64 in which the hashes of two alike pictures differ. Measured on photographs saved again as JPEG at
quality 50 and 20, halved, or brightened by a fifth: 99 % differ in at most 6 (solar cells: 8)."""
ALIKE = 0.99
"""Least correlation of the thumbnails of two alike pictures. Measured on 300 photographs each of clothing (160 px) and
of objects (64 px): of copies saved at quality 50, 98 % and more are found, halved all, brightened by a fifth 93 %."""
FLAT = 3.0
"""Thumbnails with a smaller standard deviation, in gray levels of 255, show too little to be told apart."""
ENOUGH = 50
"""From this many pictures on, what they have in common is known and left out of the comparison."""
BLOCK = 64
"""Rows of the distance table made at once: 64 x 22,500 hashes take 12 MB."""


def same_content(contents: Mapping[int, str]) -> list[list[int]]:
    """The rows of each content hash, from row -> hash."""
    rows: dict[str, list[int]] = {}
    for row, content in contents.items():
        rows.setdefault(content, []).append(row)
    return list(rows.values())


def perceptual_hashes(thumbs_nhw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64-bit hashes (N,) of gray thumbnails (N, 32, 32); they differ in few bits where the pictures look alike.

    The 8 x 8 lowest frequencies of the cosine transform, each compared with their median. It is ImageHash's
    `phash` for all thumbnails at once, which is twenty times faster.
    """
    frequency, place = np.arange(8)[:, None], np.arange(SIDE)[None, :]
    cosines = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))
    low = (cosines @ thumbs_nhw.astype(np.float64) @ cosines.T).reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1)


def near_duplicates(thumbs_nhw: NDArray[np.uint8]) -> list[list[int]]:
    """Sets of rows that look alike, from gray thumbnails (N, 32, 32) of different files.

    Pairs with near hashes are candidates; they are alike when their thumbnails correlate as well. Sets are joined
    by what they share: in a film, the first picture may differ from the last.
    """
    shared = _shared(thumbs_nhw)
    rows = np.flatnonzero(np.any(_patterns(thumbs_nhw, shared), axis=1)) if len(thumbs_nhw) else np.empty(0, np.int64)
    thumbs, hashes = thumbs_nhw[rows], perceptual_hashes(thumbs_nhw[rows])
    belongs = np.arange(len(rows))
    for start in range(0, len(rows), BLOCK):
        distance = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        near = np.triu(distance <= NEAR, k=1)
        left, right = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(left):
            continue
        alike = _patterns(thumbs[start + left], shared) @ _patterns(thumbs[start + right], shared).T >= ALIKE
        alike &= near[np.ix_(left, right)]
        for row, matches in zip(left, alike, strict=True):
            joined = np.unique(belongs[start + np.append(right[matches], row)])
            if len(joined) > 1:
                belongs[np.isin(belongs, joined)] = joined[0]
    return _sets(rows, belongs)


def _sets(rows: NDArray[np.int64], belongs: NDArray[np.int64]) -> list[list[int]]:
    order = np.argsort(belongs, kind="stable")
    parts = np.split(rows[order], np.flatnonzero(np.diff(belongs[order])) + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def _shared(thumbs_nhw: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The unit pattern (1024,) that all the pictures share: the frame of a solar cell, the ground of a scanner.

    Two different solar cells correlate by 0.98 because both show a frame. Only pictures with different hashes are
    asked, so that a film counts once, however long it is. Few pictures share by chance: then None.
    """
    some = thumbs_nhw[:: max(1, len(thumbs_nhw) // 2000)]
    hashes = perceptual_hashes(some)
    near = np.triu(np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= NEAR, k=1)
    some = some[~near.any(axis=0)]
    if len(some) < ENOUGH:
        return None
    median: NDArray[np.float32] = np.median(_patterns(some, None), axis=0).astype(np.float32)
    length = np.linalg.norm(median)
    return median / length if length > 0 else None


def _patterns(thumbs_nhw: NDArray[np.uint8], shared: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Thumbnails as unit vectors (N, 1024) without mean and without ``shared``; zero where too little is left."""
    pattern = thumbs_nhw.reshape(len(thumbs_nhw), SIDE * SIDE).astype(np.float32)
    pattern -= pattern.mean(axis=1, keepdims=True)
    if shared is not None:
        pattern -= np.outer(pattern @ shared, shared)
    length = np.linalg.norm(pattern, axis=1, keepdims=True)
    pattern /= np.where(length < FLAT * SIDE, np.inf, length)
    return pattern
