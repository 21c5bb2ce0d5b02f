"""``headstart labels``: labels of a run's data that are likely wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli.arguments import ERR, OUT, RunArgument, say_at_once

SHOWN = 10
"""Rows printed; the file has all of them."""


def labels(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Where the run's images are now, if they have moved.")
    ] = None,
) -> None:
    """Labels to check: those that a linear probe, which has not seen the image, contradicts most.

    [bold]headstart labels runs/quick-photos[/bold] lists them, and adds them to the report.
    [bold]headstart labels runs/quick-photos --data photos/[/bold] reads images that have moved.

    Looks at all labeled images of the run's data, training images too. Writes labels-to-check.csv into the run folder,
    and adds them to the report.
    """
    say_at_once(f"labels   {run}")
    from headstart import api
    from headstart.console.label_table import label_table
    from headstart.console.progress import progress_bar

    opened = api.Run(run)
    with progress_bar(ERR, "encode images") as progress:
        check = opened.check_labels(data, progress=progress)
    if check.rows:
        OUT.print(label_table(check.rows[:SHOWN]))
    said = f"{len(check.rows):,} of {check.images:,} labels to check"
    few = f"; {check.unjudged:,} images are of classes with too few to judge" if check.unjudged else ""
    OUT.print(f"{said}{few}", markup=False, soft_wrap=True)
    OUT.print(f"labels   {run / 'labels-to-check.csv'}", markup=False, soft_wrap=True)
    OUT.print(f"report   {opened.report()}", markup=False, soft_wrap=True)
