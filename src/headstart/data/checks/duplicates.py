"""Duplicate and near-duplicate images, from content hashes and thumbnails. Arrays in, sets of row numbers out.

Near duplicates are copies that were saved again, resized, made brighter or darker, mirrored, or cropped by a few
percent. Every two images are compared, from coarse to fine, and each comparison leaves few pairs to the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from headstart.data.checks.descriptors import TANGENTS, mirror_signs, spectrum, tangent_planes, unit, whitening
from headstart.data.checks.registration import BORDER, register
from headstart.data.components import components

Floats = NDArray[np.float32]
Pairs = NDArray[np.int64]

THUMBNAIL_SIDE = 32
"""Side of the gray thumbnails, in pixels."""
MIN_STD = 3.0
"""Thumbnails with a smaller standard deviation beside a plane, in gray levels of 255, have too little content."""
COARSE, FINE = 8, 12
"""Frequencies of the descriptors in each direction."""
MIN_COSINE = 0.6
"""Cosine of the coarse descriptors from which on two images are compared further. Of copies cropped to 95 % in a
corner, the kind that moves most, 99 % reach 0.67 (benchmarks/near_duplicates.py)."""
MIN_TANGENT = 0.92
"""The same after the best small shift and stretch, to first order: 99 % of those copies reach 0.945."""
MIN_SIMILARITY = 0.97
"""Cosine of the fine descriptors, after registration, from which on two images are near duplicates. Of all kinds of
copies 97 % and more reach it; different garments on one table reach 0.94. Neighboring wafers of one block of silicon
crystals, whose solar cells show the same grains, do reach it."""
BLUR, MAX_REACH = 0.8, 3
"""Standard deviation of what thumbnails are blurred with before they are compared, and where it is cut, in pixels."""
TILE = 512
"""Rows and columns of the table of cosines computed at once: 1 MB stays in the processor's cache."""
TILES = 64
"""Tiles whose pairs are in memory at once."""
PAIRS = 50_000
"""Pairs whose tangent planes are compared at once."""
CHUNK, ROUND = 256, 4096
"""Pairs registered at once (again for the cache), and pairs after which those that are joined by now are left out."""


def same_content(contents: Mapping[int, str]) -> list[list[int]]:
    """Rows per content hash, from row -> hash."""
    rows: dict[str, list[int]] = {}
    for row, content in contents.items():
        rows.setdefault(content, []).append(row)
    return list(rows.values())


def near_duplicates(thumbs_nhw: NDArray[np.uint8]) -> list[list[int]]:
    """Sets of rows of near-duplicate images, from gray thumbnails (N, 32, 32) of different files.

    Sets are the connected components: in a video, the first frame may differ from the last.
    """
    # Every core gets tiles of its own: the threads of BLAS would wait for each other in products as small as a tile.
    with threadpool_limits(1, user_api="blas"):
        rows = np.flatnonzero(_detail(thumbs_nhw) >= MIN_STD)
        if len(rows) < 2:
            return []
        # Blurred a little, so that a shift by a fraction of a pixel changes them little.
        blur = _blurring()
        images = blur @ thumbs_nhw[rows].astype(np.float32) @ blur.T
        pairs, mirrored = _candidates(images)
        component = _join(images, pairs, mirrored)
    order = np.argsort(component, kind="stable")
    parts = np.split(rows[order], np.flatnonzero(np.diff(component[order])) + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)


def _detail(thumbs_nhw: NDArray[np.uint8]) -> Floats:
    """Standard deviation (N,) of what a plane does not explain: a clear sky has none, whatever its gradient."""
    place = np.linspace(-1, 1, THUMBNAIL_SIDE, dtype=np.float32)
    down, across = (each.reshape(-1) for each in np.meshgrid(place, place, indexing="ij"))
    plane = np.stack([each / np.linalg.norm(each) for each in (np.ones_like(down), down, across)])
    found = np.empty(len(thumbs_nhw), np.float32)
    for start in range(0, len(thumbs_nhw), TILE):  # in parts that stay in the cache
        flat = thumbs_nhw[start : start + TILE].reshape(-1, THUMBNAIL_SIDE**2).astype(np.float32)
        flat -= (flat @ plane.T) @ plane
        found[start : start + TILE] = np.sqrt(np.einsum("nd,nd->n", flat, flat)) / THUMBNAIL_SIDE
    return found


