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

from headstart.data.decode import resize_to_square
from headstart.recipes.recipe import Augment
from headstart.transforms.augment import augment, eval_transform
from headstart.transforms.params import AugmentParams, sample_params

AS_IT_IS = Augment(mean=(0, 0, 0), std=(1, 1, 1), hflip=0)
"""No change but the scale: what comes out is the pixels over 255."""


@pytest.fixture(params=[48, 65])
def pixels(request: pytest.FixtureRequest, photos: Path) -> Tensor:
    """Twelve photographs, uint8 (12, 3, S, S), S even and odd."""
    files = sorted(photos.rglob("*.jpg"))[::5]
    squares = [resize_to_square(Image.open(file).convert("RGB"), request.param, "squash") for file in files]
    return torch.stack([torch.from_numpy(each) for each in squares])


def still(count: int) -> AugmentParams:
    """A draw that changes nothing."""
    return AugmentParams(
        hflip=torch.zeros(count, dtype=torch.bool),
        vflip=torch.zeros(count, dtype=torch.bool),
        angle=torch.zeros(count),
        box=torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(count, 1),
        brightness=torch.ones(count),
        contrast=torch.ones(count),
        saturation=torch.ones(count),
        hue=torch.zeros(count),
        grayscale=torch.zeros(count, dtype=torch.bool),
        blur=torch.zeros(count, dtype=torch.bool),
        sigma=torch.ones(count),
        solarize=torch.zeros(count, dtype=torch.bool),
        zoom=torch.ones(count),
        position=torch.zeros(count, 2),
    )


def changed(**settings: float) -> Augment:
    return AS_IT_IS.model_copy(update=settings)


def view(pixels: Tensor, settings: Augment, drawn: AugmentParams, side: int | None = None) -> Tensor:
    return augment(pixels, settings, side or pixels.shape[-1], drawn) * 255


def test_flips_are_exact(pixels: Tensor) -> None:
    chosen = torch.arange(12) % 2 == 0
    flipped = view(pixels, AS_IT_IS, replace(still(12), hflip=chosen))
    turned = view(pixels, AS_IT_IS, replace(still(12), vflip=chosen))
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


@pytest.mark.slow
@pytest.mark.parametrize("size", [4094, 4096])
def test_the_largest_images_are_read_in_the_right_place(size: int, photos: Path) -> None:
    """More pixels than float32 can number without a gap (2**24)."""
    settings = AS_IT_IS.model_copy(update={"rotate": 10.0})
    file = min(photos.rglob("*.jpg"))
    picture = torch.from_numpy(resize_to_square(Image.open(file).convert("RGB"), size, "squash"))[None]
    assert torch.equal(view(picture, settings, still(1)).round(), picture.float())


def test_a_flipped_image_is_rotated_after_the_flip_as_in_the_report(pixels: Tensor) -> None:
    angles = torch.full((12,), 7.0)
    settings = AS_IT_IS.model_copy(update={"rotate": 10.0})
    drawn = replace(still(12), hflip=torch.ones(12, dtype=torch.bool), angle=angles)
    theirs = torch.stack([tv.rotate(tv.horizontal_flip(p), 7.0, InterpolationMode.NEAREST) for p in pixels])
    assert (view(pixels, settings, drawn).round() != theirs).any(dim=1).float().mean() < 1e-3


def cropped_to(pixels: Tensor, side: int, top: int, left: int, height: int, width: int) -> Tensor:
    """The bilinear crop of each image at this place, given in pixels."""
    box = torch.tensor([top, left, height, width]).float().repeat(12, 1) / pixels.shape[-1]
    settings = AS_IT_IS.model_copy(update={"crop": 0.1, "interpolation": "bilinear"})
    return view(pixels, settings, replace(still(12), box=box), side)


def test_crops_are_torchvision_s(pixels: Tensor) -> None:
    """Away from the crop's rim, where torchvision repeats the last pixel and we read on."""
    place, side = (5, 9, 30, 24), 32
    cropped = cropped_to(pixels, side, *place)
    theirs = tv.resized_crop(pixels.float(), *place, [side, side], antialias=False)
    torch.testing.assert_close(cropped[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], atol=0.02, rtol=0)


def test_crops_that_are_shrunk_are_antialiased_as_torchvision_s(pixels: Tensor) -> None:
    """To a third of their side: what is left of the aliasing is less than half of it in each photograph."""
    place, side = (3, 2, 42, 43), 14
    cropped = cropped_to(pixels, side, *place)
    smooth, aliased = (tv.resized_crop(pixels.float(), *place, [side, side], antialias=each) for each in (True, False))
    away = (cropped - smooth).abs().mean(dim=(1, 2, 3)) / (aliased - smooth).abs().mean(dim=(1, 2, 3))
    assert away.max() < 0.5, away


