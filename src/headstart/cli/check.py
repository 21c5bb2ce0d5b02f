"""What a folder of images holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.arguments import ERR, OUT, Data, print_json
from headstart.errors import HeadstartError


def check(
    data: Data,
    group: Annotated[
        str | None, typer.Option(help="Regular expression for an image's source (patient, video) in its path.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, for programs.")] = False,
) -> None:
    """Say what a folder of images holds, and what is wrong with it.

    Exit status: 0 nothing found, 1 something found, 2 cannot be trained on.
    """
    from headstart.console.progress import bar
    from headstart.console.tables import health_table
    from headstart.data.checks.check import check as look

    try:
        with bar(ERR, "look at images") as progress:
            health = look(data, group, progress=progress)
    except HeadstartError as error:
        if as_json:
            print_json({"status": 2, "message": error.message, "hint": error.hint})
        raise
    if as_json:
        print_json(health.to_json())
    else:
        OUT.print(health_table(health))
    if health.to_name is not None:
        _say_what_to_name(Path(health.root), *health.to_name)
    raise typer.Exit(health.status)


def _say_what_to_name(root: Path, name: str, text: str) -> None:
    """Write the classes that were found beside the masks, to be filled in; where that cannot be, print them."""
    stem, _, suffix = name.partition(".")
    found = root / f"{stem}.found.{suffix}"
    if not found.exists():
        try:
            found.write_text(text, encoding="utf-8")
        except OSError:
            ERR.print(f"Put names to these classes, in {root / name}:\n{text}", markup=False)
            return
    ERR.print(f"Put names to the classes in {found}, then: mv {found} {root / name}", markup=False, soft_wrap=True)
