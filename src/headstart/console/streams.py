"""Standard output and error of any terminal, log or pipe: without a width, without Unicode, closed at the other end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO

from rich.console import Console


def make_console(*, stderr: bool = False) -> Console:
    """A console for standard output or error that prints what it can in the encoding of the stream."""
    if not os.environ.get("COLUMNS", "1").strip("0 "):  # COLUMNS=0: no width is known, and none is no width
        del os.environ["COLUMNS"]
    _replace_unprintable(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr, highlight=False)


def _replace_unprintable(stream: IO[str]) -> None:
    """Print ``?`` for what an encoding does not have, and for bytes of file names that are not UTF-8."""
    if getattr(stream, "errors", None) in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def spinner(console: Console) -> str:
    """Name of a spinner that the encoding of a console can show."""
    return "dots" if console.encoding.startswith("utf") else "line"


def reader_has_gone() -> None:
    """Leave after a broken pipe (``| head``) without a word: nobody reads on. Exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # Python flushes at its exit, which would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(1)
