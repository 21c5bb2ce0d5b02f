"""A race's progress: what is being done, and a line for each probe; Ctrl-C saves and stops."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from rich.console import Console

from headstart.console.progress import GracefulInterrupt
from headstart.console.streams import make_console, spinner

if TYPE_CHECKING:
    from headstart.comparison.race_file import Race
    from headstart.data.dataset import Dataset
    from headstart.studies.race_plan import RacePlan


def run_race_with_progress(
    plan: RacePlan,
    dataset: Dataset,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    budget: str | None = None,
    console: Console | None = None,
) -> Race:
    """Run what is left of a race, within ``budget`` ("30m").

    Raises HeadstartError for what the user can fix, and KeyboardInterrupt when stopped, with everything saved.
    """
    from headstart.runs.lock import own
    from headstart.studies.budget import AUTO, read_budget
    from headstart.studies.race_budget import RaceClock
    from headstart.studies.race_finals import Finals
    from headstart.studies.race_start import prepare_race
    from headstart.studies.workers import open_workers

    console = console or make_console(stderr=True)
    allowed = None if budget is None else read_budget(budget)
    clock, interrupt = RaceClock(allowed, time.monotonic(), plan.fine_tune, budget == AUTO), GracefulInterrupt()

    def note(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    status = console.status("load the backbones, and decode the images", spinner=spinner(console))
    with own(plan.out), closing(open_workers(jobs, cluster)) as workers, status as shown:
        runner = prepare_race(plan, dataset, clock, note)
        race = runner.race
        asked = plan.study.recipe.data.image_size
        size = f"{race.image_size} px" + (f" ({asked} asked for; the budget)" if race.image_size != asked else "")
        rounds = ", ".join(f"{each:.0%}" for each in race.fractions)
        count = sum(each.error is None for each in race.backbones)
        note(f"race     {count} backbone{'s' * (count != 1)} at {size}; rounds with {rounds} of the labels")
        runner.on_status = shown.update
        runner.stop_requested = lambda: interrupt.requested
        with interrupt.handle_signals():
            finals = Finals(runner, workers, note, shown.update)
            for race in chain(runner.run(), finals.run()):
                trial = race.trials[-1]
                how = "frozen" if trial.setting == "D" else "fine-tuned"
                note(
                    f"{trial.backbone}  {how}  {trial.fraction:4.0%} of the labels  seed {trial.seed}"
                    f"  accuracy {trial.correct.mean():.2%}"
                )
                if interrupt.requested:
                    raise KeyboardInterrupt
            runner.finish()
    return runner.race
