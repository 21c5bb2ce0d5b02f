"""Windows of images of any shape, and the masks under them: an image that is its own mask, and torchvision's cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from headstart.palette import IGNORE_INDEX
from headstart.recipes.recipe import Augment
from headstart.transforms.augment import augment_mask, augment_window
from headstart.transforms.params import AugmentParams, sample_params

AS_IT_IS = Augment(mean=(0, 0, 0), std=(1, 1, 1), hflip=0)
ALL_AT_ONCE = AS_IT_IS.model_copy(update={"hflip": 0.5, "vflip": 0.5, "rotate": 180.0, "zoom": (0.4, 3.0)})


@pytest.fixture(params=[(80, 120), (121, 64)])
def pixels(request: pytest.FixtureRequest, shared_data: Callable[[str], Path]) -> Tensor:
    """The upper left of eight aerial photographs, wide or high: uint8 (8, 3, H, W)."""
    height, width = request.param
    files = sorted((shared_data("aerial") / "train").glob("*_sat.jpg"))[:8]
    return torch.stack([torch.from_numpy(np.array(Image.open(f))[:height, :width].transpose(2, 0, 1)) for f in files])


def drawn(settings: Augment, count: int, seed: int = 0, **fixed: Tensor) -> AugmentParams:
    return replace(sample_params(settings, count, torch.Generator().manual_seed(seed)), **fixed)


def window(pixels: Tensor, settings: Augment, side: int, chance: AugmentParams) -> Tensor:
    return (augment_window(pixels, settings, side, chance) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("side", [48, 200])
def test_an_image_that_is_its_own_mask_stays_its_own_mask(side: int, pixels: Tensor) -> None:
    """Flipped, rotated, magnified, cut and reduced: gray images whose mask is the image; black is what is outside."""
    masks = pixels[:, 1].clamp(1, 254)
    images = masks.unsqueeze(1).expand(-1, 3, -1, -1).contiguous()
    for seed in range(5):
        chance = drawn(ALL_AT_ONCE, len(masks), seed)
        seen, truth = window(images, ALL_AT_ONCE, side, chance), augment_mask(masks, side, chance)
        assert truth.shape == (len(masks), side, side)
        assert torch.equal(seen[:, 0], truth.where(truth != IGNORE_INDEX, 0))
        assert (truth != IGNORE_INDEX).any()


def test_interpolated_images_lie_on_their_masks_and_are_black_where_the_masks_are_nothing(pixels: Tensor) -> None:
    """Bilinear reading of two flat halves: away from the border between them and from the rim, each half is flat."""
    settings = ALL_AT_ONCE.model_copy(update={"interpolation": "bilinear"})
    masks = torch.zeros(pixels[:, 0].shape, dtype=torch.uint8)
    masks[..., masks.shape[-1] // 2 :] = 1
    images = (100 + 100 * masks).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()
    chance = drawn(settings, len(masks))
    seen, truth = window(images, settings, 64, chance)[:, 0].float(), augment_mask(masks, 64, chance)
    assert torch.equal(seen == 0, truth == IGNORE_INDEX)
    wrong = (truth != IGNORE_INDEX) & ((seen - (100 + 100 * truth)).abs() > 50)
    assert not wrong.any()
    flat = (seen == 100) | (seen == 200)
    assert flat[truth != IGNORE_INDEX].float().mean() > 0.9


def test_a_window_without_zoom_is_torchvision_s_crop_and_flips(pixels: Tensor) -> None:
    height, width = pixels.shape[-2:]
    settings = AS_IT_IS.model_copy(update={"hflip": 0.5, "vflip": 0.5})
    chance = drawn(settings, len(pixels))
    room = torch.tensor([height - 48, width - 48])
    corners = (chance.position * (room + 1)).floor().int().tolist()
    for reading in ("nearest", "bilinear"):
        cut = window(pixels, settings.model_copy(update={"interpolation": reading}), 48, chance)
        for i, (top, left) in enumerate(corners):
            theirs = tv.crop(pixels[i], top, left, 48, 48)
            theirs = tv.horizontal_flip(theirs) if chance.hflip[i] else theirs
            theirs = tv.vertical_flip(theirs) if chance.vflip[i] else theirs
            assert torch.equal(cut[i], theirs)


def test_a_window_of_a_smaller_image_shows_all_of_it(pixels: Tensor) -> None:
    cut, masks = window(pixels, AS_IT_IS, 150, drawn(AS_IT_IS, len(pixels))), pixels[:, 0].clamp(max=254)
    truth = augment_mask(masks, 150, drawn(AS_IT_IS, len(pixels)))
    height, width = pixels.shape[-2:]
    for picture, mask, image in zip(cut, truth, pixels, strict=True):
        inside = (mask != IGNORE_INDEX).nonzero()
        (top, left), (bottom, right) = inside.amin(0).tolist(), inside.amax(0).tolist()
        assert (bottom - top + 1, right - left + 1) == (height, width)
        assert torch.equal(tv.crop(picture, top, left, height, width), image)


def test_a_rotated_window_is_torchvision_s(pixels: Tensor) -> None:
    """Rotated about the middle of the window; a place half-way between two pixels may go either way."""
    settings = AS_IT_IS.model_copy(update={"rotate": 40.0, "hflip": 0.5})
    height, width = pixels.shape[-2:]
    middle = torch.full((len(pixels), 2), 0.5)
    chance = drawn(settings, len(pixels), position=middle)
    cut, truth = window(pixels, settings, 48, chance), augment_mask(pixels[:, 2], 48, chance)
    top, left = (height - 48 + 1) // 2, (width - 48 + 1) // 2
    for i, picture in enumerate(pixels):
        flipped = bool(chance.hflip[i])
        start = width - 48 - left if flipped else left
        center = [start + 24.0, top + 24.0]
        turned = tv.rotate(
            tv.horizontal_flip(picture) if flipped else picture,
            float(chance.angle[i]),
            InterpolationMode.NEAREST,
            center=center,
        )
        theirs = tv.crop(turned, top, start, 48, 48)
        assert (cut[i] != theirs).any(dim=0).float().mean() < 0.01
        assert (truth[i] != theirs[2]).float().mean() < 0.01 + (theirs[2] == 0).float().mean()


@pytest.mark.parametrize("zoom", [2.0, 4.0])
def test_a_magnified_window_is_torchvision_s_crop_made_larger(zoom: float, pixels: Tensor) -> None:
    settings = AS_IT_IS.model_copy(update={"zoom": (zoom, zoom)})
    chance = drawn(settings, len(pixels), position=torch.zeros(len(pixels), 2))
    across = int(48 / zoom)
    theirs = tv.resized_crop(pixels, 0, 0, across, across, [48, 48], InterpolationMode.NEAREST)
    assert torch.equal(window(pixels, settings, 48, chance), theirs)
    assert torch.equal(augment_mask(pixels[:, 0], 48, chance), theirs[:, 0])


def test_images_of_unlike_sizes_in_one_table_have_windows_inside_themselves(pixels: Tensor) -> None:
    """Smaller images in the upper left of a table: their windows are those that they have by themselves."""
    height, width = pixels.shape[-2:]
    chance = drawn(ALL_AT_ONCE.model_copy(update={"rotate": 0.0, "zoom": (1.0, 1.0)}), len(pixels))
    table, masks = torch.zeros(len(pixels), 3, 200, 180, dtype=torch.uint8), torch.full((len(pixels), 200, 180), 255)
    table[:, :, :height, :width], masks[:, :height, :width] = pixels, pixels[:, 0].clamp(max=254)
    sizes = torch.tensor([[height, width]]).repeat(len(pixels), 1)
    assert torch.equal(augment_window(table, AS_IT_IS, 48, chance, sizes), augment_window(pixels, AS_IT_IS, 48, chance))
    truth = augment_mask(masks.to(torch.uint8), 48, chance, sizes)
    assert torch.equal(truth, augment_mask(pixels[:, 0].clamp(max=254), 48, chance))
    assert (truth != IGNORE_INDEX).all()


def test_windows_lie_anywhere_inside_the_image_and_their_magnification_is_log_uniform() -> None:
    settings = AS_IT_IS.model_copy(update={"zoom": (0.5, 2.0)})
    chance = drawn(settings, 20_000)
    assert 0.5 <= chance.zoom.min() < chance.zoom.max() <= 2.0
    assert abs((chance.zoom < 1).float().mean() - 0.5) < 0.02
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(9), indexing="ij")
    where = torch.stack([rows, columns], dim=0).to(torch.uint8)
    still = drawn(AS_IT_IS, 2000)
    tops, lefts = (augment_mask(each.expand(2000, -1, -1), 4, still)[:, 0, 0] for each in where)
    assert set(tops.tolist()) == {0, 1, 2}
    assert set(lefts.tolist()) == {0, 1, 2, 3, 4, 5}
    assert torch.bincount(lefts.int()).min() > 250


def test_every_window_has_a_draw_of_its_own_and_ranks_share_them(pixels: Tensor) -> None:
    settings = ALL_AT_ONCE.model_copy(update={"brightness": 0.2, "contrast": 0.2, "interpolation": "bilinear"})
    chance = drawn(settings, len(pixels))
    whole, truth = augment_window(pixels, settings, 40, chance), augment_mask(pixels[:, 0], 40, chance)
    for rank in range(2):
        mine = slice(rank, None, 2)
        torch.testing.assert_close(augment_window(pixels[mine], settings, 40, chance.select(mine)), whole[mine])
        assert torch.equal(augment_mask(pixels[mine, 0], 40, chance.select(mine)), truth[mine])
