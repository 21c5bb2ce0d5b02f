"""Which image comes when: every image once an epoch, whatever the batch and however many processes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.sampling import batches, epoch_permutation, seed_of, shard, step_rows, steps_in_epoch


@given(count=st.integers(2, 500), batch=st.integers(2, 64), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_every_image_comes_once_an_epoch(count: int, batch: int, seed: int, epoch: int) -> None:
    order = epoch_permutation(seed, epoch, count)
    steps = [step_rows(order, step, batch) for step in range(steps_in_epoch(count, batch))]
    seen = np.concatenate(steps)
    assert len(set(seen.tolist())) == len(seen) == count - (count % batch == 1)
    assert all(len(step) > 1 for step in steps)


@given(count=st.integers(4, 500), each=st.integers(2, 16), world=st.integers(1, 8))
def test_no_rank_ever_gets_one_image_alone(count: int, each: int, world: int) -> None:
    batch, order = each * world, epoch_permutation(0, 0, count)
    steps = steps_in_epoch(count, batch, world)
    shares = [len(shard(step_rows(order, step, batch), rank, world)) for step in range(steps) for rank in range(world)]
    assert min(shares, default=2) >= 2
    assert count - sum(shares) < 2 * world


@given(count=st.integers(0, 300), world=st.integers(1, 8))
def test_ranks_share_all_rows_and_pad_none(count: int, world: int) -> None:
    rows = np.arange(count)
    parts = [shard(rows, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_203_images_over_two_ranks_are_102_and_101() -> None:
    assert [len(shard(np.arange(203), rank, 2)) for rank in range(2)] == [102, 101]


def test_epochs_and_seeds_differ_and_the_same_is_the_same() -> None:
    first = epoch_permutation(0, 0, 100)
    assert (first == epoch_permutation(0, 0, 100)).all()
    assert (first != epoch_permutation(0, 1, 100)).any()
    assert (first != epoch_permutation(1, 0, 100)).any()


def test_a_seed_is_the_same_in_another_process() -> None:
    program = "from headstart.data.sampling import seed_of; print(seed_of('step', 3, 'a'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == seed_of("step", 3, "a") < 2**63
    assert seed_of("a", "bc") != seed_of("ab", "c")


def test_batches_keep_the_order_and_the_rest() -> None:
    assert [part.tolist() for part in batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


def test_a_longer_order_has_every_image_again_in_other_orders() -> None:
    order = epoch_permutation(0, 3, 10, 35)
    assert len(order) == 35
    rounds = [order[start : start + 10].tolist() for start in (0, 10, 20)]
    assert all(sorted(each) == list(range(10)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 3
    assert rounds[0] == epoch_permutation(0, 3, 10).tolist()
