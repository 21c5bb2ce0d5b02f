"""Training and evaluation transforms: a uint8 batch -> a normalized float batch, on the batch's device.

`augment` transforms square images as a whole (or a crop of each). `augment_window` cuts a window out of images of any
size, and `augment_mask` cuts the same windows out of their masks. `eval_transform` changes nothing but the size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.transforms.v2.functional import resize

from headstart.palette import IGNORE_INDEX
from headstart.recipes.recipe import Augment
from headstart.transforms.affine import bilinear, nearest, rotation_matrices, sampling_grid
from headstart.transforms.color import transform_color
from headstart.transforms.params import AugmentParams


def augment(pixels: Tensor, config: Augment, side: int, params: AugmentParams) -> Tensor:
    """uint8 (B, 3, S, S) -> float32 (B, 3, side, side): crop or resize, flip, rotate, color, blur, normalize.

    The order of the color transforms is that of `transform_color`.
    """
    cropped = config.crop < 1
    images = pixels if cropped else _resize(pixels, side)
    images = _flip(_flip(images, params.hflip, -1), params.vflip, -2)
    if cropped or config.rotate:
        images = _crop_and_rotate(images, side, params, config.interpolation)
    return _normalize(transform_color(images, config, params), config)


def augment_window(
    pixels: Tensor, config: Augment, side: int, params: AugmentParams, sizes: Tensor | None = None
) -> Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, side, side): cut a window, flip, rotate, color, blur, normalize.

    A window covers ``side / params.zoom`` pixels of the image each way, somewhere inside it. Where the image is
    smaller, the window covers all of it, somewhere in the window. `config.crop` crops the window. Outside the image
    the window is black. ``sizes`` (B, 2) are the images' own heights and widths where these are padded: each image
    lies at the top left of its H x W pixels.
    """
    x, y = sampling_grid(_window_matrices(pixels, side, params, sizes).to(pixels.device), side)
    if config.interpolation == "bilinear":
        inside = (2 * x.abs() <= pixels.shape[-1]) & (2 * y.abs() <= pixels.shape[-2])
        images = bilinear(pixels, x, y, "border") * inside.unsqueeze(1)
    else:
        images = nearest(pixels, x, y)
    return _normalize(transform_color(images, config, params), config)


def augment_mask(masks: Tensor, side: int, params: AugmentParams, sizes: Tensor | None = None) -> Tensor:
    """uint8 (B, H, W) -> uint8 (B, side, side): the windows that `augment_window` cuts with the same parameters.

    Masks are sampled by nearest neighbor, whatever the interpolation of the images; outside is `IGNORE_INDEX`.
    """
    x, y = sampling_grid(_window_matrices(masks, side, params, sizes).to(masks.device), side)
    return nearest(masks.unsqueeze(1), x, y, IGNORE_INDEX).squeeze(1)


def eval_transform(pixels: Tensor, config: Augment, side: int | None = None) -> Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, side, side), or (B, 3, H, W) without ``side``: resize and normalize."""
    return _normalize(pixels if side is None else _resize(pixels, side), config)


def _resize(pixels: Tensor, side: int) -> Tensor:
    return pixels if pixels.shape[-2:] == (side, side) else resize(pixels, [side, side], antialias=True)


def _flip(images: Tensor, chosen: Tensor, dim: int) -> Tensor:
    if not chosen.any():
        return images
    images = images.clone()
    images[chosen] = images[chosen].flip(dim)
    return images


def _crop_and_rotate(images: Tensor, side: int, params: AugmentParams, interpolation: str) -> Tensor:
    """Crops of square images, rotated about the crop's center; black outside the image.

    The crop box is relative to the image after its flips. Bilinear crops larger than ``side`` are sampled twice as
    densely each way and averaged, so that they are antialiased, as whole images are that `_resize` shrinks.
    """
    shrunk = (params.box[:, 2:] * images.shape[-1] > side).any(dim=1)
    if interpolation != "bilinear" or not shrunk.any():
        return _sample_crops(images, side, params, interpolation)
    crops = images.new_empty((*images.shape[:2], side, side), dtype=torch.float32)
    large, small = shrunk.nonzero().flatten(), (~shrunk).nonzero().flatten()
    crops[large] = avg_pool2d(_sample_crops(images[large], 2 * side, params.select(large), interpolation), 2)
    if len(small):
        crops[small] = _sample_crops(images[small], side, params.select(small), interpolation)
    return crops


def _sample_crops(images: Tensor, side: int, params: AugmentParams, interpolation: str) -> Tensor:
    size = images.shape[-1]
    top, left, height, width = params.box.unbind(1)
    center_y, center_x = (top + height / 2 - 0.5) * size, (left + width / 2 - 0.5) * size
    matrices = rotation_matrices(center_y, center_x, height * size / side, width * size / side, params.angle)
    x, y = sampling_grid(matrices.to(images.device), side)
    if interpolation == "bilinear":  # only a rotation samples outside the image
        return bilinear(images, x, y, "zeros" if bool(matrices[:, 0, 1].any()) else "border")
    return nearest(images, x, y)


def _window_matrices(images: Tensor, side: int, params: AugmentParams, sizes: Tensor | None) -> Tensor:
    """Matrices as `rotation_matrices` gives, for windows of ``images`` (..., H, W) or of the top-left ``sizes``.

    A window starts at a whole pixel, so that without zoom and rotation its pixels are the image's own.
    """
    whole = torch.tensor(images.shape[-2:])
    across = (side / params.zoom).unsqueeze(1)
    room = (whole if sizes is None else sizes) - across  # negative where the image is smaller than the window
    corner = (params.position * (room.floor() + 1)).floor()
    box = params.box * across
    center_y, center_x = (corner + box[:, :2] + (box[:, 2:] - whole) / 2).unbind(1)
    matrices = rotation_matrices(center_y, center_x, box[:, 2] / side, box[:, 3] / side, params.angle)
    flips = torch.stack([params.hflip, params.vflip], dim=1)
    matrices[:, :, :2] *= torch.where(flips, -1.0, 1.0).unsqueeze(2)
    return matrices


def _normalize(images: Tensor, config: Augment) -> Tensor:
    std = torch.tensor(config.std, device=images.device).view(1, 3, 1, 1)
    mean = torch.tensor(config.mean, device=images.device).view(1, 3, 1, 1)
    scaled = images.to(torch.float32, memory_format=torch.channels_last)  # the fastest layout for convolutions
    return scaled.sub_(mean * 255).div_(std * 255)
