"""Tiles against the whole image: what is local comes out the same, and whatever a network says, no seam shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from headstart.inference.tiling import Tiling, flip_tta, predict_tiled


@pytest.fixture
def picture(shared_data: Callable[[str], Path]) -> Tensor:
    """The most detailed of the aerial photographs, uint8 (3, 300, 300): as a JPEG it is the largest."""
    file = max((shared_data("aerial") / "val").glob("*_sat.jpg"), key=lambda file: (file.stat().st_size, file.name))
    return torch.from_numpy(np.array(Image.open(file)).transpose(2, 0, 1))


def whole(picture: Tensor, ask: Callable[[Tensor], Tensor], side: int, overlap: int, at_once: int = 1) -> Tensor:
    height, width = picture.shape[-2:]
    tiling = Tiling(side, overlap, at_once)
    bands = list(predict_tiled(lambda t, b: picture[:, t:b], ask, size=(height, width), tiling=tiling))
    assert [top for top, _ in bands] == np.cumsum([0, *(band.shape[1] for _, band in bands)])[:-1].tolist()
    return torch.cat([band for _, band in bands], dim=1)


def smoothing(reach: int) -> Callable[[Tensor], Tensor]:
    """A network that sees ``reach`` pixels far, with zeros beyond the image: (red, green, blue) blurred, as shares."""

    def ask(images: Tensor) -> Tensor:
        blurred = F.avg_pool2d(images.float(), 2 * reach + 1, stride=1, padding=reach)
        return blurred.softmax(dim=1)

    return ask


@pytest.mark.parametrize(("side", "overlap", "at_once"), [(64, 32, 1), (96, 32, 3), (128, 64, 2), (224, 96, 1)])
def test_what_hangs_on_each_pixel_alone_is_the_same_in_tiles(
    side: int, overlap: int, at_once: int, picture: Tensor
) -> None:
    shares = picture[:, :217].float() / 255
    answer = whole(picture[:, :217], lambda images: images.float() / 255, side, overlap, at_once)
    torch.testing.assert_close(answer, shares, atol=1e-6, rtol=0)


def test_a_network_that_sees_less_far_than_tiles_overlap_says_nearly_the_same(picture: Tensor) -> None:
    """What is wrong at a tile's edge counts for little; tiles laid side by side are wrong by half and more."""
    ask = smoothing(8)
    theirs = ask(picture.unsqueeze(0))[0]
    ours = whole(picture, ask, 128, 64)
    cut = torch.cat([ask(picture[None, :, :128])[0], ask(picture[None, :, 128:])[0]], dim=1)
    assert (cut - theirs).abs().max() > 0.5
    assert (ours - theirs).abs().max() < 0.08
    assert (ours - theirs).abs().mean() < 1e-3


def test_whatever_a_network_says_of_each_tile_no_seam_shows(picture: Tensor) -> None:
    """A network that says another thing of each tile: the blend changes no faster than the weights do."""
    chance = torch.Generator().manual_seed(0)

    def ask(images: Tensor) -> Tensor:
        first = torch.randint(0, 2, (len(images), 1, 1, 1), generator=chance).float()
        first = first.expand(-1, 1, *images.shape[-2:])
        return torch.cat([first, 1 - first], dim=1)

    answer = whole(picture, ask, 128, 64)
    steepest = math.pi / 2 / 64  # of the squared sine
    assert answer[0].max() - answer[0].min() > 0.9
    assert answer.diff(dim=1).abs().max() < 1.3 * steepest
    assert answer.diff(dim=2).abs().max() < 1.3 * steepest
    torch.testing.assert_close(answer.sum(dim=0), torch.ones(300, 300))


@pytest.mark.slow
def test_an_image_that_fits_is_looked_at_as_a_whole(picture: Tensor) -> None:
    ask = smoothing(30)
    assert torch.equal(whole(picture, ask, 320, 64), ask(picture.unsqueeze(0))[0])
    assert Tiling(320, 64).count(300, 300) == 1


@pytest.mark.parametrize("length", [1, 31, 96, 97, 128, 129, 300, 1000])
def test_tiles_cover_an_edge_and_begin_on_the_grid(length: int) -> None:
    starts = Tiling(96, 32).starts(length)
    assert starts[0] == 0
    assert all(start % 32 == 0 for start in starts)
    assert all(0 < later - start <= 64 for start, later in pairwise(starts))
    assert starts[-1] + 96 >= length > starts[-1]
    assert len(starts) == 1 or length - starts[-1] > 64
    assert Tiling(96, 32).count(length, 97) == 2 * len(starts)


def test_weights_of_neighbors_add_up_to_one_and_fall_towards_the_edge() -> None:
    each = Tiling(96, 32).blend_window(96)
    torch.testing.assert_close(each[-32:] + each[:32], torch.ones(32))
    assert (each[:32].diff() > 0).all()
    assert 0 < each[0] < 0.001
    assert each[48] == 1


def test_averaging_over_flips_is_the_mean_of_four(picture: Tensor) -> None:
    image = picture[None, :, :64, :96]

    def ask(images: Tensor) -> Tensor:  # what it says hangs on the place: to the left and the top more
        slope = torch.linspace(1, 0, 96) + torch.linspace(2, 0, 64).unsqueeze(1)
        return images.float() * slope

    every = [ask(image.flip(dims)).flip(dims) for dims in ([], [-1], [-2], [-2, -1])]
    torch.testing.assert_close(flip_tta(ask, horizontal=True, vertical=True)(image), sum(every) / 4)
    torch.testing.assert_close(flip_tta(ask, horizontal=True, vertical=False)(image), (every[0] + every[1]) / 2)
    torch.testing.assert_close(flip_tta(ask, horizontal=False, vertical=False)(image), every[0])


def test_every_tile_is_counted(picture: Tensor) -> None:
    told: list[int] = []
    tiling = Tiling(128, 64, batch_size=3)
    for _ in predict_tiled(
        lambda t, b: picture[:, t:b], smoothing(1), size=(300, 300), tiling=tiling, advance=told.append
    ):
        pass
    assert sum(told) == tiling.count(300, 300) == 16
