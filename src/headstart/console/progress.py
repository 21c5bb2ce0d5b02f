"""Training progress: a live table of epochs and a bar with the time left in a terminal, plain lines in a log.

Ctrl-C (or SIGTERM, or a closed terminal) finishes the current step, saves, and stops; a second one stops at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.text import Text

from headstart.console.signals import ENDING
from headstart.console.tables import epoch_line, epochs_table
from headstart.errors import HeadstartError
from headstart.metrics.written import duration

if TYPE_CHECKING:
    from headstart.training.state import TrainState

QUIET = 30.0
"""Seconds without a word after which a line is written to a log or pipe."""
REPORT_SHARE = 0.05
"""At most this share of the training time is spent on rewriting the report between epochs."""


@contextmanager
def progress_bar(console: Console, description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the time left; yields its ``update(done, total)``. Hidden in the first half second."""
    if not console.is_terminal:  # a bar that is disabled ends with an empty line in rich before 14
        began, lines = time.monotonic(), EverySoOften(console)
        yield lambda done, total: lines.say(partial(_line, description, done, total, began))
        return
    with make_progress(console, transient=True) as progress:
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
    state.stop_requested = lambda: interrupt.requested
    first_process = state.fabric.is_global_zero
    # The bar counts pixels, not steps: with growing image sizes later steps take longer.
    costs = [recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs)]
    epoch, step = state.progress.epoch, state.progress.step
    done = sum(costs[:epoch]) * state.steps + (costs[epoch] * step if step else 0)
    progress = make_progress(console, transient=False)
    total = sum(costs) * state.steps
    task = progress.add_task("train", total=total, completed=done)

    reported, report_seconds = time.monotonic(), 0.0
    lines, began_at, began = EverySoOften(console), done, time.monotonic()
    events = train(state)
    live = Live(Group(epochs_table(state.progress.rows, recipe), progress), console=console, refresh_per_second=4)
    with interrupt.handle_signals(), _display(live, console, first_process), _closing(events):
        for event in events:
            if isinstance(event, Epoch):
                live.update(Group(epochs_table(state.progress.rows, recipe), progress))
                if first_process and not console.is_terminal:
                    console.print(epoch_line(event.rows, recipe, event.kept), soft_wrap=True)
                    lines.spoken()
                more_epochs = state.progress.epoch < recipe.train.epochs  # the caller writes the last report
                due = report_seconds < REPORT_SHARE * (time.monotonic() - reported)
                if first_process and more_epochs and due:
                    report_began = time.monotonic()
                    report()
                    reported, report_seconds = time.monotonic(), time.monotonic() - report_began
            else:
                description = f"epoch {event.epoch + 1}/{recipe.train.epochs}"
                progress.update(task, advance=costs[event.epoch], description=description)
                done += costs[event.epoch]
                if first_process:
                    lines.say(partial(_line, description, done - began_at, total - began_at, began))


def _line(description: str, done: float, total: float, began: float) -> str:
    return f"{description}  {share_and_time_left(done, total, time.monotonic() - began)}"


@contextmanager
def _closing(events: Generator[object, None, None]) -> Iterator[None]:
    """Close ``events``, which saves, at an error of the block; that error counts, not one of the disk in saving."""
    try:
        yield
    except BaseException:
        with suppress(HeadstartError):
            events.close()
        raise


@contextmanager
def _display(live: Live, console: Console, first_process: bool) -> Iterator[None]:
    if not (console.is_terminal and first_process):
        yield
        return
    with live:
        yield


class TimeLeft(ProgressColumn):
    """'1 min 20 s left'; nothing before there is an estimate."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None or task.finished else f"{duration(left)} left", style="progress.remaining")


class EverySoOften:
    """Lines for a log or a pipe, where no bar can be: one in `QUIET` seconds without another line."""

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, time.monotonic()

    def spoken(self) -> None:
        """Another line was printed."""
        self._last = time.monotonic()

    def say(self, text: Callable[[], str]) -> None:
        """Print a line, if it is due and the console is no terminal."""
        if not self._console.is_terminal and time.monotonic() - self._last >= QUIET:
            self._console.print(text(), markup=False, highlight=False, soft_wrap=True)
            self.spoken()


def share_and_time_left(done: float, total: float, seconds: float) -> str:
    """'38 %, 1 min 20 s left', after so many ``seconds`` for what is ``done``."""
    if not done or not total:
        return "begun"
    return f"{100 * done / total:.0f} %, {duration(seconds * (total - done) / done)} left"


def make_progress(console: Console, transient: bool) -> Progress:
    """A bar with its description, share, and the time left; none where the console is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeLeft())
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)


class GracefulInterrupt:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a request to stop; the second has its usual effect.

    Under torchrun it has none: a Ctrl-C reaches each process from the terminal, and once more from torchrun, which
    kills what is still there after 30 seconds.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle signals inside the block; outside the main thread, where Python allows no handlers, do nothing."""
        try:
            for number in (signal.SIGINT, *ENDING):
                previous = signal.getsignal(number)
                if previous is not signal.SIG_IGN:  # nohup
                    signal.signal(number, self._request)
                    self._previous[number] = previous
        except ValueError:  # not in the main thread
            self._previous = {}
        try:
            yield
        finally:
            if not (self.requested and _under_torchrun()):  # the second signal may come while the report is written
                self._restore()

    def _request(self, *_: object) -> None:
        self.requested = True
        if not _under_torchrun():
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def _under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
