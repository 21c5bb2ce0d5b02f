"""``headstart fit``: train a recipe on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli.arguments import DATA_HELP, ERR, OUT, Overrides, say_at_once
from headstart.cli.hints import resume_command, typed_command
from headstart.cli.usage import refuse_swapped
from headstart.errors import HeadstartError, quoted
from headstart.process import is_first_rank

if TYPE_CHECKING:
    from headstart.api import Run


def fit(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A shipped recipe (headstart recipe ls) or a .toml file.")
    ] = None,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA_HELP)] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The run folder to create. [dim]Default: runs/RECIPE-DATA[/dim]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Resume a stopped run from its last checkpoint.")
    ] = None,
    moved_to: Annotated[
        Path | None, typer.Option(metavar="DATA", help="With --resume: where the run's images are now.")
    ] = None,
) -> None:
    """Train a model, and write a run folder: weights, metrics, predictions, report.

    [bold]headstart fit quick photos/[/bold] trains in minutes on a laptop.
    [bold]headstart fit --resume runs/quick-photos[/bold] continues after Ctrl-C or a crash.
    """
    if resume is not None and recipe is not None:
        raise HeadstartError(
            f"fit --resume: expected no recipe (a run keeps its own), found {recipe}", resume_command(resume)
        )
    if resume is None and (recipe is None or data is None):
        missing = "RECIPE and DATA" if recipe is None else "DATA"
        raise HeadstartError(f"fit: expected {missing}, found nothing", "headstart fit quick photos/")
    try:
        if resume is not None:
            say_at_once(f"fit      {resume} goes on")
            from headstart import api

            run = api.resume(resume, moved_to, console=ERR)
        else:
            assert recipe is not None
            assert data is not None
            refuse_swapped(recipe, data, overrides or [])
            say_at_once(f"fit      {recipe} on {data}")
            from headstart import api
            from headstart.recipes.recipe import read_overrides

            run = api.fit(recipe, data, out=out, overrides=read_overrides(overrides or []), console=ERR)
    except KeyboardInterrupt:  # before the first step; later ones return the unfinished run
        again = "Resume with" if resume is not None else "Nothing is left of it; start again with"
        if is_first_rank():
            ERR.print(f"Stopped. {again}: {typed_command()}", markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    try:
        _print_result(run)
    except KeyboardInterrupt:  # all that it would have said is in the report
        then = f"headstart report {quoted(run.path)}" if run.finished else resume_command(run.path)
        if is_first_rank():
            ERR.print(f"Stopped. Next: {then}", markup=False, soft_wrap=True)
        raise typer.Exit(130) from None


def _print_result(run: Run) -> None:
    if not (run.finished if is_first_rank() else run.folder.trained):
        if not OUT.quiet:
            ERR.print(f"Stopped and saved. Resume with: {resume_command(run.path)}", markup=False, soft_wrap=True)
        raise typer.Exit(130)
    from headstart.analysis.result import result_sentences
    from headstart.runs.commands import predict_command
    from headstart.runs.folder import classifier_command

    for sentence in result_sentences(run.folder):
        OUT.print(sentence, markup=False, soft_wrap=True)
    unlabeled = run.accuracy is None
    use = classifier_command(run.folder) if unlabeled else predict_command(run.path, run.miou is not None)
    OUT.print(f"run      {run.path}\nreport   {run.path / 'report.html'}", markup=False, soft_wrap=True)
    OUT.print(f"use it   {use}", markup=False, soft_wrap=True)
