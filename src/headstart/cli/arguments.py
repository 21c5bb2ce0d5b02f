"""Arguments and output streams that the commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from headstart.console.streams import make_console
from headstart.errors import HeadstartError
from headstart.process import is_first_rank

OUT, ERR = make_console(), make_console(stderr=True)

DATA_HELP = """Images: a folder per class, with or without train/ and val/ folders; files named {class}_{id};
or a CSV file (or a folder with one) with the columns filename,label. With masks: X_sat.jpg and X_mask.png, or folders
images/ and masks/."""
Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/quick-photos.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Recipe fields to change, such as train.epochs=5.")
]
Unfinished = Annotated[
    bool, typer.Option("--unfinished", help="Accept an unfinished run, with its best weights so far.")
]


def say_at_once(text: str) -> None:
    """Say in a terminal what begins, before PyTorch is imported, which takes seconds."""
    if ERR.is_terminal and is_first_rank():
        ERR.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(content: object) -> None:
    """Print JSON in UTF-8 to standard output, whatever the encoding of the terminal."""
    from headstart.files import json_bytes

    write_out(json_bytes(content))


@contextmanager
def errors_as_json(wanted: bool) -> Iterator[None]:
    """Print an error of the block as JSON too, to standard output, where ``wanted``."""
    try:
        yield
    except HeadstartError as error:
        if wanted:
            print_json({"status": 2, "message": error.message, "hint": error.hint})
        raise


def write_out(content: bytes) -> None:
    """Write UTF-8 text to standard output as it is, bytes of file names that are not UTF-8 included."""
    buffer = getattr(sys.stdout, "buffer", None)  # none where standard output is replaced by a StringIO
    if buffer is None:
        sys.stdout.write(content.decode("utf-8", "surrogateescape"))
        return
    sys.stdout.flush()
    buffer.write(content)
    buffer.flush()
