"""Commands to type next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.errors import quoted
from headstart.process import launch_words

if TYPE_CHECKING:
    from headstart.comparison.race_results import RaceResults


def race_command(data: str, results: RaceResults) -> str:
    """The command of a study with the backbone that won a race."""
    assert results.winner is not None
    backbone = results.race.backbone(results.winner)
    mean, std = (f"augment.{name}={list(getattr(backbone, name))}".replace(" ", "") for name in ("mean", "std"))
    fields = [f"backbone.name={backbone.network}", f"backbone.weights={backbone.weights}", mean, std]
    return shlex.join(["headstart", "study", data, *fields])


def resume_command(run: Path) -> str:
    """The command that continues a stopped run, in as many processes as run now."""
    return f"{launch_words()}headstart fit --resume {quoted(run)}"


def typed_command() -> str:
    """The command that was typed, in as many processes as run now."""
    return launch_words() + shlex.join(["headstart", *sys.argv[1:]])
