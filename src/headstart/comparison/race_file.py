"""`race.json`: the backbones of a race and the results of their trials, of which all that is said of it is made."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from headstart.comparison.study import BrokenStudyError, Correct, StudyModel
from headstart.errors import HeadstartError
from headstart.file_memory import require_room_for_json

FORMAT: Literal[1] = 1
"""Version of `race.json`, its ``format``."""
AGAIN = "the command that started the race, headstart study DATA --backbones ..., makes it again"


class Backbone(StudyModel):
    """One of the backbones, with its weights."""

    name: str
    """As it was asked for."""
    network: str
    """timm's name of the network; empty where it is unknown."""
    weights: str
    """The `backbone.weights` of a recipe; empty where they are unknown."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The `augment.mean` that goes with the weights."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """The `augment.std` that goes with the weights."""
    default: bool = False
    """Whether it is the backbone of the recipe."""
    sha256: str = ""
    """Of its weights."""
    error: str | None = None
    """Why it could not be loaded or does not take the images; then it has no trials."""
    logme: float | None = None
    """`metrics.logme` on the images and labels of the first round's first seed."""
    seconds: float = 0.0
    """Of encoding images."""


class RaceTrial(StudyModel):
    """A backbone with one label fraction and seed: the predictions of a probe (setting D) or fine-tuned (setting B)."""

    backbone: str
    setting: Literal["D", "B"]
    fraction: Annotated[float, Field(gt=0, le=1)]
    labels: Annotated[int, Field(gt=0)]
    seed: int
    correct: Correct
    """Whether the prediction of each held-out image is correct; the same images in all trials."""
    chosen: dict[str, float] = Field(default_factory=dict)
    """Hyper-parameters selected on training images."""
    seconds: float = 0.0
    """Of the probe, or of tuning and training; encoding counts once, in `Backbone.seconds`."""


class Race(StudyModel):
    """A race of backbones, as far as it got."""

    format: Literal[1] = FORMAT
    name: str
    data: str
    classes: Annotated[int, Field(gt=1)]
    majority_baseline: Annotated[float, Field(gt=0, le=1)]
    split: Literal["val", "test"]
    groups: tuple[int, ...] | None
    """The group of each held-out image, as a number; None where the images are independent."""
    image_size: int
    """Side of the images that the probes see, in pixels."""
    fractions: tuple[float, ...]
    """A round for each, in rising order."""
    seeds: tuple[int, ...]
    fine_tune: bool
    """Whether the last two are fine-tuned."""
    margin: Annotated[float, Field(gt=0, lt=1)]
    fingerprint: str
    """Of the images and their splits."""
    backbones: tuple[Backbone, ...]
    trials: tuple[RaceTrial, ...] = ()
    finished: bool = False
    note: str = ""
    """What is left undone, and why; empty for a finished race."""
    requested: dict[str, Any] = Field(default_factory=dict)
    """What another call in the same folder must request, too."""
    environment: dict[str, Any] = Field(default_factory=dict)
    checksum: str = ""
    """BLAKE2b-128 of all other fields."""

    @model_validator(mode="after")
    def _trials_fit(self) -> Self:
        names = [each.name for each in self.backbones]
        if len(set(names)) < len(names):
            raise ValueError("expected every backbone once")
        keys = [(trial.backbone, trial.setting, trial.fraction, trial.seed) for trial in self.trials]
        if len(set(keys)) < len(keys):
            raise ValueError("expected every trial once")
        if {trial.backbone for trial in self.trials} - {each.name for each in self.backbones if each.error is None}:
            raise ValueError("expected trials of these backbones alone")
        images = {len(trial.correct) for trial in self.trials} | ({len(self.groups)} if self.groups else set())
        if len(images) > 1:
            raise ValueError(f"expected the same held-out images in all trials, found {sorted(images)} of them")
        return self

    def backbone(self, name: str) -> Backbone:
        return next(each for each in self.backbones if each.name == name)

    def find(self, backbone: str, setting: str, fraction: float) -> dict[int, RaceTrial]:
        """Seed -> trial of a backbone."""
        key = (backbone, setting, fraction)
        return {each.seed: each for each in self.trials if (each.backbone, each.setting, each.fraction) == key}

    def to_json(self) -> str:
        """The content of `race.json`, with its checksum."""
        return self.model_copy(update={"checksum": self.compute_checksum()}).model_dump_json(indent=1)

    def compute_checksum(self) -> str:
        """BLAKE2b-128 of all fields but `checksum`."""
        return blake2b(self.model_dump_json(exclude={"checksum"}).encode(), digest_size=16).hexdigest()


def read_race(path: Path) -> Race:
    """The race in the file ``path``.

    Raises BrokenStudyError where there is none, or a damaged or edited one, and HeadstartError for one of another
    format version.
    """
    try:
        require_room_for_json(path, AGAIN)
        content = path.read_bytes()
        found = json.loads(content).get("format")
        if found != FORMAT:
            raise HeadstartError(
                f"{path}: expected a race of format {FORMAT}, found format {found}, of another version of headstart",
                "move the folder away, and headstart study DATA --backbones ...",
            )
        race = Race.model_validate_json(content)
    except OSError as error:
        raise BrokenStudyError(f"{path}: expected a race, found {error.strerror}", AGAIN) from None
    except (AttributeError, RecursionError, ValueError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "no JSON object"
        raise BrokenStudyError(f"{path}: expected a race, found {what}", AGAIN) from None
    if race.checksum != race.compute_checksum():
        raise BrokenStudyError(f"{path}: expected a race as it was written, found it changed since", AGAIN)
    return race
