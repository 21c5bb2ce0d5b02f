"""The feature extractors: timm is the zoo, and any name it knows will do."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import timm
from torch import nn

from headstart.errors import HeadstartError, did_you_mean


def build(name: str, output_stride: int | None = None) -> nn.Module:
    """A backbone from random weights: float (B, 3, S, S) -> pooled features (B, F). Raises HeadstartError.

    With an ``output_stride`` its strides beyond that become dilation, where timm can do so for the network; else it
    keeps its own. Its parameters are the same.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise HeadstartError(
            f"backbone.name {name}: expected a model that timm knows, found none;"
            f" {did_you_mean(architecture, timm.list_models())}",
            "python -c \"import timm; print(*timm.list_models('*resnet*'))\"",
        )
    settings = _any_size(architecture)
    try:
        if output_stride is not None:
            with suppress(TypeError, AssertionError, NotImplementedError):  # each network refuses in its own way
                dilated: nn.Module = timm.create_model(name, num_classes=0, output_stride=output_stride, **settings)
                return dilated
        network: nn.Module = timm.create_model(name, num_classes=0, **settings)
    except RuntimeError as error:  # an unknown tag after the dot
        tags = did_you_mean(name, timm.list_pretrained(f"{architecture}.*"))
        raise HeadstartError(
            f"backbone.name {name}: {error}; did you mean {tags}", f"backbone.name={architecture}"
        ) from None
    return network


def _any_size(architecture: str) -> dict[str, Any]:
    """Vision transformers take one image size unless told otherwise."""
    settings = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    fixed = bool(settings and settings.fixed_input_size)
    return {"dynamic_img_size": True} if fixed and architecture.startswith(("vit_", "deit_", "deit3_")) else {}


def features_of(backbone: nn.Module) -> int:
    """F, the width of what the backbone puts out (for some networks wider than timm's ``num_features``)."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def freeze(backbone: nn.Module) -> None:
    """Keep the backbone as it is: no gradients, and batch normalization by its stored statistics."""
    backbone.requires_grad_(False)
    backbone.eval()


def default_image_size(name: str) -> int:
    """Side of the square images that timm's weights of this name expect, in pixels."""
    settings = timm.get_pretrained_cfg(name, allow_unregistered=True) or timm.models.PretrainedCfg()
    return int(settings.input_size[-1])


def tried_side(name: str) -> int:
    """Side of square images, in pixels, that a network takes for certain, small where it takes any size."""
    settings = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return (
        default_image_size(name) if settings is None or settings.fixed_input_size else min(96, default_image_size(name))
    )


def image_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation (RGB, scale 0 to 1) by which the weights expect images normalized."""
    settings = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    return tuple(settings.mean), tuple(settings.std)
