"""Recipes: everything an experiment depends on except the images, in one TOML file.

A recipe holds values only, no logic. In code it is a frozen pydantic model. A field that is misspelt, of the wrong
type or out of range raises an error that names the field.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from headstart.errors import HeadstartError, did_you_mean
from headstart.recipes.overrides import read_overrides, set_field
from headstart.recipes.renamed import refuse_renamed
from headstart.recipes.schema import (
    Analysis,
    Augment,
    Backbone,
    Checkpoint,
    Data,
    Expect,
    Head,
    Optimizer,
    Part,
    Probe,
    Schedule,
    Train,
    Validation,
)
from headstart.recipes.segmentation import Decoder, Loss
from headstart.recipes.self_supervision import Byol, EmpSsl, FastSiam, VicReg

__all__ = [
    "Analysis",
    "Augment",
    "Backbone",
    "Byol",
    "Checkpoint",
    "Data",
    "Decoder",
    "EmpSsl",
    "Expect",
    "FastSiam",
    "Head",
    "Loss",
    "Optimizer",
    "Part",
    "Probe",
    "Recipe",
    "Schedule",
    "Train",
    "Validation",
    "VicReg",
    "build",
    "load",
    "override",
    "read_overrides",
    "shipped",
    "source",
]  # fmt: skip


class Recipe(Part):
    """The complete configuration of one experiment."""

    name: str
    """Name of the recipe."""
    description: str = ""
    """One line for `headstart recipe ls`."""
    task: str = "classify"
    """The training task: `classify`, `segment`, or, without labels, `byol`, `vicreg`, `emp_ssl` or
    `fastsiam`."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all randomness: initialization, order of the images, augmentation."""
    data: Data = Data()
    augment: Augment = Augment()
    second_augment: Augment | None = None
    """Augmentation of the second view, and of any further one, for tasks that compare views; default: as the first."""
    backbone: Backbone = Backbone()
    probe: Probe = Probe()
    head: Head = Head()
    decoder: Decoder = Decoder()
    loss: Loss = Loss()
    byol: Byol = Byol()
    vicreg: VicReg = VicReg()
    emp_ssl: EmpSsl = EmpSsl()
    fastsiam: FastSiam = FastSiam()
    train: Train = Train()
    val: Validation = Validation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    checkpoint: Checkpoint = Checkpoint()
    analysis: Analysis = Analysis()
    expect: Expect | None = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Recipe:
        if any(side > self.data.image_size for side in self.augment.sizes):
            raise ValueError(
                f"augment.sizes: expected none above data.image_size ({self.data.image_size}),"
                f" found {self.augment.sizes}"
            )
        if self.second_augment is not None and self.second_augment.sizes:
            raise ValueError(
                "second_augment.sizes: expected none (augment.sizes applies to both views),"
                f" found {self.second_augment.sizes}"
            )
        least = min(self.augment.sizes, default=self.data.image_size)
        for name, augment in (("augment", self.augment), ("second_augment", self.second_augment)):
            if augment is not None and augment.blur and augment.blur_kernel // 2 >= least:
                raise ValueError(f"{name}.blur_kernel: expected less than {2 * least}, found {augment.blur_kernel}")
        if self.task != "classify" and (self.val.hflip or self.val.image_size is not None):
            raise ValueError(f"val.hflip, val.image_size: expected neither with the task {self.task}")
        validated = [epoch + 1 for epoch in self.validated_epochs()]
        if not set(self.analysis.epochs).issubset(validated):
            among = f"1 to {self.train.epochs}"
            if self.val.every > 1:
                some = ", ".join(map(str, validated[:9])) + ", ..." * (len(validated) > 9)
                among = f"epochs that are validated with val.every={self.val.every}, {some}"
            raise ValueError(f"analysis.epochs: expected {among}, found {self.analysis.epochs}")
        if self.probe.method == "logistic" and (not self.backbone.freeze or self.head.hidden or self.train.epochs > 1):
            raise ValueError(
                "probe.method logistic: expected a frozen backbone, no hidden layer and one epoch"
                f" (backbone.freeze=true head.hidden=[] train.epochs=1), found backbone.freeze={self.backbone.freeze}"
                f" head.hidden={list(self.head.hidden)} train.epochs={self.train.epochs}"
            )
        if self.head.start == "probe" and (self.task != "classify" or self.head.hidden):
            raise ValueError(
                "head.start probe: expected the task classify and no hidden layer (head.hidden=[]), found the task"
                f" {self.task} and head.hidden={list(self.head.hidden)}"
            )
        return self

    def starts_from_probe(self) -> bool:
        """Whether the head starts as a linear probe, on a backbone that has learnt."""
        return self.head.start == "probe" and self.backbone.weights != "none"

    def analysis_epochs(self) -> tuple[int, ...]:
        """Epochs (from 0) after which features are stored, in order."""
        if self.analysis.epochs:
            return tuple(sorted({epoch - 1 for epoch in self.analysis.epochs}))
        validated = self.validated_epochs()
        return tuple(sorted({validated[0], validated[math.ceil(len(validated) / 2) - 1], validated[-1]}))

    def validated_epochs(self) -> range:
        """Epochs (from 0) after which the network is validated; the last always is."""
        last = self.train.epochs - 1
        return range(last % self.val.every, last + 1, self.val.every)

    def train_size(self, epoch: int) -> int:
        """Side of the training images in ``epoch`` (from 0), in pixels."""
        sizes = self.augment.sizes or (self.data.image_size,)
        return sizes[math.ceil((epoch + 1) * len(sizes) / self.train.epochs) - 1]

    def to_toml(self) -> str:
        """The complete recipe as TOML, with every default."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def shipped() -> list[str]:
    """Names of the recipes shipped with headstart."""
    folder = resources.files("headstart.recipes") / "shipped"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def source(name_or_file: str) -> str:
    """The TOML text of a shipped recipe (by name) or of a recipe file (by path)."""
    if name_or_file in shipped():
        return (resources.files("headstart.recipes") / "shipped" / f"{name_or_file}.toml").read_text(encoding="utf-8")
    path = Path(name_or_file)
    if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name of more than 255 bytes)
        raise HeadstartError(
            f"recipe {name_or_file}: expected a shipped recipe or a .toml file, found neither;"
            f" {did_you_mean(name_or_file, shipped())}",
            "headstart recipe ls",
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HeadstartError(f"recipe {path}: cannot be read ({error})", "headstart recipe cp quick my.toml") from None


def load(name_or_file: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Load a recipe by name or path, with overrides such as ``{"train.epochs": 5}``.

    Raises HeadstartError, naming the field, for an unknown field, a wrong type or a value out of range.
    """
    text = source(name_or_file)
    try:
        fields = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's own, numbers of thousands of digits, lists in lists in lists
        raise HeadstartError(
            f"recipe {name_or_file}: expected TOML, found an error: {error}", "headstart recipe show quick"
        ) from None
    fields.setdefault("name", Path(name_or_file).stem)
    return build(fields, overrides, where=name_or_file)


