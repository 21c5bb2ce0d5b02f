"""Random changes to a whole batch at once, each image with its own draw.

The draw is made first and apart from the pixels, so that an image gets the same change however many processes
share a batch. The operations are torchvision's without its loop over images; the tests hold them against it.

A `training_view` shows the whole of a square image, or a crop of it. A `training_window` is cut out of an image of any
shape at the magnification params, and `training_mask` reads that image's mask at the very same places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from headstart.palette import IGNORE_INDEX
from headstart.recipes.recipe import Augment
from headstart.transforms.affine import bilinear, nearest, rotation_matrices, sampling_grid
from headstart.transforms.color import adjust_hue, adjust_saturation, rgb_to_grayscale

TRIES = 10
"""Draws of a crop before the whole image is taken, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class AugmentParams:
    """What chance has decided for each of B images."""

    hflip: Tensor
    """bool (B,): mirrored left to right."""
    vflip: Tensor
    """bool (B,): mirrored top to bottom."""
    angle: Tensor
    """float (B,): degrees, counter-clockwise."""
    box: Tensor
    """float (B, 4): the crop's top, left, height and width, as shares of the image."""
    brightness: Tensor
    """float (B,): factor."""
    contrast: Tensor
    """float (B,): factor."""
    saturation: Tensor
    """float (B,): factor."""
    hue: Tensor
    """float (B,): turns of the color wheel."""
    grayscale: Tensor
    """bool (B,): without color."""
    blur: Tensor
    """bool (B,): blurred."""
    sigma: Tensor
    """float (B,): standard deviation of the blur, in pixels."""
    solarize: Tensor
    """bool (B,): inverted where bright."""
    zoom: Tensor
    """float (B,): magnification of a window."""
    place: Tensor
    """float (B, 2): where a window lies, from 0 (top, left) to 1 (bottom, right)."""

    def select(self, rows: slice | Tensor) -> AugmentParams:
        """The draws of some of the images."""
        return AugmentParams(*(getattr(self, field.name)[rows] for field in fields(self)))

    def with_window_from(self, other: AugmentParams) -> AugmentParams:
        """The same changes of the windows that ``other`` has: two views of one window."""
        return replace(self, zoom=other.zoom, place=other.place)


def sample_params(settings: Augment, count: int, generator: torch.Generator) -> AugmentParams:
    """Draw the changes of ``count`` images.

    What was added later is params later, so that a recipe without it gives the pictures that it always gave.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def happens(probability: float) -> Tensor:
        return uniform(0, 1) < probability

    def factor(reach: float) -> Tensor:
        return uniform(1 - reach, 1 + reach)

    params = AugmentParams(
        hflip=happens(settings.hflip),
        vflip=happens(settings.vflip),
        angle=uniform(-settings.rotate, settings.rotate),
        box=_boxes(
            uniform(settings.crop, 1, TRIES),
            uniform(math.log(3 / 4), math.log(4 / 3), TRIES),
            uniform(0, 1, 2),
        ),
        brightness=factor(settings.brightness),
        contrast=factor(settings.contrast),
        saturation=factor(settings.saturation),
        hue=uniform(-settings.hue, settings.hue),
        grayscale=happens(settings.grayscale),
        blur=happens(settings.blur),
        sigma=uniform(*settings.blur_sigma),
        solarize=happens(settings.solarize),
        zoom=torch.ones(count),
        place=torch.zeros(count, 2),
    )
    jittered = happens(settings.jitter)
    factors = {name: getattr(params, name).where(jittered, 1.0) for name in ("brightness", "contrast", "saturation")}
    params = replace(params, hue=params.hue.where(jittered, 0.0), **factors)
    least, greatest = settings.zoom
    return replace(params, zoom=uniform(math.log(least), math.log(greatest)).exp(), place=uniform(0, 1, 2))


def _boxes(area: Tensor, log_ratio: Tensor, place: Tensor) -> Tensor:
    """The first of each image's tries (B, TRIES) that fits inside it, at a random place (B, 2); or all of it."""
    height, width = (area * torch.exp(-log_ratio)).sqrt(), (area * torch.exp(log_ratio)).sqrt()
    fits = (height <= 1) & (width <= 1)
    first = fits.int().argmax(dim=1, keepdim=True)
    side = torch.stack([height.gather(1, first), width.gather(1, first)], dim=1).squeeze(2)
    side = torch.where(fits.any(dim=1, keepdim=True), side, 1.0)
    return torch.cat([place * (1 - side), side], dim=1)