def _blurring() -> Floats:
    """Gaussian blur along one axis as a matrix, mirrored at the edges: `scipy.ndimage.gaussian_filter1d`'s.

    Not made by it, for importing `scipy.ndimage` takes a tenth of the time that the search of 25,000 images does.
    """
    reach = np.arange(-MAX_REACH, MAX_REACH + 1)
    weights = np.exp(-0.5 * (reach / BLUR) ** 2)
    mirrored = np.pad(np.eye(THUMBNAIL_SIDE), ((MAX_REACH, MAX_REACH), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, len(reach), axis=0)
    return np.asarray(windows @ (weights / weights.sum()), dtype=np.float32)


def _candidates(images_nhw: Floats) -> tuple[Pairs, NDArray[np.bool_]]:
    """Pairs (P, 2) whose coarse descriptors agree after a small shift and stretch, and which of them are mirrored.

    Of each pair the image whose tangent plane holds the other comes first, which of an image and a crop of it is the
    whole one. The pairs that agree best come first.
    """
    signs = mirror_signs(COARSE)
    coarse = spectrum(images_nhw, COARSE)
    whiten = whitening(coarse, signs)
    vectors = unit(coarse @ whiten)
    # Planes of the images that are in some pair, made when they are first asked for: of photographs these are few.
    planes, made = np.empty((*vectors.shape, TANGENTS), np.float32), np.zeros(len(vectors), bool)
    found, mirrors, lengths = [np.empty((0, 2), np.int64)], [np.empty(0, bool)], [np.empty(0, np.float32)]
    for pairs, mirrored in _alike(vectors, signs):
        asked = np.zeros(len(vectors), bool)
        asked[pairs] = True
        rows = np.flatnonzero(asked & ~made)
        if len(rows):
            planes[rows], made[rows] = tangent_planes(images_nhw[rows], COARSE, whiten), True
        flip = np.where(mirrored[:, None], signs, np.float32(1))
        one, other = pairs.T
        forth, back = (
            np.linalg.norm(np.einsum("pdk,pd->pk", planes[i], vectors[j] * flip), axis=1)
            for i, j in ((one, other), (other, one))
        )
        kept = np.maximum(forth, back) >= MIN_TANGENT
        found.append(np.where((forth >= back)[:, None], pairs, pairs[:, ::-1])[kept])
        mirrors.append(mirrored[kept])
        lengths.append(np.maximum(forth, back)[kept])
    best = np.argsort(-np.concatenate(lengths), kind="stable")
    return np.concatenate(found)[best], np.concatenate(mirrors)[best]


def _alike(vectors_nd: Floats, signs: Floats) -> Iterator[tuple[Pairs, NDArray[np.bool_]]]:
    """Pairs (P, 2) with a cosine of at least `MIN_COSINE`, as they are or with one mirrored, tens of thousands at once.

    Few at once would waste time on calls, all at once memory: among pictures of one thing nearly all pairs are alike.
    """
    even, odd = (np.ascontiguousarray(vectors_nd[:, signs == sign]) for sign in (1, -1))
    starts = range(0, len(vectors_nd), TILE)
    tiles = [(top, left) for top in starts for left in starts if left >= top]
    gathered: list[tuple[Pairs, NDArray[np.bool_]]] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for at in range(0, len(tiles), TILES):
            for pairs, mirrored in threads.map(partial(_alike_in_tile, even, odd), tiles[at : at + TILES]):
                for start in range(0, len(pairs), PAIRS):
                    gathered.append((pairs[start : start + PAIRS], mirrored[start : start + PAIRS]))
                    if sum(len(some) for some, _ in gathered) >= PAIRS:
                        yield _concatenated(gathered)
                        gathered = []
    if gathered:
        yield _concatenated(gathered)


def _alike_in_tile(even: Floats, odd: Floats, corner: tuple[int, int]) -> tuple[Pairs, NDArray[np.bool_]]:
    """The same of one tile of the table of cosines, from the ``even`` and ``odd`` frequencies of the descriptors."""
    top, left = corner
    # The cosine is the sum over even and odd frequencies; mirrored, the difference: the larger is at issue.
    odd_part = odd[top : top + TILE] @ odd[left : left + TILE].T
    larger = np.abs(odd_part)
    larger += even[top : top + TILE] @ even[left : left + TILE].T
    similar = larger >= MIN_COSINE
    if left == top:
        similar = np.triu(similar, k=1)
    one, other = np.divmod(np.flatnonzero(similar), similar.shape[1])
    return np.stack([one + top, other + left], axis=1), odd_part[one, other] < 0


def _concatenated(parts: list[tuple[Pairs, NDArray[np.bool_]]]) -> tuple[Pairs, NDArray[np.bool_]]:
    return np.concatenate([pairs for pairs, _ in parts]), np.concatenate([mirrored for _, mirrored in parts])


def _join(images_nhw: Floats, pairs: Pairs, mirrored: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Components (N,): the number of the set that each image is in, joined by the pairs that are near duplicates."""
    signs = mirror_signs(FINE)
    inside = slice(BORDER, THUMBNAIL_SIDE - BORDER)
    fine = spectrum(images_nhw[:, inside, inside], FINE)
    whiten = whitening(fine, signs)
    # What agrees as it is needs no registration: the frames of a film are thousands of pairs.
    vectors = unit(fine @ whiten)
    agree = np.zeros(len(pairs), bool)
    for some in np.array_split(np.arange(len(pairs)), max(1, len(pairs) // 100_000)):
        flip = np.where(mirrored[some, None], signs, np.float32(1))
        agree[some] = np.einsum("pd,pd->p", vectors[pairs[some, 0]], vectors[pairs[some, 1]] * flip) >= MIN_SIMILARITY
    joined = pairs[agree]
    component = components(joined, len(images_nhw))
    pairs, mirrored = pairs[~agree], mirrored[~agree]
    while len(pairs):
        apart = component[pairs[:, 0]] != component[pairs[:, 1]]
        pairs, mirrored = pairs[apart], mirrored[apart]
        now = [_similarity(images_nhw, pairs[i : i + CHUNK], mirrored[i : i + CHUNK], whiten)
               for i in range(0, min(ROUND, len(pairs)), CHUNK)]  # fmt: skip
        similar = np.concatenate([*now, np.empty(0, np.float32)]) >= MIN_SIMILARITY
        joined = np.concatenate([joined, pairs[:ROUND][similar]])
        component = components(joined, len(images_nhw))
        pairs, mirrored = pairs[ROUND:], mirrored[ROUND:]
    return component


def _similarity(images_nhw: Floats, pairs: Pairs, mirrored: NDArray[np.bool_], whiten: Floats) -> Floats:
    """Cosine (P,) of the fine descriptors of registered pairs."""
    fixed = images_nhw[pairs[:, 1]]
    fixed[mirrored] = fixed[mirrored, :, ::-1]
    one, other = (unit(spectrum(each, FINE) @ whiten) for each in register(images_nhw[pairs[:, 0]], fixed))
    return np.asarray(np.einsum("pd,pd->p", one, other))
