"""Pictures that look alike are found among many, and pictures that merely share a frame are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headstart.data.checks.duplicates import (
    MAX_HASH_DISTANCE,
    MIN_CORRELATION,
    near_duplicates,
    perceptual_hashes,
)


def gray(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS))


@pytest.fixture
def pictures(shared_data: Callable[[str], Path]) -> list[Image.Image]:
    """Two hundred photographs, each of something else."""
    opened = []
    for file in sorted((shared_data("clothing") / "val").iterdir())[:200]:
        with Image.open(file) as picture:
            opened.append(picture.convert("RGB"))
    return opened


def film(picture: Image.Image, frames: int) -> NDArray[np.uint8]:
    """A camera that stands still: one picture and the noise of a sensor, (frames, 32, 32)."""
    noise = np.random.default_rng(0).integers(-2, 3, (frames, 32, 32))
    return np.clip(gray(picture).astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.mark.real_too
def test_different_photographs_are_not_alike(pictures: list[Image.Image]) -> None:
    assert near_duplicates(np.stack([gray(each) for each in pictures])) == []


@pytest.mark.real_too
def test_copies_are_found_wherever_they_stand(pictures: list[Image.Image]) -> None:
    """Two hundred pictures and a darker copy of each: pairs across all blocks of the distance table."""
    thumbs = np.stack([gray(each) for each in pictures])
    darker = (thumbs * 0.9).astype(np.uint8)
    found = {tuple(each) for each in near_duplicates(np.concatenate([thumbs, darker]))}
    assert found == {(row, row + len(thumbs)) for row in range(len(thumbs))}


@pytest.mark.real_too
@pytest.mark.parametrize("frames", [20, 190, 1000])
def test_a_film_is_one_set_however_much_of_the_data_it_is(frames: int, pictures: list[Image.Image]) -> None:
    others = np.stack([gray(each) for each in pictures[1:]])
    found = near_duplicates(np.concatenate([others, film(pictures[0], frames)]))
    assert found == [list(range(len(others), len(others) + frames))]


@pytest.mark.slow
def test_a_frame_that_all_pictures_share_is_left_out_of_the_comparison() -> None:
    """Different solar cells have near hashes and correlate by 0.99, for each shows the same grid of contacts.

    A strict copy of one of them is found all the same.
    """
    elpv = pytest.importorskip("elpv_dataset.utils")
    cells = np.stack([gray(Image.fromarray(image)) for image in elpv.load_dataset()[0][::2]])
    hashes = perceptual_hashes(cells)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= MAX_HASH_DISTANCE
    misled = np.triu(near & (np.corrcoef(cells.reshape(len(cells), -1)) >= MIN_CORRELATION), k=1)
    found = near_duplicates(cells)
    assert sum(len(each) - 1 for each in found) < misled.sum() / 4
    alone = next(row for row in range(len(cells)) if not any(row in each for each in found))
    twice = near_duplicates(np.concatenate([cells, cells[alone : alone + 1] // 2 + 60]))
    assert [alone, len(cells)] in twice


def test_flat_pictures_say_nothing_and_few_pictures_suffice(pictures: list[Image.Image]) -> None:
    flat = np.stack([np.full((32, 32), level, np.uint8) for level in range(0, 250, 5)])
    assert near_duplicates(flat) == []
    assert near_duplicates(flat[:0]) == []
    assert near_duplicates(film(pictures[0], 2)) == [[0, 1]]
