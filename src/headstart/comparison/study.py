"""What a study is made of: settings, and a trial for each setting, label fraction and seed; `study.json` holds all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from headstart.comparison.metric import METRICS, MetricName
from headstart.errors import HeadstartError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
FORMAT_VERSION = 1
"""Of `study.json`: raised when an older headstart could not read it, or this one an older file."""
Pretraining = Literal["none", "supervised", "self-supervised", "both"]


@dataclass(frozen=True)
class Setting:
    """One way to get a network that knows the classes."""

    letter: str
    phrase: str
    """What it is, for tables."""
    doing: str
    """What one does, for sentences: '... with 10 % of your labels'; `Study.what` says what `part` is trained."""
    start: str
    """What the backbone starts from."""
    pretraining: Pretraining
    frozen: bool
    """Whether only what is put on the backbone is trained."""


SETTINGS: Mapping[str, Setting] = {
    each.letter: each
    for each in (
        Setting("A", "from scratch", "training from scratch", "nothing (random)", "none", False),
        Setting(
            "B", "fine-tune supervised", "fine-tuning supervised weights", "supervised weights", "supervised", False
        ),
        Setting(
            "C",
            "fine-tune self-supervised",
            "fine-tuning self-supervised weights",
            "self-supervised weights (BYOL on the unlabeled images)",
            "self-supervised",
            False,
        ),
        Setting(
            "D", "probe supervised", "a {part} on frozen supervised weights", "supervised weights", "supervised", True
        ),
        Setting(
            "E",
            "probe self-supervised",
            "a {part} on frozen self-supervised weights",
            "self-supervised weights (BYOL on the unlabeled images)",
            "self-supervised",
            True,
        ),
        Setting(
            "F",
            "continued pre-training",
            "continued pre-training",
            "supervised weights, then BYOL on the unlabeled images",
            "both",
            False,
        ),
        Setting("G", "the floor", "a {part} on frozen random weights", "nothing (random)", "none", True),
    )
}
"""The settings, by the letters of the report that this project reproduces."""


def _bits(value: object) -> Bools:
    """One entry per image, from '0110...' or anything that NumPy takes for an array of bools."""
    if isinstance(value, str):
        if set(value) - {"0", "1"}:
            raise ValueError("expected a text of 0 and 1, one for each image")
        right = np.frombuffer(value.encode(), dtype=np.uint8) == ord("1")
    else:
        right = np.array(value)
        if right.dtype != np.bool_:
            raise ValueError(f"expected bools, found {right.dtype}")
    if right.ndim != 1 or not len(right):
        raise ValueError(f"expected one bool for each of at least one image, found the shape {right.shape}")
    bits: Bools = right.astype(np.bool_)
    bits.setflags(write=False)
    return bits


Right = Annotated[
    Bools,
    PlainValidator(_bits),
    PlainSerializer(lambda right: right.astype(np.uint8).astype("U1").tobytes().decode("utf-32"), return_type=str),
]
"""Whether each held-out image was answered rightly; '0110...' in JSON."""


def _figures(value: object) -> Floats:
    """One number per image, from anything that NumPy takes for an array of numbers."""
    figures = np.array(value, dtype=np.float64)
    if figures.ndim != 1 or not len(figures) or not np.isfinite(figures).all():
        raise ValueError(f"expected one number for each of at least one image, found the shape {figures.shape}")
    figures.setflags(write=False)
    return figures


Scores = Annotated[
    Floats, PlainValidator(_figures), PlainSerializer(lambda scores: scores.tolist(), return_type=list[float])
]
"""A number for each held-out image; a list in JSON."""


class Part(BaseModel):
    """What trial and study have in common: frozen, no unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )


class Trial(Part):
    """One setting carried out with one fraction of the labels and one seed; or the reason why it could not be."""

    setting: str
    fraction: Annotated[float, Field(gt=0, le=1)]
    labels: Annotated[int, Field(gt=0)]
    """Labeled training images."""
    seed: int
    error: str | None = None
    """Why the trial failed; then it has no figures."""
    correct: Right | None = None
    """Per held-out image, the same images in the same order in all trials. The answers of weights in whose choice the
    image had no part: `compare.crossfit` gives them where the epoch was chosen on these very images."""
    scores: Scores | None = None
    """In the place of `right` where masks are learned: per held-out image its pseudo-value, whose mean is the mean IoU
    (`pseudovalues.pseudo_values`)."""
    ece: float | None = None
    """Calibration error on the same images."""
    knn: float | None = None
    """kNN accuracy of the backbone, which does not depend on the head."""
    optimism: float | None = None
    """The accuracy of the epoch chosen on the images that judge it, less the honest one; None where nothing was."""
    chosen: dict[str, float] = {}
    """What was chosen on a held-out part of *train*: {'lr': 0.001}, {'l2': 0.1}; empty with --no-tune."""
    tried: tuple[float, ...] = ()
    """The learning rates that the chosen one was chosen from."""
    seconds_pretrain: float | None = None
    """Shared by all trials of the setting, and counted once; None where the weights were found, not made."""
    seconds_tune: float = 0.0
    seconds_train: float = 0.0
    images_seen: int = 0
    """By the training of this trial, views of one image counted each time."""

    @model_validator(mode="after")
    def _either_figures_or_error(self) -> Self:
        if self.setting not in SETTINGS:
            raise ValueError(f"setting {self.setting!r}: expected one of {', '.join(SETTINGS)}")
        if sum(found is not None for found in (self.correct, self.scores, self.error)) != 1:
            raise ValueError("expected either `right` (of masks: `scores`) or an `error`")
        return self

    @property
    def each(self) -> Floats | None:
        """What each held-out image says of the trial, (N,): the mean is the study's metric. None of one that failed."""
        return self.scores if self.correct is None else self.correct.astype(np.float64)


