"""Duplicate and near-duplicate images, from content hashes and thumbnails. Arrays in, sets of row numbers out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 32
"""Side of the gray thumbnails, in pixels: what a perceptual hash is computed from."""
MAX_HASH_DISTANCE = 8
"""Hamming distance of 64-bit hashes up to which two images are compared. Measured on photographs saved again as JPEG at
quality 50 and 20, halved, or brightened by a fifth: 99 % differ in at most 6 bits (solar cells: 8)."""
MIN_CORRELATION = 0.99
"""Correlation of two thumbnails from which on the images are near duplicates. Measured on 300 photographs each of
clothing (160 px) and of objects (64 px): of copies saved at quality 50, 98 % and more are found, of halved ones all, of
those brightened by a fifth 93 %."""
MIN_STD = 3.0
"""Thumbnails with a smaller standard deviation, in gray levels of 255, have too little content to compare."""
MIN_IMAGES_FOR_SHARED = 50
"""From this many distinct images on, the pattern they all share is estimated and removed before comparison."""
BLOCK = 64
"""Rows of the distance table computed at once: 64 x 22,500 hashes take 12 MB."""


def same_content(contents: Mapping[int, str]) -> list[list[int]]:
    """Rows per content hash, from row -> hash."""
    rows: dict[str, list[int]] = {}
    for row, content in contents.items():
        rows.setdefault(content, []).append(row)
    return list(rows.values())


def perceptual_hashes(thumbs_nhw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64-bit perceptual hashes (N,) of gray thumbnails (N, 32, 32): similar images differ in few bits.

    The 8 x 8 lowest frequencies of the cosine transform, each compared with their median: ImageHash's `phash`, for
    all thumbnails at once, which is twenty times faster.
    """
    frequency, position = np.arange(8)[:, None], np.arange(THUMBNAIL_SIDE)[None, :]
    cosines = np.cos(np.pi * frequency * (2 * position + 1) / (2 * THUMBNAIL_SIDE))
    low = (cosines @ thumbs_nhw.astype(np.float64) @ cosines.T).reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1)


def near_duplicates(thumbs_nhw: NDArray[np.uint8]) -> list[list[int]]:
    """Sets of rows of near-duplicate images, from gray thumbnails (N, 32, 32) of different files.

    Pairs with a small hash distance are candidates; they are near duplicates if their thumbnails correlate as well.
    Sets are the connected components: in a video, the first frame may differ from the last.
    """
    # Thumbnails with too little content have no pattern, and are compared with none.
    shared = _shared_pattern(thumbs_nhw)
    rows = np.flatnonzero(np.any(_patterns(thumbs_nhw, shared), axis=1)) if len(thumbs_nhw) else np.empty(0, np.int64)
    thumbs, hashes = thumbs_nhw[rows], perceptual_hashes(thumbs_nhw[rows])
    component = np.arange(len(rows))
    for start in range(0, len(rows), BLOCK):
        # Candidates: a block of rows against all rows after them.
        distance = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        candidates = np.triu(distance <= MAX_HASH_DISTANCE, k=1)
        left, right = np.flatnonzero(candidates.any(axis=1)), np.flatnonzero(candidates.any(axis=0))
        if not len(left):
            continue
        # Correlation of the candidates, then components joined.
        correlation = _patterns(thumbs[start + left], shared) @ _patterns(thumbs[start + right], shared).T
        similar = (correlation >= MIN_CORRELATION) & candidates[np.ix_(left, right)]
        for row, matches in zip(left, similar, strict=True):
            joined = np.unique(component[start + np.append(right[matches], row)])
            if len(joined) > 1:
                component[np.isin(component, joined)] = joined[0]
    return _sets(rows, component)


def _sets(rows: NDArray[np.int64], component: NDArray[np.int64]) -> list[list[int]]:
    order = np.argsort(component, kind="stable")
    parts = np.split(rows[order], np.flatnonzero(np.diff(component[order])) + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def _shared_pattern(thumbs_nhw: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The unit pattern (1024,) that all images share: the frame of a solar cell, the background of a scanner.

    Two different solar cells correlate by 0.98 because both show a frame. The median is taken over images with
    different hashes, so that a video counts once, however long it is. Few images share a pattern by chance: then None.
    """
    some = thumbs_nhw[:: max(1, len(thumbs_nhw) // 2000)]
    hashes = perceptual_hashes(some)
    similar = np.triu(np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= MAX_HASH_DISTANCE, k=1)
    some = some[~similar.any(axis=0)]
    if len(some) < MIN_IMAGES_FOR_SHARED:
        return None
    median: NDArray[np.float32] = np.median(_patterns(some, None), axis=0).astype(np.float32)
    length = np.linalg.norm(median)
    return median / length if length > 0 else None


def _patterns(thumbs_nhw: NDArray[np.uint8], shared: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Thumbnails as unit vectors (N, 1024), without their mean and ``shared``; zero where too little is left."""
    pattern = thumbs_nhw.reshape(len(thumbs_nhw), THUMBNAIL_SIDE * THUMBNAIL_SIDE).astype(np.float32)
    pattern -= pattern.mean(axis=1, keepdims=True)
    if shared is not None:
        pattern -= np.outer(pattern @ shared, shared)
    length = np.linalg.norm(pattern, axis=1, keepdims=True)
    pattern /= np.where(length < MIN_STD * THUMBNAIL_SIDE, np.inf, length)
    return pattern
