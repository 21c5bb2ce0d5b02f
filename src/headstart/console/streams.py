"""Standard output and error of any terminal, log or pipe: without a width, without Unicode, closed at the other end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from headstart.errors import printable


def make_console(*, stderr: bool = False) -> Console:
    """A console for standard output or error that prints what it can in the encoding of the stream.

    Text is printed as it is: brackets and colons in the name of a file or class are no markup and no emoji.
    """
    if not os.environ.get("COLUMNS", "1").strip("0 "):  # COLUMNS=0: no width is known, and none is no width
        del os.environ["COLUMNS"]
    _replace_unprintable(sys.stderr if stderr else sys.stdout)
    return _Plain(stderr=stderr, highlight=False, markup=False, emoji=False)


class _Plain(Console):
    """A console on which no character of a file's or class's name moves the cursor or changes colors."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed; those of the terminal itself (`Segment.control`) stay as they are."""
        for segment in super().render(renderable, options):
            text = segment.text
            yield segment if segment.control or text.isprintable() else segment._replace(text=printable(text))


def _replace_unprintable(stream: TextIO) -> None:
    """Print ``?`` for what an encoding does not have, and file names that are not UTF-8 as the bytes that they are."""
    if isinstance(stream, TextIOWrapper):  # no StringIO of a program that catches what is printed
        stream.reconfigure(errors="surrogateescape" if stream.encoding.lower().startswith("utf") else "replace")


def spinner(console: Console) -> str:
    """Name of a spinner that the encoding of a console can show."""
    return "dots" if console.encoding.startswith("utf") else "line"


def reader_has_gone() -> None:
    """Leave after a broken pipe (``| head``) without a word: nobody reads on. Exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # Python flushes at its exit, which would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(1)
