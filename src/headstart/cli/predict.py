"""Answers of a run on new images: labels or masks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli.arguments import ERR, RunArgument, Unfinished, Unreadable, predict_command
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.runs.folder import RunFolder


def predict(
    run: RunArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES", help="Folders, files or patterns; with --list, the files' folder.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; of masks the folder. [dim]Default: print the CSV[/dim]")
    ] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add a column per class.")] = False,
    listed: Annotated[
        Path | None, typer.Option("--list", help="A CSV with a column filename: fill in its column label.")
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Of masks: write each image under its mask too.")] = False,
    flip: Annotated[
        bool, typer.Option("--flip", help="Of masks: average over mirror images, as many as training saw.")
    ] = False,
    unfinished: Unfinished = False,
) -> None:
    """Label images: a CSV with the columns filename,label; or, from a run on masks, a mask for each image.

    [bold]headstart predict RUN photos/ --out masks/[/bold] writes photo_mask.png for photo.jpg.
    Images may then be of any size, GeoTIFF files too (pip install 'headstart\\[geo]').

    Exit status 1 when some files could not be read: they are named, and left out.
    """
    from headstart.runs.folder import RunFolder

    folder = RunFolder.open(run)
    unreadable: Unreadable
    if folder.palette is not None:
        if out is None or probabilities or listed is not None:
            raise HeadstartError(
                f"predict: expected --out FOLDER and neither --probabilities nor --list ({run} answers with masks)",
                predict_command(run, masks=True),
            )
        unreadable = _write_masks(folder, images, out, overlay, flip, unfinished)
    else:
        if overlay or flip:
            raise HeadstartError(
                f"predict: expected no --overlay and no --flip, which are of masks ({run} answers with labels)",
                "headstart predict --help",
            )
        unreadable = _write_labels(folder, images, out, probabilities, listed, unfinished)
    for file, reason in unreadable:
        ERR.print(f"left out {file}: {reason}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if unreadable else 0)


def _write_labels(
    folder: RunFolder, images: list[str], out: Path | None, probabilities: bool, listed: Path | None, unfinished: bool
) -> Unreadable:
    from headstart.console.progress import bar
    from headstart.files import table, write_atomically
    from headstart.inference.predict import find_images, load, predict_table
    from headstart.inference.predict import predict as look

    if listed is not None and (probabilities or len(images) != 1 or not Path(images[0]).is_dir()):
        raise HeadstartError("predict --list: expected one folder and no --probabilities", "headstart predict --help")
    files = find_images(images) if listed is None else []
    model = load(folder, unfinished)
    with bar(ERR, "look at images") as progress:
        if listed is not None:
            rows, answer = predict_table(listed, model, Path(images[0]), progress)
        else:
            answer = look(model, files, progress)
            rows = answer.rows(probabilities)
    content = table(rows) if rows else b"filename,label\n"
    if out is None:
        sys.stdout.write(content.decode())
    else:
        write_atomically(out, content)
        ERR.print(f"{len(rows)} labels written to {out}", soft_wrap=True)
    return answer.unreadable


def _write_masks(
    folder: RunFolder, images: list[str], out: Path, overlay: bool, flip: bool, unfinished: bool
) -> Unreadable:
    from headstart.console.progress import bar
    from headstart.inference.predict import load
    from headstart.inference.segment import find_rasters, write_masks

    files = find_rasters(images)
    model = load(folder, unfinished)
    with bar(ERR, "look at tiles") as progress:
        written = write_masks(model, files, out, overlay, flip, progress)
    ERR.print(f"{len(written.masks)} masks written to {out}", soft_wrap=True)
    return written.unreadable
