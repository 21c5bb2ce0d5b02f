"""The validation images of a classifier for the page's drawer: a cell, a class or a bin of a plot opens its images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from headstart.metrics.calibration import confidence_bin
from headstart.report.embedding_view import EmbeddingView
from headstart.report.thumbnail_sheet import ACROSS, MAX_IMAGES, Sheet, image_folder, thumbnail_sheet
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import StoredPredictions

MAX_LISTED = MAX_IMAGES
"""Images that a page lists at the most: errors first, then the correct ones, in the order of their confidence."""


class ListedImages(TypedDict):
    """The data of `images.js`, for N images, errors first, the most confident ones at the front."""

    classes: Sequence[str]
    files: list[str]
    labels: list[int]
    predicted: list[int]
    confidence: list[float]
    bins: list[int]
    """Bin of the reliability diagram."""
    tiles: list[int]
    """Place of each image on the sheet of thumbnails; -1 without one."""
    sheet: str | None
    """The thumbnails in one JPEG, as a data URL; None without any, and where those of the map are used."""
    of_map: bool
    """Whether the sheet is the map's."""
    side: int
    """Of a thumbnail, in pixels."""
    across: int
    folder: str
    """Where the files are, as a URL; may be empty."""
    listed_of: int
    """Validation images in all."""


def listed_images(run: RunFolder, predictions: StoredPredictions, view: EmbeddingView | None) -> ListedImages:
    """The images to list; ``view`` is the page's map, whose thumbnails are used again."""
    predicted, confidence = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    rows = np.lexsort((-confidence, predicted == predictions.labels))[:MAX_LISTED]
    files = [predictions.filenames[row] for row in rows]
    if view is not None:
        sheet = Sheet(None, view["side"])
        of_sheet = [file if split == "val" else "" for file, split in zip(view["files"], view["splits"], strict=True)]
    else:
        sheet, of_sheet = _own_sheet(run, files)
    places = {file: place for place, file in enumerate(of_sheet) if file}
    return ListedImages(
        classes=run.classes,
        files=files,
        labels=predictions.labels[rows].tolist(),
        predicted=predicted[rows].tolist(),
        confidence=[round(float(each), 4) for each in confidence[rows]],
        bins=confidence_bin(confidence[rows]).tolist(),
        tiles=[places.get(file, -1) for file in files],
        sheet=sheet.url,
        of_map=view is not None,
        side=sheet.side,
        across=ACROSS,
        folder=image_folder(run),
        listed_of=len(predicted),
    )


def as_json(images: ListedImages) -> str:
    return json.dumps(images, separators=(",", ":"))


def _own_sheet(run: RunFolder, files: Sequence[str]) -> tuple[Sheet, list[str]]:
    """A sheet of the thumbnails of ``files``, and the file of each of its places."""
    images = run.feature_images
    numbers = {image["filename"]: row for row, image in enumerate(images) if image["split"] == "val"}
    known = [file for file in files if file in numbers]
    return thumbnail_sheet(run, [numbers[file] for file in known]), known
