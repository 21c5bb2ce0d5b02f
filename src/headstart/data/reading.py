"""One way to read a folder, with the evidence for it: what the readers of tables, pairs and folders give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headstart.data.index import Entry, Note
from headstart.data.unused import Reason

LayoutName = Literal["table", "pairs", "folders", "names", "none"]
"""What a folder can be said to be: a table of labels, images with masks, a folder per class, names that begin with
their class, or images without labels."""


@dataclass(frozen=True)
class Reading:
    """Images of a folder with their labels or masks, and what speaks for this reading."""

    name: LayoutName
    layout: str
    """In words."""
    entries: tuple[Entry, ...]
    evidence: str = ""
    """``24 of 24 masks have an image``: what an error about two readings shows."""
    notes: tuple[Note, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    """(kind, file), as `Index.problems`."""
    sources: tuple[str, ...] = ()
    """Tables and lists that were read."""
    unused: Mapping[str, Reason] = field(default_factory=dict)
    """File that this reading leaves out -> why; for files that are named nowhere else a general reason is enough."""

    @property
    def labeled(self) -> bool:
        """Whether every image has a label or a mask."""
        return self.name != "none"


def of_one_class_each(reading: Reading, other: Reading) -> bool:
    """Whether two readings tell the same classes apart, under whatever names."""
    label_of = {entry.path: entry.label for entry in other.entries}
    pairs = {(entry.label, label_of.get(entry.path)) for entry in reading.entries if entry.path in label_of}
    return len(pairs) == len({one for one, _ in pairs}) == len({two for _, two in pairs})