def augment(pixels: Tensor, settings: Augment, side: int, params: AugmentParams) -> Tensor:
    """uint8 (B, 3, S, S) -> float32 (B, 3, side, side): crop or resize, flip, rotate, color, blur, normalize.

    Color is brightness, contrast, saturation, hue, in this order, and gray; after the blur comes solarization.
    """
    cropped = settings.crop < 1
    images = pixels if cropped else _resized(pixels, side)
    images = _flipped(_flipped(images, params.hflip, -1), params.vflip, -2)
    if cropped or settings.rotate:
        images = _rotated(images, side, params, settings.interpolation)
    return _normalized(_recolored(images, settings, params), settings)


def augment_window(
    pixels: Tensor, settings: Augment, side: int, params: AugmentParams, sizes: Tensor | None = None
) -> Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, side, side): cut a window, flip, rotate, color, blur, normalize.

    A window shows ``side / draw.zoom`` pixels of the image each way, somewhere inside it; or all of it, somewhere in
    the window, where the image is smaller. `settings.crop` crops the window. Outside the image it is black. ``sizes``
    (B, 2) are the images' own heights and widths, where they are smaller than H and W and lie in the upper left.
    """
    x, y = sampling_grid(_window_matrices(pixels, side, params, sizes).to(pixels.device), side)
    if settings.interpolation == "bilinear":
        inside = (2 * x.abs() <= pixels.shape[-1]) & (2 * y.abs() <= pixels.shape[-2])
        images = bilinear(pixels, x, y, "border") * inside.unsqueeze(1)
    else:
        images = nearest(pixels, x, y)
    return _normalized(_recolored(images, settings, params), settings)


def augment_mask(masks: Tensor, side: int, params: AugmentParams, sizes: Tensor | None = None) -> Tensor:
    """uint8 (B, H, W) -> uint8 (B, side, side): the windows that `training_window` cuts with the same draw.

    A mask is read by nearest neighbor whatever the image is read by; outside it is `NOTHING`.
    """
    x, y = sampling_grid(_window_matrices(masks, side, params, sizes).to(masks.device), side)
    return nearest(masks.unsqueeze(1), x, y, IGNORE_INDEX).squeeze(1)


def eval_transform(pixels: Tensor, settings: Augment, side: int | None = None) -> Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, side, side), or (B, 3, H, W) without ``side``: resize, and normalize."""
    return _normalized(pixels if side is None else _resized(pixels, side), settings)


def _resized(pixels: Tensor, side: int) -> Tensor:
    return pixels if pixels.shape[-2:] == (side, side) else resize(pixels, [side, side], antialias=True)


def _flipped(images: Tensor, chosen: Tensor, dim: int) -> Tensor:
    if not chosen.any():
        return images
    images = images.clone()
    images[chosen] = images[chosen].flip(dim)
    return images


def _rotated(images: Tensor, side: int, params: AugmentParams, interpolation: str) -> Tensor:
    """The crops of square images, rotated about their middles; black outside.

    A crop is mirrored with the image, and counted in the mirrored one.
    """
    size = images.shape[-1]
    top, left, height, width = params.box.unbind(1)
    middle_y, middle_x = (top + height / 2 - 0.5) * size, (left + width / 2 - 0.5) * size
    matrices = rotation_matrices(middle_y, middle_x, height * size / side, width * size / side, params.angle)
    x, y = sampling_grid(matrices.to(images.device), side)
    if interpolation == "bilinear":  # only a rotation looks outside
        return bilinear(images, x, y, "zeros" if bool(matrices[:, 0, 1].any()) else "border")
    return nearest(images, x, y)


