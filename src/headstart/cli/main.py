"""The command line ``headstart``: its commands, and how an error is printed."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from headstart.cli import cache, recipe
from headstart.cli.arguments import ERR, OUT
from headstart.cli.check import check
from headstart.cli.compare import compare
from headstart.cli.evaluate import evaluate
from headstart.cli.export import export
from headstart.cli.fit import fit
from headstart.cli.labels import labels
from headstart.cli.map import map_features
from headstart.cli.predict import predict
from headstart.cli.report import report
from headstart.cli.serve import serve
from headstart.cli.study import study
from headstart.cli.usage import Command, Group
from headstart.cli.watch import watch
from headstart.console.streams import reader_has_gone
from headstart.errors import HeadstartError, quoted
from headstart.process import is_first_rank, is_one_of_several

app = typer.Typer(
    name="headstart",
    cls=Group,
    help="""How much of a head start does pre-training give you, on your own images?

    [bold]headstart study photos/[/bold] compares kinds of pre-training on your images, in ten minutes.
    [bold]headstart fit quick photos/[/bold] trains one classifier.

    Before that, [bold]headstart check photos/[/bold] says how your folder is read; [bold]headstart demo[/bold] shows
    it all on images of solar cells.
    """,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache_app = typer.Typer(
    cls=Group, no_args_is_help=True, help="List and clear decoded images, which any command makes again."
)
recipe_app = typer.Typer(cls=Group, no_args_is_help=True, help="List, show and copy the shipped recipes.")

app.command(cls=Command, rich_help_panel="Train")(fit)
app.command(cls=Command, rich_help_panel="Train")(study)


@app.command(cls=Command, rich_help_panel="Train")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the images and the study.")] = Path("demo"),
) -> None:
    """A study of 2,624 images of solar cells, defective or functional, in about eight minutes.

    [bold]headstart demo[/bold] runs the commands that you would type, and prints them. Called again, it resumes.
    [bold]headstart demo --out /tmp/demo[/bold] does so in another folder.
    """
    from headstart.cli.demo import run_demo

    raise typer.Exit(run_demo(out, lambda words: app(words, standalone_mode=False) or 0, OUT))


app.add_typer(recipe_app, name="recipe", rich_help_panel="Train")
app.command(cls=Command, rich_help_panel="Inspect")(check)
app.command(cls=Command, rich_help_panel="Inspect")(report)
app.command(cls=Command, rich_help_panel="Inspect")(compare)
app.command(cls=Command, rich_help_panel="Inspect")(watch)
app.command("map", cls=Command, rich_help_panel="Inspect")(map_features)
app.command(cls=Command, rich_help_panel="Inspect")(labels)
app.command(cls=Command, rich_help_panel="Use")(predict)
app.command(cls=Command, rich_help_panel="Use")(evaluate)
app.command(cls=Command, rich_help_panel="Use")(export)
app.command(cls=Command, rich_help_panel="Use")(serve)
app.add_typer(cache_app, name="cache", rich_help_panel="Use")
cache_app.command(cls=Command)(cache.ls)
cache_app.command(cls=Command)(cache.clear)
recipe_app.command(cls=Command)(recipe.ls)
recipe_app.command(cls=Command)(recipe.show)
recipe_app.command(cls=Command)(recipe.cp)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        import headstart

        OUT.print(headstart.__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line. A HeadstartError is printed as one line on standard error, with exit status 2."""
    OUT.quiet = not is_first_rank()
    try:
        app()
    except BrokenPipeError:
        reader_has_gone()
    except KeyboardInterrupt:  # Ctrl-C before a command began: those say themselves how to go on
        ERR.print("stopped: nothing has begun, the same command starts")
        sys.exit(130)
    except OSError as error:
        _refuse(_explained(error))
    except HeadstartError as error:
        _refuse(error)


def _explained(error: OSError) -> HeadstartError:
    """What the user can do about the path that the system refuses. Raises ``error`` itself where that is not known."""
    if error.errno == errno.ENAMETOOLONG:
        return HeadstartError(f"{error.filename}: expected a path of shorter names, found one too long", "rename it")
    if not isinstance(error, PermissionError) or error.filename is None:
        raise error
    path = os.fsdecode(error.filename)
    return HeadstartError(
        f"{path}: expected what this user may open, found what is not ({error.strerror})",
        f"ls -ld {quoted(Path(path).parent)} {quoted(path)}",
    )


def _refuse(error: HeadstartError) -> NoReturn:
    """Print an error on one line, once on each host, and leave with status 2."""
    if is_one_of_several():
        from headstart.training.one_voice import prints_its_error

        if not prints_its_error():
            sys.exit(2)
    ERR.print(Text.assemble(("error", "bold red"), " ", str(error)), soft_wrap=True)
    sys.exit(2)
