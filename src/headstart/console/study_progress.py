"""A study's progress: what is left and for how long on its workers, the results so far, and a line for what happens.

Ctrl-C (or SIGTERM) finishes the current step of every training, saves, and stops; a second one stops at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from headstart.console.progress import EverySoOften, GracefulInterrupt
from headstart.console.streams import make_console, spinner
from headstart.console.tables import study_table

if TYPE_CHECKING:
    from headstart.comparison.study import Study
    from headstart.data.dataset import Dataset
    from headstart.studies.plan import Plan
    from headstart.studies.runner import StudyRunner
    from headstart.studies.time_left import TimeLeft


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

    ``jobs`` and ``cluster`` say where (`open_workers`); ``budget`` ("30m", or "auto": 10m or the least that is needed)
    shortens the trainings of a new study to fit. Raises HeadstartError for what the user can fix, and KeyboardInterrupt
    when stopped, with everything saved.
    """
    from headstart.data.dataset import open_dataset
    from headstart.studies.budget import AUTO, read_budget
    from headstart.studies.folds import require_folds

    console = console or make_console(stderr=True)
    time_box = _TimeBox(None if budget is None else read_budget(budget), budget == AUTO)
    dataset = open_dataset(plan.data if dataset is None else dataset)
    require_folds(plan, dataset)
    run = _run if plan.folds == 1 else _run_folds
    return run(plan, dataset, jobs, cluster, time_box, console)


class _TimeBox(NamedTuple):
    """The time that a study may take."""

    seconds: float | None
    """None: as long as it takes."""
    automatic: bool
    """Whether nobody chose it, so that a new study gets the least that it needs."""


def _run(plan: Plan, dataset: Dataset, jobs: int, cluster: str | None, time_box: _TimeBox, console: Console) -> Study:
    """A study of one split."""
    from headstart.runs.lock import own
    from headstart.studies.budget import describe, least_budget, unfinished_text
    from headstart.studies.refinement import added
    from headstart.studies.request import prepare_rest, prepare_study
    from headstart.studies.resume import exists
    from headstart.studies.workers import open_workers

    began, (allowed, automatic) = time.monotonic(), time_box
    with own(plan.out), closing(open_workers(jobs, cluster)) as workers:
        new = not exists(plan)
        with console.status("time a few steps, and decode the images", spinner=spinner(console)):
            runner, seconds = prepare_study(plan, dataset, workers=workers, budget=allowed, at_least=automatic)
        if allowed is not None and automatic and new:
            allowed = max(allowed, 60 * math.ceil(least_budget(seconds, workers.count()) / 60))
        for line in describe(runner.plan, plan, allowed, default=automatic):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        while True:
            held_back = _carry_out(runner, seconds, allowed, began, console)
            if allowed is None or held_back or cluster is not None:  # whose workers have gone home
                break
            before = runner.plan
            with console.status("see what else there is time for", spinner=spinner(console)):
                rest = prepare_rest(runner, plan, allowed - (time.monotonic() - began), len(plan.seeds))
            if rest is None:
                break
            runner, seconds = rest
            text = f"more     {added(before, runner.plan)}, for which there is time left"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        if held_back and allowed is not None:
            console.print(unfinished_text(held_back, allowed), soft_wrap=True, highlight=False)
    return runner.study


def _carry_out(
    runner: StudyRunner, seconds: dict[str, float], allowed: float | None, began: float, console: Console
) -> list[str]:
    """Run the trainings of these estimated ``seconds``; the names of those held back, which would end too late."""
    from headstart.studies.time_left import Deadline, TimeLeft

    interrupt, left = GracefulInterrupt(), TimeLeft(seconds)
    deadline = None if allowed is None else Deadline(allowed, left, began)
    with study_bar(console, runner, left) as show, interrupt.handle_signals():
        runner.stop_requested = lambda: interrupt.requested
        if deadline is not None:
            runner.may_start = deadline.allows
        for study in runner.run():
            show(study)
    return [] if deadline is None else deadline.held_back


def _run_folds(
    plan: Plan, dataset: Dataset, jobs: int, cluster: str | None, time_box: _TimeBox, console: Console
) -> Study:
    """The study of each fold, one after the other, and one table; the first takes its share of the budget."""
    from headstart.runs.lock import own
    from headstart.studies.folds import as_first, fold_plans, merged, write_merged
    from headstart.studies.plan_validation import validate_plan

    validate_plan(plan)
    parts, studies = fold_plans(plan), []
    with own(plan.out):
        for part in parts:
            part.out.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(parts, start=1):
            console.print(f"fold     {number} of {len(parts)}", highlight=False)
            own_plan = part if number == 1 else as_first(part, parts[0])
            share = None if time_box.seconds is None or number > 1 else time_box.seconds / len(parts)
            studies.append(_run(own_plan, dataset, jobs, cluster, time_box._replace(seconds=share), console))
        study = merged(plan, studies)
        write_merged(plan, study)
    return study


@contextmanager
def study_bar(console: Console, runner: StudyRunner, left: TimeLeft) -> Iterator[Callable[[Study], None]]:
    """One bar for a whole study, which advances the ``left`` of its trainings.

    Yields a function to call with the study after each trial, which shows the results so far.
    """
    from headstart.comparison.metric import METRICS
    from headstart.comparison.summary import Results

    _print_estimate(console, left, runner.workers.count())
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    task = progress.add_task("study", total=left.estimated)
    lines = EverySoOften(console)
    live = Live(Group(progress), console=console, refresh_per_second=4)

    def advance(name: str, share: float) -> None:
        workers = runner.workers.count()
        left.advance(name, share, workers)
        progress.update(task, completed=left.done, description=f"{name}, {time_left_text(left, workers)}")
        lines.say(lambda: f"{name}, {time_left_text(left, workers)}")

    def note(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        lines.spoken()

    def show(study: Study) -> None:
        trial = runner.latest or study.trials[-1]
        if console.is_terminal:
            live.update(Group(study_table(Results(study, resamples=200), wide=False), progress))
        else:
            metric = METRICS[study.metric].title
            outcome = f"failed: {trial.error}" if trial.each is None else f"{metric} {trial.each.mean():.2%}"
            text = f"{trial.setting}  {trial.fraction:4.0%} of the labels  seed {trial.seed}  {outcome}"
            time_left = f", {time_left_text(left, runner.workers.count())}" if left.count else ""
            console.print(f"{text}  ({study.done} of {study.planned} trials){time_left}", markup=False, soft_wrap=True)
            lines.spoken()

    runner.on_progress, runner.on_note = advance, note
    if not console.is_terminal:
        yield show
        return
    with live:
        yield show


def time_left_text(left: TimeLeft, workers: int) -> str:
    """``about 12 min left on 4 workers``."""
    seconds = left.seconds(workers)
    return "waiting for workers" if seconds is None else f"about {minutes(seconds)} left{on_workers(workers)}"


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
