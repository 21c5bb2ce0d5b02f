"""What sits on a backbone."""

from __future__ import annotations

from torch import nn

from headstart.recipes.recipe import Head


def make_head(features: int, classes: int, settings: Head) -> nn.Sequential:
    """float (B, features) -> logits (B, classes).

    With hidden layers each is linear, ReLU, dropout (torch's own initialization); the report's head has two. Without,
    it is dropout and one linear layer that begins near zero, so that the first steps do not shake the backbone.
    """
    layers: list[nn.Module] = []
    width = features
    for hidden in settings.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(settings.dropout)]
        width = hidden
    last = nn.Linear(width, classes)
    if not settings.hidden:
        layers += [nn.Dropout(settings.dropout)]
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def make_mlp(features: int, hidden: int, out: int) -> nn.Sequential:
    """float (B, features) -> (B, out): linear, batch norm, ReLU, linear; BYOL's projector and predictor."""
    return nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))


def width_into(head: nn.Sequential) -> int:
    """How many features the last layer of a head takes."""
    last = head[-1]
    assert isinstance(last, nn.Linear)
    return last.in_features
