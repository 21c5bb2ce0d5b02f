"""Runs to compare: which folders are meant, and which runs are one recipe trained with several seeds."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study, read_study
from headstart.comparison.trial_paths import trial_path
from headstart.errors import HeadstartError, quoted
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import runs_inside

TWO = "headstart compare RUN OTHER_RUN"
MOST_NAMED = 4
"""Runs of a folder that a hint names one by one."""


@dataclass(frozen=True)
class Entry:
    """What is compared: one recipe on one training set, with a run for each seed."""

    name: str
    runs: tuple[RunFolder, ...]
    setting: str = ""
    """The letter of a study's setting; empty for a run of its own."""
    study: Study | None = None
    """That study."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.recipe.seed for run in self.runs)


def find_entries(paths: Sequence[str | os.PathLike[str]], *, unfinished: bool = False) -> list[Entry]:
    """The entries of ``paths``: run folders, or one study folder alone, of which each setting with the most labels.

    Runs whose recipes differ in nothing but the seed, trained on the same data, are one entry, unless there is no
    other. Raises HeadstartError for what is no finished run (``unfinished``: no run with weights), and for fewer than
    two.
    """
    studies = [path for path in map(Path, paths) if (path / "study.json").exists()]
    if studies and len(paths) > 1:
        raise HeadstartError(
            f"{studies[0]}: expected runs, or one study alone, found a study among {len(paths)} folders",
            f"headstart compare {quoted(studies[0])}",
        )
    if studies:
        return _of_study(studies[0])
    races = [path for path in map(Path, paths) if (path / "race.json").exists()]
    if races:
        raise HeadstartError(
            f"{races[0]}: expected a run or a study, found a race of backbones, whose page compares them",
            f"{races[0] / 'report.html'} in a browser",
        )
    _refuse_folders_of_runs(paths)
    runs = [_open(path, unfinished) for path in paths]
    if len(runs) < 2:
        raise HeadstartError(
            f"{', '.join(map(str, paths)) or 'compare'}: expected two runs or more, or a study, found {len(runs)}", TWO
        )
    _refuse_twice(runs)
    groups: dict[str, list[RunFolder]] = {}
    for run in runs:
        same = _recipe_but_seed(run)
        key = same if all(run.recipe.seed != other.recipe.seed for other in groups.get(same, ())) else str(run.path)
        groups.setdefault(key, []).append(run)
    parts = list(groups.values()) if len(groups) > 1 else [[run] for run in runs]
    names = _names([[run.path for run in part] for part in parts])
    return [Entry(name, tuple(part)) for name, part in zip(names, parts, strict=True)]


def _refuse_folders_of_runs(paths: Sequence[str | os.PathLike[str]]) -> None:
    for path in map(Path, paths):
        inside = [] if (path / "recipe.toml").exists() else runs_inside(path)
        if inside:
            two = shlex.join(map(str, inside if len(inside) > 1 else [*inside, "OTHER_RUN"]))
            raise HeadstartError(
                f"{path}: expected runs, found a folder of {len(inside)}",
                f"headstart compare {two if len(inside) <= MOST_NAMED else f'{quoted(path)}/*'}",
            )


def _open(path: str | os.PathLike[str], unfinished: bool) -> RunFolder:
    run = RunFolder.open(path)
    run.require_finished(unfinished)
    if not run.classes:
        raise HeadstartError(
            f"{run.path}: expected a run that predicts classes or masks, found one that learned without labels"
            f" ({run.recipe.task})",
            f"headstart fit quick LABELED_DATA backbone.name={run.recipe.backbone.name}"
            f" backbone.weights={quoted(run.path)}, and compare that",
        )
    return run


def _refuse_twice(runs: Sequence[RunFolder]) -> None:
    seen: set[str] = set()
    for run in runs:
        place = os.path.realpath(run.path)
        if place in seen:
            raise HeadstartError(f"{run.path}: expected different runs, found this one twice", TWO)
        seen.add(place)


def _of_study(folder: Path) -> list[Entry]:
    """The settings of a study with the most labels, all seeds of each: the luckiest seed alone would flatter it."""
    study = read_study(folder / "study.json")
    if study.folds > 1:
        raise HeadstartError(
            f"{folder}: expected a study on one validation split, found {study.folds} folds with images of their own",
            f"{folder / 'report.html'} in a browser, or headstart compare {quoted(folder / 'folds' / '1')}",
        )
    most = max((each.fraction for each in study.trials if len(_done(study, each.fraction)) > 1), default=None)
    if most is None:
        raise HeadstartError(
            f"{folder}: expected a study with two settings trained on the same labels, found none yet",
            "the headstart study command that began it, again",
        )
    found = []
    for letter in _done(study, most):
        paths = [folder / trial_path(letter, most, trial.seed) for trial in study.at(letter, most)]
        runs = tuple(_open(path, unfinished=False) for path in paths)
        found.append(Entry(f"{letter} {SETTINGS[letter].phrase}", runs, letter, study))
    return found


def _done(study: Study, fraction: float) -> list[str]:
    """The settings with a finished trial on this share of the labels."""
    return [letter for letter in sorted(study.settings) if study.at(letter, fraction)]


def _recipe_but_seed(run: RunFolder) -> str:
    """What the runs of one recipe with several seeds have in common: all but its seed and name, and the data."""
    fields = run.recipe.model_copy(update={"seed": 0, "name": ""}).model_dump(mode="json")
    weights = run.environment.get("weights", {})
    return json.dumps([fields, run.data["fingerprint"], run.data["root"], weights], sort_keys=True, default=str)


def _names(groups: Sequence[Sequence[Path]]) -> list[str]:
    """Names that tell the groups apart: what their folders' names begin with, or as much of their paths as it takes."""
    begins = [_beginning([path.absolute().name for path in paths]) for paths in groups]
    if len(set(begins)) == len(begins):
        return begins
    parts = [paths[0].absolute().parts for paths in groups]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(each[-depth:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(paths[0]) for paths in groups]


def _beginning(names: Sequence[str]) -> str:
    same = takewhile(lambda each: len(set(each)) == 1, zip(*names, strict=False))
    common = "" if len(names) == 1 else "".join(each[0] for each in same)
    common = common.rstrip("-_ .0123456789").removesuffix("seed").rstrip("-_ .")
    return common if len(common) >= 3 else names[0]
