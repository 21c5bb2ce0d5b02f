"""A recipe: everything an experiment depends on except the images, in one file.

A recipe holds settings only. It is TOML on disk and a frozen pydantic model in code; a field that is
misspelt, of the wrong type or out of range is an error that names the field, wherever it was written.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from headstart.errors import HeadstartError, nearest

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(ge=8, le=4096)]
Rgb = Annotated[tuple[float, float, float], Strict(False)]
Deviations = Annotated[tuple[Positive, Positive, Positive], Strict(False)]


class Part(BaseModel):
    """What all parts of a recipe have in common: frozen, strict, no unknown fields, every number finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Data(Part):
    """How image files become a table of square pictures."""

    size: Side = 224
    """Side of the square pictures, in pixels. They are decoded once, at this size."""
    resize: Literal["squash", "crop", "pad"] = "squash"
    """Reach the square by squashing, by cropping the centre, or by padding with black."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the images held out when the data has no validation split of its own."""
    group: str | None = None
    """Regular expression whose first group (or whole match) in the path names an image's source."""
    skip_unreadable: bool = False
    """Leave out files that cannot be decoded, instead of stopping at them."""
    labels: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training images whose labels are used, of every class alike (a label fraction)."""
    judge_on: Literal["validation", "training"] = "validation"
    """Validate on the validation images, or on a part held out of the training images, to choose settings by."""
    apart_from: str | None = None
    """A data folder whose held-out images, and near duplicates of them, are left out of the training images."""


class Views(Part):
    """The random changes made to a training image each time it is seen; validation sees none of them."""

    mean: Rgb = (0.485, 0.456, 0.406)
    """Subtracted from red, green and blue, on the scale 0 to 1."""
    std: Deviations = (0.229, 0.224, 0.225)
    """What red, green and blue are then divided by."""
    flip: Share = 0.5
    """Probability of a horizontal flip."""
    vertical_flip: Share = 0.0
    """Probability of a vertical flip."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation drawn from plus or minus this many degrees; corners are filled with black."""
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    """How rotated and cropped pixels are read."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest share of the area that a random crop keeps (aspect ratio 3/4 to 4/3); 1 crops nothing."""
    brightness: Share = 0.0
    """Brightness is multiplied by a draw from 1 minus this to 1 plus this."""
    contrast: Share = 0.0
    """Contrast, likewise."""
    saturation: Share = 0.0
    """Saturation, likewise."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """The hue is turned by a draw from minus this to plus this; 1 is once round the colour wheel."""
    jitter: Share = 1.0
    """Probability that brightness, contrast, saturation and hue change at all."""
    grayscale: Share = 0.0
    """Probability that all colour goes."""
    blur: Share = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Annotated[tuple[Positive, Positive], Strict(False)] = (0.1, 2.0)
    """Least and greatest standard deviation of the blur, in pixels of the view."""
    blur_kernel: Annotated[int, Field(ge=3)] = 3
    """Width of the blur in pixels, odd."""
    solarize: Share = 0.0
    """Probability that values in the upper half of the scale are inverted."""
    sizes: Annotated[tuple[Side, ...], Strict(False)] = ()
    """Sides of the training images, spread evenly over the epochs (low resolution first); empty: data.size."""

    @model_validator(mode="after")
    def _blur_is_possible(self) -> Views:
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel: expected an odd number, found {self.blur_kernel}")
        if self.blur_sigma[0] > self.blur_sigma[1]:
            raise ValueError(f"blur_sigma: expected the least and the greatest, found {self.blur_sigma}")
        return self


class Backbone(Part):
    """The feature extractor and where its numbers come from."""

    name: str = "resnet18.tv_in1k"
    """Any name that `timm.list_models()` knows."""
    weights: str = "none"
    """`none`, `imagenet`, `imagenet-lite`, a run folder, or a weights file (safetensors, or a plain state dict)."""
    train: bool = True
    """Train the backbone with the head (fine-tune), or keep it as it is (probe)."""


class Probe(Part):
    """How a head is trained on a frozen backbone (backbone.train=false)."""

    method: Literal["steps", "logistic"] = "steps"
    """The recipe's own steps and optimizer, or multinomial logistic regression, solved."""
    once: bool = True
    """Run the backbone once over the images, and train on what it saw; else anew in every step."""
    views: Annotated[int, Field(ge=0)] = 0
    """With `once`: so many random views of each training image, taken in turn; 0: the image as it is."""


class Head(Part):
    """The layers between the features and the classes."""

    hidden: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False)] = ()
    """Widths of the hidden layers, each followed by ReLU and dropout; empty: one linear layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout after each hidden layer; with no hidden layer, before the linear one."""