def load_complete(path: Path, hint: str) -> Recipe:
    """Load the recipe of a run, in which every part stands. Raises HeadstartError, with ``hint``, for a broken file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        found = str(error)[:200]
        raise HeadstartError(f"recipe {path}: expected the whole recipe of a run, found {found}", hint) from None
    return parse_complete(text, str(path), hint)


def parse_complete(text: str, where: str, hint: str) -> Recipe:
    """As `load_complete`, for TOML that stands elsewhere: ``where``, in errors."""
    try:
        fields = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = str(error)[:200]
        raise HeadstartError(f"recipe {where}: expected the whole recipe of a run, found {found}", hint) from None
    refuse_renamed(fields, f"recipe {where}")
    missing = [part for part in ("name", "task", "data", "backbone", "train") if part not in fields]
    if missing:
        raise HeadstartError(f"recipe {where}: expected the whole recipe of a run, found no {missing[0]}", hint)
    return build(fields, where=where)


def build(fields: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, where: str = "recipe") -> Recipe:
    """Build a Recipe from plain fields and overrides by dotted name; ``where`` is the prefix of errors."""
    refuse_renamed(fields, where if where == "recipe" else f"recipe {where}")
    refuse_renamed(overrides or {}, "override")
    merged: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in fields.items()}
    for name, value in (overrides or {}).items():
        set_field(merged, name, value)
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise _explain(error.errors()[0], where) from None


def override(recipe: Recipe, overrides: Mapping[str, Any] | None) -> Recipe:
    """``recipe`` with overrides applied."""
    return build(recipe.model_dump(exclude_none=True), overrides) if overrides else recipe


def _explain(error: ErrorDetails, where: str) -> HeadstartError:
    """The first error of pydantic, as one line: the field, what was expected, what was found."""
    path = [str(part) for part in error["loc"]]
    field = ".".join(path)
    show = "headstart recipe show quick"
    if error["type"] == "extra_forbidden":
        elsewhere = fields_named(path[-1])
        if elsewhere:
            return HeadstartError(f"{where}: unknown field {field}; did you mean {' or '.join(elsewhere)}?", show)
        return HeadstartError(f"{where}: unknown field {field}; {did_you_mean(path[-1], _fields_of(path[:-1]))}", show)
    message = error["msg"].removeprefix("Value error, ")
    if not field:
        return HeadstartError(f"{where}: {message}", show)
    found = "nothing" if error["type"] == "missing" else repr(error["input"])
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):  # too few items: show the whole list
        field, found = ".".join(path[:-1]), repr(error["input"])
    expected = _expected(error["type"], field, message)
    return HeadstartError(f"{where}: field {field}: expected {expected}, found {found}", show)


def _expected(kind: str, field: str, message: str) -> str:
    """What pydantic expected, in terms of TOML rather than Python."""
    if kind == "model_type":
        return f"a table of fields ({', '.join(_fields_of(field.split('.')))})"
    if field in ("augment.mean", "augment.std"):
        return "three numbers"
    if kind == "tuple_type":
        return "a list of names" if field in ("data.ignore_classes", "analysis.masks") else "a list of numbers"
    return message.replace("Input should be ", "").replace("Field required", "a value")


def fields_named(leaf: str) -> list[str]:
    """The fields of a recipe whose last name is ``leaf``: 'epochs' -> ['train.epochs', ...]."""
    top = _fields_of(())
    return [f"{table}.{leaf}" for table in top if leaf in _fields_of((table,)) and _is_table(table)]


def _is_table(name: str) -> bool:
    annotation = Recipe.model_fields[name].annotation
    annotation = next(iter(getattr(annotation, "__args__", ())), annotation)
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields_of(path: Iterable[str]) -> list[str]:
    """Names of the fields in the table at ``path``."""
    part: type[BaseModel] = Recipe
    for name in path:
        annotation = part.model_fields[name].annotation
        annotation = next(iter(getattr(annotation, "__args__", ())), annotation)  # of `Augment | None`, Augment
        part = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else Expect
    return list(part.model_fields)
