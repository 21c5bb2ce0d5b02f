"""Images that must not be trained on because others are judged by them: the same files, or pictures that look alike."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from headstart.data.checks import duplicates
from headstart.data.pixels import Pixels
from headstart.data.sampling import batches

AT_ONCE = 512 * 160 * 160
"""Pixels that are made small at once, of as many images as it takes: 160 MB."""


def overlapping_rows(pool: Pixels, held_out: Pixels, rows: NDArray[np.int64]) -> list[int]:
    """The training rows of ``pool`` whose pictures are, or look like, those of ``held_out`` at ``rows``.

    Both are looked at as decoded, so that no file is read again.
    """
    ours = np.array(pool.index.positions("train"), dtype=np.int64)
    secret = {held_out.contents[row] for row in rows.tolist()}
    same = {row for row in ours.tolist() if pool.contents[row] in secret}
    thumbs = np.concatenate([_thumbnails(pool, ours), _thumbnails(held_out, rows)])
    alike = duplicates.near_duplicates(thumbs)
    near = {
        int(ours[place])
        for some in alike
        if any(place >= len(ours) for place in some)
        for place in some
        if place < len(ours)
    }
    return sorted(same | near)


def _thumbnails(pixels: Pixels, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Gray thumbnails, uint8 (N, 32, 32), by ITU-R 601."""
    found = [np.empty((0, duplicates.SIDE, duplicates.SIDE), np.uint8)]
    for some in batches(rows, max(1, AT_ONCE // (pixels.height * pixels.width))):
        small = F.interpolate(
            pixels.batch(some).float(), (duplicates.SIDE, duplicates.SIDE), mode="bilinear", antialias=True
        )
        gray = (small * small.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)
        found.append(gray.round().clamp(0, 255).byte().numpy())
    return np.concatenate(found)
