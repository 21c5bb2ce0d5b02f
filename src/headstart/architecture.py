"""A network as it is drawn: its stages with their shapes and parameters, read off a pass through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from timm.models.vgg import ConvMlp
from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.models.decoders import DeepLabV3, Row
from headstart.tasks.contract import Task
from headstart.tasks.segment import Segment

UNSEEN = ("Norm", "ReLU", "SiLU", "GELU", "Sigmoid", "Identity", "Dropout", "DropPath")
"""Parts of a kind's name that the backbone's drawing leaves out: they come with every convolution."""

Layer = dict[str, Any]
"""``kind`` in words, output ``shape`` without the batch, ``parameters``; of a decoder, the ``part`` of it."""


@torch.inference_mode()
def architecture(task: Task, side: int) -> dict[str, Any]:
    """The network of ``task`` for images of ``side`` pixels, as plain values for `architecture.json`.

    ``backbone`` is a list of stages: layers in a row whose outputs have the same height and width. ``head`` is every
    layer on top of it, or what a decoder says of its layers. What a pass does not run through (the classifier of a
    backbone) is not there.
    """
    decoder = task.decoder if isinstance(task, Segment) else None
    own = [part for part in task.children() if not isinstance(part, MetricCollection) and part is not decoder]
    units = [unit for part in own for unit in _units(part)]
    rows = [] if decoder is None else list(decoder.drawn())
    order: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            order.append((module, tuple(output.shape[1:])))

    hooks = [unit.register_forward_hook(note) for unit in (*units, *(layers[-1] for _, layers in rows if layers))]
    training, device = task.training, next(task.parameters()).device
    try:
        _run(task.eval(), torch.zeros(1, 3, side, side, device=device))
    finally:
        task.train(training)
        for hook in hooks:
            hook.remove()
    of_backbone, above = set(_units(task.backbone)), set(units).difference(_units(task.backbone))
    shapes = dict(order)
    return {
        "input": [3, side, side],
        "parameters": sum(parameter.numel() for parameter in task.parameters()),
        "trained": sum(parameter.numel() for parameter in task.parameters() if parameter.requires_grad),
        "backbone": list(_stages([_layer(module, shape) for module, shape in order if module in of_backbone])),
        "head": [_layer(module, shape) for module, shape in order if module in above] + _rows(rows, shapes, side),
    }


def _run(task: Task, images: Tensor) -> None:
    """Run all that is drawn: of a segmenter its auxiliary classifier too, which `predict` has no use for."""
    if not isinstance(task, Segment):
        task.predict(images)
        return
    maps, extent = task.embed(images), (images.shape[-2], images.shape[-1])
    task.decoder(maps, extent)
    if isinstance(task.decoder, DeepLabV3) and task.decoder.aux_classifier is not None:
        task.decoder.auxiliary(maps, extent)


def _rows(rows: Sequence[Row], shapes: Mapping[nn.Module, tuple[int, ...]], side: int) -> list[Layer]:
    """A decoder's layers, each with what comes with a convolution."""
    drawn: list[Layer] = []
    for part, layers in rows:
        if not layers:
            drawn.append({"kind": "interpolation", "shape": [drawn[-1]["shape"][0], side, side], "parameters": 0})
        else:
            leaves = [leaf for layer in layers for leaf in layer.modules() if not list(leaf.children())]
            kinds = [_kind(leaf) for leaf in leaves]
            seen = [kind for kind in kinds if len(kinds) == 1 or not any(name in kind for name in UNSEEN)]
            count = sum(parameter.numel() for layer in layers for parameter in layer.parameters())
            drawn.append({"kind": ", ".join(seen), "shape": list(shapes[layers[-1]]), "parameters": count})
        drawn[-1]["part"] = part
    return drawn


def _units(module: nn.Module) -> Iterator[nn.Module]:
    """What is drawn as one thing: containers are opened, blocks are not."""
    stage = type(module).__name__.endswith("Stage") or isinstance(module, ConvMlp)  # fc6 and fc7 of VGG
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
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.MaxPool2d | nn.AvgPool2d):
        side, stride, rate = _first(module.kernel_size), _first(module.stride), _first(getattr(module, "dilation", 1))
        single = "depthwise " if getattr(module, "groups", 1) > 1 else ""
        return (
            f"{single}{name} {side}x{side}"
            + (f" / {stride}" if stride > 1 else "")
            + (f" rate {rate}" if rate > 1 else "")
        )
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
