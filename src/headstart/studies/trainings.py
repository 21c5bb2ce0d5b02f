"""One training of a study: to its end, from where it stopped, or anew where its folder is missing or broken."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.files import rename_aside
from headstart.models.run_weights import read_weights
from headstart.recipes.recipe import Recipe, override
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import is_free
from headstart.runs.lock import own, owner_of
from headstart.training.loop import Step, train
from headstart.training.setup import resume, start
from headstart.training.state import TrainState

OWNER_INTERVAL = 1.0
"""Seconds between two looks at a folder that another process trains in."""


@dataclass(frozen=True)
class Training:
    """What to train, on what, and where."""

    recipe: Recipe
    data: str
    """The folder of images, as the user named it."""
    folder: Path
    """The run folder."""
    anew: str = ""
    """Why the finished run in the folder cannot be used: it is set aside."""

    @property
    def name(self) -> str:
        return self.recipe.name

    def again(self, error: Exception) -> Training:
        """The same, in place of the run in the folder, whose results cannot be read."""
        return replace(self, anew=_text(error))


class Listener(Protocol):
    """Hears of a training under way, in the process where it runs."""

    def progress(self, name: str, share: float) -> None:
        """``share`` of the training ``name`` was done since the last call."""

    def note(self, text: str) -> None:
        """Something to tell the user, in one line."""

    def stop_requested(self) -> bool:
        """Whether the training shall save and end here, because nobody waits for it any more."""


class Silent:
    """A listener that ignores all."""

    def progress(self, name: str, share: float) -> None: ...

    def note(self, text: str) -> None: ...

    def stop_requested(self) -> bool:
        return False


class StoppedError(Exception):
    """The training was saved and ended before its last step, as its listener requested."""


def train_to_completion(training: Training, dataset: Dataset, listener: Listener) -> bool:
    """Train a run to its end, continue an interrupted one, or leave it where it is finished; whether it was trained.

    A folder that holds no run, a broken one or one of another recipe is set aside under a name such as
    ``A-1-seed0.broken-1``. Waits while another process trains in the folder. Raises `StoppedError` at the listener's
    request, and HeadstartError as `start` and `resume` do.
    """
    folder = training.folder
    _wait_for_owner(folder, listener)
    fault = training.anew or (_fault(folder, training.recipe) if os.path.lexists(folder) else None)
    if fault is not None:
        _set_aside(folder, fault, listener)
    with own(folder):
        if (folder / "recipe.toml").exists():
            run = RunFolder.open(folder)
            if run.finished:
                listener.progress(training.name, 1.0)
                return False
            state = _resumed(training, dataset)
        else:
            state = start(training.recipe, dataset, folder)
        if isinstance(state, TrainState):
            _train(state, training.name, listener)
            return True
    _begin_again(training, dataset, listener, state)
    return True


def _train(state: TrainState, name: str, listener: Listener) -> None:
    epochs, before = state.recipe.train.epochs, 0
    state.stop_requested = listener.stop_requested
    for event in train(state):
        steps = event.epoch * event.steps + event.step + 1 if isinstance(event, Step) else 0
        listener.progress(name, max(0, steps - before) / (epochs * state.steps))
        before = max(before, steps)
    if state.progress.epoch < epochs:  # it is saved
        raise StoppedError(name)
    listener.progress(name, 1 - before / (epochs * state.steps))


def _resumed(training: Training, dataset: Dataset) -> TrainState | Exception:
    """The state of the run where it stopped; the error of a run that cannot be continued."""
    run = RunFolder.open(training.folder)
    if run.recipe != training.recipe:  # the study was moved: what it names lies elsewhere now
        run.write("recipe.toml", training.recipe.to_toml().encode())
    try:
        return resume(training.folder, dataset)
    except Exception as error:
        return error


def _begin_again(training: Training, dataset: Dataset, listener: Listener, error: Exception) -> None:
    """Train anew in place of a run that could not be resumed; that run stays where a new one cannot start either."""
    folder = training.folder
    aside = _set_aside(folder, _text(error), Silent())
    try:
        with own(folder):
            state = start(training.recipe, dataset, folder)
            listener.note(_aside_text(folder, _text(error), aside))
            _train(state, training.name, listener)
    except Exception:
        if not (folder / "recipe.toml").exists():  # so the fault is not the folder's
            with suppress(OSError):
                aside.rename(folder)
            raise error from None
        raise


def fault_of(folder: Path, recipe: Recipe) -> str | None:
    """Why the folder does not hold a finished run of the recipe; None for one that does."""
    if not os.path.lexists(folder):
        return "there is no such folder"
    return _fault(folder, recipe) or (None if RunFolder(folder).finished else "the run is not finished")


def _fault(folder: Path, recipe: Recipe) -> str | None:
    """Why a run in an existing folder can be neither used nor continued; None for one that can."""
    if is_free(folder):
        return None  # where a training was about to begin
    try:
        run = RunFolder.open(folder)
        found = run.recipe
        if _portable(found) != _portable(recipe):
            return "it holds a run of another recipe"
        if run.finished:
            read_weights(run)
    except Exception as error:  # whatever a broken file leads to
        return _text(error)
    return None


def _portable(recipe: Recipe) -> Recipe:
    """``recipe`` without the places of the study and of the data: they may be moved. Their content is compared."""
    changes: dict[str, object] = {}
    parts = Path(recipe.backbone.weights).parts
    if "pretrained" in parts[-2:-1]:
        changes["backbone.weights"] = "/".join(parts[-2:])
    if recipe.data.exclude_overlap_with is not None:
        changes["data.exclude_overlap_with"] = "DATA"
    return override(recipe, changes)


def _wait_for_owner(folder: Path, listener: Listener) -> None:
    """Wait until no other process trains in the folder: a worker that the scheduler lost may still be at it."""
    told = 0
    while (owner := owner_of(folder)) is not None:
        if told == 10:
            listener.note(f"{folder}: waiting for {owner.facts}")
        told += 1
        if listener.stop_requested():
            raise StoppedError(str(folder))
        time.sleep(OWNER_INTERVAL)


def _set_aside(folder: Path, fault: str, listener: Listener) -> Path:
    aside = rename_aside(folder)
    listener.note(_aside_text(folder, fault, aside))
    return aside


def _aside_text(folder: Path, fault: str, aside: Path) -> str:
    return f"{folder} is trained again, and what was there set aside as {aside.name}: {fault}"


def _text(error: Exception) -> str:
    text = error.message if isinstance(error, HeadstartError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]
