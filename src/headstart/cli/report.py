"""What a run learned: its report, and maps of what it saw."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from headstart.cli.arguments import ERR, OUT, RunArgument
from headstart.errors import HeadstartError


def report(run: RunArgument) -> None:
    """(Re)write the report of a run: one HTML file with all it needs. Works while the run is training, too."""
    from headstart.api import Run

    OUT.print(str(Run(run).report()), soft_wrap=True)


def make_map(
    run: RunArgument,
    perplexity: Annotated[
        float | None, typer.Option(min=1, help="About how many neighbors t-SNE heeds. [dim]Default: 30[/dim]")
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(metavar="1,50,100", help="Epochs, of those stored. [dim]Default: all of them[/dim]")
    ] = None,
    split: Annotated[Literal["all", "val", "train"], typer.Option(help="Which images to map.")] = "all",
    seed: Annotated[int, typer.Option(help="The same number gives the same map.")] = 0,
) -> None:
    """Map and measure what the network saw over its epochs, without training, and put it into the report."""
    from headstart import api
    from headstart.analysis.findings import findings
    from headstart.console.tables import learned_table

    chosen = [_epoch(text) for text in epochs.split(",")] if epochs else []
    opened = api.Run(run)
    with ERR.status("map what the network saw"):
        learned = opened.map(perplexity, chosen, split, seed)
    OUT.print(learned_table(learned))
    for finding in findings(opened.metrics, opened.folder.recipe.checkpoint.monitor, learned):
        OUT.print(f"- {finding}", markup=False)
    OUT.print(f"report   {opened.report()}", markup=False, soft_wrap=True)


def _epoch(text: str) -> int:
    if not text.strip().isdecimal():
        raise HeadstartError(f"--epochs: expected numbers such as 1,50,100, found {text}", "headstart map --help")
    return int(text)
