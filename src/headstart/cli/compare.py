"""``headstart compare``: runs on the validation images that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import ERR, OUT, Unfinished, say_at_once
from headstart.console.streams import spinner

MAX_FIELDS = 8
"""Recipe fields printed; the page has all."""

Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", help="Two run folders or more, or one study folder: the best of each setting."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Page to write. [dim]Default: comparison.html beside the first run, or in the study's folder; a number is"
        " added where another page has the name[/dim]",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE, whatever it is.")]


def compare(runs: Runs, output: Output = None, force: Force = False, unfinished: Unfinished = False) -> None:
    """Which run is better, and is that significant? Judges the validation images that all of them share.

    [bold]headstart compare runs/quick-photos runs/quick-photos-2[/bold] says how they differ, and writes a page.
    [bold]headstart compare runs/study-photos[/bold] compares the settings of a study, with all labels.

    Reads the predictions that the runs hold; nothing is trained. Runs of one recipe with several seeds count as one.
    """
    say_at_once(f"compare  {' '.join(map(str, runs))}")
    from headstart import api
    from headstart.comparison.recipe_differences import recipe_differences
    from headstart.comparison.run_verdict import how_sure, verdict, warnings
    from headstart.console.compare_table import compare_table

    with ERR.status("compare", spinner=spinner(ERR)):
        comparison, page = api.compare_to_page(runs, page=output, overwrite=force, unfinished=unfinished)
        table, said = compare_table(comparison), verdict(comparison)
    OUT.print(said, markup=False, highlight=False)
    for warning in warnings(comparison):
        OUT.print(f"! warning: {warning}", markup=False, highlight=False)
    OUT.print()
    OUT.print(table)
    OUT.print()
    for each in how_sure(comparison):
        OUT.print(f"- {each}", markup=False, highlight=False)
    differ = recipe_differences(comparison.entries)
    for field in differ[:MAX_FIELDS]:
        OUT.print(f"- {field.field}: {' | '.join(field.values)}", markup=False, highlight=False)
    if len(differ) > MAX_FIELDS:
        OUT.print(f"- and {len(differ) - MAX_FIELDS} more fields differ", markup=False, highlight=False)
    OUT.print(f"\npage     {page}", markup=False, highlight=False, soft_wrap=True)
