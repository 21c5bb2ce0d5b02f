"""Validation: the metrics of one split, outputs for a sample of the training images, kNN metrics."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torchmetrics import MetricCollection

from headstart.data.sampling import Rows, batches, seed_of
from headstart.files import Row
from headstart.tasks import Batch, ModelOutput
from headstart.training.batches import validation_batch
from headstart.training.compilation import uncompiled
from headstart.training.ranks import broadcast_buffers, merge_states, take_states
from headstart.training.state import TrainState
from headstart.transforms.params import sample_params


def validate(training: TrainState, split: str) -> tuple[Row, ModelOutput]:
    """Validate on one split: its row of `metrics.csv`, and the outputs for its images, over all ranks.

    The figures do not depend on the number of ranks, and are those of the network that is saved. Raises `Stopped`.
    """
    began, rows = time.perf_counter(), np.array(training.pixels.index.positions(split), dtype=np.int64)
    broadcast_buffers(training.fabric, training.task)
    outputs = run_inference(training, rows, training.task.evaluate, views=training.task.num_views)
    seconds = time.perf_counter() - began
    speed = {"seconds": round(seconds, 3), "images_per_second": round(len(rows) / seconds, 1)}
    of_outputs = training.task.evaluate_split(outputs, training.labels[rows])
    values = compute_and_reset(training.task.metrics) | of_outputs
    return {"epoch": training.progress.epoch, "split": split, "images": len(rows), **values, **speed}, outputs


def embed_train_sample(training: TrainState) -> tuple[ModelOutput, float]:
    """Outputs for the sample of the training images, and the seconds that they took."""
    began = time.perf_counter()
    outputs = run_inference(training, training.train_sample_rows, training.task.infer)
    return outputs, time.perf_counter() - began


def knn_metrics(training: TrainState, validation: ModelOutput, sample: ModelOutput) -> Row:
    """``knn`` and ``purity`` of the validation images among the sample; empty if images have no labels."""
    from headstart.metrics.neighbors import (  # scikit-learn takes a second to import
        knn_correct,
        nearest_neighbors,
        purity,
        voters,
    )

    labels = training.labels.numpy()
    true, bank = labels[training.pixels.index.positions("val")], labels[training.train_sample_rows]
    if len(bank) < 2 or min(true.min(), bank.min()) < 0 or len(np.unique(bank)) < 2:
        return {}
    near = nearest_neighbors(validation.features.numpy(), sample.features.numpy(), voters(bank))
    return {"knn": float(knn_correct(near, bank, true).mean()), "purity": float(purity(near, bank, true).mean())}


@torch.inference_mode()
def run_inference(
    training: TrainState, rows: Rows, method: Callable[[Batch], ModelOutput], views: int = 1
) -> ModelOutput:
    """Outputs of ``method`` (`Task.infer` or `Task.evaluate`) for the images at ``rows``, in order, on the CPU.

    Each rank runs its share of the batches, whole ones: what a network says of an image may depend, in the last digits,
    on the images beside it. The first view is not augmented; a second one is sampled per image, the same at every
    epoch, so that epochs compare. Raises `Stopped`, on all ranks, when a stop is requested meanwhile.
    """
    recipe, fabric, task = training.recipe, training.fabric, training.task
    features, probabilities = (torch.zeros(len(rows), width) for width in (task.features, task.classes))
    confusion = torch.zeros(len(rows), task.mask_classes, task.mask_classes, dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed_of("validation views", recipe.seed))
    params = sample_params(recipe.second_augment or recipe.augment, len(rows), generator)
    task.eval()
    all_batches, states = batches(np.arange(len(rows)), recipe.val.batch_size), {}
    for first in range(0, len(all_batches), fabric.world_size):
        training.stop_if_requested()
        number = first + fabric.global_rank
        if number >= len(all_batches):
            continue
        places = all_batches[number]
        second = params.select(torch.from_numpy(places)) if views > 1 else None
        batch = validation_batch(training, rows[places], second)
        with fabric.autocast(), uncompiled():
            outputs = method(batch)
        states[number] = take_states(task.metrics)
        features[places], probabilities[places] = outputs.features.cpu(), outputs.probabilities.cpu()
        if outputs.confusion is not None:
            confusion[places] = outputs.confusion.cpu()
    merge_states(fabric, task.metrics, states)
    if fabric.world_size > 1:  # each row is zero on all ranks but one
        parts = tuple(part.to(fabric.device) for part in (features, probabilities, confusion))
        whole = fabric.all_reduce(parts, reduce_op="sum")
        features, probabilities, confusion = (torch.as_tensor(part).cpu() for part in whole)
    return ModelOutput(features, probabilities, confusion if task.mask_classes else None)


def compute_and_reset(metrics: MetricCollection) -> Row:
    """Values of a metric collection as plain numbers; resets it.

    The IoU of a class that is neither in the ground truth nor predicted is None. Any other nan stays.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics does not count updates made before a run was resumed
        values = {name: float(value) for name, value in metrics.compute().items()}
    metrics.reset()
    return {name: None if name.startswith("iou_") and math.isnan(value) else value for name, value in values.items()}
