"""``headstart predict``: labels or masks of new images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.cli.arguments import ERR, RunArgument, Unfinished, write_out
from headstart.errors import HeadstartError
from headstart.runs.commands import predict_command

if TYPE_CHECKING:
    from headstart.api import Run
    from headstart.inference.predict import Predictions
    from headstart.inference.segment import WriteResult


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
    names: Annotated[
        bool, typer.Option("--names", help="Write filename,label alone, the names of the files without folders.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option("--list", help="A CSV file with a column filename: fill in its column label.")
    ] = None,
    refuse: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Add a column refused, so that at most this share of the other labels is wrong, such as 0.05.",
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each image under its mask (segmentation only).")
    ] = False,
    flip: Annotated[bool, typer.Option("--flip", help="Flip test-time augmentation (segmentation only).")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files at --out that headstart did not write.")
    ] = False,
    unfinished: Unfinished = False,
) -> None:
    """Predict labels of new images as a CSV (filename,label,confidence), or masks if the run's task is segmentation.

    A file is called by its path below the folder IMAGES. Confidence is the probability of the label, 0 to 1.
    [bold]headstart predict RUN photos/ --out masks/[/bold] writes photo_mask.png for photo.jpg.
    Images for segmentation may be of any size, GeoTIFF files too (pip install 'headstart\\[geo]').

    Exit status 1 if some images could not be read: they are listed and skipped.
    """
    from headstart import api

    opened = api.Run(run)
    masks = opened.folder.palette is not None
    of_labels = probabilities or names or table is not None or refuse is not None
    _require_fitting_options(run, masks, out, of_labels=of_labels, of_masks=overlay or flip)
    _require_room_for_refusals(refuse, other_table=names or table is not None)
    columns: dict[str, Any] = {"probabilities": probabilities, "names": names, "refuse": refuse}
    done: Predictions | WriteResult
    if masks and out is not None:
        done = _write_masks(opened, images, out, overlay=overlay, flip=flip, overwrite=overwrite, unfinished=unfinished)
    else:
        _require_free(opened, images, out, names=names, overwrite=overwrite)
        if table is not None:
            done = _fill_in(opened, table, _one_folder(images, probabilities or names), out, unfinished=unfinished)
        else:
            done = _write_labels(opened, images, out, **columns, unfinished=unfinished)
    _name_others(done.others)
    raise typer.Exit(_skipped(done.unreadable))


def _require_fitting_options(run: Path, masks: bool, out: Path | None, *, of_labels: bool, of_masks: bool) -> None:
    """Raise HeadstartError for options that are not for what the run predicts."""
    if masks and (out is None or of_labels):
        raise HeadstartError(
            f"predict: expected --out FOLDER and no --probabilities, --names, --list or --refuse ({run} predicts"
            " masks)",
            predict_command(run, masks=True),
        )
    if of_masks and not masks:
        raise HeadstartError(
            f"predict: expected no --overlay and no --flip, which are for segmentation ({run} predicts labels)",
            "headstart predict --help",
        )


def _skipped(unreadable: Sequence[tuple[Path, str]]) -> int:
    """Name the files that could not be read, with the reason; the exit status."""
    for file, reason in unreadable:
        ERR.print(f"skipped {file}: {reason}", markup=False, soft_wrap=True)
    return 1 if unreadable else 0


def _require_room_for_refusals(refuse: float | None, *, other_table: bool) -> None:
    if refuse is not None and other_table:
        raise HeadstartError(
            "predict --refuse: expected neither --names nor --list, whose tables have no column for it, found one",
            "the same without it",
        )


def _require_free(run: Run, images: list[str], out: Path | None, *, names: bool, overwrite: bool) -> None:
    """Raise HeadstartError for a CSV file that would replace another, or lie where labels are looked for."""
    from headstart.inference.destination import refuse_among_images, refuse_foreign_table

    if out is None:
        return
    # A table without the column confidence would be taken for labels beside images that were named one by one, too.
    beside = [Path(image).parent for image in images if not Path(image).is_dir()] if names else []
    refuse_among_images(out, [*images, *(folder for folder in beside if folder == out.parent)], run.folder)
    refuse_foreign_table(out, overwrite)


def _one_folder(images: list[str], other_columns: bool) -> str:
    """The folder of the files that ``--list`` lists."""
    if other_columns or len(images) != 1 or not Path(images[0]).is_dir():
        expected = "expected one folder and neither --probabilities nor --names"
        raise HeadstartError(f"predict --list: {expected}", "headstart predict --help")
    return images[0]


def _write_labels(
    run: Run,
    images: list[str],
    out: Path | None,
    *,
    probabilities: bool,
    names: bool,
    refuse: float | None,
    unfinished: bool,
) -> Predictions:
    """Write the CSV of labels to ``out``, or to standard output."""
    from headstart import files
    from headstart.console.progress import progress_bar
    from headstart.inference.predict import Predictions

    with progress_bar(ERR, "predict") as progress:
        predicted = run.predict(images, bare_names=names, refuse=refuse, unfinished=unfinished, progress=progress)
    assert isinstance(predicted, Predictions)
    rows = predicted.rows(probabilities, confidence=not names)
    _write_table(files.table(rows, predicted.header(probabilities, confidence=not names)), len(rows), out)
    if predicted.refusal is not None:
        answered = len(rows) - int(predicted.refused.sum())
        said = f"{predicted.refusal.sentence} Here: {answered:,} of {len(rows):,} images answered."
        ERR.print(said, markup=False, highlight=False, soft_wrap=True)
    return predicted


def _fill_in(run: Run, table: Path, folder: str, out: Path | None, *, unfinished: bool) -> Predictions:
    """Write ``table``, which lists files of ``folder``, with its column label filled in to ``out``, or print it."""
    from headstart import files
    from headstart.console.progress import progress_bar

    with progress_bar(ERR, "predict") as progress:
        rows, predictions = run.predict_table(table, folder=folder, unfinished=unfinished, progress=progress)
    _write_table(files.table(rows), len(rows), out)
    return predictions


def _write_table(content: bytes, rows: int, out: Path | None) -> None:
    from headstart import files

    if out is None:
        write_out(content)
    else:
        files.write_atomically(out, content)
        ERR.print(f"{rows} labels written to {out}", markup=False, soft_wrap=True)


def _write_masks(
    run: Run, images: list[str], out: Path, *, overlay: bool, flip: bool, overwrite: bool, unfinished: bool
) -> WriteResult:
    """Write a mask per image into the folder ``out``."""
    from headstart.console.progress import progress_bar

    with progress_bar(ERR, "predict tiles") as progress:
        written = run.write_masks(
            images, out, overlay=overlay, flip=flip, overwrite=overwrite, unfinished=unfinished, progress=progress
        )
    ERR.print(f"{len(written.masks)} masks written to {out}", markup=False, soft_wrap=True)
    return written


def _name_others(others: Sequence[Path]) -> None:
    """Name the files that were not looked at; texts, tables and hidden files on one line."""
    from headstart.inference.image_files import count_suffixes, is_litter

    for file in others:
        if not is_litter(file):
            ERR.print(f"not looked at {file}: no image", markup=False, soft_wrap=True)
    litter = [file for file in others if is_litter(file)]
    if litter:
        ERR.print(f"not looked at: {len(litter):,} other files ({count_suffixes(litter)})", markup=False)
