"""Commands to type next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def predict_command(run: Path, masks: bool) -> str:
    """The command that predicts with a run; ``masks``: its task is segmentation."""
    return f"headstart predict {run} IMAGES --out {'masks' if masks else 'predictions.csv'}"


def resume_command(run: Path) -> str:
    """The command that continues a stopped run."""
    return f"headstart fit --resume {run}"


def typed_command() -> str:
    """The command that was typed."""
    return shlex.join(["headstart", *sys.argv[1:]])
