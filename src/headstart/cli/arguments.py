"""What all commands share: the two streams they speak on, and the arguments that mean the same everywhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

OUT, ERR = Console(highlight=False), Console(stderr=True, highlight=False)

DATA_HELP = """The images: a folder per class, with or without train/ and val/ folders; files called {class}_{id};
or a CSV file (or a folder with one) with the columns filename,label. With masks: X_sat.jpg and X_mask.png, or folders
images/ and masks/."""
Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/quick-photos.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Changes to the recipe: train.epochs=5")
]
Unfinished = Annotated[bool, typer.Option("--unfinished", help="Use the best weights so far of an unfinished run.")]
Unreadable = Sequence[tuple[Path, str]]
"""(file, reason)."""


def print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def predict_command(run: Path, masks: bool) -> str:
    """What to type next to use a run."""
    return f"headstart predict {run} IMAGES --out {'masks' if masks else 'labels.csv'}"
