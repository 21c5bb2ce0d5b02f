"""``headstart check RUN IMAGES``: are these images of the kind that a run was trained on?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headstart.cli.arguments import ERR, OUT, errors_as_json, print_json
from headstart.errors import HeadstartError, quoted

if TYPE_CHECKING:
    from headstart.inference.image_check import ImageCheck

MAX_FILES = 3
"""Images that are named of those outside."""


def is_run(folder: str) -> bool:
    """Whether this folder is a run, and not one of images; no, where it cannot be opened."""
    return os.path.isfile(os.path.join(folder, "recipe.toml"))  # noqa: PTH113, PTH118 (Path.is_file raises there)


def check_images(run: str, images: list[str], as_json: bool) -> None:
    """Print what differs between images and a run's validation images; leave with status 1 if anything does."""
    if not images:
        raise HeadstartError(
            f"check {run}: expected images to compare with those of this run, found none",
            f"headstart check {quoted(run)} IMAGES",
        )
    with ERR.status(f"reading {escape(run)}"):
        from headstart import api
        from headstart.console.progress import progress_bar

    with errors_as_json(as_json), progress_bar(ERR, "compare images") as progress:
        result = api.Run(run).check_images(images, progress=progress)
    if as_json:
        print_json(result.to_json())
    else:
        _print(result)
    for file, reason in result.unreadable:
        ERR.print(f"skipped {file}: {reason}", markup=False, soft_wrap=True)
    raise typer.Exit(result.status)


def _print(result: ImageCheck) -> None:
    OUT.print(_table(result))
    OUT.print(result.verdict, markup=False, soft_wrap=True)
    far = sorted((i for i, out in enumerate(result.outside) if out), key=lambda i: -result.distance[i])
    if far:
        named = ", ".join(result.names[i] for i in far[:MAX_FILES])
        OUT.print(
            f"{len(far):,} of {len(result.files):,} images are farther from the training images than 99 % of the"
            f" validation images (1 % would be usual), the farthest {named}. --json lists all.",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _table(result: ImageCheck) -> Table:
    """A row per number that is compared between new images and validation images."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("compared")
    for title in ("validation", "these images", "statistic", "p", ""):
        table.add_column(title, justify="right")
    for each in result.differences:
        verdict = Text("another kind", style="yellow") if each.significant else Text("alike", style="dim")
        numbers = (f"{each.validation:.3f}", f"{each.new:.3f}", f"{each.statistic:.2f}", f"{each.p_value:.2g}")
        kind = "mean distance" if each.name == "features" else "median"
        table.add_row(f"{each.name}, {kind}", *numbers, verdict)
    return table
