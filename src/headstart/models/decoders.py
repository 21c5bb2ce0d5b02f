"""What turns a backbone's maps into a class for every pixel: FCN-32s, DeepLabV3 and DeepLabV3+.

Each takes the maps that `headstart.models.segmentation.maps_of` gives, the coarsest last, and the images' height and
width, and gives logits, float (B, K, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.models.segmentation.fcn import FCNHead

from headstart.recipes.recipe import Decoder

Maps = tuple[Tensor, ...]
"""float (B, D, h, w) each, from fine to coarse."""
Extent = tuple[int, int]
"""Height and width in pixels."""
FINE = 48
"""Channels that DeepLabV3+ leaves of the fine map, so that it does not outweigh the coarse one (section 4.1)."""


class FCN32s(nn.Module):
    """Long et al. 2015 (arXiv 1411.4038): scores of the coarsest map, brought to the image's size in one step.

    The step is a transposed convolution over twice the stride, which begins as bilinear interpolation and is learned;
    the scores begin at zero, as in section 4.3. On VGG the map is that of fc7; other backbones give their last one.
    """

    def __init__(self, channels: tuple[int, ...], stride: int, classes: int, settings: Decoder) -> None:
        super().__init__()
        self.stride = stride
        self.dropout = nn.Dropout(settings.dropout)
        self.score = nn.Conv2d(channels[-1], classes, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]
        self.upsampling = nn.ConvTranspose2d(
            classes, classes, 2 * stride, stride=stride, padding=stride // 2, output_padding=stride % 2, bias=False
        )
        with torch.no_grad():
            self.upsampling.weight.copy_(bilinear_filter(classes, stride))

    def forward(self, maps: Maps, extent: Extent) -> Tensor:
        return _brought_to(self.upsampling(self.score(self.dropout(maps[-1]))), extent, self.stride)


class DeepLabV3(nn.Module):
    """Chen et al. 2017 (arXiv 1706.05587): atrous convolutions at several rates over the coarsest map.

    torchvision's own layers under torchvision's own names (`classifier`, `aux_classifier`), of any width.
    """

    def __init__(self, channels: tuple[int, ...], stride: int, classes: int, settings: Decoder) -> None:
        super().__init__()
        self.stride, width = stride, settings.channels
        self.classifier = nn.Sequential(  # torchvision's DeepLabHead, which is 256 wide
            _aspp(channels[-1], stride, settings),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, classes, 1),
        )
        self.aux_classifier = FCNHead(channels[0], classes) if settings.aux_weight else None

    def forward(self, maps: Maps, extent: Extent) -> Tensor:
        return _brought_to(self.classifier(maps[-1]), extent, self.stride)

    def auxiliary(self, maps: Maps, extent: Extent) -> Tensor:
        """The auxiliary classifier's logits, as `forward`: from the map before the last stage."""
        assert self.aux_classifier is not None
        return _brought_to(self.aux_classifier(maps[0]), extent, self.stride)


class DeepLabV3Plus(nn.Module):
    """Chen et al. 2018 (arXiv 1802.02611): what DeepLabV3 sees, joined with a fine map, in separable convolutions."""

    def __init__(self, channels: tuple[int, ...], stride: int, classes: int, settings: Decoder) -> None:
        super().__init__()
        self.stride, width = stride, settings.channels
        self.aspp = _aspp(channels[-1], stride, settings)
        for branch, rate in zip((1, 2, 3), _rates(stride), strict=True):
            self.aspp.convs[branch] = _separable(channels[-1], width, rate)
        self.fine = nn.Sequential(nn.Conv2d(channels[0], FINE, 1, bias=False), nn.BatchNorm2d(FINE), nn.ReLU())
        self.join = nn.Sequential(_separable(width + FINE, width), _separable(width, width))
        self.score = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Maps, extent: Extent) -> Tensor:
        fine = self.fine(maps[0])
        coarse = F.interpolate(self.aspp(maps[-1]), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return _brought_to(self.score(self.join(torch.cat([coarse, fine], dim=1))), extent, self.stride)


AnyDecoder = FCN32s | DeepLabV3 | DeepLabV3Plus
DECODERS: dict[str, type[AnyDecoder]] = {"fcn32s": FCN32s, "deeplabv3": DeepLabV3, "deeplabv3plus": DeepLabV3Plus}


def bilinear_filter(classes: int, stride: int) -> Tensor:
    """float (K, K, 2s, 2s): a transposed convolution's weights that interpolate each class's scores, and mix none."""
    places = torch.arange(2 * stride) + 0.5
    tent = 1 - (places / stride - 1).abs()
    return torch.eye(classes)[:, :, None, None] * (tent[:, None] * tent)


def _rates(stride: int) -> tuple[int, int, int]:
    """Dilation of the three atrous branches: 6, 12 and 18 at an output stride of 16 (2017, section 4.2)."""
    one, two, three = (max(1, rate * 16 // stride) for rate in (6, 12, 18))
    return one, two, three


def _aspp(channels: int, stride: int, settings: Decoder) -> ASPP:
    aspp = ASPP(channels, _rates(stride), settings.channels)
    aspp.project[3].p = settings.dropout
    return aspp


def _separable(channels: int, out: int, rate: int = 1) -> nn.Sequential:
    """A 3x3 convolution of each channel by itself, then one across channels, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate, groups=channels, bias=False),
        nn.Conv2d(channels, out, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


def _brought_to(logits: Tensor, extent: Extent, stride: int) -> Tensor:
    """Bilinear interpolation to the size of the images as the backbone saw them, less what it saw beyond them."""
    seen = padded_extent(extent, stride)
    if tuple(logits.shape[-2:]) != seen:
        logits = F.interpolate(logits, size=seen, mode="bilinear", align_corners=False)
    return logits[..., : extent[0], : extent[1]]


def padded_extent(extent: Extent, stride: int) -> Extent:
    """Height and width, each brought up to a multiple of the stride."""
    height, width = (-(-side // stride) * stride for side in extent)
    return height, width
