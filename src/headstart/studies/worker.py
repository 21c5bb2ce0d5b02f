"""What runs where the trainings of a study run: in its own process, in another one, or on another machine.

A process is given the study's `Context` once, and then one training after the other by `carry_out`. A machine of a
cluster sees the study's folder under the same path; everything that a training leaves is in its run folder there.
"""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headstart.data.dataset import Dataset
from headstart.runs.lock import Owner, owner_of
from headstart.studies.trainings import Training, train_to_completion

Event = tuple[Literal["progress"], str, float] | tuple[Literal["note"], str]
"""What a worker tells the study: a share of a training that was done, or a line for the user."""
Send = Callable[[Event], None]
Stop = Callable[[], bool]
"""Whether the training under way shall save and end."""

PROGRESS_INTERVAL = 1.0
"""Least seconds between two progress events of a training, which travel over the network."""
ALIVE_INTERVAL = 5.0
"""Seconds between two looks at whether the study still lives; it counts as ended after two that say so."""


@dataclass(frozen=True)
class Context:
    """What all trainings of a study share."""

    key: str
    """Names the study among those that a worker process serves."""
    study: Path
    """The study's folder, absolute."""
    cwd: Path
    """Where the study was started: what the recipes' relative names are relative to."""
    dataset: Dataset
    threads: int
    """Of torch, in each training: sums of floating-point numbers depend on it."""
    owner: Owner | None
    """The process whose study this is; None for one without a lock."""


@dataclass(frozen=True)
class Ended:
    """A training that ended well."""

    seconds: float
    trained: bool
    """Whether it was trained now, not found finished."""


class FolderNotVisibleError(Exception):
    """The study's folder, the place where it was started or its images are not there for this worker."""


_one_at_a_time = threading.RLock()
"""A training uses the process's random numbers, threads and working directory."""
_installed: dict[str, tuple[Context, Send, Stop]] = {}


def install(context: Context, send: Send, stop: Stop) -> None:
    """Give this process a study's context, what to do with events, and how to learn that a training shall end."""
    _installed[context.key] = context, send, stop


def uninstall(key: str) -> None:
    """Forget a study's context."""
    _installed.pop(key, None)


def carry_out(key: str, training: Training) -> Ended:
    """Train to the end, in the context of the study ``key``; one training at a time in a process.

    Raises `FolderNotVisibleError`, and what `train_to_completion` raises.
    """
    context, send, stop = _installed[key]
    with _one_at_a_time, contextlib.chdir(_visible(context.cwd)), torch_threads(context.threads):
        _visible(context.study)
        _visible(Path(training.data))
        listener = _Listener(context, send, stop)
        try:
            began = time.perf_counter()
            trained = train_to_completion(training, context.dataset.open(training.data), listener)
            return Ended(time.perf_counter() - began, trained)
        finally:
            listener.flush()


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads of torch inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _visible(path: Path) -> Path:
    if not path.exists():
        raise FolderNotVisibleError(f"{platform.node()}: expected {path}, found none")
    return path


class _Listener:
    """Sends the progress of a training on, and asks it to stop when its study stops or has ended."""

    def __init__(self, context: Context, send: Send, stop: Stop) -> None:
        self.context, self.send, self.stop = context, send, stop
        self._name, self._share, self._sent = "", 0.0, time.monotonic()
        self._looked, self._ended = time.monotonic(), 0

    def progress(self, name: str, share: float) -> None:
        self._name, self._share = name, self._share + share
        if time.monotonic() - self._sent >= PROGRESS_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Send what was done since the last event."""
        if self._share:
            self.send(("progress", self._name, self._share))
        self._share, self._sent = 0.0, time.monotonic()

    def note(self, text: str) -> None:
        self.send(("note", text))

    def stop_requested(self) -> bool:
        if self.stop():
            return True
        if self.context.owner is None or time.monotonic() - self._looked < ALIVE_INTERVAL:
            return False
        self._looked = time.monotonic()
        # A look that fails once, as over a network, is no end.
        self._ended = 0 if owner_of(self.context.study) == self.context.owner else self._ended + 1
        return self._ended >= 2
