"""Where predictions may be written: not over a file of someone else, and not where they would be taken for labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from headstart.data.masks.origin import is_written_by_headstart
from headstart.data.outside import refuse_inside
from headstart.errors import HeadstartError
from headstart.files import require_place
from headstart.runs.predictions import is_predictions_table

CONFIDENCE = "confidence"
"""The column by which a table of `headstart predict` is known from the one of a run."""


def refuse_among_images(out: Path, images: Iterable[str | os.PathLike[str]], root: str | None) -> None:
    """Raise HeadstartError for a file or folder ``out`` in a folder of ``images`` or of the training images, ``root``.

    `check` would find predictions there, and take them for labels or masks. Also for a place not to be written.
    """
    require_place(out, "--out")
    suffix = out.suffix.replace("{", "{{").replace("}", "}}")
    refuse_inside(
        out,
        [*images, *([root] if root else [])],
        "{name}-predicted" + suffix,
        "where predictions are not taken for labels",
    )


def refuse_foreign_table(out: Path, overwrite: bool) -> None:
    """Raise HeadstartError where ``out`` is a file that is no table of predictions, unless ``overwrite``."""
    if out.is_dir() or (out.exists() and not out.is_file()):
        raise HeadstartError(
            f"--out {out}: expected a CSV file, found {'a folder' if out.is_dir() else 'no regular file'}",
            f"--out {out / 'predictions.csv'}" if out.is_dir() else "no --out: the table is printed",
        )
    if overwrite or not out.exists() or not out.stat().st_size:
        return
    header = _header(out)
    first = ",".join(header)[:60]
    shown = first if first.isprintable() and "\ufffd" not in first else ""
    if not is_predictions_table(header) or header[2] != CONFIDENCE:  # a run's own predictions.csv stays, too
        raise HeadstartError(
            f"--out {out}: expected a new file or predictions (filename,label,confidence), found a file with"
            f" {shown or 'other content'} on its first line",
            "choose another --out, or add --overwrite",
        )


def _header(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            return next(csv.reader(text), [])
    except (OSError, csv.Error):
        return []


def refuse_foreign_masks(files: Sequence[Path], overwrite: bool) -> None:
    """Raise HeadstartError where one of ``files`` exists and was not written by headstart, unless ``overwrite``."""
    foreign = (
        [] if overwrite else [file for file in files if os.path.lexists(file) and not is_written_by_headstart(file)]
    )
    if foreign:
        more = f" (and {len(foreign) - 1} more such files)" if len(foreign) > 1 else ""
        raise HeadstartError(
            f"{foreign[0]}: expected a new file or a predicted mask, found one that headstart did not write{more}",
            "choose another --out, or add --overwrite",
        )
