"""The command line: which commands there are; what each does stands in its file of `commands`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import recipe
from headstart.cli.arguments import ERR, OUT
from headstart.cli.check import check
from headstart.cli.evaluate import evaluate
from headstart.cli.fit import fit
from headstart.cli.predict import predict
from headstart.cli.report import make_map, report
from headstart.cli.study import study
from headstart.errors import HeadstartError

app = typer.Typer(
    name="headstart",
    help="""How much does pre-training buy you on your own images?

    Begin with: [bold]headstart demo[/bold] (solar cells, eight minutes), or with a folder of your own:
    [bold]headstart check photos/[/bold], then [bold]headstart study photos/[/bold], or for a classifier alone
    [bold]headstart fit quick photos/[/bold].
    """,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipe_app = typer.Typer(no_args_is_help=True, help="List, show and copy the recipes that come with headstart.")
app.add_typer(recipe_app, name="recipe")

app.command(rich_help_panel="Train")(check)
app.command(rich_help_panel="Train")(fit)
app.command(rich_help_panel="Train")(study)
app.command(rich_help_panel="Look")(report)
app.command("map", rich_help_panel="Look")(make_map)
app.command(rich_help_panel="Use")(predict)
app.command(rich_help_panel="Use")(evaluate)
recipe_app.command()(recipe.ls)
recipe_app.command()(recipe.show)
recipe_app.command()(recipe.cp)


@app.command(rich_help_panel="Train")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where pictures and study go.")] = Path("demo"),
) -> None:
    """What does pre-training buy on 2,624 photographs of solar cells, defective or not? About eight minutes.

    It types the commands in that you would, and shows them; called again, it goes on where it stood.
    """
    from headstart.cli.demo import show

    raise typer.Exit(show(out, lambda words: app(words, standalone_mode=False) or 0, OUT))


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from importlib.metadata import version as of

        OUT.print(of("headstart"))
        raise typer.Exit


def main() -> None:
    """The command line; a fault that the user can mend is one line on standard error and exit status 2."""
    OUT.quiet = os.environ.get("RANK", "0") != "0"  # of the processes that torchrun starts, the first speaks
    try:
        app()
    except HeadstartError as error:
        ERR.print(f"[bold red]error[/bold red] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(2)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
