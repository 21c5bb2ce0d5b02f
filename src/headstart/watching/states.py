"""What a run or study is doing now, from its folder: starting, training, stopped or finished. Changes nothing in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from headstart.comparison.race_file import read_race
from headstart.comparison.study import read_study
from headstart.errors import HeadstartError, quoted
from headstart.runs.folder import RunFolder
from headstart.runs.lock import owner_of

Kind = Literal["starting", "training", "stopped", "finished", "damaged"]
DEPTH = 4
"""Folders below the watched one, in which runs and studies are looked for."""
MOST = 200
"""Runs and studies on the first page."""
MARKS = ("study.json", "race.json", "recipe.toml")
"""A folder with one of these is a study, a race or a run, and is not looked into."""
TELLING = (*MARKS, "metrics.csv", "checksums.json", "resume", "weights")
"""Names whose times change with a folder's state."""


@dataclass(frozen=True)
class State:
    """The state of a folder, as a page shows it."""

    kind: Kind
    said: str
    """'training: 3 of 6 epochs done'."""
    command: str = ""
    """What goes on with it; empty where nothing does, or where only its owner knows."""


def state_of(folder: Path) -> State:
    """The state of the run, study or race in ``folder``, by its files and its lock's heartbeat."""
    return _state(folder, tuple(_time(folder / name) for name in TELLING), owner_of(folder) is not None)


@lru_cache(maxsize=4 * MOST)
def _state(folder: Path, times: tuple[int, ...], busy: bool) -> State:  # noqa: ARG001
    """The state of a folder whose files have these ``times``: as long as they stay, it is not read again."""
    try:
        if (folder / "study.json").exists():
            study = read_study(folder / "study.json")
            left = study.planned - study.done - len(study.failed)
            failed = f", {len(study.failed)} failed" if study.failed else ""
            return _of_study(f"{study.done} of {study.planned} trials done{failed}", left == 0, busy)
        if (folder / "race.json").exists():
            race = read_race(folder / "race.json")
            return _of_study(f"{len(race.trials)} trials done", race.finished, busy)
        if busy and not (folder / "recipe.toml").exists():
            return State("starting", "starting: images are read")
        return _of_run(RunFolder.open(folder), busy)
    except (HeadstartError, OSError) as error:
        if busy:  # a file that is being replaced
            return State("training", "training")
        said = error.message if isinstance(error, HeadstartError) else f"{folder}: {error.strerror or error}"
        return State("damaged", said, error.hint if isinstance(error, HeadstartError) else "")


def _of_run(run: RunFolder, busy: bool) -> State:
    epochs = run.recipe.train.epochs
    done = 1 + max((row["epoch"] for row in run.metrics), default=-1)
    if run.finished:
        return State("finished", f"finished: {done} of {epochs} epochs")
    counted = f"{done} of {epochs} epochs done"
    if busy:
        maps = ", maps and report are being made" if done >= epochs else ""
        return State("training", f"training: {counted}{maps}")
    return State("stopped", f"stopped: {counted}", f"headstart fit --resume {quoted(run.path.absolute())}")


def _of_study(counted: str, finished: bool, busy: bool) -> State:
    if busy:
        return State("training", f"training: {counted}")
    if finished:
        return State("finished", f"finished: {counted}")
    return State("stopped", f"stopped: {counted}; the headstart study command that began it goes on with it")


def is_watched(folder: Path) -> bool:
    """Whether a folder is a run, a study or a race, or is being made into one."""
    return any((folder / name).is_file() for name in (*MARKS, ".lock"))


def watched_folders(top: Path) -> list[Path]:
    """Runs, studies and races in ``top`` or up to `DEPTH` folders below, the latest changed first; `MOST` at most."""
    found = sorted(_search(top, 0), key=lambda each: (-_changed(each), str(each)))
    return found[:MOST]


def _search(folder: Path, depth: int) -> Iterator[Path]:
    if is_watched(folder):
        yield folder
        return
    if depth == DEPTH:
        return
    try:
        with os.scandir(folder) as entries:
            below = sorted(each.name for each in entries if each.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in below:
        if not name.startswith("."):
            yield from _search(folder / name, depth + 1)


def _changed(folder: Path) -> int:
    """When a folder's results changed last."""
    return max(_time(folder / name) for name in ("study.json", "race.json", "metrics.csv", "recipe.toml", ".lock"))


def _time(file: Path) -> int:
    """When a file or folder changed last, in nanoseconds since 1970; 0 without it."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
