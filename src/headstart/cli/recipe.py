"""``headstart recipe``: list, show and copy the shipped recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import OUT, write_out
from headstart.errors import HeadstartError, quoted

Name = Annotated[str, typer.Argument(metavar="RECIPE")]


def ls() -> None:
    """List the shipped recipes, with the validation result to expect of each.

    [bold]headstart recipe ls[/bold] lists them.
    [bold]headstart fit quick photos/[/bold] trains one of them.
    """
    from headstart.console.tables import recipes_table
    from headstart.recipes import recipe

    OUT.print(recipes_table([recipe.load(name) for name in recipe.shipped()]))


def show(name: Name) -> None:
    """Print a recipe as TOML, with its comments.

    [bold]headstart recipe show quick[/bold] prints a shipped one.
    [bold]headstart recipe show runs/quick-photos/recipe.toml[/bold] prints that of a run.
    """
    from headstart.recipes import recipe

    write_out(recipe.source(name).encode())


def cp(name: Name, file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Copy a recipe to a new file, to edit it there.

    [bold]headstart recipe cp quick my.toml[/bold] writes my.toml, where there is no such file.
    [bold]headstart fit my.toml photos/[/bold] trains it.
    """
    from headstart.files import write_atomically
    from headstart.recipes import recipe

    text = recipe.source(name)
    if file.exists():
        raise HeadstartError(f"{file}: expected a new file, found one that exists", "choose another name")
    write_atomically(file, text.encode())
    OUT.print(f"{file}: edit it, then headstart fit {quoted(file)} DATA", soft_wrap=True)
