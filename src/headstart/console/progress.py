"""Training progress: a live table of epochs and a bar with the time left in a terminal, plain lines in a log.

Ctrl-C (or SIGTERM, or a closed terminal) finishes the current step, saves, and stops; a second one stops at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from headstart.console.signals import ENDING
from headstart.console.tables import epoch_line, epochs_table
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.training.state import TrainState

REPORT_SHARE = 0.05
"""At most this share of the training time is spent on rewriting the report between epochs."""


@contextmanager
def progress_bar(console: Console, description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the time left; yields its ``update(done, total)``. Hidden in the first half second."""
    if not console.is_terminal:  # a bar that is disabled ends with an empty line in rich before 14
        yield lambda *_: None
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
    task = progress.add_task("train", total=sum(costs) * state.steps, completed=done)

    reported, report_seconds = time.monotonic(), 0.0
    events = train(state)
    live = Live(Group(epochs_table(state.progress.rows, recipe), progress), console=console, refresh_per_second=4)
    with interrupt.handle_signals(), _display(live, console, first_process), _closing(events):
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


def make_progress(console: Console, transient: bool) -> Progress:
    """A bar with its description, share, and times elapsed and left; none where the console is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
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
