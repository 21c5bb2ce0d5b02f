"""``headstart map``: t-SNE, PCA and metrics of a run's stored features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli.arguments import ERR, OUT, RunArgument, say_at_once
from headstart.console.streams import spinner
from headstart.errors import HeadstartError
from headstart.files import digits_to_int


def map_features(
    run: RunArgument,
    perplexity: Annotated[
        float | None,
        typer.Option(min=1, help="t-SNE perplexity, roughly the number of neighbors. [dim]Default: 30[/dim]"),
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(metavar="1,50,100", help="Epochs, of those stored. [dim]Default: all of them[/dim]")
    ] = None,
    split: Annotated[Literal["all", "val", "train"], typer.Option(help="Images to map.")] = "all",
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same map.")] = 0,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.parquet",
            help="Write the maps as a table, too, for Embedding Atlas and the like.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.")] = False,
) -> None:
    """t-SNE and PCA of the stored features, with kNN and calibration metrics.

    [bold]headstart map runs/quick-photos[/bold] adds maps to its report.
    [bold]headstart map runs/quick-photos --export map.parquet[/bold] writes a table for other tools.

    Needs no training. Prints a row per epoch and the findings, and adds the maps to the report.
    """
    say_at_once(f"map      {run}")
    from headstart import api
    from headstart.analysis.findings import findings
    from headstart.console.tables import features_table

    if export is not None:  # before minutes of work
        from headstart.analysis.map_table import require_table

        require_table(export, force)
    chosen = sorted({_epoch(text) for text in epochs.split(",")}) if epochs else []
    opened = api.Run(run)
    with ERR.status("map features", spinner=spinner(ERR)):
        analysis = opened.map(perplexity=perplexity, epochs=chosen, split=split, seed=seed)
    OUT.print(features_table(analysis))
    for finding in findings(opened.metrics, opened.folder.recipe.checkpoint.monitor, analysis):
        OUT.print(f"- {finding}", markup=False)
    if export is not None:
        OUT.print(f"table    {opened.export_map(export, overwrite=force)}", markup=False, soft_wrap=True)
    OUT.print(f"report   {opened.report()}", markup=False, soft_wrap=True)


def _epoch(text: str) -> int:
    if not text.strip().isdecimal():
        raise HeadstartError(
            f"--epochs: expected numbers such as 1,50,100, found {text or 'an empty one'}", "headstart map --help"
        )
    return digits_to_int(text.strip())
