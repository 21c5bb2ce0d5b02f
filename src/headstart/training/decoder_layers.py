"""Layers of a decoder, for its diagram: a row from the last map to the classes, parallel branches, side branches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from headstart.models.decoders import AnyDecoder, DeepLabV3, DeepLabV3Plus

Layer = dict[str, Any]
"""``kind`` in words, output ``shape`` without the batch, ``parameters``."""
WITHIN = ("Norm", "ReLU")
"""Parts of a kind's name that are merged into the layer before."""
DEPTHWISE = "depthwise "


def decoder_layers(decoder: AnyDecoder, layers: Mapping[nn.Module, Layer]) -> dict[str, Any]:
    """``head``, the layers from the backbone's last map to the classes, and ``sides``, branches on its other maps.

    ``layers`` are the leaf modules of ``decoder`` that a forward pass runs. A layer of ``head`` with ``branches``
    stands for parallel rows of layers, whose outputs are concatenated. A side has its ``name``, the number of its
    ``map`` (`headstart.models.segmentation.Taps`), its ``layers``, and as ``joins`` the position in ``head`` of the
    layer that its output is concatenated before; None for an auxiliary classifier.
    """
    if isinstance(decoder, DeepLabV3Plus):
        before, after = (
            list(_row(part, layers)) for part in (decoder.aspp, nn.Sequential(decoder.join, decoder.score))
        )
        fine = {"name": "fine map", "map": 0, "layers": list(_row(decoder.fine, layers)), "joins": len(before)}
        return {"head": [*before, *after], "sides": [fine]}
    if isinstance(decoder, DeepLabV3):
        sides = []
        if decoder.aux_classifier is not None:
            row = list(_row(decoder.aux_classifier, layers))
            sides.append({"name": "auxiliary classifier", "map": 0, "layers": row, "joins": None})
        return {"head": list(_row(decoder.classifier, layers)), "sides": sides}
    return {"head": list(_row(decoder, layers)), "sides": []}


def _row(module: nn.Module, layers: Mapping[nn.Module, Layer]) -> Iterator[Layer]:
    """The layers of a part, in order."""
    if isinstance(module, ASPP):
        rows = [list(_merged(_leaves(branch, layers))) for branch in module.convs]
        yield {"kind": "ASPP", "branches": rows}
        yield from _merged(_leaves(module.project, layers))
    elif isinstance(module, nn.Sequential) and any(isinstance(inside, ASPP) for inside in module):
        first, *others = module
        yield from _row(first, layers)
        yield from _merged(_leaves(nn.Sequential(*others), layers))
    else:
        yield from _merged(_leaves(module, layers))


def _leaves(module: nn.Module, layers: Mapping[nn.Module, Layer]) -> Iterator[Layer]:
    yield from (layers[each] for each in module.modules() if each in layers)


def _merged(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Merge normalization and ReLU into the convolution before, and depthwise with pointwise convolution."""
    last: Layer | None = None
    for layer in layers:
        if last is not None and any(part in layer["kind"] for part in WITHIN):
            last = last | {"parameters": last["parameters"] + layer["parameters"]}
        elif last is not None and last["kind"].startswith(DEPTHWISE):
            kind = last["kind"].replace(f"{DEPTHWISE}Conv2d", "separable")
            last = {"kind": kind, "shape": layer["shape"], "parameters": last["parameters"] + layer["parameters"]}
        else:
            if last is not None:
                yield last
            last = layer
    if last is not None:
        yield last
