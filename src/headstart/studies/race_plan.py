"""What a race is asked for, and what its folder was begun with: both must be the same for it to go on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headstart.comparison.race_file import Race
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data, override
from headstart.studies.plan import Plan
from headstart.studies.plan_validation import validate_plan
from headstart.studies.request import StudyOptions, make_plan
from headstart.studies.requested import require_same_request

FRACTIONS = (0.25, 0.5, 1.0)
"""Label fractions of the rounds, where a class has an image with each."""
SETTINGS = ("D", "DB", "BD")
"""What a race can do: probes alone, or fine-tune the last two."""
FILES = {"race.json", "table.csv", "report.html", "features", "fine-tuned", ".lock"}
"""What a race's folder may hold."""


@dataclass(frozen=True)
class RacePlan:
    """The backbones of a race, and how they are compared."""

    study: Plan
    """Data, recipe, seeds and margin; its folder is that of the race."""
    backbones: tuple[str, ...]
    """As they were typed."""
    fine_tune: bool = True
    """Whether the last two are fine-tuned."""

    @property
    def out(self) -> Path:
        return self.study.out

    @property
    def fractions(self) -> tuple[float, ...]:
        """Label fractions of the rounds, in rising order."""
        asked = self.study.fractions
        if "fractions" in self.study.free:
            asked = tuple(each for each in asked if each in FRACTIONS) or (1.0,)
        return tuple(sorted(set(asked)))

    def requested(self) -> dict[str, Any]:
        """What another call in the same folder must request, too."""
        return {
            "backbones": list(self.backbones),
            "labels": list(self.fractions),
            "seeds": len(self.study.seeds),
            "fine_tune": self.fine_tune,
            "recipe": self.study.recipe.model_dump(mode="json", exclude_none=True),
        }

    def validate(self) -> None:
        """Raise HeadstartError for what makes no race."""
        validate_plan(replace(self.study, settings="A"))  # the recipe's own weights may be none
        if self.study.masks:
            raise _masks_error()

    def require_free(self) -> None:
        """Raise HeadstartError if the folder of a new race holds anything else."""
        if self.out.exists() and any(not _ours(each.name) for each in self.out.iterdir()):
            raise HeadstartError(
                f"{self.out}: expected a free folder for the race, found other files", "choose another --out"
            )

    def require_same(self, race: Race) -> None:
        """Raise HeadstartError, naming the differences, where the race in the folder was requested otherwise."""
        require_same_request(self.out, "race", race.requested, self.requested())

    def at_side(self, side: int) -> Plan:
        """The study's plan with images of this side."""
        recipe = self.study.recipe
        if side == recipe.data.image_size:
            return self.study
        changes = {"data.image_size": side, "augment.sizes": []}
        return replace(self.study, recipe=override(recipe, changes))


def make_race_plan(dataset: Dataset, backbones: Sequence[str] | str, options: StudyOptions) -> RacePlan:
    """The plan of a race from the options of a study; nothing is written or trained.

    Raises HeadstartError for a folder or recipe that cannot be read, and for options that a race has not.
    """
    for name in ("unlabeled", "corpus", "pretraining", "pretrainings", "target"):
        if options.get(name) is not None:
            raise HeadstartError(
                f"--{name}: expected none with --backbones, found {options.get(name)}",
                "headstart study without --backbones"
                if name == "target"
                else "headstart fit, and the run among --backbones",
            )
    if options.get("recipe") is None and dataset.target(Data()) == "mask":
        raise _masks_error()
    if options.get("folds", 1) != 1:
        raise HeadstartError(
            f"--folds: expected none with --backbones, found {options['folds']}", "headstart study DATA --folds 5"
        )
    fine_tune = _fine_tunes(options.get("settings"))
    out = options.get("out")
    folder = Path("runs") / f"race-{Path(dataset.root).absolute().name}" if out is None else out
    own: StudyOptions = {"settings": "B" if fine_tune else "D", "out": folder}
    study = make_plan(dataset, **(options | own))
    named = backbones.split(",") if isinstance(backbones, str) else backbones
    return RacePlan(study, tuple(named), fine_tune)


def _fine_tunes(text: str | None) -> bool:
    """Whether the last two are fine-tuned, from ``--settings``. Raises HeadstartError for other settings."""
    if text is not None and text.upper() not in SETTINGS:
        raise HeadstartError(
            "--settings: expected D (probes) or DB (probes, and the last two fine-tuned) with --backbones, found"
            f" {text or 'none'}",
            "leave out --settings",
        )
    return text is None or "B" in text.upper()


def _masks_error() -> HeadstartError:
    return HeadstartError(
        "--backbones: expected a class for each image, found masks", "headstart study DATA without --backbones"
    )


def exists(plan: RacePlan) -> bool:
    """Whether the plan's folder holds a race."""
    return os.path.lexists(plan.out / "race.json")


def _ours(name: str) -> bool:
    return name in FILES or name.endswith(".part") or name.startswith("race.json.broken-")
