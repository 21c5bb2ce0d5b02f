"""Segmentation networks: a backbone's feature maps and the decoder on them.

The backbone is timm's classification network, so that weights from every source (ImageNet, a BYOL run, a file) load
under the same names. It is dilated where timm supports that.
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
    """The feature maps that a decoder takes from a backbone."""

    places: tuple[int, ...]
    """Positions of the maps among those of `forward_intermediates`; the last is the backbone's last."""
    stride: int
    """Pixels of the image per pixel of the last map; images are padded to a multiple of it."""
    classifier: bool
    """Whether VGG's fc6 and fc7 are applied to the last map, as convolutions."""
    channels: tuple[int, ...] = ()
    """Channels of each map."""


def build_segmenter(name: str, config: Decoder, classes: int) -> tuple[nn.Module, AnyDecoder, Taps]:
    """Build a backbone, its decoder for K classes and the taps between them, randomly initialized.

    A backbone that does not support `decoder.output_stride` (a vision transformer, VGG) keeps its own stride. Layers
    that the decoder does not use (the last convolution of an EfficientNet, fc6 and fc7 of VGG under DeepLab) stay in
    the backbone untrained, so that its weights are those of the whole network.

    Raises HeadstartError for an unknown name, or a network without feature maps.
    """
    backbone = build(name, config.output_stride)
    if not hasattr(backbone, "forward_intermediates"):
        raise HeadstartError(
            f"backbone.name {name}: expected a network with feature maps (timm's forward_intermediates), found one"
            " without",
            "backbone.name=resnet50, or backbone.name=tf_efficientnet_lite0",
        )
    strides = [int(each["reduction"]) for each in backbone.feature_info]  # type: ignore[union-attr]
    vgg_classifier = getattr(backbone, "pre_logits", None)  # fc6 and fc7
    taps = Taps(
        _map_positions(strides, config), strides[-1], config.name == "fcn32s" and isinstance(vgg_classifier, ConvMlp)
    )
    if taps.classifier:
        vgg_classifier.drop.p = config.dropout  # type: ignore[union-attr]
    taps = taps._replace(channels=_freeze_unused(backbone, taps, tried_side(name)))
    return backbone, DECODERS[config.name](taps.channels, taps.stride, classes, config), taps


def maps_of(backbone: nn.Module, images: Tensor, taps: Taps) -> Maps:
    """The backbone's feature maps of float (B, 3, H, W): (B, D, h, w) each.

    The images are padded below and to the right with 0, as convolutions pad anyway, to a multiple of the stride. So a
    pixel of a map covers the same square of pixels everywhere in every image.
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


def _map_positions(strides: list[int], config: Decoder) -> tuple[int, ...]:
    """Positions of the maps that a decoder uses.

    DeepLabV3+ uses the last map with a stride of at most 4; without one (all maps of a vision transformer have the
    same stride), the map at a third of the depth. The auxiliary classifier uses the map before the last.
    """
    last = len(strides) - 1
    if config.name == "deeplabv3plus":
        fine = [place for place, stride in enumerate(strides) if stride <= 4]
        return fine[-1] if fine else last // 3, last
    return (last - 1, last) if config.name == "deeplabv3" and config.aux_weight else (last,)


def _freeze_unused(backbone: nn.Module, taps: Taps, side: int) -> tuple[int, ...]:
    """Freeze the parameters that no tapped map depends on; returns the maps' channels.

    They are found by walking the autograd graph of a trial forward pass.
    """
    backbone.eval()
    with torch.enable_grad():
        maps = maps_of(backbone, torch.zeros(1, 3, side, side), taps)
    backbone.train()
    used, visited, stack = set(), set(), [each.grad_fn for each in maps]
    while stack:
        node = stack.pop()
        if node is not None and node not in visited:
            visited.add(node)
            used.add(getattr(node, "variable", None))  # the leaves of the graph hold the parameters
            stack += [following for following, _ in node.next_functions]
    for parameter in backbone.parameters():
        parameter.requires_grad_(parameter in used)
    return tuple(each.shape[1] for each in maps)
