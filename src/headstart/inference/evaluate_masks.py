"""Predicted against true masks: a confusion matrix per image, computed on whole images as validation in `fit` does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.dataset import Dataset
from headstart.data.index import Index
from headstart.data.masks.palette_files import palette_file
from headstart.data.pair_index import rows_without_masks, with_classes
from headstart.data.parallel import Progress
from headstart.data.pixels import Pixels
from headstart.data.requirements import require_no_problems
from headstart.data.sampling import Rows, batches
from headstart.errors import HeadstartError, did_you_mean, quoted
from headstart.inference.model import Model
from headstart.palette import IGNORE_INDEX
from headstart.runs.folder import RunFolder
from headstart.tasks import Batch
from headstart.transforms.augment import eval_transform
from headstart.transforms.batch import Images, images_at


def labeled_pairs(model: Model, run: RunFolder, data: Dataset) -> Index:
    """The images of ``data`` that have a mask, with the classes that a file there names, else the run's classes."""
    index = data.scan(model.recipe.data)
    if not index.masks:
        raise HeadstartError(
            f"{data}: expected images with masks, found {index.layout}",
            f"headstart predict {quoted(run.path)} {quoted(data)} --out masks",
        )
    require_no_problems(index, data.root)
    index = index.drop(rows_without_masks(index))
    palette = run.palette
    if palette is not None and palette_file(index.root, [index.root / mask for mask in index.masks]) is None:
        return replace(index, palette=palette, classes=palette.classes)
    return with_classes(index)


def map_classes(run: RunFolder, index: Index, data: str) -> NDArray[np.uint8]:
    """Map the data's classes to the run's by name: uint8 (256,), `IGNORE_INDEX` for classes that either ignores.

    Raises HeadstartError for a class that the run does not have.
    """
    ours, theirs = run.palette, index.palette
    assert ours is not None
    assert theirs is not None
    class_map = np.full(256, IGNORE_INDEX, np.uint8)
    for position, name in enumerate(theirs.classes):
        if name not in ours.names:
            raise HeadstartError(
                f"{data}: class {name}: expected the classes of {run.path}, found one that it was not trained on;"
                f" {did_you_mean(name, ours.names)}",
                f"headstart check {quoted(data)}",
            )
        if name in ours.classes:
            class_map[position] = ours.names.index(name)
    return class_map


def confusion_per_image(
    model: Model, pixels: Pixels, *, rows: Rows, class_map: NDArray[np.uint8], progress: Progress | None = None
) -> NDArray[np.int64]:
    """Confusion matrices of some rows: int64 (N, K, K), pixels by true class (row) and predicted class (column)."""
    matrices, done = [], 0
    for batch in batches(rows, model.recipe.val.batch_size):
        images = images_at(pixels, batch, model.recipe.data, masks=True, device=model.device)
        matrices.append(_confusion(model, images, torch.from_numpy(class_map)))
        done += len(batch)
        if progress is not None:
            progress(done, len(rows))
    return np.concatenate(matrices)


@torch.inference_mode()
def _confusion(model: Model, images: Images, class_map: Tensor) -> NDArray[np.int64]:
    assert images.masks is not None
    masks = class_map.to(model.device)[images.masks.long()]
    no_labels = torch.full((len(masks),), -1, device=model.device)
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=model.mixed_precision):
        inputs = eval_transform(images.pixels, model.recipe.augment)
        outputs = model.task.infer(Batch(inputs, no_labels, masks=masks))
    assert outputs.confusion is not None
    return outputs.confusion.cpu().numpy()
