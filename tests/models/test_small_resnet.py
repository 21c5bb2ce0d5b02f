"""The network for small images: as timm builds its own, at the strides that its text names."""

from __future__ import annotations

from typing import Any

import timm
import torch

from headstart.models.backbones import build, features_of


def test_it_is_one_of_timm_s_networks() -> None:
    network = build("resnet8s")
    assert "resnet8s" in timm.list_models()
    assert features_of(network) == 256
    for side in (8, 24, 48):
        assert network(torch.zeros(2, 3, side, side)).shape == (2, 256)
    with_maps: Any = timm.create_model("resnet8s", features_only=True)
    maps = with_maps.feature_info
    assert (maps.reduction(), maps.channels()) == ([2, 4, 8], [64, 128, 256])


def test_its_parameters_are_those_of_two_convolutions_a_stage() -> None:
    """A stem; in each stage two 3x3 convolutions, and a 1x1 one where channels grow; each with a scale and a shift."""

    def convolution(inside: int, outside: int, kernel: int) -> int:
        return inside * outside * kernel**2 + 2 * outside

    stages = ((64, 64), (64, 128), (128, 256))
    expected = convolution(3, 64, 3) + sum(
        convolution(i, o, 3) + convolution(o, o, 3) + (convolution(i, o, 1) if i != o else 0) for i, o in stages
    )
    assert sum(parameter.numel() for parameter in build("resnet8s").parameters()) == expected
