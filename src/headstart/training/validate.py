"""What a network makes of images that it is not training on: a split's figures, a sample, its nearest neighbors."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torchmetrics import MetricCollection

from headstart.data.sampling import Rows, batches, seed_of, shard
from headstart.files import Row
from headstart.tasks import EMPTY_IMAGES, Batch, ModelOutput
from headstart.training.setup import TrainState
from headstart.transforms.augment import eval_transform
from headstart.transforms.batch import images_at
from headstart.transforms.params import AugmentParams, sample_params


def validate(training: TrainState, split: str) -> tuple[Row, ModelOutput]:
    """The figures of one split, and what the network sees in its images, over all ranks."""
    began, rows = time.perf_counter(), np.array(training.pixels.index.positions(split), dtype=np.int64)
    seen = run_inference(training, rows, training.task.evaluate, views=training.task.num_views)
    seconds = time.perf_counter() - began
    speed = {"seconds": round(seconds, 3), "images_per_second": round(len(rows) / seconds, 1)}
    figures = compute_and_reset(training.task.metrics)
    return {"epoch": training.progress.epoch, "split": split, "images": len(rows), **figures, **speed}, seen


def embed_train_sample(training: TrainState) -> tuple[ModelOutput, float]:
    """What the network sees in a sample of the training images, and how long looking took."""
    began = time.perf_counter()
    seen = run_inference(training, training.train_sample_rows, training.task.infer)
    return seen, time.perf_counter() - began


def knn_metrics(training: TrainState, validation: ModelOutput, sample: ModelOutput) -> Row:
    """``knn`` and ``purity`` of the validation images among the sample; empty where images have no labels."""
    from headstart.metrics.neighbors import (  # scikit-learn takes a second to import
        knn_correct,
        nearest_neighbors,
        purity,
    )

    labels = training.labels.numpy()
    true, bank = labels[training.pixels.index.positions("val")], labels[training.train_sample_rows]
    if len(bank) < 2 or min(true.min(), bank.min()) < 0 or len(np.unique(bank)) < 2:
        return {}
    near = nearest_neighbors(validation.features.numpy(), sample.features.numpy())
    return {"knn": float(knn_correct(near, bank, true).mean()), "purity": float(purity(near, bank, true).mean())}


@torch.inference_mode()
def run_inference(training: TrainState, rows: Rows, ask: Callable[[Batch], ModelOutput], views: int = 1) -> ModelOutput:
    """What is seen in some rows, in their order, on the CPU; each rank looks at its share.

    The first view is plain. A second is drawn for each image, the same at every epoch, so that epochs compare.
    """
    recipe, fabric, task = training.recipe, training.fabric, training.task
    features, probabilities = (torch.zeros(len(rows), width) for width in (task.features, task.classes))
    classes = len(training.pixels.index.classes) if task.target == "mask" else 0
    confusion = torch.zeros(len(rows), classes, classes, dtype=torch.int64)
    chance = torch.Generator().manual_seed(seed_of("validation views", recipe.seed))
    drawn = sample_params(recipe.second_augment or recipe.augment, len(rows), chance)
    task.eval()
    for places in batches(shard(np.arange(len(rows)), fabric.global_rank, fabric.world_size), recipe.val.batch_size):
        batch = _batch(training, rows[places], drawn.select(torch.from_numpy(places)) if views == 2 else None)
        with fabric.autocast():
            seen = ask(batch)
        features[places], probabilities[places] = seen.features.cpu(), seen.probabilities.cpu()
        if seen.confusion is not None:
            confusion[places] = seen.confusion.cpu()
    if fabric.world_size > 1:  # each row is zero on all ranks but one
        parts = tuple(part.to(fabric.device) for part in (features, probabilities, confusion))
        whole = fabric.all_reduce(parts, reduce_op="sum")
        features, probabilities, confusion = (torch.as_tensor(part).cpu() for part in whole)
    return ModelOutput(features, probabilities, confusion if classes else None)


def _batch(training: TrainState, rows: Rows, drawn: AugmentParams | None) -> Batch:
    """Some rows as validation sees them: plain, or what a frozen backbone made of them; a second view if drawn.

    Two views are of the size of training's in the end: a backbone that learns from small crops is looked at in these.
    """
    recipe, device, with_masks = training.recipe, training.fabric.device, training.task.target == "mask"
    labels = training.labels[rows].to(device)
    if training.feature_cache is not None:
        masks = training.pixels.masks(rows).to(device) if with_masks else None
        return Batch(EMPTY_IMAGES, labels, masks=masks, features=training.feature_cache.validation(rows))
    images = images_at(training.pixels, rows, recipe.data, with_masks, device)
    if drawn is None:
        return Batch(eval_transform(images.pixels, recipe.augment), labels, masks=images.masks)
    side = recipe.train_size(recipe.train.epochs - 1)
    first = eval_transform(images.pixels, recipe.augment, side if images.sizes is None else None)
    return Batch(first, labels, images.view(recipe.second_augment or recipe.augment, side, drawn))


def compute_and_reset(metrics: MetricCollection) -> Row:
    """What a metric collection holds, as plain numbers; it then begins anew.

    A class that was neither shown nor predicted has no IoU: that is None. What else is no number must show.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics misses updates that were made before a run was resumed
        figures = {name: float(value) for name, value in metrics.compute().items()}
    metrics.reset()
    return {name: None if name.startswith("iou_") and math.isnan(value) else value for name, value in figures.items()}
