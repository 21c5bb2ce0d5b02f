"""Architecture of a network, for its diagram: stages with shapes and parameters, recorded in a forward pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import torch
from timm.models.vgg import ConvMlp
from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.tasks.task import Task
from headstart.training.decoder_layers import DEPTHWISE, Layer, decoder_layers

NOT_DRAWN = ("Norm", "ReLU", "SiLU", "GELU", "Sigmoid", "Identity", "Dropout", "DropPath")
"""Parts of a kind's name that the backbone's diagram leaves out: they come with every convolution."""


class ModuleCall(NamedTuple):
    """One call of a module in a forward pass."""

    module: nn.Module
    shape: tuple[int, ...]
    """Of its output, without the batch."""


@torch.inference_mode()
def architecture(task: Task, side: int) -> dict[str, Any]:
    """Describe the network of ``task`` for images of ``side`` pixels, as plain values for `architecture.json`.

    ``backbone`` is a list of stages: consecutive layers whose outputs have the same height and width. ``head`` is every
    layer on top of it. Modules that a forward pass does not run (the backbone's classifier) are left out. For a task
    with a decoder see `decoder_layers`; a stage then has as ``maps`` the numbers of the feature maps taken from it.
    """
    images = torch.zeros(1, 3, side, side, device=next(task.parameters()).device)
    training = task.training
    try:
        drawn = _with_decoder(task.eval(), images) if hasattr(task, "decoder") else _with_head(task.eval(), images)
    finally:
        task.train(training)
    return {
        "input": [3, side, side],
        "parameters": sum(parameter.numel() for parameter in task.parameters()),
        "trained": sum(parameter.numel() for parameter in task.parameters() if parameter.requires_grad),
        **drawn,
    }


def _with_head(task: Task, images: Tensor) -> dict[str, Any]:
    parts = [part for _, part in task.named_children() if not isinstance(part, MetricCollection)]
    of_backbone = set(_units(task.backbone))
    with _record_calls(unit for part in parts for unit in _units(part)) as calls:
        task.predict(images)
    backbone = [_layer(call) for call in calls if call.module in of_backbone]
    head = [_layer(call) for call in calls if call.module not in of_backbone]
    return {"backbone": list(_stages(backbone)), "head": head}


def _with_decoder(task: Any, images: Tensor) -> dict[str, Any]:
    """Stages, and the layers of the decoder with its auxiliary classifier, if any."""
    # 1. The backbone: a stage ends behind each tapped map, and where the maps get more channels.
    with _record_calls(_units(task.backbone)) as calls:
        maps = task.encode(images)
    backbone, last = [_layer(call) for call in calls], {call.module: i for i, call in enumerate(calls)}
    ends = {_end_of(part, last) for part in _widening(task.backbone)}
    for number, place in enumerate(task.taps.places):
        end = _end_of_map(task.backbone, place, last)
        drawn_before = [layer for layer in backbone[: end + 1] if _is_drawn(layer)]
        (drawn_before or backbone)[-1].setdefault("maps", []).append(number)
        ends.add(end)
    # 2. The decoder.
    extent = (images.shape[-2], images.shape[-1])
    leaves = [module for module in task.decoder.modules() if not list(module.children())]
    with _record_calls(leaves) as calls:
        logits = task.decoder(maps, extent)
        if getattr(task.decoder, "aux_classifier", None) is not None:
            task.decoder.auxiliary(maps, extent)
    drawn = decoder_layers(task.decoder, {call.module: _layer(call) for call in calls})
    shape = list(logits.shape[1:])
    if drawn["head"][-1]["shape"] != shape:
        drawn["head"].append({"kind": "bilinear upsampling", "shape": shape, "parameters": 0})
    return {"backbone": list(_stages(backbone, ends)), **drawn}


@contextmanager
def _record_calls(units: Iterable[nn.Module]) -> Iterator[list[ModuleCall]]:
    """Record the calls of some modules, in order."""
    calls: list[ModuleCall] = []

    def record(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.append(ModuleCall(module, tuple(output.shape[1:])))

    hooks = [unit.register_forward_hook(record) for unit in units]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _end_of(part: nn.Module, last: Mapping[nn.Module, int]) -> int:
    """Position of the last call within a part of the backbone; ``last`` has that of each module."""
    return max(last.get(unit, -1) for unit in _units(part))


def _end_of_map(backbone: Any, place: int, last: Mapping[nn.Module, int]) -> int:
    """Position of the last call that a map needs: the end of its module in timm's ``feature_info``.

    The last map needs all that was run: its normalization, and fc6 and fc7 of VGG, come behind its module.
    """
    info = backbone.feature_info
    if place == len(info) - 1:
        return max(last.values())
    return _end_of(backbone.get_submodule(info[place]["module"]), last)


def _widening(backbone: nn.Module) -> list[nn.Module]:
    """Parts of a timm backbone behind which its maps have more channels: dilated ones are all of one size."""
    info = list(getattr(backbone, "feature_info", ()))
    pairs = zip(info, [*info[1:], {"num_chs": 0}], strict=True)
    names = [one["module"] for one, other in pairs if one["num_chs"] != other["num_chs"]]
    return [backbone.get_submodule(name) for name in names]


def _units(module: nn.Module) -> Iterator[nn.Module]:
    """Modules that are drawn as one: containers are opened, blocks are not."""
    opened = type(module).__name__.endswith("Stage") or isinstance(module, nn.Sequential | nn.ModuleList | ConvMlp)
    inside = list(module.children())
    if inside and (opened or not _is_block(module)):
        for child in inside:
            yield from _units(child)
    else:
        yield module


def _is_block(module: nn.Module) -> bool:
    """Whether a module with others inside is a building block: timm's networks are not, its poolings are."""
    return "Pool" in type(module).__name__ or not hasattr(module, "forward_features")


def _layer(call: ModuleCall) -> Layer:
    parameters = sum(parameter.numel() for parameter in call.module.parameters())
    return {"kind": _kind(call.module), "shape": list(call.shape), "parameters": parameters}


def _kind(module: nn.Module) -> str:
    """``Conv2d 7x7 / 2``, ``Conv2d 3x3, rate 12``, ``Linear``, ``Dropout 0.2``, ``BasicBlock``, ``global pool``."""
    name = type(module).__name__
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.MaxPool2d | nn.AvgPool2d):
        side, stride, rate = _first(module.kernel_size), _first(module.stride), _first(getattr(module, "dilation", 1))
        each = DEPTHWISE if 1 < getattr(module, "groups", 1) == getattr(module, "in_channels", 0) else ""
        more = (f" / {stride}" if stride > 1 else "") + (f", rate {rate}" if rate > 1 else "")
        return f"{each}{name} {side}x{side}{more}"
    if isinstance(module, nn.Dropout):
        return f"{name} {module.p:g}"
    return "global pool" if "AdaptivePool" in name or "AdaptiveAvgPool" in name else name


