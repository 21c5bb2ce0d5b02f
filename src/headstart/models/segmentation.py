"""A backbone that is seen in maps, and the decoder on them.

The backbone is the plain timm network of classification, so that its numbers load from every source (ImageNet, a
BYOL run, a file) under the same names. It is dilated where timm can do so.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.models.vgg import ConvMlp
from torch import Tensor, nn

from headstart.errors import HeadstartError
from headstart.models.backbones import build, tried_side
from headstart.models.decoders import DECODERS, AnyDecoder, Maps, padded_extent
from headstart.recipes.recipe import Decoder


class Taps(NamedTuple):
    """Where a backbone is tapped for its decoder."""

    places: tuple[int, ...]
    """Which of the maps that `forward_intermediates` gives, in their order; the last is the backbone's last."""
    stride: int
    """Pixels of the image per pixel of the last map; images are padded to a multiple of it."""
    classifier: bool
    """Whether VGG's fc6 and fc7 are run over the last map, as convolutions."""
    channels: tuple[int, ...] = ()
    """Of each map."""


def build_segmenter(name: str, settings: Decoder, classes: int) -> tuple[nn.Module, AnyDecoder, Taps]:
    """The backbone ``name``, its decoder for K classes, and how the one is tapped for the other; random weights.

    A backbone that cannot have `decoder.output_stride` (a vision transformer, VGG) keeps the stride that it has. What
    the decoder has no use for (the last convolution of an EfficientNet, fc6 and fc7 of VGG under DeepLab) stays in
    the backbone, so that its weights are those of the whole network, and is not trained.

    Raises HeadstartError for an unknown name, or a network that gives no maps.
    """
    backbone = build(name, settings.output_stride)
    if not hasattr(backbone, "forward_intermediates"):
        raise HeadstartError(
            f"backbone.name {name}: expected a network that gives maps (timm's forward_intermediates), found one"
            " that does not",
            "backbone.name=resnet50, or backbone.name=tf_efficientnet_lite0",
        )
    strides = [int(each["reduction"]) for each in backbone.feature_info]  # type: ignore[union-attr]
    of_vgg = getattr(backbone, "pre_logits", None)
    taps = Taps(_places(strides, settings), strides[-1], settings.name == "fcn32s" and isinstance(of_vgg, ConvMlp))
    if taps.classifier:
        of_vgg.drop.p = settings.dropout  # type: ignore[union-attr]
    taps = taps._replace(channels=_use_only(backbone, taps, tried_side(name)))
    return backbone, DECODERS[settings.name](taps.channels, taps.stride, classes, settings), taps


def maps_of(backbone: nn.Module, images: Tensor, taps: Taps) -> Maps:
    """float (B, 3, H, W) -> the tapped maps, (B, D, h, w) each.

    The images are padded below and to the right with 0, which is what convolutions see beyond an edge anyway, until
    the stride divides both sides: so a map's pixel is the same square of pixels everywhere in every image.
    """
    height, width = padded_extent((images.shape[-2], images.shape[-1]), taps.stride)
    images = F.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]))
    maps: list[Tensor] = backbone.forward_intermediates(  # type: ignore[operator]
        images, indices=list(taps.places), norm=True, stop_early=True, intermediates_only=True
    )
    if taps.classifier:
        side = backbone.pre_logits.input_kernel_size  # type: ignore[union-attr]
        maps[-1] = backbone.pre_logits(F.pad(maps[-1], (int(side) // 2,) * 4))  # type: ignore[operator, arg-type]
    return tuple(maps)


def _places(strides: list[int], settings: Decoder) -> tuple[int, ...]:
    """Which maps a decoder works on.

    DeepLabV3+ takes the last map with a stride of at most 4; where there is none (all maps of a vision transformer
    are alike), that of a third of the depth. The auxiliary classifier sits on the map before the last.
    """
    last = len(strides) - 1
    if settings.name == "deeplabv3plus":
        fine = [place for place, stride in enumerate(strides) if stride <= 4]
        return fine[-1] if fine else last // 3, last
    return (last - 1, last) if settings.name == "deeplabv3" and settings.aux_weight else (last,)


def _use_only(backbone: nn.Module, taps: Taps, side: int) -> tuple[int, ...]:
    """Leave those parameters to be trained that stand behind the tapped maps; returns the maps' channels."""
    backbone.eval()
    with torch.enable_grad():
        maps = maps_of(backbone, torch.zeros(1, 3, side, side), taps)
    backbone.train()
    used, seen, ahead = set(), set(), [each.grad_fn for each in maps]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            used.add(getattr(node, "variable", None))  # a parameter stands at the end of its branch
            ahead += [following for following, _ in node.next_functions]
    for parameter in backbone.parameters():
        parameter.requires_grad_(parameter in used)
    return tuple(each.shape[1] for each in maps)
