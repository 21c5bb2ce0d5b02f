"""Recipe fields of headstart before 0.1.0, and what they are called now. An old name is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headstart.errors import HeadstartError

TABLES = {"views": "augment", "second_views": "second_augment", "keep": "checkpoint", "insight": "analysis"}
"""Old -> new name of a table."""

FIELDS = {
    "views.flip": "augment.hflip",
    "views.vertical_flip": "augment.vflip",
    "second_views.flip": "second_augment.hflip",
    "second_views.vertical_flip": "second_augment.vflip",
    "keep.metric": "checkpoint.monitor",
    "keep.minutes": "checkpoint.every_minutes",
    "insight.sample": "analysis.train_samples",
    "insight.pictures": "analysis.save_images",
    "train.batch": "train.batch_size",
    "train.same_steps": "train.fixed_steps",
    "val.batch": "val.batch_size",
    "data.size": "data.image_size",
    "data.labels": "data.label_fraction",
    "data.group": "data.group_regex",
    "data.ignore": "data.ignore_classes",
    "data.judge_on": "data.validate_on",
    "data.apart_from": "data.exclude_overlap_with",
    "probe.once": "probe.cache_features",
    "byol.decay": "byol.ema_decay",
    "byol.hidden": "byol.hidden_dim",
    "byol.projection": "byol.projection_dim",
    "loss.dice": "loss.dice_weight",
    "decoder.auxiliary": "decoder.aux_weight",
}
"""Old -> new name of a field, where more than its table was renamed."""

VALUES = {
    ("backbone.train", True): "backbone.freeze=false",
    ("backbone.train", False): "backbone.freeze=true",
    ("probe.method", "steps"): "probe.method=sgd",
    ("data.judge_on", "validation"): "data.validate_on=val",
    ("data.judge_on", "training"): "data.validate_on=train",
}
"""(old field, old value) -> the new field with its new value."""


def refuse_renamed(fields: Mapping[str, Any], where: str) -> None:
    """Raise HeadstartError if ``fields``, by dotted name or nested, hold an old name; ``where`` begins the line.

    All old names are in the one line, so that a recipe is brought up to date in one go.
    """
    renamed = dict.fromkeys(_renamed(fields))
    if renamed:
        raise HeadstartError(f"{where}: {'; '.join(renamed)}", "headstart recipe show quick (every field by its name)")


def _renamed(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _flat(fields):
        table, dot, field = name.partition(".")
        if _is_old_value(name, value):
            yield f"field {name}={_text(value)} is now called {VALUES[name, value]}"
        elif name in FIELDS:
            yield f"field {name} is now called {FIELDS[name]}"
        elif name == "backbone.train":
            yield "field backbone.train is now called backbone.freeze, and means the opposite"
        elif table in TABLES:
            yield f"field {name} is now called {TABLES[table]}{dot}{field}"


def _is_old_value(name: str, value: Any) -> bool:
    return isinstance(value, bool | str) and (name, value) in VALUES


def _flat(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every field; of an empty table, its name."""
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _text(value: bool | str) -> str:
    return str(value).lower() if isinstance(value, bool) else value
