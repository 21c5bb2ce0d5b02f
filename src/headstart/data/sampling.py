"""Which image comes when: a function of (seed, epoch, step, rank), so that a resumed run misses and repeats none."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that hangs on ``parts`` alone: the same in every process and every version of Python."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def epoch_permutation(seed: int, epoch: int, count: int, length: int | None = None) -> Rows:
    """The positions 0 ... count-1 in the order of one epoch, int64 (count,).

    With a ``length`` beyond ``count``, int64 (length,): all of them again and again, each time in another order.
    """
    rounds = -(-(length or count) // count)
    orders = [
        np.random.default_rng(seed_of("order", seed, epoch, *((again,) if again else ()))).permutation(count)
        for again in range(rounds)
    ]
    return np.concatenate(orders)[:length]


def steps_in_epoch(count: int, batch: int) -> int:
    """How many steps one epoch has. A last batch of one image is left out: batch normalization cannot train on it."""
    return count // batch + (count % batch > 1)


def step_rows(order: Rows, step: int, batch: int) -> Rows:
    """The positions of one step, over all ranks together."""
    return order[step * batch : (step + 1) * batch]


def shard(rows: Rows, rank: int, world: int) -> Rows:
    """One rank's part of ``rows``: each row goes to exactly one rank, none is padded (203 over 2 is 102 and 101)."""
    return rows[rank::world]


def batches(rows: Rows, batch: int) -> Sequence[Rows]:
    """``rows`` in order, ``batch`` at a time; the last may be smaller."""
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]
