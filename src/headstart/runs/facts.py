"""Types of the JSON files of a run, and their one reader: what other code looks up is there, and of its type."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, model_validator

from headstart.palette import Transparency

Text = InstanceOf[str]
"""Text that may be the name of a file, which need not be UTF-8."""
Count = Annotated[int, Field(ge=0)]
Size = list[Annotated[int, Field(gt=0)]]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class Environment(_Part):
    """`environment.json`."""

    format: Any = None
    headstart: Text = ""
    device: Text = ""
    started: Text = ""
    threads: Annotated[int, Field(gt=0)] | None = None
    processes: Annotated[int, Field(gt=0)] | None = None
    weights: dict[Text, Any] = {}


class MaskPalette(_Part):
    """`Palette.to_json`."""

    names: list[Text]
    colors: list[Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]]
    values: list[int]
    kind: Literal["color", "number"]
    ignored: Count = 0
    mode: Literal["L", "P", "RGB"] | None = None
    transparency: Transparency = "background"
    soft: bool = False

    @model_validator(mode="after")
    def _check_lengths(self) -> MaskPalette:
        if not len(self.names) == len(self.colors) or self.ignored >= len(self.names):
            raise ValueError("a color for each name, and classes that are not ignored")
        return self


class Range(BaseModel):
    """`ValueRange`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    low: float
    high: float
    source: Text = ""


class Skipped(_Part):
    """A file that could not be read."""

    filename: Text
    reason: Text


class Data(_Part):
    """`data.json`."""

    fingerprint: Text = ""
    root: Text
    layout: Text = ""
    split_made: bool = False
    classes: list[Text]
    images: dict[Text, Count] = {}
    counts: dict[Text, dict[Text, Count]] = {}
    palette: MaskPalette | None = None
    shares: dict[Text, dict[Text, float]] = {}
    ignored: dict[Text, float] = {}
    ranges: dict[Literal["integers", "floats"], Range] = {}
    skipped: list[Skipped] = []
    images_trained_on: Count = 0
    left_out: Count = 0
    val_seen_by_weights: Count = 0

    @model_validator(mode="after")
    def _check_counts(self) -> Data:
        if any(name not in counts for counts in self.counts.values() for name in self.classes):
            raise ValueError("a count of each class in each split")
        if self.palette is not None and len(self.classes) != len(self.palette.names) - self.palette.ignored:
            raise ValueError("as many classes as the palette has that are not ignored")
        return self


class Layers(_Part):
    """Equal layers of a stage."""

    kind: Text
    count: Count
    channels: Count


class Stage(_Part):
    """Consecutive layers whose outputs are of one size."""

    shape: Size
    parameters: Count
    layers: list[Layers]
    maps: list[Count] = []


class Layer(_Part):
    """A layer of a head or a decoder; or parallel ``branches``, each of consecutive layers."""

    kind: Text
    shape: Size | None = None
    parameters: Count | None = None
    branches: list[list[Layer]] = []

    @model_validator(mode="after")
    def _check_shape(self) -> Layer:
        branching = "branches" in self.model_fields_set
        if not branching and not self.is_plain:
            raise ValueError("a layer without shape or parameters")
        if branching and not (self.branches and all(self.branches)):
            raise ValueError("a layer of no branches, or an empty one")
        if not all(layer.is_plain for branch in self.branches for layer in branch):
            raise ValueError("branches of plain layers")
        return self

    @property
    def is_plain(self) -> bool:
        return "branches" not in self.model_fields_set and bool(self.shape) and self.parameters is not None


class Side(_Part):
    """A row of the decoder, from another map of the backbone."""

    name: Text
    map: Count | None
    layers: Annotated[list[Layer], Field(min_length=1)]
    joins: Count | None


class Architecture(_Part):
    """`architecture.json`."""

    input: Size
    parameters: Count
    trained: Count
    backbone: list[Stage]
    head: list[Layer]
    sides: list[Side] = []

    @model_validator(mode="after")
    def _check_head(self) -> Architecture:
        if "sides" not in self.model_fields_set:
            if not all(layer.is_plain for layer in self.head):
                raise ValueError("a head of plain layers")
        elif not self.head or not self.head[-1].is_plain:
            raise ValueError("a decoder whose last layer has a shape")
        if any(side.joins is not None and side.joins >= len(self.head) for side in self.sides):
            raise ValueError("sides that join a layer of the decoder")
        return self


class Probe(_Part):
    """`probe.json`."""

    C: Annotated[float, Field(gt=0)]
    held_out_accuracy: dict[Text, float] = {}
    seconds: float = 0.0


class HeldOut(_Part):
    """`held_out.json`: path -> split; `aside` are the images that hyper-parameter selection must not see."""

    __pydantic_extra__: dict[str, Literal["val", "test", "aside"]]


class Groups(_Part):
    """`groups.json`: path -> group."""

    __pydantic_extra__: dict[str, Text]


def parse(content: bytes, kind: type[BaseModel]) -> dict[str, Any]:
    """The plain values of a JSON file of this kind. Raises ValueError, on one line, for anything else."""
    try:
        values = json.loads(content.decode())
    except RecursionError:
        raise ValueError("no JSON") from None
    # A file name that is not UTF-8 stands there as lone surrogates, which pydantic takes for no text.
    plain = json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
    try:
        kind.model_validate(json.loads(plain))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{field}: {first['msg']}") from None
    return dict(values)