class Excluded(Part):
    """How many images of a folder a pre-training did without, because the study is judged by them or their likes."""

    folder: str
    images: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(gt=0)]
    """Training images in the folder."""


class Study(Part):
    """The grid, and the trials that are done or have failed; the others are still to come."""

    format_version: Literal[1] = FORMAT_VERSION
    data: str
    """The folder of images."""
    classes: Annotated[int, Field(gt=1)]
    majority_baseline: Annotated[float, Field(gt=0, le=1)]
    """What always answering the commonest class gives: the share of the held-out images that are of it, or the mean
    IoU of painting all of them with it."""
    settings: tuple[str, ...]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...] = ()
    split: Literal["val", "test"] = "val"
    """Which images judge."""
    metric: MetricName = "accuracy"
    """What the settings are compared by."""
    tuned: bool = True
    """False with --no-tune: one learning rate for all settings."""
    name: str = "study"
    fingerprint: str = ""
    """Of the data."""
    excluded: tuple[Excluded, ...] = ()
    """Of the folders other than the data that were pre-trained on."""
    environment: dict[str, Any] = {}

    @model_validator(mode="after")
    def _trials_fit_the_grid(self) -> Self:
        seen: set[tuple[str, float, int]] = set()
        images: set[int] = set()
        for trial in self.trials:
            key = (trial.setting, trial.fraction, trial.seed)
            if (
                trial.setting not in self.settings
                or trial.fraction not in self.fractions
                or trial.seed not in self.seeds
            ):
                raise ValueError(f"trial {key} is not of the grid")
            if key in seen:
                raise ValueError(f"trial {key} is there twice")
            seen.add(key)
            if trial.error is None and (trial.scores is None) != (self.metric == "accuracy"):
                raise ValueError(f"trial {key} is not of a study by {self.metric}")
            images |= {len(trial.each)} if trial.each is not None else set()
        if len(images) > 1:
            raise ValueError(f"expected the same held-out images in all trials, found {sorted(images)} of them")
        return self

    @property
    def planned(self) -> int:
        """Trials of the whole grid."""
        return len(self.settings) * len(self.fractions) * len(self.seeds)

    @property
    def done(self) -> int:
        return sum(trial.error is None for trial in self.trials)

    @property
    def failed(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.trials if trial.error is not None)

    @property
    def images(self) -> int:
        """Held-out images; 0 before a trial is done."""
        return next((len(trial.each) for trial in self.trials if trial.each is not None), 0)

    def what(self, setting: str) -> Setting:
        """A setting in this study's words."""
        known = SETTINGS[setting]
        return replace(known, doing=known.doing.format(part=METRICS[self.metric].part))

    def at(self, setting: str, fraction: float) -> list[Trial]:
        """The trials that are done, by seed."""
        found = (trial for trial in self.trials if (trial.setting, trial.fraction) == (setting, fraction))
        return sorted((trial for trial in found if trial.error is None), key=lambda trial: trial.seed)

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)


def read_study(path: Path) -> Study:
    """The study in the file ``path``. Raises HeadstartError where there is none, or a broken one."""
    try:
        content = path.read_bytes()
        _require_format(path, content)
        return Study.model_validate_json(content)
    except OSError as error:
        raise HeadstartError(f"{path}: expected a study, found {error.strerror}", "headstart study DATA") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HeadstartError(
            f"{path}: expected a study of this version, found {where}: {first['msg']}",
            "move the folder away, and headstart study DATA",
        ) from None


def _require_format(path: Path, content: bytes) -> None:
    """Raise HeadstartError for a study of another format version; what is no JSON is left to the model."""
    try:
        fields = json.loads(content)
    except ValueError:
        return
    found = fields.get("format_version") if isinstance(fields, dict) else None
    if found != FORMAT_VERSION:
        raise HeadstartError(
            f"{path}: expected format_version {FORMAT_VERSION}, found {found or 'none'} (a study of another headstart)",
            "choose another --out, or move the folder away and start again: headstart study DATA",
        )
