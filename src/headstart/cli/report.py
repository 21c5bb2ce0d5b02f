"""``headstart report``: the HTML report of a run, a study or a race."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import OUT, say_at_once


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN | STUDY", help="A run or study folder, such as runs/quick-photos.")
    ],
) -> None:
    """Write the HTML report of a run or study again: one self-contained file. Works during training, too.

    [bold]headstart report runs/quick-photos[/bold] writes that of a run, and its model card.
    [bold]headstart report runs/study-photos[/bold] writes that of a study, not those of its trials.
    """
    say_at_once(f"report   {folder}")
    OUT.print(str(_written(folder)), soft_wrap=True, markup=False)


def _written(folder: Path) -> Path:
    """The page, written again from the folder alone."""
    if (folder / "study.json").is_file():
        from headstart.report.study_page import write_study_page

        return write_study_page(folder)
    if (folder / "race.json").is_file():
        from headstart.report.race_page import write_race_page

        return write_race_page(folder)
    from headstart import api

    return api.Run(folder).report()
