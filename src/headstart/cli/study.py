"""The command `headstart study`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.cli.arguments import ERR, OUT, Data, Overrides, say_at_once
from headstart.cli.hints import race_command
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.comparison.race_results import RaceResults
    from headstart.comparison.summary import Results
    from headstart.studies.plan import Plan
    from headstart.studies.race_plan import RacePlan

Unlabeled = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Images to pre-train on without labels. [dim]Default: the training images[/dim]"),
]
Corpus = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Labeled images to pre-train on. [dim]Default: the recipe's weights[/dim]"),
]
Settings = Annotated[
    str | None,
    typer.Option(
        help="A from scratch; B fine-tune supervised, C self-supervised; D probe supervised, E self-supervised;"
        " F continued pre-training; G probe random. [dim]Default: ABCDE[/dim]"
    ),
]
Backbones = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,RUN,...",
        help="Which backbone? Compare timm names, runs and weights files (NAME=FILE) on frozen features, and fine-tune"
        " the last two.",
    ),
]
Labels = Annotated[
    str | None, typer.Option(metavar="0.1,0.5,1", help="Label fractions. [dim]Default: 0.05,0.1,0.25,0.5,1[/dim]")
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1, help="Random seeds per setting, for confidence intervals. [dim]Default: 3[/dim]", show_default=False
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="Trials trained at the same time, sharing the cores.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE", help="Train on a Dask cluster: local:4, tcp://HOST:8786, slurm:FILE.toml or pbs:FILE.toml."
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="[dim]Default: runs/study-DATA[/dim]")]
TrialRecipe = Annotated[
    str | None,
    typer.Option(
        metavar="RECIPE",
        help="Base recipe of every trial, a name or a file. [dim]Default: quick; for masks segment-quick[/dim]",
    ),
]
Pretraining = Annotated[
    str | None,
    typer.Option(
        metavar="RECIPE", help="Self-supervised pre-training. [dim]Default: emp-ssl-quick; for masks byol-tiles[/dim]"
    ),
]
Pretrainings = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Pre-train N times, so that the intervals cover that, too. [dim]Default: 1, or one for each seed where the"
        " budget has time[/dim]",
        show_default=False,
    ),
]
Tune = Annotated[
    bool | None,
    typer.Option(
        "--tune/--no-tune",
        help="Tune each setting's learning rate on training images, or one recipe for all. [dim]Default: tune, where"
        " the budget has time[/dim]",
        show_default=False,
    ),
]
Folds = Annotated[
    int,
    typer.Option(
        metavar="5",
        help="Cross-validate: evaluate on so many parts of the images in turn. [dim]Default: 1[/dim]",
        show_default=False,
    ),
]
Margin = Annotated[float, typer.Option(metavar="2", help="Points within which two settings are equivalent.")]
Target = Annotated[
    float | None,
    typer.Option(
        metavar="90",
        help="Forecast how many more labels reach this score, in per cent. [dim]Default: the next round one[/dim]",
        show_default=False,
    ),
]
Budget = Annotated[
    str,
    typer.Option(
        metavar="30m",
        help="Choose image size, epochs, label fractions and seeds to fit into this time; later, a larger one refines"
        " the study. auto: 10m, or the least that a study of these settings needs. none: train all that is asked for.",
    ),
]


def study(
    data: Data,
    overrides: Overrides = None,
    unlabeled: Unlabeled = None,
    corpus: Corpus = None,
    settings: Settings = None,
    backbones: Backbones = None,
    labels: Labels = None,
    seeds: Seeds = None,
    jobs: Jobs = 1,
    cluster: Cluster = None,
    out: Out = None,
    recipe: TrialRecipe = None,
    pretraining: Pretraining = None,
    pretrainings: Pretrainings = None,
    tune: Tune = None,
    folds: Folds = 1,
    margin: Margin = 2.0,
    target: Target = None,
    budget: Budget = "auto",
) -> None:
    """How much does each kind of pre-training gain on your images? Trains every setting, and makes one table.

    [bold]headstart study photos/[/bold] compares settings A to E in ten minutes.
    [bold]headstart study photos/ --settings ABD --budget 1h[/bold] compares three of them for an hour.

    It estimates its time first, shows a table from the first minutes, and continues when called again. Exit status 1
    when a trial failed: the table marks it, and the next call tries it again.
    """
    say_at_once(f"study    {data}")
    from headstart import api
    from headstart.recipes.recipe import read_overrides

    options: dict[str, Any] = {
        "unlabeled": unlabeled,
        "corpus": corpus,
        "settings": settings,
        "labels": None if labels is None else [_fraction(text) for text in labels.split(",")],
        "seeds": seeds,
        "out": out,
        "recipe": recipe,
        "pretraining": pretraining,
        "overrides": read_overrides(overrides or []),
        "pretrainings": pretrainings,
        "tune": tune,
        "folds": folds,
        "margin": margin,
        "target": target,
    }
    planned: list[Plan | RacePlan] = []
    where: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "budget": budget, "console": ERR}
    with _saying_what_continues(planned):
        if backbones is not None:
            return _print_race(*api.run_race(data, backbones, **where, **options, planned=planned.append))
        plan, results = api.run_study(data, **where, **options, planned=planned.append)
    _print(results, plan)
    raise typer.Exit(1 if results.study.failed else 0)


@contextmanager
def _saying_what_continues(planned: Sequence[Plan | RacePlan]) -> Iterator[None]:
    """Turn Ctrl-C into exit status 130, and name the folder where the same command continues."""
    try:
        yield
    except KeyboardInterrupt:
        folder = "".join(f" ({plan.out})" for plan in planned)
        ERR.print(f"stopped; the same command continues{folder}", soft_wrap=True, markup=False)
        raise typer.Exit(130) from None


def _print(results: Results, plan: Plan) -> None:
    """Print the table, the findings, and where to find the rest."""
    from headstart.comparison.answer import headline
    from headstart.comparison.findings import findings
    from headstart.comparison.warnings import warnings
    from headstart.console.tables import study_table
    from headstart.runs.commands import predict_command

    OUT.print(study_table(results, wide=OUT.width >= 110))
    OUT.print(f"\n{headline(results)}", markup=False)
    warned = warnings(results)
    for finding in findings(results):
        OUT.print(f"{'! warning: ' if finding in warned else '- '}{finding}", markup=False)
    OUT.print(f"\ntable    {plan.out / 'table.csv'}\nreport   {plan.out / 'report.html'}", markup=False, soft_wrap=True)
    best = results.model
    if best is not None:
        run = plan.trial_folder(best.setting, best.fraction, best.seed)
        OUT.print(f"use it   {predict_command(run, plan.masks)}", markup=False, soft_wrap=True)


def _print_race(plan: RacePlan, results: RaceResults) -> None:
    """Print the table of backbones, the findings, and what to type next."""
    from headstart.comparison.race_findings import findings, headline
    from headstart.console.race_table import race_table

    OUT.print(race_table(results))
    OUT.print(f"\n{headline(results)}", markup=False)
    for finding in findings(results):
        OUT.print(f"- {finding}", markup=False)
    OUT.print(f"\ntable    {plan.out / 'table.csv'}\nreport   {plan.out / 'report.html'}", markup=False, soft_wrap=True)
    if results.winner is not None:
        OUT.print(f"next     {race_command(plan.study.data, results)}", markup=False, soft_wrap=True)


def _fraction(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise HeadstartError(
            f"--labels: expected shares such as 0.1,0.5,1, found {text or 'an empty one'}", "headstart study --help"
        ) from None
