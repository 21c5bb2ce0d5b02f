"""``headstart predict``: labels or masks of new images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.cli.arguments import ERR, Unfinished, say_at_once, write_out
from headstart.errors import HeadstartError
from headstart.runs.commands import predict_command

if TYPE_CHECKING:
    from headstart.api import Run
    from headstart.files import Row
    from headstart.inference.predict import Predictions
    from headstart.inference.segment import WriteResult


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A run folder, such as runs/quick-photos, or an ONNX file that headstart export wrote."
        ),
    ],
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
        bool, typer.Option("--overwrite", "--force", help="Replace files at --out that headstart did not write.")
    ] = False,
    unfinished: Unfinished = False,
) -> None:
    """Predict labels of new images as a CSV (filename,label,confidence), or masks if the run's task is segmentation.

    A file is called by its path below the folder IMAGES. Confidence is the probability of the label, 0 to 1.
    [bold]headstart predict RUN photos/ --out masks/[/bold] writes photo_mask.png for photo.jpg.
    Images for segmentation may be of any size, GeoTIFF files too (pip install 'headstart\\[geo]').
    [bold]headstart predict model.onnx photo.jpg[/bold] answers in a fraction of the time, as PyTorch is not loaded.

    Exit status 1 if some images could not be read: they are listed and skipped.
    """
    say_at_once(f"predict  with {run}")
    opened, more, root, masks = _opened(run, refuse=refuse, unfinished=unfinished)
    of_labels = probabilities or names or table is not None or refuse is not None
    _require_fitting_options(run, masks, out, of_labels=of_labels, of_masks=overlay or flip)
    _require_room_for_refusals(refuse, other_table=names or table is not None)
    done: Predictions | WriteResult
    if masks and out is not None:
        done = _write_masks(opened, images, out, overlay=overlay, flip=flip, overwrite=overwrite, unfinished=unfinished)
    else:
        _require_free(root, images, out, names=names, overwrite=overwrite)
        done = _write_table_of(opened, images, out, table, more, probabilities=probabilities, names=names)
    _name_others(done.others)
    raise typer.Exit(_skipped(done.unreadable))


def _opened(run: Path, *, refuse: float | None, unfinished: bool) -> tuple[Any, dict[str, Any], str | None, bool]:
    """(a `Run` or an `OnnxModel`, arguments of its predictions, the folder it was trained on, whether it gives masks).

    Raises HeadstartError for options that an exported file cannot have.
    """
    if os.path.isdir(run) or not (run.suffix.lower() == ".onnx" or os.path.isfile(run)):  # noqa: PTH112, PTH113
        from headstart import api

        folder = api.Run(run).folder
        more = {"unfinished": unfinished} | ({} if refuse is None else {"refuse": refuse})
        return api.Run(run), more, folder.data["root"], folder.palette is not None
    if refuse is not None:
        raise HeadstartError(
            f"predict --refuse: expected a run folder, whose predictions for validation images say what to refuse,"
            f" found the file {run}, which has none",
            "headstart predict RUN IMAGES --refuse 0.05",
        )
    if unfinished:
        raise HeadstartError(
            f"predict --unfinished: expected a run folder, found the file {run}, whose weights stay what they are",
            "the same without --unfinished",
        )
    from headstart.inference.onnx_model import OnnxModel  # and not the API, whose imports take as long as an answer

    return OnnxModel(run), {}, None, False


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


def _require_free(root: str | None, images: list[str], out: Path | None, *, names: bool, overwrite: bool) -> None:
    """Raise HeadstartError for a CSV file that would replace another, or lie where labels are looked for.

    ``root`` is the folder of the training images, where it is known.
    """
    from headstart.inference.destination import refuse_among_images, refuse_foreign_table

    if out is None:
        return
    # A table without the column confidence would be taken for labels beside images that were named one by one, too.
    beside = [Path(image).parent for image in images if not Path(image).is_dir()] if names else []
    refuse_among_images(out, [*images, *(folder for folder in beside if folder == out.parent)], root)
    refuse_foreign_table(out, overwrite)


def _write_table_of(
    opened: Any,
    images: list[str],
    out: Path | None,
    table: Path | None,
    more: dict[str, Any],
    *,
    probabilities: bool,
    names: bool,
) -> Predictions:
    """Write the labels of images into a table of their own, or fill in the one given; ``opened`` as of `_opened`."""
    if table is not None:
        folder = _one_folder(images, probabilities or names)
        return _fill_in(partial(opened.predict_table, table, folder=folder, **more), out)
    predict_all = partial(opened.predict, images, bare_names=names, **more)
    return _write_labels(predict_all, out, probabilities=probabilities, names=names)


def _one_folder(images: list[str], other_columns: bool) -> str:
    """The folder of the files that ``--list`` lists."""
    if other_columns or len(images) != 1 or not Path(images[0]).is_dir():
        expected = "expected one folder and neither --probabilities nor --names"
        raise HeadstartError(f"predict --list: {expected}", "headstart predict --help")
    return images[0]


def _write_labels(
    predict_all: Callable[..., Predictions], out: Path | None, *, probabilities: bool, names: bool
) -> Predictions:
    """Write the CSV of labels to ``out``, or to standard output."""
    from headstart import files
    from headstart.console.progress import progress_bar

    with progress_bar(ERR, "predict") as progress:
        predicted = predict_all(progress=progress)
    rows = predicted.rows(probabilities, confidence=not names)
    _write_table(files.table(rows, predicted.header(probabilities, confidence=not names)), len(rows), out)
    if predicted.refusal is not None:
        answered = len(rows) - int(predicted.refused.sum())
        said = f"{predicted.refusal.sentence} Here: {answered:,} of {len(rows):,} images answered."
        ERR.print(said, markup=False, highlight=False, soft_wrap=True)
    return predicted


def _fill_in(fill_in: Callable[..., tuple[list[Row], Predictions]], out: Path | None) -> Predictions:
    """Write the table with its column label filled in to ``out``, or print it."""
    from headstart import files
    from headstart.console.progress import progress_bar

    with progress_bar(ERR, "predict") as progress:
        rows, predictions = fill_in(progress=progress)
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
            what = "a run or study of headstart" if file.is_dir() else "no image"
            ERR.print(f"not looked at {file}: {what}", markup=False, soft_wrap=True)
    litter = [file for file in others if is_litter(file)]
    if litter:
        ERR.print(f"not looked at: {len(litter):,} other files ({count_suffixes(litter)})", markup=False)
