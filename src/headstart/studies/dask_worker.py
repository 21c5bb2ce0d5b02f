"""The side of the workers of a Dask cluster. Its imports are light: a worker loads torch for its first training.

`StudyPlugin` brings the study's context to every worker, also to one that joins later.
"""

from __future__ import annotations

import pickle
import platform
import time
from typing import TYPE_CHECKING, Any

from distributed import Reschedule, Worker, WorkerPlugin

if TYPE_CHECKING:
    from headstart.studies.worker import Context, Ended, Event

BLIND_PAUSE = 5.0
"""Seconds that a worker which cannot see the study's folder waits before it hands a training back."""

_studies: dict[str, StudyPlugin] = {}


class StudyPlugin(WorkerPlugin):
    """A study's pickled context, in a worker."""

    def __init__(self, key: str, context: bytes) -> None:
        self.name = key
        self.key, self.context = key, context
        self.unpickled = self.stopped = False

    def setup(self, worker: Worker) -> None:
        self.worker = worker
        _studies[self.key] = self

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        _studies.pop(self.key, None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "worker"}

    def install(self) -> None:
        """Load the context, once."""
        from headstart.studies import worker

        if not self.unpickled:
            context: Context = pickle.loads(self.context)
            worker.install(context, self.send, lambda: self.stopped)
            self.unpickled = True

    def send(self, event: Event) -> None:
        """Tell the study's own process."""
        self.worker.log_event(self.key, list(event))


def carry_out(key: str, training: bytes) -> Ended:
    """`worker.carry_out`; a worker that cannot see the study's folder leaves the training to others."""
    study = _studies[key]
    study.install()
    from headstart.studies import worker

    try:
        return worker.carry_out(key, pickle.loads(training))
    except worker.FolderNotVisibleError as error:
        study.send(("note", f"a worker is of no use. {error} ({platform.node()}, {study.worker.address})"))
        time.sleep(BLIND_PAUSE)
        raise Reschedule from None


def stop(key: str) -> None:
    """Have the training under way in this worker save and end."""
    if key in _studies:
        _studies[key].stopped = True
