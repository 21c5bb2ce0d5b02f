"""Training progress: a live table of epochs and a bar with the time left in a terminal, plain lines in a log.

Ctrl-C (or SIGTERM) finishes the current step, saves, and stops; a second one stops at once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from headstart.console.streams import make_console, spinner
from headstart.console.tables import epoch_line, epochs_table, study_table

if TYPE_CHECKING:
    from headstart.comparison.study import Study
    from headstart.data.dataset import Dataset
    from headstart.studies.plan import Plan
    from headstart.studies.runner import StudyRunner
    from headstart.training.state import TrainState

REPORT_SHARE = 0.05
"""At most this share of the training time is spent on rewriting the report between epochs."""


@contextmanager
def progress_bar(console: Console, description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the time left; yields its ``update(done, total)``. Hidden in the first half second."""
    if not console.is_terminal:  # a bar that is disabled ends with an empty line in rich before 14
        yield lambda *_: None
        return
    with _progress(console, transient=True) as progress:
        task = progress.add_task(description, total=None, visible=False)
        began = time.monotonic()

        def update(done: int, total: int) -> None:
            visible = time.monotonic() - began > 0.5  # cached results need no bar
            progress.update(task, completed=done, total=total, visible=visible)

        yield update


def run_with_progress(state: TrainState, console: Console, report: Callable[[], object]) -> None:
    """Train to the end, or until interrupted, showing progress; ``report`` is called to rewrite the report."""
    from headstart.training.loop import Epoch, train

    recipe, interrupt = state.recipe, GracefulInterrupt()
    first_process = state.fabric.is_global_zero
    # The bar counts pixels, not steps: with growing image sizes later steps take longer.
    costs = [recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs)]
    epoch, step = state.progress.epoch, state.progress.step
    done = sum(costs[:epoch]) * state.steps + (costs[epoch] * step if step else 0)
    progress = _progress(console, transient=False)
    task = progress.add_task("train", total=sum(costs) * state.steps, completed=done)

    reported, report_seconds = time.monotonic(), 0.0
    events = train(state)
    live = Live(Group(epochs_table(state.progress.rows, recipe), progress), console=console, refresh_per_second=4)
    with interrupt.handle_signals(), _display(live, console, first_process):
        for event in events:
            if isinstance(event, Epoch):
                live.update(Group(epochs_table(state.progress.rows, recipe), progress))
                if first_process and not console.is_terminal:
                    console.print(epoch_line(event.rows, recipe, event.kept), soft_wrap=True)
                more_epochs = state.progress.epoch < recipe.train.epochs  # the caller writes the last report
                due = report_seconds < REPORT_SHARE * (time.monotonic() - reported)
                if first_process and more_epochs and due:
                    began = time.monotonic()
                    report()
                    reported, report_seconds = time.monotonic(), time.monotonic() - began
            else:
                description = f"epoch {event.epoch + 1}/{recipe.train.epochs}"
                progress.update(task, advance=costs[event.epoch], description=description)
            if interrupt.requested:
                events.close()
                break


@contextmanager
def _display(live: Live, console: Console, first_process: bool) -> Iterator[None]:
    if not (console.is_terminal and first_process):
        yield
        return
    with live:
        yield


def _progress(console: Console, transient: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)


def run_study_with_progress(
    plan: Plan,
    dataset: Dataset | None = None,
    *,
    jobs: int = 1,
    budget: str | None = None,
    console: Console | None = None,
) -> Study:
    """Run the remaining trainings of a plan under one bar, having printed an estimate of their time.

    ``budget`` ("30m") shortens the trainings of a new study to fit. Raises HeadstartError for what the user can fix.
    """
    from headstart.studies.request import prepare_study
    from headstart.studies.resume import exists
    from headstart.studies.time_estimate import read_budget

    console = console or make_console(stderr=True)
    seconds_allowed = None if budget is None else read_budget(budget)
    if seconds_allowed is not None and exists(plan):
        console.print(f"{plan.out} has started already: --budget does not change its epochs", soft_wrap=True)
    with console.status("decode the images, and time a few steps", spinner=spinner(console)):
        runner, seconds = prepare_study(plan, dataset, jobs=jobs, budget=seconds_allowed)
    with study_bar(console, runner, seconds) as show:
        for study in runner.run():
            show(study)
    return runner.study


@contextmanager
def study_bar(console: Console, runner: StudyRunner, seconds: Mapping[str, float]) -> Iterator[Callable[[Study], None]]:
    """One bar for a whole study; ``seconds`` are the estimates of the remaining trainings, by name.

    Yields a function to call with the study after each trial, which shows the results so far.
    """
    from headstart.comparison.metric import METRICS
    from headstart.comparison.summary import Results

    if seconds:
        console.print(f"{len(seconds)} trainings remaining, about {minutes(sum(seconds.values()))}", highlight=False)
    else:
        console.print("nothing remaining: every trial is finished", highlight=False)
    progress = _progress(console, transient=False)
    task = progress.add_task("study", total=sum(seconds.values()))
    live = Live(Group(progress), console=console, refresh_per_second=4)

    def advance(name: str, share: float) -> None:
        progress.update(task, advance=seconds.get(name, 0.0) * share, description=name)

    def show(study: Study) -> None:
        trial = study.trials[-1]
        if console.is_terminal:
            live.update(Group(study_table(Results(study, resamples=200), wide=False), progress))
        else:
            metric = METRICS[study.metric].title
            outcome = f"failed: {trial.error}" if trial.each is None else f"{metric} {trial.each.mean():.2%}"
            text = f"{trial.setting}  {trial.fraction:4.0%} of the labels  seed {trial.seed}  {outcome}"
            console.print(f"{text}  ({study.done} of {study.planned} trials)", markup=False, soft_wrap=True)

    runner.on_progress = advance
    if not console.is_terminal:
        yield show
        return
    with live:
        yield show


def minutes(seconds: float) -> str:
    """``95`` -> ``2 min``; ``7300`` -> ``2 h 2 min``."""
    whole = max(1, round(seconds / 60))
    return f"{whole // 60} h {whole % 60} min" if whole >= 60 else f"{whole} min"


class GracefulInterrupt:
    """Turns the first SIGINT or SIGTERM into a request to stop; the second has its usual effect."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle signals inside the block; outside the main thread, where Python allows no handlers, do nothing."""
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                previous = signal.getsignal(number)
                signal.signal(number, self._request)
                self._previous[number] = previous
        except ValueError:  # not in the main thread
            self._previous = {}
        try:
            yield
        finally:
            self._restore()

    def _request(self, *_: object) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
