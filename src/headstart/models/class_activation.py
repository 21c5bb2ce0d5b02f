"""Class activation maps: where in an image the evidence for a class is (HiResCAM, Draelos and Carin 2020, arXiv
2011.08891).

The feature maps A of a layer, each times the class's gradient there, are summed over the channels:
``relu(sum_k dy/dA_k * A_k)``. They are the last maps of any timm backbone, which it pools: of the mean of the maps and
a linear head this is exactly what each place adds to the class's score (Zhou et al. 2016, arXiv 1512.04150). Of vision
transformers they are the outputs of the last block but one, for after the last only the class token counts.

LayerCAM (Jiang et al. 2021), which keeps positive gradients alone, fails the check of random weights here: with a
random head its maps have a rank correlation of 0.95 with those of the trained one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def class_activation_maps(backbone: nn.Module, head: nn.Module, images: Tensor, classes: Tensor) -> Tensor | None:
    """Heat maps of ``classes`` (B,) in normalized square ``images``, float (B, 3, S, S): float32 (B, h, w), 0 to 1.

    Each map is divided by its maximum; it is 0 everywhere where nothing speaks for the class. ``backbone`` and ``head``
    are in eval mode and stay as they are. None for a network whose maps are not known.
    """
    stage = _stage(backbone, images[:1])
    if stage is None:
        return None
    held: list[Tensor] = []

    def hold(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        held[:] = [output.detach().requires_grad_()]
        return held[0].clone()  # what follows may work in place

    with torch.enable_grad(), _hooked(stage, hold):
        scores = head(backbone(images)).gather(1, classes[:, None])
        (gradient,) = torch.autograd.grad(scores.sum(), held)
    maps, slopes = (_as_maps(each.float(), backbone) for each in (held[0].detach(), gradient))
    if maps is None or slopes is None:
        return None
    found = (slopes * maps).sum(dim=1).clamp_min(0)
    return found / found.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


@torch.no_grad()
def _stage(backbone: nn.Module, image: Tensor) -> nn.Module | None:
    """The stage whose outputs are weighted, found by running an image through the backbone."""
    outputs: dict[str, Tensor] = {}
    names = [str(each["module"]) for each in _feature_info(backbone) if each.get("module")]
    modules: dict[str, nn.Module] = {name: module for name, module in backbone.named_modules() if name}

    def record(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                outputs.pop(name, None)  # in the order of their last use
                outputs[name] = output

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in modules.items()]
    try:
        backbone(image)
    finally:
        for handle in handles:
            handle.remove()
    stages = [name for name in names if name in outputs and _as_maps(outputs[name], backbone) is not None]
    if stages and outputs[stages[-1]].ndim == 3:
        return modules[stages[-2:][0]]
    # The last maps of all are what is pooled, after the activation: a stage may end without one.
    fitting = [name for name, each in outputs.items() if each.ndim == 4 and _as_maps(each, backbone) is not None]
    return modules[fitting[-1]] if fitting else None


def _feature_info(backbone: nn.Module) -> list[dict[str, Any]]:
    info = getattr(backbone, "feature_info", [])
    return list(info.get_dicts()) if hasattr(info, "get_dicts") else list(info)


@contextmanager
def _hooked(module: nn.Module, hook: Callable[..., Tensor]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _as_maps(output: Tensor, backbone: nn.Module) -> Tensor | None:
    """Outputs of a stage as (B, C, h, w) with h, w > 1; None for anything else.

    They are maps, (B, C, h, w) or (B, h, w, C), or tokens, (B, N, C), after those that stand for no place.
    """
    if output.ndim == 3:
        tokens = output[:, int(getattr(backbone, "num_prefix_tokens", 0)) :]
        side = math.isqrt(tokens.shape[1])
        if side < 2 or side**2 != tokens.shape[1]:
            return None
        return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
    if output.ndim != 4:
        return None
    if output.shape[1] == output.shape[2] != output.shape[3]:  # of a square image, channels last
        output = output.permute(0, 3, 1, 2)
    return output if min(output.shape[2:]) > 1 else None