class Byol(Part):
    """What Grill et al. 2020 put on the backbone, and how their target network follows it."""

    projection: Annotated[int, Field(gt=0)] = 256
    """Width of what the projector and the predictor put out."""
    hidden: Annotated[int, Field(gt=0)] = 4096
    """Width of the one hidden layer of either."""
    decay: Share = 0.99
    """Share of itself that the target network keeps in a step (the paper's tau); the rest is the online network's."""
    decay_schedule: Literal["constant", "cosine"] = "constant"
    """`cosine` takes the decay to 1 at the end of the training, as the paper does."""


class Train(Part):
    """How long and on how much at once."""

    epochs: Annotated[int, Field(gt=0)] = 10
    """Passes over the training images."""
    batch: Annotated[int, Field(gt=1)] = 32
    """Images per step, over all processes together."""
    same_steps: bool = True
    """With a label fraction, an epoch has as many steps as with all labels; else it is one pass over fewer images."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread over all classes (Szegedy et al. 2016)."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""


class Validation(Part):
    """How the validation images are run."""

    batch: Annotated[int, Field(gt=0)] = 32
    """Images per validation or prediction step."""


class Optimizer(Part):
    """The update rule."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    """Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), or SGD with momentum 0.9."""
    lr: Positive = 1e-3
    """Learning rate of the backbone."""
    head_lr_factor: Positive = 1.0
    """The head's learning rate is `lr` times this."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay; never applied to biases and normalisation when the optimizer is `adamw`."""


class Schedule(Part):
    """What the learning rate is multiplied by, over time."""

    name: Literal["constant", "linear", "cosine"] = "cosine"
    """What follows the warm-up: nothing, a straight line to zero, or half a cosine to zero."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training during which the factor rises from zero to one in a straight line."""
    per: Literal["epoch", "step"] = "step"
    """How often the factor changes."""


class Keep(Part):
    """What is kept, and when."""

    metric: Literal["val_loss", "val_accuracy", "last"] = "val_loss"
    """`weights/best` are those with the lowest loss or highest accuracy on the validation images, or the last ones."""
    minutes: Positive = 10.0
    """A checkpoint to resume from is saved after each epoch, and within an epoch after this long."""


class Insight(Part):
    """At which epochs what the network sees is stored, so that it can be looked at over time."""

    epochs: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False)] = ()
    """Counted from 1; empty: the first, the middle and the last."""
    sample: Annotated[int, Field(ge=0)] = 1000
    """So many training images are looked at beside all validation images."""
    pictures: bool = True
    """Keep small copies of the images that are looked at, for the report."""


class Expect(Part):
    """The number this recipe is expected to reach, so that a reader can tell a success from a mishap."""

    metric: str
    value: float
    source: str


class Recipe(Part):
    """One experiment, complete."""

    name: str
    description: str = ""
    task: str = "classify"
    """What is learnt: a name in `headstart.tasks.TASKS`."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Everything random follows from this number."""
    data: Data = Data()
    views: Views = Views()
    second_views: Views | None = None
    """For tasks that compare two views of an image: the second one, when it is made by other rules than the first."""
    backbone: Backbone = Backbone()
    probe: Probe = Probe()
    head: Head = Head()
    byol: Byol = Byol()
    train: Train = Train()
    val: Validation = Validation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    keep: Keep = Keep()
    insight: Insight = Insight()
    expect: Expect | None = None

    @model_validator(mode="after")
    def _numbers_fit(self) -> Recipe:
        if any(side > self.data.size for side in self.views.sizes):
            raise ValueError(f"views.sizes: expected none above data.size ({self.data.size}), found {self.views.sizes}")
        if self.second_views is not None and self.second_views.sizes:
            raise ValueError(f"second_views.sizes: expected none (views.sizes holds), found {self.second_views.sizes}")
        least = min(self.views.sizes, default=self.data.size)
        for name, views in (("views", self.views), ("second_views", self.second_views)):
            if views is not None and views.blur and views.blur_kernel // 2 >= least:
                raise ValueError(f"{name}.blur_kernel: expected less than {2 * least}, found {views.blur_kernel}")
        if any(epoch > self.train.epochs for epoch in self.insight.epochs):
            raise ValueError(f"insight.epochs: expected 1 to {self.train.epochs}, found {self.insight.epochs}")
        if self.probe.method == "logistic" and (self.backbone.train or self.head.hidden or self.train.epochs > 1):
            raise ValueError(
                "probe.method logistic: expected a frozen backbone, no hidden layer and one epoch"
                f" (backbone.train=false head.hidden=[] train.epochs=1), found backbone.train={self.backbone.train}"
                f" head.hidden={list(self.head.hidden)} train.epochs={self.train.epochs}"
            )
        return self

    def looked_at(self) -> tuple[int, ...]:
        """The epochs (from 0) after which features are stored, in order."""
        last = self.train.epochs
        return tuple(sorted({epoch - 1 for epoch in self.insight.epochs or (1, math.ceil(last / 2), last)}))

    def side(self, epoch: int) -> int:
        """Side of the training images in one epoch (from 0), in pixels; in the last epoch it is the last size."""
        sizes = self.views.sizes or (self.data.size,)
        return sizes[math.ceil((epoch + 1) * len(sizes) / self.train.epochs) - 1]

    def to_toml(self) -> str:
        """The complete recipe, every default written out."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def shipped() -> list[str]:
    """Names of the recipes that come with headstart."""
    folder = resources.files("headstart") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def source(name_or_file: str) -> str:
    """The TOML text of a shipped recipe (by name) or of a recipe file (by path)."""
    if name_or_file in shipped():
        return (resources.files("headstart") / "recipes" / f"{name_or_file}.toml").read_text(encoding="utf-8")
    path = Path(name_or_file)
    if not path.is_file():
        raise HeadstartError(
            f"recipe {name_or_file}: expected a shipped recipe or a .toml file, found neither;"
            f" nearest: {nearest(name_or_file, shipped())}",
            "headstart recipe ls",
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HeadstartError(f"recipe {path}: cannot be read ({error})", "headstart recipe cp quick my.toml") from None


def load(name_or_file: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name or path, with overrides such as ``{"train.epochs": 5}`` laid over it.

    Raises HeadstartError, naming the field, for an unknown field, a wrong type or a value out of range.
    """
    text = source(name_or_file)
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HeadstartError(
            f"recipe {name_or_file}: expected TOML, found an error: {error}", "headstart recipe show quick"
        ) from None
    fields.setdefault("name", Path(name_or_file).stem)
    return build(fields, overrides, where=name_or_file)