def _first(size: Any) -> int:
    return size if isinstance(size, int) else size[0]


def _is_drawn(layer: Layer) -> bool:
    """Whether a layer is in the backbone's diagram: not if it comes with every convolution."""
    return not any(part in layer["kind"] for part in NOT_DRAWN)


def _stages(layers: list[Layer], ends: Collection[int] = ()) -> Iterator[dict[str, Any]]:
    """Group consecutive layers with the same height and width (or number of tokens); count equal ones together.

    A stage also ends behind the layers at ``ends``.
    """
    numbered = enumerate(layers)
    groups = groupby(numbered, key=lambda each: (sum(end < each[0] for end in ends), _extent(each[1]["shape"])))
    for _, group in groups:
        stage = [layer for _, layer in group]
        drawn = [layer for layer in stage if _is_drawn(layer)]
        alike = groupby(drawn, key=lambda layer: (layer["kind"], _channels(layer)))
        maps = [number for layer in stage for number in layer.get("maps", ())]
        if drawn:
            yield {
                "shape": stage[-1]["shape"],
                "parameters": sum(layer["parameters"] for layer in stage),
                "layers": [{"kind": k, "count": len(list(some)), "channels": c} for (k, c), some in alike],
                **({"maps": maps} if maps else {}),
            }


def _extent(shape: list[int]) -> list[int]:
    return shape[1:] if len(shape) == 3 else [shape[0], 1] if len(shape) == 2 else [1]


def _channels(layer: Layer) -> int:
    shape = layer["shape"]
    return int(shape[0] if len(shape) == 3 else shape[-1])
