"""Optimizer and learning-rate schedule."""

from __future__ import annotations

import math

from torch import nn, optim

from headstart.recipes.recipe import Optimizer, Schedule
from headstart.training.muon import Muon


def make_optimizer(network: nn.Module, config: Optimizer) -> optim.Optimizer:
    """An optimizer over the trainable parameters of ``network``.

    Parameters under ``head.`` or ``decoder.`` learn at ``lr * head_lr_factor``. AdamW and Muon apply no weight
    decay to vectors (biases, normalization), as is common; Adam and SGD apply it to all, as torch does.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            lr = config.lr * (config.head_lr_factor if name.startswith(("head.", "decoder.")) else 1.0)
            undecayed = config.name in ("adamw", "muon") and parameter.ndim <= 1
            groups.setdefault((lr, 0.0 if undecayed else config.weight_decay), []).append(parameter)
    each = [
        {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]
    if config.name == "sgd":
        return optim.SGD(each, lr=config.lr, momentum=0.9, nesterov=True, fused=True)
    if config.name == "muon":  # its steps have the size of AdamW's, so that learning rates are alike
        return Muon(each, lr=config.lr, momentum=0.9, nesterov=True, adjust_lr_fn="match_rms_adamw")
    kind = optim.AdamW if config.name == "adamw" else optim.Adam
    return kind(each, lr=config.lr, fused=True)


def lr_factor(config: Schedule, epochs: int, epoch: int, step: int, steps: int) -> float:
    """Learning-rate factor of step ``step`` (of ``steps``) in epoch ``epoch`` (of ``epochs``), both from 0.

    Per epoch, the time t is the epoch: with ``linear`` and a warm-up of w epochs the factor is t/w below w and
    1 - (t - w)/(epochs - w) after, the report's formula. Per step, t is the middle of the step, so that no step has
    the factor 0.
    """
    t = float(epoch) if config.per == "epoch" else epoch + (step + 0.5) / steps
    w = config.warmup * epochs
    if t < w:
        return t / w
    left = min(1.0, (t - w) / (epochs - w))
    if config.name == "linear":
        return 1 - left
    return 0.5 * (1 + math.cos(math.pi * left)) if config.name == "cosine" else 1.0


def set_lr(optimizer: optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its initial one times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
