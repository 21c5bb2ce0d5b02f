"""``headstart predict``: labels or masks of new images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli.arguments import ERR, RunArgument, Unfinished
from headstart.cli.hints import predict_command
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.api import Run

Unreadable = Sequence[tuple[Path, str]]
"""(file, reason)."""


def predict(
    run: RunArgument,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Files, folders or glob patterns; with --list, the folder of the files."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write; for segmentation a folder of masks. [dim]Default: print the CSV[/dim]"),
    ] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add a probability column per class.")] = False,
    table: Annotated[
        Path | None, typer.Option("--list", help="A CSV file with a column filename: fill in its column label.")
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each image under its mask (segmentation only).")
    ] = False,
    flip: Annotated[bool, typer.Option("--flip", help="Flip test-time augmentation (segmentation only).")] = False,
    unfinished: Unfinished = False,
) -> None:
    """Predict labels of new images as a CSV (filename,label), or masks if the run's task is segmentation.

    [bold]headstart predict RUN photos/ --out masks/[/bold] writes photo_mask.png for photo.jpg.
    Images for segmentation may be of any size, GeoTIFF files too (pip install 'headstart\\[geo]').

    Exit status 1 if some files could not be read: they are listed and skipped.
    """
    from headstart import api

    opened = api.Run(run)
    unreadable: Unreadable
    if opened.folder.palette is not None:
        if out is None or probabilities or table is not None:
            raise HeadstartError(
                f"predict: expected --out FOLDER and neither --probabilities nor --list ({run} predicts masks)",
                predict_command(run, masks=True),
            )
        unreadable = _write_masks(opened, images, out, overlay=overlay, flip=flip, unfinished=unfinished)
    else:
        if overlay or flip:
            raise HeadstartError(
                f"predict: expected no --overlay and no --flip, which are for segmentation ({run} predicts labels)",
                "headstart predict --help",
            )
        unreadable = _write_labels(opened, images, out, table, probabilities=probabilities, unfinished=unfinished)
    for file, reason in unreadable:
        ERR.print(f"skipped {file}: {reason}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if unreadable else 0)


def _write_labels(
    run: Run, images: list[str], out: Path | None, table: Path | None, *, probabilities: bool, unfinished: bool
) -> Unreadable:
    """Write the CSV of labels to ``out``, or to standard output."""
    from headstart import files
    from headstart.console.progress import progress_bar
    from headstart.inference.predict import Predictions

    if table is not None and (probabilities or len(images) != 1 or not Path(images[0]).is_dir()):
        raise HeadstartError("predict --list: expected one folder and no --probabilities", "headstart predict --help")
    with progress_bar(ERR, "predict") as progress:
        if table is not None:
            rows, predictions = run.predict_table(table, folder=images[0], unfinished=unfinished, progress=progress)
        else:
            predicted = run.predict(images, unfinished=unfinished, progress=progress)
            assert isinstance(predicted, Predictions)
            rows, predictions = predicted.rows(probabilities), predicted
    content = files.table(rows) if rows else b"filename,label\n"
    if out is None:
        sys.stdout.write(content.decode())
    else:
        files.write_atomically(out, content)
        ERR.print(f"{len(rows)} labels written to {out}", soft_wrap=True)
    return predictions.unreadable


def _write_masks(run: Run, images: list[str], out: Path, *, overlay: bool, flip: bool, unfinished: bool) -> Unreadable:
    """Write a mask per image into the folder ``out``."""
    from headstart.console.progress import progress_bar

    with progress_bar(ERR, "predict tiles") as progress:
        written = run.write_masks(images, out, overlay=overlay, flip=flip, unfinished=unfinished, progress=progress)
    ERR.print(f"{len(written.masks)} masks written to {out}", soft_wrap=True)
    return written.unreadable
