"""Backbones: feature extractors from timm, by name."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import timm
from timm.models import group_modules, group_parameters
from torch import nn

from headstart.errors import HeadstartError, did_you_mean
from headstart.models import small_resnet  # noqa: F401 (registers its networks)


def build(name: str, output_stride: int | None = None) -> nn.Module:
    """Build a randomly initialized backbone: float (B, 3, S, S) -> pooled features (B, F).

    With an ``output_stride``, larger strides are replaced by dilation where timm supports that for the network; the
    parameters are the same. Raises HeadstartError for an unknown name.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise HeadstartError(
            f"backbone.name {name}: expected a timm model, found no such name;"
            f" {did_you_mean(architecture, timm.list_models())}",
            "python -c \"import timm; print(*timm.list_models('*resnet*'))\"",
        )
    options = _size_options(architecture)
    try:
        if output_stride is not None:
            with suppress(TypeError, AssertionError, NotImplementedError):  # from networks without dilation
                dilated: nn.Module = timm.create_model(name, num_classes=0, output_stride=output_stride, **options)
                return dilated
        network: nn.Module = timm.create_model(name, num_classes=0, **options)
    except RuntimeError as error:  # an unknown tag after the dot
        tags = did_you_mean(name, timm.list_pretrained(f"{architecture}.*"))
        raise HeadstartError(f"backbone.name {name}: {error}; {tags}", f"backbone.name={architecture}") from None
    return network


def _size_options(architecture: str) -> dict[str, Any]:
    """Options that let vision transformers take images of any size."""
    pretrained = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    fixed = bool(pretrained and pretrained.fixed_input_size)
    return {"dynamic_img_size": True} if fixed and architecture.startswith(("vit_", "deit_", "deit3_")) else {}


def features_of(backbone: nn.Module) -> int:
    """Dimension F of the backbone's features (for some networks larger than timm's ``num_features``)."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def freeze(backbone: nn.Module) -> None:
    """Freeze a backbone: no gradients, and batch normalization with its running statistics."""
    backbone.requires_grad_(False)
    backbone.eval()


def freeze_stages(backbone: nn.Module, count: int) -> list[str]:
    """Freeze the stem and the first ``count`` stages, in timm's groups; the names of their layers, for eval mode.

    Raises HeadstartError for a backbone that has no more stages, or none.
    """
    if not hasattr(backbone, "group_matcher"):
        raise HeadstartError(
            f"backbone.freeze_stages: expected 0 for a network whose stages timm does not tell, found {count}",
            "backbone.freeze_stages=0",
        )
    layers: dict[int, list[str]] = group_modules(backbone, backbone.group_matcher(coarse=True))  # type: ignore[operator]
    parameters: dict[int, list[str]] = group_parameters(backbone, backbone.group_matcher(coarse=True))  # type: ignore[operator]
    groups = sorted(layers)
    if count >= len(groups) - 1:
        raise HeadstartError(
            f"backbone.freeze_stages: expected less than the {len(groups) - 1} stages of this backbone, found {count}",
            "backbone.freeze=true trains the head alone",
        )
    for group in groups[: count + 1]:
        for name in parameters.get(group, ()):
            backbone.get_parameter(name).requires_grad_(False)
    return [name for group in groups[: count + 1] for name in layers[group]]


def batchnorm_layers(backbone: nn.Module) -> list[str]:
    """Names of a backbone's batch-norm layers."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    return [name for name, layer in backbone.named_modules() if isinstance(layer, kinds)]


def default_image_size(name: str) -> int:
    """Side of the square images, in pixels, that timm's weights of this name were trained with."""
    pretrained = timm.get_pretrained_cfg(name, allow_unregistered=True) or timm.models.PretrainedCfg()
    return int(pretrained.input_size[-1])


def tried_side(name: str) -> int:
    """Side of square images, in pixels, for a trial forward pass: a network's fixed input size, else at most 96."""
    pretrained = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return (
        default_image_size(name)
        if pretrained is None or pretrained.fixed_input_size
        else min(96, default_image_size(name))
    )
