"""What a user can mend, said in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HeadstartError(Exception):
    """A fault that the user can mend; anything else that is raised is our bug.

    ``problem`` names the file or field, what was expected and what was found; ``do`` says what to type
    next. The command line prints both on one line and exits with status 2.
    """

    def __init__(self, problem: str, do: str) -> None:
        self.message = " ".join(problem.split())
        self.hint = " ".join(do.split())
        super().__init__(f"{self.message}. Next: {self.hint}")


def did_you_mean(word: str, known: Iterable[str], count: int = 3) -> str:
    """The known names most like ``word``, for the end of an error; every name when none is alike."""
    names = sorted(known)
    alike = difflib.get_close_matches(word, names, n=count, cutoff=0.5)
    return ", ".join(alike or names[:12])