def test_a_crop_has_an_area_and_a_shape_between_the_bounds() -> None:
    config = AS_IT_IS.model_copy(update={"crop": 0.2, "crop_max": 0.35})
    top, left, height, width = sample_params(config, 5000, torch.Generator().manual_seed(0)).box.unbind(1)
    area = height * width
    assert 0.2 <= area.min() < 0.201
    assert 0.349 < area.max() <= 0.35 + 1e-6
    assert area.mean() == pytest.approx(0.275, abs=0.005)
    assert 3 / 4 <= (width / height).min() < (width / height).max() <= 4 / 3 + 1e-6
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1


def test_brightness_and_contrast_are_torchvision_s(pixels: Tensor) -> None:
    factors = torch.linspace(0.5, 1.5, 12)
    bright = AS_IT_IS.model_copy(update={"brightness": 0.5})
    contrast = AS_IT_IS.model_copy(update={"contrast": 0.5})
    one = view(pixels, bright, replace(still(12), brightness=factors))
    other = view(pixels, contrast, replace(still(12), contrast=factors))
    for i, picture in enumerate(pixels.float() / 255):
        torch.testing.assert_close(one[i], tv.adjust_brightness(picture, float(factors[i])) * 255, atol=0.01, rtol=0)
        torch.testing.assert_close(other[i], tv.adjust_contrast(picture, float(factors[i])) * 255, atol=0.01, rtol=0)


def test_saturation_and_hue_are_torchvision_s(pixels: Tensor) -> None:
    factors, turns = torch.linspace(0, 2, 12), torch.linspace(-0.5, 0.5, 12)
    one = view(pixels, changed(saturation=1.0), replace(still(12), saturation=factors))
    other = view(pixels, changed(hue=0.5), replace(still(12), hue=turns))
    for i, picture in enumerate(pixels.float() / 255):
        theirs = tv.adjust_saturation(picture, float(factors[i])) * 255
        torch.testing.assert_close(one[i], theirs, atol=0.01, rtol=0)
        torch.testing.assert_close(other[i], tv.adjust_hue(picture, float(turns[i])) * 255, atol=0.05, rtol=0)


def test_gray_and_solarized_images_are_torchvision_s_and_the_others_untouched(pixels: Tensor) -> None:
    chosen = torch.arange(12) % 3 == 0
    gray = view(pixels, changed(grayscale=0.3), replace(still(12), grayscale=chosen))
    inverted = view(pixels, changed(solarize=0.3), replace(still(12), solarize=chosen))
    for i, picture in enumerate(pixels.float()):
        theirs = tv.rgb_to_grayscale(picture, num_output_channels=3) if chosen[i] else picture
        torch.testing.assert_close(gray[i], theirs, atol=0.01, rtol=0)
        theirs = tv.solarize(picture / 255, 0.5) * 255 if chosen[i] else picture
        torch.testing.assert_close(inverted[i], theirs, atol=0.01, rtol=0)


@pytest.mark.parametrize("width", [3, 7, 23])
def test_blur_is_torchvision_s_each_image_with_its_own_sigma(width: int, pixels: Tensor) -> None:
    sigma, chosen = torch.linspace(0.1, 4, 12), torch.arange(12) % 4 != 0
    blurred = view(pixels, changed(blur=0.5, blur_kernel=width), replace(still(12), blur=chosen, sigma=sigma))
    for i, picture in enumerate(pixels.float()):
        theirs = tv.gaussian_blur(picture, [width, width], [float(sigma[i])]) if chosen[i] else picture
        torch.testing.assert_close(blurred[i], theirs, atol=0.01, rtol=0)


def test_the_changes_come_in_the_paper_s_order(pixels: Tensor) -> None:
    """Flip, color, gray, blur, solarization (Grill et al. 2020, appendix B), composed of torchvision's own."""
    every = torch.ones(12, dtype=torch.bool)
    drawn = replace(
        still(12),
        hflip=every,
        brightness=torch.full((12,), 1.2),
        contrast=torch.full((12,), 0.7),
        saturation=torch.full((12,), 1.4),
        hue=torch.full((12,), 0.1),
        grayscale=torch.arange(12) < 6,
        blur=every,
        solarize=every,
    )
    settings = changed(flip=1, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grayscale=1, blur=1, solarize=1)
    ours = view(pixels, settings, drawn) / 255
    for i, picture in enumerate(pixels.float() / 255):
        theirs = tv.adjust_contrast(tv.adjust_brightness(tv.horizontal_flip(picture), 1.2), 0.7)
        theirs = tv.adjust_hue(tv.adjust_saturation(theirs, 1.4), 0.1)
        theirs = tv.gaussian_blur(tv.rgb_to_grayscale(theirs, 3) if i < 6 else theirs, [3, 3], [1.0])
        differ = (ours[i] - tv.solarize(theirs, 0.5)).abs() > 1e-4
        assert differ.float().mean() < 2e-3  # a value at the threshold goes either way


