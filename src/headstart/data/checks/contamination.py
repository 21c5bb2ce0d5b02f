"""Contamination: training images that are (near-)duplicates of held-out images, of their own or another dataset."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from headstart.data.checks.duplicates import THUMBNAIL_SIDE, near_duplicates
from headstart.data.pixels import Pixels
from headstart.data.sampling import batches
from headstart.metrics.sharpness import LUMA

PIXELS_PER_CHUNK = 512 * 160 * 160
"""Pixels resized at once, in as many images as that is: 160 MB."""
MOST_COMPARED = 30_000
"""Images up to which a study looks for near duplicates of its held-out images: seconds."""


def overlapping_rows(pool: Pixels, held_out: Pixels, rows: NDArray[np.int64]) -> list[int]:
    """The training rows of ``pool`` that duplicate, or nearly duplicate, images of ``held_out`` at ``rows``.

    Works on the decoded pixels and the content hashes, so that no file is read again.
    """
    train = np.array(pool.index.positions("train"), dtype=np.int64)
    held_out_contents = {held_out.contents[row] for row in rows.tolist()}
    exact = {row for row in train.tolist() if pool.contents[row] in held_out_contents}
    thumbs = np.concatenate([_thumbnails(pool, train), _thumbnails(held_out, rows)])
    near = {int(train[position]) for first, _ in _across(thumbs, len(train)) for position in first}
    return sorted(exact | near)


def leaked_rows(pixels: Pixels, split: str) -> list[int]:
    """The rows of a held-out split that show a training image: the same file content, or nearly the same picture.

    Near duplicates are looked for among up to `MOST_COMPARED` images, and where decoded images are at hand.
    """
    train, held_out = (np.array(pixels.index.positions(each), dtype=np.int64) for each in ("train", split))
    trained_on = {pixels.contents[row] for row in train.tolist()}
    exact = {row for row in held_out.tolist() if pixels.contents[row] in trained_on}
    if pixels.streaming or len(train) + len(held_out) > MOST_COMPARED:
        return sorted(exact)
    thumbs = _thumbnails(pixels, np.concatenate([train, held_out]))
    near = {int(held_out[position]) for _, second in _across(thumbs, len(train)) for position in second}
    return sorted(exact | near)


def _across(thumbs_nhw: NDArray[np.uint8], first: int) -> Iterator[tuple[list[int], list[int]]]:
    """Sets of near duplicates that have members among the ``first`` thumbnails and among the others.

    Their positions among the ones, and among the others.
    """
    for similar in near_duplicates(thumbs_nhw):
        below, above = [each for each in similar if each < first], [each - first for each in similar if each >= first]
        if below and above:
            yield below, above


def _thumbnails(pixels: Pixels, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Gray thumbnails (ITU-R BT.601) without the padding, uint8 (N, 32, 32)."""
    thumbs = np.empty((len(rows), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    sizes, kinds = np.unique(pixels.sizes[rows], axis=0, return_inverse=True)
    for kind, (height, width) in enumerate(sizes):
        same_size = np.flatnonzero(kinds.reshape(-1) == kind)
        for some in batches(same_size, max(1, PIXELS_PER_CHUNK // (pixels.height * pixels.width))):
            images = pixels.batch(rows[some])[:, :, :height, :width].float()
            small = F.interpolate(images, thumbs.shape[1:], mode="bilinear", antialias=True)
            gray = (small * small.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1)
            thumbs[some] = gray.round().clamp(0, 255).byte().numpy()
    return thumbs
