"""The version of the run folder's format, and the refusal of every other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError, quoted

FORMAT = 2
"""Version of the folder's format, ``format`` in `environment.json`. Format 1, of headstart before 0.1.0, had none."""


def other_format(path: Path, environment: Mapping[str, Any], data: Mapping[str, Any]) -> HeadstartError:
    """The error of a run at ``path`` of another format: which one, who wrote it, and the way out.

    ``environment`` and ``data`` are the contents of its `environment.json` and `data.json`.
    """
    found = environment.get("format")
    by = f"headstart {environment.get('headstart', '(unknown version)')}"
    if isinstance(found, int) and found > FORMAT:
        return HeadstartError(
            f"{path}: expected a run folder of format {FORMAT}, found format {found}, written by {by}",
            "pip install --upgrade headstart",
        )
    return HeadstartError(
        f"{path}: expected a run folder of format {FORMAT}, found {'none' if found is None else found}: it was"
        f" written by an earlier headstart ({by})",
        f"headstart fit {quoted(path / 'recipe.toml')} {quoted(data.get('root', 'DATA'))} --out NEW_RUN",
    )
