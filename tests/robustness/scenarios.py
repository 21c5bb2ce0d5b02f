"""What is killed: training runs of each task and studies, with the command that the product names to go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from robustness import material
from robustness.commands import run
from robustness.compare import differences

FITS = ("classify", "byol", "segment", "probe")
SELF_SUPERVISED = ("vicreg", "emp-ssl", "fastsiam")
"""Trained by the loop of BYOL, with states of their own: killed at random moments, and nothing else."""
STUDIES = ("study", "study-jobs-2")
NOT_BEGUN = ("no such folder", "stopped before its first step", "no recipe.toml")
"""What `fit --resume` says of a run that never was: its command is typed again."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}


class Scenario(NamedTuple):
    """A command, the folder that it makes, and one such folder that nothing interrupted."""

    name: str
    words: tuple[str, ...]
    place: str
    """Name of the folder that the command makes."""
    expected: Path
    seconds: float
    """Time that the command takes if nothing interrupts it."""

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Variables of the command in a folder: a cache of its own."""
        return ENVIRONMENT | {"HEADSTART_CACHE": str(folder / "cache")}

    def go_on(self, folder: Path) -> str | None:
        """Type what the product says to type until the work is done; what is wrong, or None."""
        words: tuple[str, ...] = self.words if self.name in STUDIES else ("fit", "--resume", self.place)
        for _ in range(4):
            status, said = run(words, folder, self.environment(folder))
            if status == 0 or (status == 2 and "epochs done" in said and "fit" in words[0]):
                return None
            if "Traceback" in said:
                return "traceback: " + said.strip().splitlines()[-1]
            if status != 2 or not any(sign in said for sign in NOT_BEGUN):
                return f"status {status}: " + (said.strip().splitlines() or ["nothing said"])[-1]
            words = self.words
        return "the same refusal again and again: " + said.strip().splitlines()[-1]

    def faults(self, folder: Path) -> list[str]:
        """What differs from the folder that nothing interrupted, and what is left behind."""
        found = differences(self.expected, folder / self.place)
        cache = folder / "cache"
        left = [file.relative_to(cache).as_posix() for file in cache.rglob("*.part*")] if cache.is_dir() else []
        return found + [f"left in the cache: {name}" for name in left]


def make_material(top: Path) -> None:
    """Data and recipes that all scenarios use."""
    from headstart.recipes import recipe as recipes

    material.labeled(top / "labeled")
    material.masked(top / "masked")
    for name, (base, overrides) in material.RECIPES.items():
        (top / f"{name}.toml").write_text(recipes.load(base, overrides).to_toml(), encoding="utf-8")
    base, overrides = material.RECIPES["byol"]
    short = recipes.load(base, overrides | {"train.epochs": 1})
    (top / "byol-short.toml").write_text(short.to_toml(), encoding="utf-8")


def make_scenario(name: str, top: Path) -> Scenario:
    """Run a command once without interruption, twice if that is needed to know its time."""
    data = str(top / ("masked" if name == "segment" else "labeled"))
    if name not in STUDIES:
        words: tuple[str, ...] = ("fit", str(top / f"{name}.toml"), data, "--out", "run")
    else:
        words = ("study", data, "train.epochs=2", "--labels", "1", "--seeds", "1", "--no-tune", "--budget", "none")
        words += ("--out", "study")
        words += ("--recipe", str(top / "classify.toml"), "--pretraining", str(top / "byol-short.toml"))
        words += ("--settings", "AG", "--jobs", "2") if name == "study-jobs-2" else ("--settings", "ACG")
    place, folder = "study" if name in STUDIES else "run", top / f"whole-{name}"
    folder.mkdir()
    scenario = Scenario(name, words, place, folder / place, 0.0)
    begun = time.monotonic()
    status, said = run(words, folder, scenario.environment(folder))
    if status:
        raise RuntimeError(f"{name} without interruption: status {status}: {said}")
    return scenario._replace(seconds=time.monotonic() - begun)


def in_folder(folder: Path, trial: Callable[[Path], str | None]) -> str | None:
    """A trial in a new folder, which is removed afterwards."""
    folder.mkdir(parents=True)
    try:
        return trial(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
