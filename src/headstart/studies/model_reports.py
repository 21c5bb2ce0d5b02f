"""Reports of a study's models: one for each setting with the most labels, with pictures of its worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headstart.comparison.summary import Results
from headstart.data.pixels import Pixels
from headstart.errors import HeadstartError
from headstart.report.model_card import write_model_card
from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import confident_errors, read_predictions
from headstart.runs.thumbnails import NAME, write_thumbnails
from headstart.studies.plan import Plan


def write_model_reports(plan: Plan, results: Results, pixels: Pixels) -> Iterator[str]:
    """Write ``report.html`` into the first run of each setting with the most labels, unless it is there.

    Yields a line for each that cannot be written: the study does without.
    """
    fraction = results.largest_fraction
    for result in results.at(fraction) if fraction is not None else []:
        trial = results.study.at(result.setting, result.fraction)[0]
        folder = plan.trial_folder(trial.setting, trial.fraction, trial.seed)
        if (folder / "report.html").exists():
            continue
        try:
            run = RunFolder.open(folder)
            if not (folder / NAME).exists():
                _write_errors(run, pixels)
            write_model_card(run)
            write_report(run)
        except (HeadstartError, OSError) as error:
            yield f"no report of {folder}: {error}"


def _write_errors(run: RunFolder, pixels: Pixels) -> None:
    """Thumbnails of the most confident errors; none where the run's validation images are not the study's."""
    predictions, index = read_predictions(run), pixels.index
    validation = index.positions("val")
    if predictions is None or [index.paths[row] for row in validation] != list(predictions.filenames):
        return
    rows = confident_errors(predictions)
    write_thumbnails(run, (_image(pixels, validation[row]) for row in rows), rows)


def _image(pixels: Pixels, row: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), without padding."""
    height, width = pixels.sizes[row]
    return pixels.read(np.array([row]))[0, :, :height, :width].transpose(1, 2, 0)
