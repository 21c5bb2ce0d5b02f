"""The recipes that come with headstart: listed, shown, copied."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import OUT
from headstart.errors import HeadstartError


def ls() -> None:
    """The recipes that come with headstart, with the number to expect of each."""
    from headstart.console.tables import recipes_table
    from headstart.recipes import recipe

    OUT.print(recipes_table([recipe.load(name) for name in recipe.shipped()]))


def show(name: Annotated[str, typer.Argument(metavar="RECIPE")]) -> None:
    """Print a recipe, with its comments."""
    from headstart.recipes import recipe

    sys.stdout.write(recipe.source(name))


def cp(
    name: Annotated[str, typer.Argument(metavar="RECIPE")], file: Annotated[Path, typer.Argument(metavar="FILE")]
) -> None:
    """Copy a recipe to a file of your own, to change it there."""
    from headstart.files import write_atomically
    from headstart.recipes import recipe

    text = recipe.source(name)
    if file.exists():
        raise HeadstartError(f"{file}: expected a new file, found one that exists", "choose another name")
    write_atomically(file, text.encode())
    OUT.print(f"{file}: change it, then headstart fit {file} DATA", soft_wrap=True)
