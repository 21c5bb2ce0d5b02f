"""A training from its images to the finished run folder: decode, train, map the features, write the report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from headstart.console.progress import progress_bar, run_with_progress
from headstart.console.signals import ending_as_interrupt
from headstart.console.streams import make_console, spinner
from headstart.data.parallel import Progress
from headstart.run import Run
from headstart.runs.analysis import has_feature_analysis
from headstart.runs.lifecycle import finish
from headstart.runs.lock import own

if TYPE_CHECKING:
    from headstart.training.state import TrainState


def train_run(folder: Path, prepare: Callable[[Progress], TrainState], console: Console | None) -> Run:
    """Decode the images, train to the end or to Ctrl-C, analyze the features, and write the report."""
    from headstart.training.data_warnings import data_warnings
    from headstart.training.peers import done, ends_explained, stopped
    from headstart.training.setup import threads_restored

    console = console or make_console(stderr=True)
    with own(folder), ending_as_interrupt(), threads_restored(), ends_explained():
        with progress_bar(console, "decode images") as progress:
            state = prepare(progress)
        state.maps_follow = True
        run = Run(state.run.path)
        for warning in data_warnings(state):
            console.print(warning, highlight=False, markup=False, soft_wrap=True)
        with suppress(KeyboardInterrupt):  # the run says that it is unfinished
            run_with_progress(state, console, run.report)
            if state.fabric.is_global_zero:
                if run.folder.trained:
                    complete_run(run, console)
                else:
                    run.report()
            state.fabric.barrier()
            done()
        stopped()
    return run


def complete_run(run: Run, console: Console) -> None:
    """Make what is missing of a trained run, and mark it as finished: `resume/` goes last."""
    if not run.finished or not has_feature_analysis(run.folder):
        with console.status("map features", spinner=spinner(console)):
            run.map()
        run.report()
    elif not (run.path / "report.html").is_file():
        run.report()
    finish(run.path)
