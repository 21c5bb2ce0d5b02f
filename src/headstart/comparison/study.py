"""A study and its trials, one for each setting, label fraction and seed; `study.json` on disk."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from headstart.comparison.intervals import MARGIN
from headstart.comparison.metric import MetricName
from headstart.comparison.settings import SETTINGS
from headstart.errors import HeadstartError
from headstart.file_memory import require_room_for_json

AGAIN = "the command that started the study, headstart study DATA ..., makes it again from the runs"
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
FORMAT: Literal[2] = 2
"""Version of `study.json`, its ``format``. Format 1, of headstart before 0.1.0, had none."""


def _bits(value: object) -> Bools:
    """One bool per image, (N,), N > 0, from a string '0110...' or any array of bools; read-only."""
    if isinstance(value, str):
        if set(value) - {"0", "1"}:
            raise ValueError("expected a text of 0 and 1, one for each image")
        correct = np.frombuffer(value.encode(), dtype=np.uint8) == ord("1")
    else:
        correct = np.array(value)
        if correct.dtype != np.bool_:
            raise ValueError(f"expected bools, found {correct.dtype}")
    if correct.ndim != 1 or not len(correct):
        raise ValueError(f"expected one bool for each of at least one image, found the shape {correct.shape}")
    bits: Bools = correct.astype(np.bool_)
    bits.setflags(write=False)
    return bits


Correct = Annotated[
    Bools,
    PlainValidator(_bits),
    PlainSerializer(lambda bits: bits.astype(np.uint8).astype("U1").tobytes().decode("utf-32"), return_type=str),
]
"""Whether the prediction of each held-out image is correct; '0110...' in JSON."""


def _finite(value: object) -> Floats:
    """One finite number per image, (N,), N > 0, from any array of numbers; read-only."""
    try:
        numbers = np.array(value, dtype=np.float64)
    except TypeError as error:
        raise ValueError(f"expected numbers: {error}") from None
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(f"expected one number for each of at least one image, found the shape {numbers.shape}")
    numbers.setflags(write=False)
    return numbers


Scores = Annotated[
    Floats, PlainValidator(_finite), PlainSerializer(lambda scores: scores.tolist(), return_type=list[float])
]
"""A number for each held-out image; a list in JSON."""


class BrokenStudyError(HeadstartError):
    """`study.json` is missing or damaged. What it holds can be made again from the runs in its folder."""


class StudyModel(BaseModel):
    """Base of the models in `study.json`: frozen, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )


class Trial(StudyModel):
    """One setting with one label fraction and one seed: its results, or the error that ended it."""

    setting: str
    fraction: Annotated[float, Field(gt=0, le=1)]
    labels: Annotated[int, Field(gt=0)]
    """Labeled training images."""
    seed: int
    error: str | None = None
    """Why the trial failed; then it has no results."""
    correct: Correct | None = None
    """Per held-out image, the same images in the same order in all trials. Where the epoch is selected on these very
    images, `intervals.crossfit` gives each image the prediction of weights that it had no part in selecting."""
    scores: Scores | None = None
    """For segmentation, in place of `correct`: the pseudo-value of each held-out image; their mean is the mean IoU
    (`metrics.pseudo_values`)."""
    ece: float | None = None
    """Expected calibration error on the same images."""
    knn: float | None = None
    """kNN accuracy of the backbone's features, which does not depend on the head."""
    optimism: float | None = None
    """Accuracy of the epoch selected on the evaluation images, minus the cross-fitted accuracy; None where no epoch was
    selected on them."""
    chosen: dict[str, float] = {}
    """Hyper-parameters selected on a held-out part of *train*: {'lr': 0.001}, {'l2': 0.1}; empty with --no-tune."""
    tried: tuple[float, ...] = ()
    """The learning rates that were tried."""
    tuned_at: Annotated[float, Field(gt=0, le=1)] | None = None
    """The label fraction within whose labels the learning rate was chosen; None with `tried`: all labels, in files of
    before."""
    pretraining: Annotated[int, Field(ge=0)] = 0
    """Number of the pre-training whose weights it started from, where its weights were pre-trained."""
    seconds_pretrain: float | None = None
    """Shared by all trials that start from these weights, and counted once; None where the weights were downloaded or
    given."""
    seconds_tune: float = 0.0
    seconds_train: float = 0.0
    images_seen: int = 0
    """In the training of this trial; an image counts once for each epoch and view."""

    @model_validator(mode="after")
    def _either_figures_or_error(self) -> Self:
        if self.setting not in SETTINGS:
            raise ValueError(f"setting {self.setting!r}: expected one of {', '.join(SETTINGS)}")
        if sum(found is not None for found in (self.correct, self.scores, self.error)) != 1:
            raise ValueError("expected either `correct` (for segmentation: `scores`) or an `error`")
        if self.tried and "lr" not in self.chosen:
            raise ValueError("expected the learning rate that was `chosen` of those that were `tried`")
        return self

    @property
    def each(self) -> Floats | None:
        """A score per held-out image, (N,), whose mean is the study's metric; None for a failed trial."""
        return self.scores if self.correct is None else self.correct.astype(np.float64)


class Excluded(StudyModel):
    """Images of a pre-training folder that were excluded as (near-)duplicates of the evaluation images."""

    folder: str
    images: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(gt=0)]
    """Training images in the folder."""


