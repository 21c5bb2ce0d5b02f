"""Each change to a batch against torchvision's, image by image, on real photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

from headstart.data.decode import square
from headstart.data.views import Draw, draw, plain_view, training_view
from headstart.recipe import Views

AS_IT_IS = Views(mean=(0, 0, 0), std=(1, 1, 1), flip=0)
"""No change but the scale: what comes out is the pixels over 255."""


@pytest.fixture(params=[48, 65])
def pixels(request: pytest.FixtureRequest, photos: Path) -> Tensor:
    """Twelve photographs, uint8 (12, 3, S, S), S even and odd."""
    files = sorted(photos.rglob("*.jpg"))[::5]
    squares = [square(Image.open(file).convert("RGB"), request.param, "squash") for file in files]
    return torch.stack([torch.from_numpy(each) for each in squares])


def still(count: int) -> Draw:
    """A draw that changes nothing."""
    return Draw(
        flip=torch.zeros(count, dtype=torch.bool),
        vertical_flip=torch.zeros(count, dtype=torch.bool),
        angle=torch.zeros(count),
        box=torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(count, 1),
        brightness=torch.ones(count),
        contrast=torch.ones(count),
    )


def view(pixels: Tensor, settings: Views, drawn: Draw, side: int | None = None) -> Tensor:
    return training_view(pixels, settings, side or pixels.shape[-1], drawn) * 255


def test_flips_are_exact(pixels: Tensor) -> None:
    chosen = torch.arange(12) % 2 == 0
    flipped = view(pixels, AS_IT_IS, replace(still(12), flip=chosen))
    turned = view(pixels, AS_IT_IS, replace(still(12), vertical_flip=chosen))
    for i, picture in enumerate(pixels.float()):
        torch.testing.assert_close(flipped[i], tv.horizontal_flip(picture) if chosen[i] else picture)
        torch.testing.assert_close(turned[i], tv.vertical_flip(picture) if chosen[i] else picture)


def test_nearest_rotation_is_torchvision_s(pixels: Tensor) -> None:
    """Equal but where a place falls half-way between two pixels, to a float's last bit: under one in a thousand."""
    angles = torch.linspace(-10, 10, 12)
    settings = AS_IT_IS.model_copy(update={"rotate": 10.0})
    rotated = view(pixels, settings, replace(still(12), angle=angles)).round()
    theirs = torch.stack(
        [tv.rotate(p, float(a), InterpolationMode.NEAREST) for p, a in zip(pixels, angles, strict=True)]
    )
    assert (rotated != theirs).any(dim=1).float().mean() < 1e-3
    assert (rotated == 0).all(dim=1).any(), "corners are black"


def test_bilinear_rotation_is_torchvision_s(pixels: Tensor) -> None:
    angles = torch.linspace(-170, 170, 12)
    settings = AS_IT_IS.model_copy(update={"rotate": 180.0, "interpolation": "bilinear"})
    rotated = view(pixels, settings, replace(still(12), angle=angles))
    for i, picture in enumerate(pixels.float()):
        theirs = tv.rotate(picture, float(angles[i]), InterpolationMode.BILINEAR)
        torch.testing.assert_close(rotated[i], theirs, atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [4094, 4096])
def test_the_largest_images_are_read_in_the_right_place(size: int, photos: Path) -> None:
    """More pixels than float32 can number without a gap (2**24)."""
    settings = AS_IT_IS.model_copy(update={"rotate": 10.0})
    file = min(photos.rglob("*.jpg"))
    picture = torch.from_numpy(square(Image.open(file).convert("RGB"), size, "squash"))[None]
    assert torch.equal(view(picture, settings, still(1)).round(), picture.float())


def test_a_flipped_image_is_rotated_after_the_flip_as_in_the_report(pixels: Tensor) -> None:
    angles = torch.full((12,), 7.0)
    settings = AS_IT_IS.model_copy(update={"rotate": 10.0})
    drawn = replace(still(12), flip=torch.ones(12, dtype=torch.bool), angle=angles)
    theirs = torch.stack([tv.rotate(tv.horizontal_flip(p), 7.0, InterpolationMode.NEAREST) for p in pixels])
    assert (view(pixels, settings, drawn).round() != theirs).any(dim=1).float().mean() < 1e-3


