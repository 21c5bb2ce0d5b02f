"""A study's progress: what is left and for how long on its workers, the results so far, and a line for what happens.

Ctrl-C (or SIGTERM) finishes the current step of every training, saves, and stops; a second one stops at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from headstart.console.progress import GracefulInterrupt
from headstart.console.streams import make_console, spinner
from headstart.console.tables import study_table

if TYPE_CHECKING:
    from headstart.comparison.study import Study
    from headstart.data.dataset import Dataset
    from headstart.studies.plan import Plan
    from headstart.studies.runner import StudyRunner


def run_study_with_progress(
    plan: Plan,
    dataset: Dataset | None = None,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    budget: str | None = None,
    console: Console | None = None,
) -> Study:
    """Run the remaining trainings of a plan under one bar, having printed an estimate of their time.

    ``jobs`` and ``cluster`` say where (`open_workers`); ``budget`` ("30m") shortens the trainings of a new study to
    fit. Raises HeadstartError for what the user can fix, and KeyboardInterrupt when stopped, with everything saved.
    """
    from headstart.runs.lock import own
    from headstart.studies.budget import Deadline, describe, unfinished_text
    from headstart.studies.request import prepare_study
    from headstart.studies.time_estimate import read_budget
    from headstart.studies.workers import open_workers

    console, began = console or make_console(stderr=True), time.monotonic()
    allowed = None if budget is None else read_budget(budget)
    with own(plan.out), closing(open_workers(jobs, cluster)) as workers:
        with console.status("time a few steps, and decode the images", spinner=spinner(console)):
            runner, seconds = prepare_study(plan, dataset, workers=workers, budget=allowed)
        for line in describe(runner.plan, allowed):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        interrupt = GracefulInterrupt()
        with study_bar(console, runner, seconds) as show, interrupt.handle_signals():
            runner.stop_requested = lambda: interrupt.requested
            deadline = None
            if allowed is not None:
                deadline = Deadline(allowed, seconds, workers.count, began)
                runner.may_start = deadline.allows
            show_progress = runner.on_progress

            def advance(name: str, share: float) -> None:
                show_progress(name, share)
                if deadline is not None:
                    deadline.finished(name, share)

            runner.on_progress = advance
            for study in runner.run():
                show(study)
        if deadline is not None and allowed is not None and deadline.held_back:
            console.print(unfinished_text(deadline.held_back, allowed), soft_wrap=True, highlight=False)
    return runner.study


@contextmanager
def study_bar(console: Console, runner: StudyRunner, seconds: Mapping[str, float]) -> Iterator[Callable[[Study], None]]:
    """One bar for a whole study; ``seconds`` are the estimates of the remaining trainings, by name.

    Yields a function to call with the study after each trial, which shows the results so far.
    """
    from headstart.comparison.metric import METRICS
    from headstart.comparison.summary import Results

    left = TimeLeft(seconds)
    _print_estimate(console, left, runner.workers.count())
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    task = progress.add_task("study", total=sum(seconds.values()))
    live = Live(Group(progress), console=console, refresh_per_second=4)

    def advance(name: str, share: float) -> None:
        workers = runner.workers.count()
        left.advance(name, share, workers)
        progress.update(task, advance=seconds.get(name, 0.0) * share, description=f"{name}, {left.text(workers)}")

    def note(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(study: Study) -> None:
        trial = runner.latest or study.trials[-1]
        if console.is_terminal:
            live.update(Group(study_table(Results(study, resamples=200), wide=False), progress))
        else:
            metric = METRICS[study.metric].title
            outcome = f"failed: {trial.error}" if trial.each is None else f"{metric} {trial.each.mean():.2%}"
            text = f"{trial.setting}  {trial.fraction:4.0%} of the labels  seed {trial.seed}  {outcome}"
            time_left = f", {left.text(runner.workers.count())}" if left.count else ""
            console.print(f"{text}  ({study.done} of {study.planned} trials){time_left}", markup=False, soft_wrap=True)

    runner.on_progress, runner.on_note = advance, note
    if not console.is_terminal:
        yield show
        return
    with live:
        yield show


class TimeLeft:
    """The time that a study still takes, from the estimated ``seconds`` of its trainings and what they took so far."""

    def __init__(self, seconds: Mapping[str, float], now: Callable[[], float] = time.monotonic) -> None:
        self._estimates, self._left, self._now = dict(seconds), dict(seconds), now
        self._done = 0.0
        """Estimated seconds of what is done."""
        self._spent = 0.0
        """Seconds that the workers, taken together, had for it."""
        self._before = now()

    def advance(self, name: str, share: float, workers: int) -> None:
        """``share`` of the training ``name`` was done since the last call, while so many ``workers`` were there."""
        now = self._now()
        self._spent += min(workers, len(self._left)) * (now - self._before)
        self._before = now
        done = min(self._left.get(name, 0.0), share * self._estimates.get(name, 0.0))
        self._done += done
        if name in self._left:
            self._left[name] -= done
            if self._left[name] <= 1e-9:
                del self._left[name]

    def seconds(self, workers: int) -> float | None:
        """Seconds that are left with so many workers; None without one."""
        if not self._left:
            return 0.0
        if workers < 1:
            return None
        total = sum(self._left.values())
        prior = 0.1 * (total + self._done)  # the estimate weighs as much as a tenth of the study
        pace = (self._spent + prior) / (self._done + prior) if prior else 1.0
        return max(pace * total / min(workers, len(self._left)), 0.0)

    def text(self, workers: int) -> str:
        """``about 12 min left on 4 workers``."""
        seconds = self.seconds(workers)
        if seconds is None:
            return "waiting for workers"
        return f"about {minutes(seconds)} left{on_workers(workers)}"

    @property
    def count(self) -> int:
        """Trainings that have not ended."""
        return len(self._left)


def on_workers(count: int) -> str:
    """`` on 4 workers``; nothing for one."""
    return f" on {count} workers" if count > 1 else ""


def minutes(seconds: float) -> str:
    """``95`` -> ``2 min``; ``7300`` -> ``2 h 2 min``."""
    whole = max(1, round(seconds / 60))
    return f"{whole // 60} h {whole % 60} min" if whole >= 60 else f"{whole} min"


def _print_estimate(console: Console, left: TimeLeft, workers: int) -> None:
    seconds = left.seconds(workers)
    if not left.count:
        text = "nothing remaining: every trial is finished"
    elif seconds is None:
        text = (
            f"{left.count} trainings remaining, about {minutes(left.seconds(1) or 0)} of one worker; none is there yet"
        )
    else:
        text = f"{left.count} trainings remaining, about {minutes(seconds)}{on_workers(workers)}"
    console.print(text, highlight=False, soft_wrap=True)