class Study(StudyModel):
    """The grid of trials, with the results of those that are done or have failed; the others are pending."""

    format: Literal[2] = FORMAT
    data: str
    """The dataset's folder."""
    classes: Annotated[int, Field(gt=1)]
    majority_baseline: Annotated[float, Field(gt=0, le=1)]
    """The metric of always predicting the most frequent class: its share of the held-out images, or for segmentation
    the mean IoU of predicting it for every pixel."""
    settings: tuple[str, ...]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...] = ()
    split: Literal["val", "test"] = "val"
    """The split that the trials are evaluated on."""
    metric: MetricName = "accuracy"
    """The metric that the settings are compared by."""
    tuned: bool = True
    """False with --no-tune: one learning rate for all settings."""
    folds: Annotated[int, Field(gt=0)] = 1
    """Parts of the images that were validated on in turn; 1: one split."""
    split_made: bool = False
    """Whether headstart made the validation split."""
    leaked: Annotated[int, Field(ge=0)] | None = None
    """Held-out images that show a training image; None where nobody looked."""
    given_weights: str = ""
    """The weights that B and D start from, where they are not trained by the study; empty with others."""
    seen_by_weights: Annotated[int, Field(ge=0)] | None = None
    """Held-out images that they were trained on; None where nobody knows."""
    tuned_from: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rates are tuned within the labels of each fraction from this one on; 1: with all labels only."""
    pretrainings: Annotated[int, Field(gt=0)] = 1
    """Pre-trainings of each kind of weights, each for every N-th seed."""
    shortened: str = ""
    """How much shorter than the recipe asks for a budget made the trainings; empty where it did not."""
    scratch: str = ""
    """The recipe of `scratch_settings`, in words, where it is not that of the other settings."""
    scratch_settings: str = "A"
    """Letters."""
    name: str = "study"
    fingerprint: str = ""
    """Of the dataset."""
    groups: tuple[int, ...] | None = None
    """The group (patient, video) of each held-out image, as a number; None where the images are independent."""
    margin: Annotated[float, Field(gt=0, lt=1)] = MARGIN
    """Settings closer than this are equivalent."""
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The score that more labels are forecast for; None: the next round one above the best."""
    excluded: tuple[Excluded, ...] = ()
    """For each folder other than the dataset that was pre-trained on."""
    environment: dict[str, Any] = {}
    checksum: str = ""
    """BLAKE2b-128 of all other fields, of a study that was read from a file; empty in older files."""

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
                raise ValueError(f"trial {key} is not in the grid")
            if key in seen:
                raise ValueError(f"trial {key} occurs twice")
            seen.add(key)
            if trial.error is None and (trial.scores is None) != (self.metric == "accuracy"):
                raise ValueError(f"trial {key} does not fit a study of {self.metric}")
            images |= {len(trial.each)} if trial.each is not None else set()
        if len(images) > 1:
            raise ValueError(f"expected the same held-out images in all trials, found {sorted(images)} of them")
        if self.groups is not None and images - {len(self.groups)}:
            raise ValueError(f"expected a group for each of {max(images)} held-out images, found {len(self.groups)}")
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

    def at(self, setting: str, fraction: float) -> list[Trial]:
        """The finished trials of a setting and label fraction, by seed."""
        found = (trial for trial in self.trials if (trial.setting, trial.fraction) == (setting, fraction))
        return sorted((trial for trial in found if trial.error is None), key=lambda trial: trial.seed)

    def to_json(self) -> str:
        """The content of `study.json`, with its checksum."""
        return self.model_copy(update={"checksum": self.compute_checksum()}).model_dump_json(indent=1)

    def compute_checksum(self, as_read: bool = False) -> str:
        """BLAKE2b-128 of all fields but `checksum`; ``as_read``, of those that its file has: later fields are added."""
        content = self.model_dump_json(exclude={"checksum"}, exclude_unset=as_read)
        return blake2b(content.encode(), digest_size=16).hexdigest()


def read_study(path: Path) -> Study:
    """The study in the file ``path``.

    Raises BrokenStudyError where there is none, or a damaged or edited one, and HeadstartError for one of another
    format version.
    """
    try:
        require_room_for_json(path, AGAIN)
        content = path.read_bytes()
        _require_format(path, content)
        study = Study.model_validate_json(content)
    except PermissionError as error:
        raise HeadstartError(f"{path}: cannot be read ({error.strerror})", f"chmod u+r {path}") from None
    except OSError as error:
        raise BrokenStudyError(f"{path}: expected a study, found {error.strerror}", AGAIN) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise BrokenStudyError(
            f"{path}: expected a study of this version, found {where}: {first['msg']}", AGAIN
        ) from None
    if study.checksum and study.checksum not in (study.compute_checksum(), study.compute_checksum(as_read=True)):
        raise BrokenStudyError(f"{path}: expected a study as it was written, found it changed since", AGAIN)
    return study


def _require_format(path: Path, content: bytes) -> None:
    """Raise HeadstartError for a study of another format version; what is no JSON object is left to the model."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return
    if not isinstance(fields, dict):
        return
    found = fields.get("format", 1)
    if found != FORMAT:
        raise HeadstartError(
            f"{path}: expected a study of format {FORMAT}, found format {found}, of another version of headstart",
            "move the folder away, and headstart study DATA",
        )
