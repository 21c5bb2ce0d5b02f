"""A network as it is drawn: its stages with their shapes and parameters, read off a pass through it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.tasks.contract import Task

UNSEEN = ("Norm", "ReLU", "SiLU", "GELU", "Sigmoid", "Identity", "Dropout", "DropPath")
"""Parts of a kind's name that the backbone's drawing leaves out: they come with every convolution."""

Layer = dict[str, Any]
"""``kind`` in words, output ``shape`` without the batch, ``parameters``."""


@torch.inference_mode()
def architecture(task: Task, side: int) -> dict[str, Any]:
    """The network of ``task`` for images of ``side`` pixels, as plain values for `architecture.json`.

    ``backbone`` is a list of stages: layers in a row whose outputs have the same height and width. ``head`` is every
    layer on top of it. What a pass does not run through (the classifier of a backbone) is not there.
    """
    parts = {name: part for name, part in task.named_children() if not isinstance(part, MetricCollection)}
    units = {name: list(_units(part)) for name, part in parts.items()}
    order: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            order.append((module, tuple(output.shape[1:])))

    hooks = [unit.register_forward_hook(note) for some in units.values() for unit in some]
    training, device = task.training, next(task.parameters()).device
    try:
        task.eval().predict(torch.zeros(1, 3, side, side, device=device))
    finally:
        task.train(training)
        for hook in hooks:
            hook.remove()
    of_backbone = set(units.pop("backbone"))
    backbone = [_layer(module, shape) for module, shape in order if module in of_backbone]
    head = [_layer(module, shape) for module, shape in order if module not in of_backbone]
    return {
        "input": [3, side, side],
        "parameters": sum(parameter.numel() for parameter in task.parameters()),
        "trained": sum(parameter.numel() for parameter in task.parameters() if parameter.requires_grad),
        "backbone": list(_stages(backbone)),
        "head": head,
    }


def _units(module: nn.Module) -> Iterator[nn.Module]:
    """What is drawn as one thing: containers are opened, blocks are not."""
    stage = type(module).__name__.endswith("Stage")
    inside = list(module.children())
    if inside and (isinstance(module, nn.Sequential | nn.ModuleList) or stage or not _is_block(module)):
        for child in inside:
            yield from _units(child)
    else:
        yield module


def _is_block(module: nn.Module) -> bool:
    """Whether a module with others inside is a building block: networks of timm are not, nor are their poolings."""
    return "Pool" in type(module).__name__ or not hasattr(module, "forward_features")


def _layer(module: nn.Module, shape: tuple[int, ...]) -> Layer:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"kind": _kind(module), "shape": list(shape), "parameters": parameters}


def _kind(module: nn.Module) -> str:
    """``Conv2d 7x7 / 2``, ``Linear``, ``Dropout 0.2``, ``BasicBlock``, ``global pool``."""
    name = type(module).__name__
    if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        side, stride = _first(module.kernel_size), _first(module.stride)
        return f"{name} {side}x{side}" + (f" / {stride}" if stride > 1 else "")
    if isinstance(module, nn.Dropout):
        return f"{name} {module.p:g}"
    return "global pool" if "AdaptivePool" in name or "AdaptiveAvgPool" in name else name


def _first(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]


def _stages(layers: list[Layer]) -> Iterator[dict[str, Any]]:
    """Layers in a row with the same height and width (or number of tokens), like ones counted together."""
    for _, group in groupby(layers, key=lambda layer: _extent(layer["shape"])):
        stage = list(group)
        drawn = [layer for layer in stage if not any(part in layer["kind"] for part in UNSEEN)]
        alike = groupby(drawn, key=lambda layer: (layer["kind"], _channels(layer)))
        if drawn:
            yield {
                "shape": stage[-1]["shape"],
                "parameters": sum(layer["parameters"] for layer in stage),
                "layers": [{"kind": k, "count": len(list(some)), "channels": c} for (k, c), some in alike],
            }


def _extent(shape: list[int]) -> list[int]:
    return shape[1:] if len(shape) == 3 else [shape[0], 1] if len(shape) == 2 else [1]


def _channels(layer: Layer) -> int:
    shape = layer["shape"]
    return int(shape[0] if len(shape) == 3 else shape[-1])
