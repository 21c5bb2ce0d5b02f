"""A residual network for small images, registered with timm beside its own, none of which is as quick at 32 px.

ResNet-18 (He et al. 2016) sees 32 px through a 7x7 convolution and a max-pooling, which leave 8 x 8 positions. Here a
3x3 convolution of stride 2 leaves 16 x 16, and one basic block per stage of 64, 128 and 256 channels suffices, as in
the networks of the CIFAR speed records (Jordan 2024, arXiv 2404.00498): a tenth of ResNet-18's parameters.
"""

from __future__ import annotations

from typing import Any

from timm.models import (
    ByoBlockCfg,
    ByobNet,
    ByoModelCfg,
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
)

STAGES = ((64, 1), (128, 2), (256, 2))
"""Channels and stride of each."""

default_cfgs = generate_default_cfgs(
    {"resnet8s": {"input_size": (3, 48, 48), "first_conv": "stem.conv", "classifier": "head.fc"}}
)


@register_model
def resnet8s(pretrained: bool = False, **options: Any) -> ByobNet:
    """A network of 1.2 million parameters: float (B, 3, S, S) -> features (B, 256), with S from 8 on."""
    config = ByoModelCfg(
        blocks=tuple(ByoBlockCfg(type="basic", d=1, c=channels, s=stride) for channels, stride in STAGES),
        stem_chs=64,
        stem_type="3x3",
        stem_pool="",
        downsample="avg",
        zero_init_last=False,
    )
    maps = {"flatten_sequential": True, "out_indices": (0, 1, 2)}
    network: ByobNet = build_model_with_cfg(
        ByobNet, "resnet8s", pretrained, model_cfg=config, feature_cfg=maps, **options
    )
    return network
