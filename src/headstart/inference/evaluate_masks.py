"""Run + image and mask pairs -> how its masks compare with the true ones, image by image, as validation in `fit` does.

The images are looked at as wholes, not in tiles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.dataset import Dataset, open_dataset
from headstart.data.index import Index
from headstart.data.masks.palette_files import palette_file
from headstart.data.pairs import rows_without_masks, with_classes
from headstart.data.pixels import decode
from headstart.data.requirements import require_no_problems
from headstart.data.sampling import batches
from headstart.data.splits import make_val_split
from headstart.errors import HeadstartError, did_you_mean
from headstart.inference.predict import Model, Progress, select_eval_rows
from headstart.palette import IGNORE_INDEX, Palette
from headstart.runs.folder import RunFolder
from headstart.tasks import Batch
from headstart.transforms.augment import eval_transform
from headstart.transforms.batch import Images, images_at


@dataclass(frozen=True)
class MaskEvaluation:
    """What a model makes of the images of one split."""

    split: str
    """`val`, `test`, `train`, or `all` where the data has no split that the run knows."""
    paths: tuple[str, ...]
    """Relative to the folder."""
    confusion: NDArray[np.int64]
    """(N, K, K): pixels of each image by class and predicted class, ignored ones left out."""
    excluded: int = 0
    """Images that the run was trained on."""


def evaluate_masks(
    model: Model, run: RunFolder, data: str | Dataset, split: str | None = None, progress: Progress | None = None
) -> MaskEvaluation:
    """Look at the pairs of ``data``: those of ``split``, or, unless one is named, at what was not trained on.

    Which that are is decided as in `predict.evaluate`. The data's classes are the run's by their names.
    """
    index = _pairs(model, run, open_dataset(data))
    place_of = torch.from_numpy(_places(run, index, str(data)))
    own_split = "val" in index.splits
    split_index = index if own_split else make_val_split(index, model.recipe.data.val_fraction)
    pixels = decode(split_index, model.recipe.data, progress)
    chosen, rows, left_out = select_eval_rows(run, pixels, split, own_split, str(data))
    matrices, done = [], 0
    for some in batches(rows, model.recipe.val.batch_size):
        images = images_at(pixels, some, model.recipe.data, masks=True, device=model.device)
        matrices.append(_confusion(model, images, place_of))
        done += len(some)
        if progress is not None:
            progress(done, len(rows))
    paths = tuple(pixels.index.paths[row] for row in rows)
    return MaskEvaluation(chosen, paths, np.concatenate(matrices), left_out)


def _pairs(model: Model, run: RunFolder, data: Dataset) -> Index:
    """The images of ``data`` that have a mask, with their classes: those that a file there names, or the run's."""
    index = data.scan(model.recipe.data.group_regex)
    if not index.masks:
        raise HeadstartError(
            f"{data}: expected images with masks, found {index.layout}",
            f"headstart predict {run.path} {data} --out masks",
        )
    require_no_problems(index, data.root)
    index = index.drop(rows_without_masks(index))
    palette = run.palette
    if palette is not None and palette_file(index.root, [index.root / mask for mask in index.masks]) is None:
        return replace(index, palette=palette, classes=palette.classes)
    return with_classes(index)


def _places(run: RunFolder, index: Index, data: str) -> NDArray[np.uint8]:
    """uint8 (256,): the position in the run's palette of each of the data's; `NOTHING` of what either ignores."""
    ours, theirs = run.palette, index.palette
    assert ours is not None
    assert theirs is not None
    table = np.full(256, IGNORE_INDEX, np.uint8)
    for position, name in enumerate(theirs.classes):
        if name not in ours.names:
            raise _unknown(name, ours, run, data)
        if name in ours.classes:
            table[position] = ours.names.index(name)
    return table


def _unknown(name: str, palette: Palette, run: RunFolder, data: str) -> HeadstartError:
    return HeadstartError(
        f"{data}: class {name}: expected the classes of {run.path}, found one it has not learned;"
        f" {did_you_mean(name, palette.names)}",
        f"headstart check {data}",
    )


@torch.inference_mode()
def _confusion(model: Model, images: Images, place_of: Tensor) -> NDArray[np.int64]:
    assert images.masks is not None
    masks = place_of.to(model.device)[images.masks.long()]
    unknown = torch.full((len(masks),), -1, device=model.device)
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=model.mixed):
        seen = model.task.infer(Batch(eval_transform(images.pixels, model.recipe.augment), unknown, masks=masks))
    assert seen.confusion is not None
    return seen.confusion.cpu().numpy()
