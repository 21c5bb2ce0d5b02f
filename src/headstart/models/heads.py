"""Heads: classifiers and projection MLPs on the features of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from headstart.recipes.recipe import Head


def make_head(features: int, classes: int, config: Head) -> nn.Sequential:
    """Build a classification head: float (B, features) -> logits (B, classes).

    Each hidden layer is linear, ReLU, dropout (PyTorch's default initialization). Without hidden layers the head is
    dropout and one linear layer initialized near zero, so that the first steps do not disturb a pretrained backbone.
    """
    layers: list[nn.Module] = []
    width = features
    for hidden in config.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(config.dropout)]
        width = hidden
    last = nn.Linear(width, classes)
    if not config.hidden:
        layers += [nn.Dropout(config.dropout)]
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def make_mlp(features: int, hidden: int, out: int) -> nn.Sequential:
    """Build BYOL's projector or predictor, float (B, features) -> (B, out): linear, batch norm, ReLU, linear."""
    return nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))


def make_projector(features: int, hidden: Sequence[int], out: int, bias: bool = True) -> nn.Sequential:
    """Build a projector, float (B, features) -> (B, out): linear, batch norm, ReLU for each hidden width, then linear.

    ``bias`` is that of the last layer; behind a batch normalization, or in a loss that centers its inputs, it would do
    nothing.
    """
    layers: list[nn.Module] = []
    width = features
    for each in hidden:
        layers += [nn.Linear(width, each), nn.BatchNorm1d(each), nn.ReLU()]
        width = each
    return nn.Sequential(*layers, nn.Linear(width, out, bias=bias))


def width_into(head: nn.Sequential) -> int:
    """Input dimension of a head's last layer."""
    last = head[-1]
    assert isinstance(last, nn.Linear)
    return last.in_features
