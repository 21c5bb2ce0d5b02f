"""The update rule of a recipe, and its learning rate at every step."""

from __future__ import annotations

import math

from torch import nn, optim

from headstart.recipes.recipe import Optimizer, Schedule


def make_optimizer(network: nn.Module, settings: Optimizer) -> optim.Optimizer:
    """An optimizer over the trainable parameters of ``network``.

    Parameters under ``head.`` or ``decoder.`` learn at ``lr * head_lr_factor``. AdamW does not decay vectors (biases,
    normalization), as is the custom in fine-tuning; Adam and SGD decay all alike, as torch does.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            lr = settings.lr * (settings.head_lr_factor if name.startswith(("head.", "decoder.")) else 1.0)
            spared = settings.name == "adamw" and parameter.ndim <= 1
            groups.setdefault((lr, 0.0 if spared else settings.weight_decay), []).append(parameter)
    each = [
        {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]
    if settings.name == "sgd":
        return optim.SGD(each, lr=settings.lr, momentum=0.9, nesterov=True, fused=True)
    kind = optim.AdamW if settings.name == "adamw" else optim.Adam
    return kind(each, lr=settings.lr, fused=True)


def lr_factor(settings: Schedule, epochs: int, epoch: int, step: int, steps: int) -> float:
    """What the learning rate is multiplied by in step ``step`` (of ``steps``) of epoch ``epoch`` (of ``epochs``).

    Per epoch, the time t is the epoch, counted from 0: with ``linear`` and a warm-up of w epochs the factor is
    t/w below w and 1 - (t - w)/(epochs - w) after, the report's formula. Per step, t is the
    middle of the step, so that no step has the factor 0.
    """
    t = float(epoch) if settings.per == "epoch" else epoch + (step + 0.5) / steps
    w = settings.warmup * epochs
    if t < w:
        return t / w
    left = min(1.0, (t - w) / (epochs - w))
    if settings.name == "linear":
        return 1 - left
    return 0.5 * (1 + math.cos(math.pi * left)) if settings.name == "cosine" else 1.0


def set_lr(optimizer: optim.Optimizer, factor: float) -> None:
    """Multiply every group's own learning rate by ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
