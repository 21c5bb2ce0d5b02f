"""The data of a page's viewer of masks (`masks.js`): photos, masks as compressed class numbers, and their figures."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from PIL import Image

from headstart.metrics.segmentation import Counts, image_ious, images_to_show, pixel_accuracy
from headstart.palette import Palette
from headstart.report.mask_images import Mask, Size, StoredImage, StoredMasks, fitting
from headstart.runs.confusion import MaskConfusions
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import STEPS, mask_names

SIDES = (768, 576, 384, 300, 224, 160, 112, 80)
"""Pixels of the longer side of an image: the first with which all images fit is used."""
MAX_CELLS = 400
"""Cells of the confusion matrix without a stored image for which the page names one."""

Cells = list[tuple[int, int, int]]
"""Pixels by class and predicted class: (class, predicted class, pixels), those without any left out."""


class ViewedPrediction(TypedDict):
    """The prediction for an image after one epoch."""

    epoch: int
    """Counted from 1."""
    mask: str
    """`packed`."""
    iou: float | None
    """Mean IoU of the classes in this image (`image_ious`); None where all of it is ignored."""
    accuracy: float | None
    """Pixel accuracy, ignored pixels left out."""


class ViewedImage(TypedDict):
    """An image of the viewer."""

    name: str
    file: str
    """Of the data."""
    width: int
    height: int
    """Of its masks as they are here."""
    scale: float
    """Of the stored ones."""
    photo: str
    """Data URL."""
    truth: str
    predictions: list[ViewedPrediction]
    uncertainty: str | None
    """Steps of entropy, by the saved checkpoint; None of a run that stored none."""
    unsure: tuple[int, int]
    """Its width and height."""
    cells: Cells
    """By the saved checkpoint, of all its pixels."""


class MaskViewer(TypedDict):
    """All that the viewer shows."""

    classes: Sequence[str]
    """The ignored ones come last."""
    colors: list[str]
    counted: int
    """Classes that are not ignored: larger numbers in a mask are ignored."""
    kept: int | None
    """Epoch of the saved checkpoint, from 1."""
    steps: int
    """Of uncertainty."""
    images: list[ViewedImage]
    elsewhere: dict[str, tuple[str, int]]
    """'class-predicted' -> the image with the most such pixels and how many, where no image here has any."""


def mask_viewer(
    run: RunFolder,
    palette: Palette,
    filenames: Sequence[str],
    confusions: MaskConfusions | None,
    kept: int | None,
    characters: int,
) -> MaskViewer:
    """The masks of ``run``, as large as fit into ``characters`` characters together.

    ``filenames`` are all validation images, ``kept`` the checkpoint's epoch (from 1). Images with predictions over the
    epochs come first. Raises HeadstartError for a damaged image.
    """
    stored, names, count = StoredMasks.of(run, kept), mask_names(filenames), len(palette.classes)
    of_name = {name: row for row, name in enumerate(names)}
    chosen = [name for name in stored.over_epochs() if name in of_name]
    shown = images_to_show(confusions.confusion) if confusions is not None else []
    wanted = list(dict.fromkeys([*chosen, *(names[row] for row in shown)]))

    def encoded(name: str, side: int) -> tuple[ViewedImage, int] | None:
        image = stored.image(name, None if name in chosen else kept)
        if image is None:
            return None
        row = of_name[name]
        saved = confusions.confusion[row] if confusions is not None else None
        viewed = _viewed(image, filenames[row], count, saved, kept, side)
        texts = [viewed["photo"], viewed["truth"], *(each["mask"] for each in viewed["predictions"])]
        return viewed, sum(map(len, texts)) + len(viewed["uncertainty"] or "")

    images = list(fitting(wanted, encoded, characters, SIDES).values())
    return MaskViewer(
        classes=palette.names,
        colors=["#" + "".join(f"{part:02x}" for part in color) for color in palette.colors],
        counted=count,
        kept=kept,
        steps=STEPS,
        images=images,
        elsewhere=_elsewhere(confusions, images) if confusions is not None else {},
    )


def packed(mask: Mask) -> str:
    """A mask, uint8 (H, W), as text: each row XOR the one above, by zlib, in Base64.

    Regions have straight parts, so that most of a row is that above: half of the bytes of a PNG file.
    """
    rows = mask.copy()
    rows[1:] ^= mask[:-1]
    return base64.b64encode(zlib.compress(rows.tobytes(), 9)).decode()


def _viewed(
    image: StoredImage, filename: str, count: int, saved: Counts | None, kept: int | None, side: int
) -> ViewedImage:
    """``saved``: confusion matrix of the saved checkpoint, whose figures are those of the page's tables."""
    size, predictions = image.size(side), []
    matrix = saved
    for epoch, predicted in image.predictions.items():
        exact = saved if saved is not None and epoch == kept else _confusion(image.truth, predicted, count)
        matrix = exact if saved is None else saved
        accuracy = float(pixel_accuracy(exact))
        predictions.append(
            ViewedPrediction(
                epoch=epoch,
                mask=packed(_resized(predicted, size)),
                iou=_known(float(image_ious(exact[None])[0])),
                accuracy=_known(accuracy),
            )
        )
    unsure = image.uncertainty
    return ViewedImage(
        name=image.name,
        file=filename,
        width=size[0],
        height=size[1],
        scale=size[0] / image.truth.shape[1],
        photo=image.photo_url(size),
        truth=packed(_resized(image.truth, size)),
        predictions=predictions,
        uncertainty=packed(unsure) if unsure is not None else None,
        unsure=(unsure.shape[1], unsure.shape[0]) if unsure is not None else (0, 0),
        cells=_cells(matrix) if matrix is not None else [],
    )


def _cells(confusion: Counts) -> Cells:
    return [(int(i), int(j), int(confusion[i, j])) for i, j in zip(*np.nonzero(confusion), strict=True)]


def _elsewhere(confusions: MaskConfusions, images: Sequence[ViewedImage]) -> dict[str, tuple[str, int]]:
    here = {(i, j) for image in images for i, j, _ in image["cells"]}
    missing = sorted((each for each in _cells(confusions.whole) if each[:2] not in here), key=lambda each: -each[2])
    largest = {(i, j): int(confusions.confusion[:, i, j].argmax()) for i, j, _ in missing[:MAX_CELLS]}
    return {
        f"{i}-{j}": (confusions.filenames[row], int(confusions.confusion[row, i, j])) for (i, j), row in largest.items()
    }


def _confusion(truth: Mask, predicted: Mask, count: int) -> Counts:
    valid = truth < count
    pairs = truth[valid].astype(np.int64) * count + np.minimum(predicted[valid], count - 1)
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def _resized(mask: Mask, size: Size) -> Mask:
    """By nearest neighbor, so that no classes are blended."""
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
