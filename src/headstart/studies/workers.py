"""Where the trainings of a study run: in this process, in several local ones, or on a cluster (`studies.cluster`)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Protocol

from headstart.errors import HeadstartError
from headstart.studies.executor import InProcessExecutor, ProcessesExecutor
from headstart.studies.trainings import Training
from headstart.studies.worker import Context, Ended, Event, Stop, carry_out, install, uninstall


class Workers(Protocol):
    """Processes that a study's trainings run in, through an executor.

    Use: `begin` with the study's context, `submit` trainings, `close`.
    """

    lost: tuple[type[BaseException], ...]
    """Errors of a future whose worker died: the training goes on in another one."""

    @property
    def threads(self) -> int:
        """Threads of each training, in a new study."""

    def begin(self, context: Context, stop: Stop, on_event: Callable[[Event], None]) -> None:
        """Prepare the processes; ``on_event`` is called in this one, at the latest from `poll`."""

    def submit(self, training: Training) -> Future[Ended]:
        """Have `worker.carry_out` run the training, through an executor."""

    def count(self) -> int:
        """Trainings that run at the same time, as of now."""

    def room(self) -> int:
        """Trainings to have submitted and not ended."""

    def poll(self) -> None:
        """Pass on the events that have arrived."""

    def stop(self) -> None:
        """Have every training under way save and end."""

    def close(self) -> None:
        """End the processes that `begin` or this object started."""


class InProcess:
    """This process and thread, one training at a time."""

    lost: tuple[type[BaseException], ...] = ()

    def __init__(self) -> None:
        self.executor = InProcessExecutor()
        self._key = ""

    @property
    def threads(self) -> int:
        import torch

        return torch.get_num_threads()

    def begin(self, context: Context, stop: Stop, on_event: Callable[[Event], None]) -> None:
        self._key = context.key
        install(context, on_event, stop)

    def submit(self, training: Training) -> Future[Ended]:
        return self.executor.submit(carry_out, self._key, training)

    def count(self) -> int:
        return 1

    def room(self) -> int:
        return 1

    def poll(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None:
        uninstall(self._key)


class LocalProcesses:
    """``jobs`` processes of this machine, which share its cores."""

    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._executor: ProcessesExecutor | None = None
        self._on_event: Callable[[Event], None] = lambda _: None
        self._key = ""

    @property
    def executor(self) -> ProcessesExecutor:
        assert self._executor is not None, "begin comes first"
        return self._executor

    @property
    def threads(self) -> int:
        import torch

        return max(1, torch.get_num_threads() // self.jobs)

    def begin(self, context: Context, stop: Stop, on_event: Callable[[Event], None]) -> None:  # noqa: ARG002
        self._executor, self._on_event, self._key = ProcessesExecutor(self.jobs, context), on_event, context.key

    def submit(self, training: Training) -> Future[Ended]:
        return self.executor.submit(carry_out, self._key, training)

    def count(self) -> int:
        return self.jobs

    def room(self) -> int:
        return self.jobs

    def poll(self) -> None:
        for event in self.executor.events():
            self._on_event(event)

    def stop(self) -> None:
        self.executor.stop()

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()


def open_workers(jobs: int = 1, cluster: str | None = None) -> Workers:
    """The workers that ``--jobs`` and ``--cluster`` ask for. Raises HeadstartError for both, and as `open_cluster`."""
    if cluster is None:
        if jobs < 1:
            raise HeadstartError(f"--jobs: expected 1 or more, found {jobs}", "--jobs 1")
        return InProcess() if jobs == 1 else LocalProcesses(jobs)
    if jobs != 1:
        raise HeadstartError(
            f"--jobs: expected none beside --cluster, found {jobs}", f"--cluster local:{jobs}, or --jobs {jobs} alone"
        )
    from headstart.studies.cluster import open_cluster

    return open_cluster(cluster)
