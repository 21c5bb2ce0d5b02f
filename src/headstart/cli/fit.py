"""Train a recipe on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli.arguments import DATA_HELP, ERR, OUT, Overrides, predict_command
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.api import Run


def fit(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A shipped recipe (headstart recipe ls) or a .toml file.")
    ] = None,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA_HELP)] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The run folder to make. [dim]Default: runs/RECIPE-DATA[/dim]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped, where it stood.")
    ] = None,
    moved_to: Annotated[
        Path | None, typer.Option(metavar="DATA", help="With --resume: where the run's images are now.")
    ] = None,
) -> None:
    """Train, and write a run folder: weights, metrics, predictions, report.

    [bold]headstart fit quick photos/[/bold] trains in minutes on a laptop.
    [bold]headstart fit --resume runs/quick-photos[/bold] goes on after Ctrl-C or a crash.
    """
    from headstart import api
    from headstart.recipes.recipe import read_overrides

    if resume is not None:
        if recipe is not None:
            raise HeadstartError(
                f"fit --resume: expected no recipe (a run keeps its own), found {recipe}",
                f"headstart fit --resume {resume}",
            )
        run = api.resume(resume, moved_to, console=ERR)
    elif recipe is None or data is None:
        missing = "RECIPE and DATA" if recipe is None else "DATA"
        raise HeadstartError(f"fit: expected {missing}, found nothing", "headstart fit quick photos/")
    else:
        run = api.fit(recipe, data, out, read_overrides(overrides or []), console=ERR)
    _say_what_next(run)


def _say_what_next(run: Run) -> None:
    if not run.finished:
        ERR.print(f"stopped and saved; go on with: [bold]headstart fit --resume {run.path}[/bold]", soft_wrap=True)
        raise typer.Exit(130)
    from headstart.metrics.collapse import diagnose
    from headstart.runs.folder import classifier_command

    health, use = diagnose(run.metrics), predict_command(run.path, run.miou is not None)
    if health is not None:
        result = f"{health.sentence} {health.fix}".strip()
        use = classifier_command(run.folder)
    elif run.miou is not None:
        result = f"validation mIoU {run.miou:.2%}, pixel accuracy {run.accuracy:.2%}"
    else:
        result = f"validation accuracy {run.accuracy:.2%}"
    OUT.print(f"{result}\nrun      {run.path}\nreport   {run.path / 'report.html'}", markup=False, soft_wrap=True)
    OUT.print(f"use it   {use}", markup=False, soft_wrap=True)
