"""What a study or a race was started with, and a second call that requests something else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError

MAX_DIFFERENCES = 6
"""Differences named in an error."""


def require_same_request(
    folder: Path, kind: str, before: Mapping[str, Any], now: Mapping[str, Any], folders: Collection[str] = ()
) -> None:
    """Raise HeadstartError, naming the differences, where what is requested now is not what was ``before``.

    ``kind`` is what lies in the folder: ``study``. Of the names in ``folders`` it counts only whether there is a value:
    what they hold is compared elsewhere.
    """
    old, new = dict(_leaves(before)), dict(_leaves(now))
    differ = [
        f"{name.removeprefix('recipe.')}: {_display(old.get(name))} in the folder, {_display(new.get(name))} requested"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and not (name in folders and old.get(name) and new.get(name))
    ]
    if differ:
        more = f" and {len(differ) - MAX_DIFFERENCES} more" if len(differ) > MAX_DIFFERENCES else ""
        raise HeadstartError(
            f"{folder}: expected the arguments that its {kind} was started with, found others"
            f" ({'; '.join(differ[:MAX_DIFFERENCES])}{more})",
            "choose another --out",
        )


def _leaves(fields: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every value in nested tables."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _display(value: Any) -> str:
    return "none" if value is None else str(list(value) if isinstance(value, tuple) else value)
