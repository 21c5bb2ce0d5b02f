"""Segmentation decoders: FCN-32s, DeepLabV3 and DeepLabV3+.

Each takes the feature maps of `headstart.models.segmentation.maps_of`, the coarsest last, and the images' height and
width, and returns logits, float (B, K, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.models.segmentation.fcn import FCNHead

from headstart.recipes.recipe import Decoder

Maps = tuple[Tensor, ...]
"""Feature maps, float (B, D, h, w) each, from fine to coarse."""
Extent = tuple[int, int]
"""Height and width in pixels."""
LOW_LEVEL_CHANNELS = 48
"""Channels to which DeepLabV3+ reduces the fine map, so that it does not outweigh the coarse one (section 4.1)."""


class FCN32s(nn.Module):
    """FCN-32s (Long et al. 2015, arXiv 1411.4038): class scores of the coarsest map, upsampled in one step.

    The upsampling is a learned transposed convolution over twice the stride, initialized to bilinear interpolation; the
    scores are initialized to zero, as in section 4.3. On VGG the map is that of fc7, else the backbone's last one.
    """

    def __init__(self, channels: tuple[int, ...], stride: int, classes: int, config: Decoder) -> None:
        super().__init__()
        self.stride = stride
        self.dropout = nn.Dropout(config.dropout)
        self.score = nn.Conv2d(channels[-1], classes, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]
        self.upsampling = nn.ConvTranspose2d(
            classes, classes, 2 * stride, stride=stride, padding=stride // 2, output_padding=stride % 2, bias=False
        )
        with torch.no_grad():
            self.upsampling.weight.copy_(bilinear_filter(classes, stride))

    def forward(self, maps: Maps, extent: Extent) -> Tensor:
        return _upsample(self.upsampling(self.score(self.dropout(maps[-1]))), extent, self.stride)


class DeepLabV3(nn.Module):
    """DeepLabV3 (Chen et al. 2017, arXiv 1706.05587): atrous spatial pyramid pooling over the coarsest map.

    torchvision's layers under torchvision's names (`classifier`, `aux_classifier`), of any width.
    """

    def __init__(self, channels: tuple[int, ...], stride: int, classes: int, config: Decoder) -> None:
        super().__init__()
        self.stride, width = stride, config.channels
        self.classifier = nn.Sequential(  # torchvision's DeepLabHead has a fixed width of 256
            _aspp(channels[-1], stride, config),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, classes, 1),
        )
        self.aux_classifier = FCNHead(channels[0], classes) if config.aux_weight else None

    def forward(self, maps: Maps, extent: Extent) -> Tensor:
        return _upsample(self.classifier(maps[-1]), extent, self.stride)

    def auxiliary(self, maps: Maps, extent: Extent) -> Tensor:
        """Logits of the auxiliary classifier, as `forward`, from the map before the last stage."""
        assert self.aux_classifier is not None
        return _upsample(self.aux_classifier(maps[0]), extent, self.stride)


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ (Chen et al. 2018, arXiv 1802.02611): DeepLabV3's features joined with a fine map, in separable
    convolutions."""

    def __init__(self, channels: tuple[int, ...], stride: int, classes: int, config: Decoder) -> None:
        super().__init__()
        self.stride, width = stride, config.channels
        self.aspp = _aspp(channels[-1], stride, config)
        for branch, rate in zip((1, 2, 3), _rates(stride), strict=True):
            self.aspp.convs[branch] = _separable(channels[-1], width, rate)
        fine = LOW_LEVEL_CHANNELS
        self.fine = nn.Sequential(nn.Conv2d(channels[0], fine, 1, bias=False), nn.BatchNorm2d(fine), nn.ReLU())
        self.join = nn.Sequential(_separable(width + fine, width), _separable(width, width))
        self.score = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Maps, extent: Extent) -> Tensor:
        fine = self.fine(maps[0])
        coarse = F.interpolate(self.aspp(maps[-1]), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return _upsample(self.score(self.join(torch.cat([coarse, fine], dim=1))), extent, self.stride)


AnyDecoder = FCN32s | DeepLabV3 | DeepLabV3Plus
DECODERS: dict[str, type[AnyDecoder]] = {"fcn32s": FCN32s, "deeplabv3": DeepLabV3, "deeplabv3plus": DeepLabV3Plus}


def bilinear_filter(classes: int, stride: int) -> Tensor:
    """Weights of a transposed convolution for bilinear upsampling per class, float (K, K, 2s, 2s) for a stride s."""
    positions = torch.arange(2 * stride) + 0.5
    tent = 1 - (positions / stride - 1).abs()
    return torch.eye(classes)[:, :, None, None] * (tent[:, None] * tent)


def _rates(stride: int) -> tuple[int, int, int]:
    """Dilation of the three atrous branches: 6, 12 and 18 at an output stride of 16 (Chen et al. 2017, section 4.2)."""
    one, two, three = (max(1, rate * 16 // stride) for rate in (6, 12, 18))
    return one, two, three


def _aspp(channels: int, stride: int, config: Decoder) -> ASPP:
    aspp = ASPP(channels, _rates(stride), config.channels)
    aspp.project[3].p = config.dropout
    return aspp


def _separable(channels: int, out: int, rate: int = 1) -> nn.Sequential:
    """Depthwise separable 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate, groups=channels, bias=False),
        nn.Conv2d(channels, out, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


def _upsample(logits: Tensor, extent: Extent, stride: int) -> Tensor:
    """Bilinear upsampling to the size of the padded images, cropped to ``extent``, their own size."""
    padded = padded_extent(extent, stride)
    if tuple(logits.shape[-2:]) != padded:
        logits = F.interpolate(logits, size=padded, mode="bilinear", align_corners=False)
    return logits[..., : extent[0], : extent[1]]


def padded_extent(extent: Extent, stride: int) -> Extent:
    """Height and width, each rounded up to a multiple of the stride."""
    # Not -(-side // stride): ONNX divides towards zero, and a graph of negative numbers would round down.
    height, width = ((side + stride - 1) // stride * stride for side in extent)
    return height, width