@pytest.mark.parametrize("side", [32, 40])
def test_resizing_and_normalizing_are_torchvision_s(side: int, pixels: Tensor) -> None:
    settings = Augment(hflip=0)
    theirs = v2.Compose(
        [
            v2.Resize((side, side), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(settings.mean, settings.std),
        ]
    )(pixels)
    torch.testing.assert_close(eval_transform(pixels, settings, side), theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(augment(pixels, settings, side, still(12)), theirs, atol=1e-5, rtol=0)


def test_draws_follow_torchvision_s_laws() -> None:
    """20,000 draws against as many of torchvision's own; a wrong law fails by far (p below 1e-6)."""
    count = 20_000
    settings = Augment(hflip=0.3, vflip=0.5, rotate=10, crop=0.3, brightness=0.4)
    drawn = sample_params(settings, count, torch.Generator().manual_seed(0))
    assert abs(drawn.hflip.float().mean() - 0.3) < 0.02
    assert abs(drawn.vflip.float().mean() - 0.5) < 0.02
    torch.manual_seed(1)
    angles = [v2.RandomRotation(10).make_params([])["angle"] for _ in range(2000)]
    assert ks_2samp(drawn.angle.numpy(), angles).pvalue > 1e-3
    crop, picture = v2.RandomResizedCrop(8, scale=(0.3, 1.0)), [torch.empty(3, 4000, 4000, device="meta")]
    theirs = [crop.make_params(picture) for _ in range(2000)]
    for column, name in ((0, "top"), (1, "left"), (2, "height"), (3, "width")):
        assert ks_2samp(drawn.box[:, column].numpy(), [each[name] / 4000 for each in theirs]).pvalue > 1e-3, name
    assert ks_2samp(drawn.brightness.numpy(), torch.empty(count).uniform_(0.6, 1.4).numpy()).pvalue > 1e-3


def test_jitter_is_all_or_nothing_and_hangs_on_its_own_draw() -> None:
    """As RandomApply(ColorJitter(0.8, 0.8, 0.2, 0.1), p=0.3); gray, blur and solarization are apart from it."""
    count = 20_000
    settings = Augment(brightness=0.8, contrast=0.8, saturation=0.2, hue=0.1, jitter=0.3, grayscale=0.2, blur=0.5)
    settings = settings.model_copy(update={"solarize": 0.1, "blur_sigma": (1.0, 2.0)})
    drawn = sample_params(settings, count, torch.Generator().manual_seed(0))
    jittered = drawn.brightness != 1
    assert abs(jittered.float().mean() - 0.3) < 0.02
    for factor, rest in ((drawn.contrast, 1), (drawn.saturation, 1), (drawn.hue, 0)):
        assert torch.equal(factor != rest, jittered)
    for name, low, high in (("brightness", 0.2, 1.8), ("saturation", 0.8, 1.2), ("hue", -0.1, 0.1)):
        law = torch.empty(count).uniform_(low, high).numpy()
        assert ks_2samp(getattr(drawn, name)[jittered].numpy(), law).pvalue > 1e-3, name
    assert ks_2samp(drawn.sigma.numpy(), torch.empty(count).uniform_(1, 2).numpy()).pvalue > 1e-3
    for chosen, probability in ((drawn.grayscale, 0.2), (drawn.blur, 0.5), (drawn.solarize, 0.1)):
        assert abs(chosen.float().mean() - probability) < 0.02
        assert abs(chosen[jittered].float().mean() - probability) < 0.03


def test_what_was_drawn_before_there_was_more_to_draw_is_drawn_still() -> None:
    """The first draws of seed 0, as they were when Views had no more than them."""
    settings = Augment(rotate=10, crop=0.5, brightness=0.2, contrast=0.2)
    drawn = sample_params(settings, 2, torch.Generator().manual_seed(0))
    assert drawn.hflip.tolist() == [True, False]
    assert [round(each, 5) for each in (*drawn.angle.tolist(), *drawn.contrast.tolist())] == [
        -3.85154,
        2.68157,
        1.07938,
        1.02702,
    ]


def test_every_image_has_a_draw_of_its_own_and_ranks_share_them(pixels: Tensor) -> None:
    settings = Augment(rotate=10, crop=0.5, brightness=0.2, contrast=0.2, interpolation="bilinear")
    settings = settings.model_copy(update={"hue": 0.1, "grayscale": 0.3, "blur": 0.5, "solarize": 0.5})
    drawn = sample_params(settings, 12, torch.Generator().manual_seed(0))
    assert len(set(drawn.angle.tolist())) == 12
    whole = augment(pixels, settings, 40, drawn)
    for rank in range(2):
        mine = slice(rank, None, 2)
        torch.testing.assert_close(augment(pixels[mine], settings, 40, drawn.select(mine)), whole[mine])


def test_the_pixels_given_are_left_as_they_were(pixels: Tensor) -> None:
    before = pixels.clone()
    settings = Augment(hflip=1, vflip=1, rotate=10, brightness=0.3, contrast=0.3, hue=0.1, grayscale=0.5, solarize=1)
    augment(pixels, settings, pixels.shape[-1], sample_params(settings, 12, torch.Generator().manual_seed(0)))
    eval_transform(pixels, settings)
    assert torch.equal(pixels, before)
