"""Commands that use a run, as pages and the terminal print them."""

from __future__ import annotations

from pathlib import Path

from headstart.errors import quoted


def predict_command(run: Path, masks: bool) -> str:
    """The command that predicts with a run; ``masks``: its task is segmentation."""
    return f"headstart predict {quoted(run)} IMAGES --out {'masks' if masks else 'predictions.csv'}"