def _window_matrices(images: Tensor, side: int, params: AugmentParams, sizes: Tensor | None) -> Tensor:
    """As `rotation_matrices`, of windows in ``images`` (..., H, W), or in the upper left of them.

    A window begins at a whole pixel, so that without zoom and rotation its pixels are the image's own.
    """
    whole = torch.tensor(images.shape[-2:])
    across = (side / params.zoom).unsqueeze(1)
    room = (whole if sizes is None else sizes) - across  # below zero where the image is the smaller one
    corner = (params.place * (room.floor() + 1)).floor()
    box = params.box * across
    middle_y, middle_x = (corner + box[:, :2] + (box[:, 2:] - whole) / 2).unbind(1)
    matrices = rotation_matrices(middle_y, middle_x, box[:, 2] / side, box[:, 3] / side, params.angle)
    mirrored = torch.stack([params.hflip, params.vflip], dim=1)
    matrices[:, :, :2] *= torch.where(mirrored, -1.0, 1.0).unsqueeze(2)
    return matrices


def _recolored(images: Tensor, settings: Augment, params: AugmentParams) -> Tensor:
    if settings.brightness or settings.contrast:
        images = _colored(images, params)
    if any((settings.saturation, settings.hue, settings.grayscale, settings.blur, settings.solarize)):
        images = _stylized(images, settings, params)
    return images


def _colored(images: Tensor, params: AugmentParams) -> Tensor:
    """Brightness, then contrast about the mean gray level (ITU-R 601), each clamped to what a pixel can hold."""
    factor = params.brightness.to(images.device).view(-1, 1, 1, 1)
    bright = (images.float() * factor).clamp_(0, 255)
    gray = rgb_to_grayscale(bright).mean(dim=(2, 3), keepdim=True)
    return torch.lerp(gray, bright, params.contrast.to(images.device).view(-1, 1, 1, 1)).clamp_(0, 255)


def _stylized(images: Tensor, settings: Augment, params: AugmentParams) -> Tensor:
    """Saturation, hue, gray, blur and solarization, each of those images that it was params for."""
    images = images.float().contiguous()
    saturation, hue, sigma = (part.to(images.device) for part in (params.saturation, params.hue, params.sigma))
    _change(images, params.saturation != 1, lambda some, rows: adjust_saturation(some, saturation[rows]))
    _change(images, params.hue != 0, lambda some, rows: adjust_hue(some, hue[rows]))
    _change(images, params.grayscale, lambda some, _: rgb_to_grayscale(some).expand_as(some))
    _change(images, params.blur, lambda some, rows: gaussian_blur(some, sigma[rows], settings.blur_kernel))
    _change(images, params.solarize, lambda some, _: torch.where(some >= 127.5, 255 - some, some))
    return images


def _change(images: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Put what ``change`` makes of the chosen images, and of their rows, in their place."""
    rows = chosen.nonzero().squeeze(1).to(images.device)
    if len(rows):
        images[rows] = change(images[rows], rows)


def gaussian_blur(images: Tensor, sigma: Tensor, width: int) -> Tensor:
    """float (B, 3, S, S), each image blurred by its own ``sigma`` (B,): a Gaussian ``width`` pixels wide.

    The picture is mirrored at its edges. Across and then down is the same as both at once, for less arithmetic.
    """
    count, channels, height, across = images.shape
    steps = torch.arange(width, device=images.device) - width // 2
    weights = torch.exp(-0.5 * (steps / sigma.view(-1, 1)) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    framed = F.pad(images, (width // 2,) * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    each = count * channels
    lines = F.conv2d(framed, weights.view(each, 1, 1, width), groups=each)
    return F.conv2d(lines, weights.view(each, 1, width, 1), groups=each).view(count, channels, height, across)


def _normalized(images: Tensor, settings: Augment) -> Tensor:
    std = torch.tensor(settings.std, device=images.device).view(1, 3, 1, 1)
    mean = torch.tensor(settings.mean, device=images.device).view(1, 3, 1, 1)
    scaled = images.to(torch.float32, memory_format=torch.channels_last)  # the layout that convolutions like best
    return scaled.sub_(mean * 255).div_(std * 255)
