"""Deterministic sampling: the images of a step are a function of (seed, epoch, step, rank), so that runs can resume."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def seed_of(*parts: int | str) -> int:
    """Hash ``parts`` to a 63-bit seed, the same in every process and every version of Python."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") >> 1


def epoch_permutation(seed: int, epoch: int, count: int, length: int | None = None) -> Rows:
    """Random permutation of the positions 0 ... count-1 for one epoch, int64 (count,).

    With a ``length`` greater than ``count``, int64 (length,): further permutations follow, each different.
    """
    rounds = -(-(length or count) // count)
    orders = [
        np.random.default_rng(seed_of("order", seed, epoch, *((repeat,) if repeat else ()))).permutation(count)
        for repeat in range(rounds)
    ]
    return np.concatenate(orders)[:length]


def steps_in_epoch(count: int, batch: int, world: int = 1) -> int:
    """Steps per epoch. A last batch of less than two images per rank is dropped: batch normalization needs two."""
    return count // batch + (count % batch >= 2 * world)


def step_rows(order: Rows, step: int, batch: int) -> Rows:
    """Positions of one step, over all ranks together."""
    return order[step * batch : (step + 1) * batch]


def shard(rows: Rows, rank: int, world: int) -> Rows:
    """Shard of one rank: each row goes to exactly one rank, without padding (203 rows over 2 ranks: 102 and 101)."""
    return rows[rank::world]


def batches(rows: Rows, batch: int) -> Sequence[Rows]:
    """``rows`` in order, in batches of ``batch``; the last may be smaller."""
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]