def test_crops_are_torchvision_s(pixels: Tensor) -> None:
    """Away from the crop's rim, where torchvision repeats the last pixel and we read on."""
    size, side = pixels.shape[-1], 32
    top, left, height, width = 5, 9, 30, 24
    box = torch.tensor([top, left, height, width]).float().repeat(12, 1) / size
    settings = AS_IT_IS.model_copy(update={"crop": 0.1, "interpolation": "bilinear"})
    cropped = view(pixels, settings, replace(still(12), box=box), side)
    theirs = tv.resized_crop(pixels.float(), top, left, height, width, [side, side], antialias=False)
    torch.testing.assert_close(cropped[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], atol=0.02, rtol=0)


def test_brightness_and_contrast_are_torchvision_s(pixels: Tensor) -> None:
    factors = torch.linspace(0.5, 1.5, 12)
    bright = AS_IT_IS.model_copy(update={"brightness": 0.5})
    contrast = AS_IT_IS.model_copy(update={"contrast": 0.5})
    one = view(pixels, bright, replace(still(12), brightness=factors))
    other = view(pixels, contrast, replace(still(12), contrast=factors))
    for i, picture in enumerate(pixels.float() / 255):
        torch.testing.assert_close(one[i], tv.adjust_brightness(picture, float(factors[i])) * 255, atol=0.01, rtol=0)
        torch.testing.assert_close(other[i], tv.adjust_contrast(picture, float(factors[i])) * 255, atol=0.01, rtol=0)


@pytest.mark.parametrize("side", [32, 40])
def test_resizing_and_normalising_are_torchvision_s(side: int, pixels: Tensor) -> None:
    settings = Views(flip=0)
    theirs = v2.Compose(
        [
            v2.Resize((side, side), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(settings.mean, settings.std),
        ]
    )(pixels)
    torch.testing.assert_close(plain_view(pixels, settings, side), theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(training_view(pixels, settings, side, still(12)), theirs, atol=1e-5, rtol=0)


def test_draws_follow_torchvision_s_laws() -> None:
    """20,000 draws against as many of torchvision's own; a wrong law fails by far (p below 1e-6)."""
    count = 20_000
    settings = Views(flip=0.3, vertical_flip=0.5, rotate=10, crop=0.3, brightness=0.4)
    drawn = draw(settings, count, torch.Generator().manual_seed(0))
    assert abs(drawn.flip.float().mean() - 0.3) < 0.02
    assert abs(drawn.vertical_flip.float().mean() - 0.5) < 0.02
    torch.manual_seed(1)
    angles = [v2.RandomRotation(10).make_params([])["angle"] for _ in range(2000)]
    assert ks_2samp(drawn.angle.numpy(), angles).pvalue > 1e-3
    crop, picture = v2.RandomResizedCrop(8, scale=(0.3, 1.0)), [torch.empty(3, 4000, 4000, device="meta")]
    theirs = [crop.make_params(picture) for _ in range(2000)]
    for column, name in ((0, "top"), (1, "left"), (2, "height"), (3, "width")):
        assert ks_2samp(drawn.box[:, column].numpy(), [each[name] / 4000 for each in theirs]).pvalue > 1e-3, name
    assert ks_2samp(drawn.brightness.numpy(), torch.empty(count).uniform_(0.6, 1.4).numpy()).pvalue > 1e-3


def test_every_image_has_a_draw_of_its_own_and_ranks_share_them(pixels: Tensor) -> None:
    settings = Views(rotate=10, crop=0.5, brightness=0.2, contrast=0.2, interpolation="bilinear")
    drawn = draw(settings, 12, torch.Generator().manual_seed(0))
    assert len(set(drawn.angle.tolist())) == 12
    whole = training_view(pixels, settings, 40, drawn)
    for rank in range(2):
        mine = slice(rank, None, 2)
        torch.testing.assert_close(training_view(pixels[mine], settings, 40, drawn.of(mine)), whole[mine])


def test_the_pixels_given_are_left_as_they_were(pixels: Tensor) -> None:
    before = pixels.clone()
    settings = Views(flip=1, vertical_flip=1, rotate=10, brightness=0.3, contrast=0.3)
    training_view(pixels, settings, pixels.shape[-1], draw(settings, 12, torch.Generator().manual_seed(0)))
    plain_view(pixels, settings)
    assert torch.equal(pixels, before)