def build(fields: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, where: str = "recipe") -> Recipe:
    """A Recipe from plain fields and overrides by dotted name; ``where`` begins the line of an error."""
    merged: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in fields.items()}
    for name, value in (overrides or {}).items():
        _lay_over(merged, name, value)
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise _explain(error.errors()[0], where) from None


def override(recipe: Recipe, overrides: Mapping[str, Any] | None) -> Recipe:
    """``recipe`` with overrides laid over it."""
    return build(recipe.model_dump(exclude_none=True), overrides) if overrides else recipe


def read_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """``a.b=value`` as typed on a command line; a value is read as TOML, and as plain text when it is not TOML."""
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise HeadstartError(f"{text}: expected field=value, found no '='", "headstart fit --help")
        try:
            overrides[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            overrides[name.strip()] = value
    return overrides


def _lay_over(fields: dict[str, Any], name: str, value: Any) -> None:
    *parts, last = name.split(".")
    for part in parts:
        inner = fields.setdefault(part, {})
        if not isinstance(inner, dict):
            raise HeadstartError(f"{name}: {part} is a value, not a table", "headstart recipe show quick")
        fields = inner
    fields[last] = value


def _explain(error: ErrorDetails, where: str) -> HeadstartError:
    """pydantic's first complaint, in one line that names the field, what was expected and what was found."""
    path = [str(part) for part in error["loc"]]
    field = ".".join(path)
    show = "headstart recipe show quick"
    if error["type"] == "extra_forbidden":
        known = _fields_of(path[:-1])
        return HeadstartError(f"{where}: unknown field {field}; nearest: {nearest(path[-1], known)}", show)
    message = error["msg"].removeprefix("Value error, ")
    if not field:
        return HeadstartError(f"{where}: {message}", show)
    found = "nothing" if error["type"] == "missing" else repr(error["input"])
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):  # too few: what is there says more
        field, found = ".".join(path[:-1]), repr(error["input"])
    expected = _expected(error["type"], field, message)
    return HeadstartError(f"{where}: field {field}: expected {expected}, found {found}", show)


def _expected(kind: str, field: str, message: str) -> str:
    """What pydantic asked for, in the words of the recipe rather than of Python."""
    if kind == "model_type":
        return f"a table of fields ({', '.join(_fields_of(field.split('.')))})"
    if field in ("views.mean", "views.std"):
        return "three numbers"
    if kind == "tuple_type":
        return "a list of numbers"
    return message.replace("Input should be ", "").replace("Field required", "a value")


def _fields_of(path: Iterable[str]) -> list[str]:
    """The fields that the table at ``path`` may hold."""
    part: type[BaseModel] = Recipe
    for name in path:
        annotation = part.model_fields[name].annotation
        annotation = next(iter(getattr(annotation, "__args__", ())), annotation)  # of `Views | None`, Views
        part = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else Expect
    return list(part.model_fields)
