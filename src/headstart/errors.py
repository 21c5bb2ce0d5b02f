"""Errors the user can fix, each on one line with a hint."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class HeadstartError(Exception):
    """An error the user can fix. Any other exception is a bug in headstart.

    ``message`` names the file or field, what was expected and what was found; ``hint`` says what to type next. The
    command line prints both on one line and exits with status 2.
    """

    def __init__(self, message: str, hint: str) -> None:
        self.message = _one_line(message)
        self.hint = _one_line(hint)
        end = "" if self.message.endswith("?") else "."
        super().__init__(f"{self.message}{end} Next: {self.hint}")

    def __reduce__(self) -> tuple[type[HeadstartError], tuple[str, str]]:
        return type(self), (self.message, self.hint)  # by default Python passes on the one text of `args`


def _one_line(text: str) -> str:
    """Text on one line, in which no name of a file moves the cursor or changes colors of the terminal."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Text whose control characters, but line ends, are written out: ``\\x1b`` for the one that begins colors."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def quoted(path: object) -> str:
    """A path or name as a shell reads it, for a command to type."""
    return shlex.quote(str(path))


def did_you_mean(word: str, known: Iterable[str], count: int = 3) -> str:
    """A suggestion for the end of an error: ``did you mean hat?``, or the known names where none is similar."""
    names = sorted(known)
    similar = difflib.get_close_matches(word, names, n=count, cutoff=0.5)
    return f"did you mean {', '.join(similar)}?" if similar else f"known: {', '.join(names[:12])}"
