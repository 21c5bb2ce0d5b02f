"""Train a grid of settings, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import ERR, OUT, Data, Overrides
from headstart.cli.hints import predict_command
from headstart.errors import HeadstartError


def study(
    data: Data,
    overrides: Overrides = None,
    unlabeled: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Images to pre-train on without labels. [dim]Default: the training images[/dim]"
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Labeled images to pre-train on. [dim]Default: the recipe's weights[/dim]"),
    ] = None,
    settings: Annotated[
        str,
        typer.Option(
            help="A from scratch; B fine-tune supervised, C self-supervised; D probe supervised, E self-supervised;"
            " F continued pre-training; G probe random."
        ),
    ] = "ABCDE",
    labels: Annotated[
        str | None, typer.Option(metavar="0.1,0.5,1", help="Label fractions. [dim]Default: 0.05,0.1,0.25,0.5,1[/dim]")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Each trial so many times: error bars come of it.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Trials trained at the same time, sharing the cores.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="[dim]Default: runs/study-DATA[/dim]")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="What every trial is made from, a name or a file. [dim]Default: quick; for masks segment-quick[/dim]",
        ),
    ] = None,
    pretraining: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="Self-supervised pre-training. [dim]Default: byol-quick; for masks byol-tiles[/dim]",
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option(help="Choose each setting's learning rate on training images; else one recipe for all.")
    ] = True,
    budget: Annotated[str | None, typer.Option(metavar="30m", help="Choose epochs to fit into this time.")] = None,
) -> None:
    """How much does each kind of pre-training buy on your images? Trains the grid, and makes one table.

    It says first how long it will take, shows a table from the first minutes, and goes on where it stood when it is
    called again. Exit status 1 when a trial failed: the table marks it, and the next call tries it again.
    """
    from headstart import api
    from headstart.comparison.findings import findings, headline
    from headstart.comparison.summary import Results
    from headstart.console.tables import study_table
    from headstart.recipes.recipe import read_overrides

    fractions = None if labels is None else [_share(text) for text in labels.split(",")]
    changes = read_overrides(overrides or [])
    plan = api.plan_study(data, unlabeled, corpus, settings, fractions, seeds, out, recipe, pretraining, changes, tune)
    try:
        results = Results(api.carry_out_study(plan, jobs, budget, ERR))
    except KeyboardInterrupt:
        ERR.print(f"stopped; the same command goes on where it stood ({plan.out})", soft_wrap=True)
        raise typer.Exit(130) from None
    OUT.print(study_table(results, wide=OUT.width >= 110))
    OUT.print(f"\n{headline(results)}", markup=False)
    for verdict in findings(results):
        OUT.print(f"- {verdict}", markup=False)
    OUT.print(f"\ntable    {plan.out / 'table.csv'}\nreport   {plan.out / 'report.html'}", markup=False, soft_wrap=True)
    model = results.model
    if model is not None:
        run = plan.trial_folder(model.setting, model.fraction, model.seed)
        OUT.print(f"use it   {predict_command(run, plan.masks)}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if results.study.failed else 0)


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise HeadstartError(
            f"--labels: expected shares such as 0.1,0.5,1, found {text}", "headstart study --help"
        ) from None
