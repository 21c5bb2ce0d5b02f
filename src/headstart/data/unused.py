"""Why a file below a dataset's folder is not used: a kind, which `check` groups by, and a sentence for people."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import NamedTuple


class Kind(StrEnum):
    """Kinds of files that are not used."""

    ORDINARY = auto()
    """In a format that is neither image nor table, or a table that says nothing of the images."""
    UNLISTED = auto()
    """Images and masks that the layout has no place for: perhaps forgotten."""
    WAITING = auto()
    """Images left out on purpose: to predict, without a label, in none of the lists, drawn a second time."""
    UNREADABLE = auto()
    """Images that need a package or a conversion, pipes, links to nothing."""
    SYSTEM = auto()
    """Of the system or of headstart, or read already: they hold no data, or the same once more."""


class Reason(NamedTuple):
    """Why a file is not used."""

    kind: Kind
    words: str = ""


ORDINARY = Reason(Kind.ORDINARY)
"""Without a reason: a file in another format."""
