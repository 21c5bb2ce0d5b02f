"""``headstart watch``: runs and studies in a browser while they are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import ERR, say_at_once


def watch(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A run, a study, or a folder that holds some. [dim]Default: runs[/dim]"),
    ] = Path("runs"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 0,
) -> None:
    """Follow runs and studies in a browser while they are trained: pages change as their files do.

    [bold]headstart watch[/bold] follows all of runs/.
    [bold]headstart watch runs/study-photos[/bold] follows one study.

    Prints an address with a token, which alone opens it, on this machine alone. What you have set on a page stays:
    epoch, filters, sorting, place. It says whether a run is training, stopped (and the command that goes on with it)
    or finished.
    """
    say_at_once(f"watch    {folder}")
    from headstart.console.progress import GracefulInterrupt
    from headstart.watching.server import serve_folder

    # No KeyboardInterrupt: raised as a request's thread is forgotten (by a callback of a weak reference), it is lost.
    interrupt = GracefulInterrupt()
    with serve_folder(folder, port) as server, interrupt.handle_signals():
        ERR.print(
            f"watching {folder} at {server.address} (Ctrl-C stops)", markup=False, highlight=False, soft_wrap=True
        )
        while not interrupt.requested:
            server.handle_request()
        server.closing.set()
