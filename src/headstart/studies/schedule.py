"""Run jobs that depend on each other on workers: each as soon as what it needs has ended, in the order of the list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from headstart.errors import HeadstartError
from headstart.studies.trainings import StoppedError, Training
from headstart.studies.worker import Ended
from headstart.studies.workers import Workers

TICK = 0.25
"""Seconds between two looks at events, workers and whether to stop."""
STOP_SECONDS = 5
"""How long to wait for trainings to save and end. Those that take longer, for they are still importing or decoding, are
cut off: all of a study ends within ten seconds of Ctrl-C, and goes on from what is in its run folders."""
MAX_DEATHS = 4
"""Deaths of its worker after which a training counts as failed: it may be what kills them."""


@dataclass(frozen=True)
class Job:
    """A training of a study, with what comes before and after it."""

    name: str
    needs: tuple[str, ...]
    """Names of jobs that end first."""
    prepare: Callable[[], Training | None]
    """What to train; called when `needs` have ended, on which it may depend. None: they have shown that there is no
    need for it."""
    finish: Callable[[Ended], None]
    """Reads the results. Where it fails on a run that was found finished, that is set aside and trained again."""


class _Attempt:
    """A job under way."""

    def __init__(self, job: Job, training: Training) -> None:
        self.job, self.training, self.deaths = job, training, 0


class Schedule:
    """The jobs of a study; iterate over `run`."""

    def __init__(
        self,
        jobs: Sequence[Job],
        workers: Workers,
        stop: Callable[[], bool],
        may_start: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.workers, self.stop, self.may_start = workers, stop, may_start
        self._held_back: set[str] = set()
        self._waiting = {job.name: job for job in jobs}
        self._failed: dict[str, Exception] = {}
        self._running: dict[Future[Ended], _Attempt] = {}
        self._unfinished = set(self._waiting)
        self._done: SimpleQueue[Future[Ended]] = SimpleQueue()

    def run(self) -> Iterator[tuple[Job, Exception | None]]:
        """Run the jobs; yields each as it ends, with the error of one that failed or whose needs have.

        Raises KeyboardInterrupt, with all trainings saved, once ``stop`` says so, and HeadstartError when a scheduler
        is lost.
        """
        while self._waiting or self._running:
            for job, error in self._start_what_is_ready():
                self._unfinished.discard(job.name)
                yield job, error
            for future in self._next_done():
                ended = self._end(self._running.pop(future), future)
                if ended is not None:
                    self._unfinished.discard(ended[0].name)
                    yield ended
            if self.stop():
                self._stop()

    def _start_what_is_ready(self) -> Iterator[tuple[Job, Exception | None]]:
        """Submit jobs while there is room; yields those that do not run: what they need has failed, or is enough."""
        room = self.workers.room()
        for job in list(self._waiting.values()):
            if self.stop() or len(self._running) >= room:
                return
            if not (self._held_back.isdisjoint(job.needs) and self.may_start(job.name)):
                del self._waiting[job.name]
                self._held_back.add(job.name)
                continue
            failed = next((self._failed[name] for name in job.needs if name in self._failed), None)
            if failed is None and not self._unfinished.isdisjoint(job.needs):
                continue
            del self._waiting[job.name]
            training = job.prepare() if failed is None else None
            if training is not None:
                self._start(_Attempt(job, training))
                continue
            if failed is not None:
                self._failed[job.name] = failed
            yield job, failed

    def _start(self, attempt: _Attempt) -> None:
        future = self.workers.submit(attempt.training)
        self._running[future] = attempt
        future.add_done_callback(self._done.put)

    def _next_done(self) -> Iterator[Future[Ended]]:
        """The futures that have ended, having waited at most a tick for the first; passes events on meanwhile."""
        try:
            ended = [self._done.get(timeout=TICK)] if self._running else []
        except Empty:
            ended = []
        while not self._done.empty():
            ended.append(self._done.get())
        self.workers.poll()
        yield from ended

    def _end(self, attempt: _Attempt, future: Future[Ended]) -> tuple[Job, Exception | None] | None:
        """The end of a job; None where it goes on in another attempt, or was stopped."""
        job = attempt.job
        try:
            ended = future.result()
        except CancelledError:
            raise HeadstartError(
                f"{attempt.training.folder}: expected its training to end, found that the scheduler has gone",
                "the same command continues",
            ) from None
        except Exception as error:
            return self._end_without_result(attempt, error)
        try:
            job.finish(ended)
        except Exception as error:
            if ended.trained:
                return job, self._fail(job, error)
            self._start(_Attempt(job, attempt.training.again(error)))
            return None
        return job, None

    def _end_without_result(self, attempt: _Attempt, error: Exception) -> tuple[Job, Exception] | None:
        lost = isinstance(error, self.workers.lost)
        attempt.deaths += lost
        if isinstance(error, StoppedError) or (lost and attempt.deaths < MAX_DEATHS):
            if not self.stop():  # else a worker took this study for ended
                self._start(attempt)
            return None
        return attempt.job, self._fail(attempt.job, _killed(attempt, error) if lost else error)

    def _fail(self, job: Job, error: Exception) -> Exception:
        self._failed[job.name] = error
        return error

    def _stop(self) -> None:
        self.workers.stop()
        wait(self._running, timeout=STOP_SECONDS)
        self.workers.poll()
        raise KeyboardInterrupt


def _killed(attempt: _Attempt, error: BaseException) -> HeadstartError:
    return HeadstartError(
        f"{attempt.training.folder}: expected its training to end, found that its process was killed"
        f" {attempt.deaths} times ({type(error).__name__})",
        "give it more memory, or fewer --jobs",
    )
