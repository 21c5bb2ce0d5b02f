"""Batches of the loop and of validation: augmented images, plain ones, or cached features of a frozen backbone."""

from __future__ import annotations

import torch

from headstart.data.sampling import Rows, seed_of, shard
from headstart.tasks import EMPTY_IMAGES, Batch
from headstart.training.state import TrainState
from headstart.transforms.augment import eval_transform
from headstart.transforms.batch import images_at, sample_views
from headstart.transforms.params import AugmentParams


def training_batch(training: TrainState, epoch: int, step: int, rows: Rows) -> Batch:
    """This rank's part of a training step on ``rows``.

    Augmentation parameters are sampled for the images of all ranks, so that they do not depend on the number of ranks.
    """
    recipe, fabric, task = training.recipe, training.fabric, training.task
    mine = shard(rows, fabric.global_rank, fabric.world_size)
    labels = training.labels[mine].to(fabric.device)
    if training.feature_cache is not None:
        masks = training.feature_cache.training_masks(mine, epoch, training.pixels) if task.needs_masks else None
        return Batch(EMPTY_IMAGES, labels, masks=masks, features=training.feature_cache.training(mine, epoch))

    def generator(name: str) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(name, recipe.seed, epoch, step))

    of_all_ranks = sample_views(recipe, task.num_views, len(rows), generator)
    params = [each.select(slice(fabric.global_rank, None, fabric.world_size)) for each in of_all_ranks]
    images = images_at(training.pixels, mine, recipe.data, task.needs_masks, fabric.device)
    side = recipe.train_size(epoch)
    first, *others = images.views(recipe, side, params)
    return Batch(first, labels, tuple(others), images.mask(side, params[0]))


def validation_batch(training: TrainState, rows: Rows, second: AugmentParams | None) -> Batch:
    """Images at ``rows`` without augmentation; with ``second``, also a second view by these parameters.

    Where views are compared, they have the size of the last epoch's training images, which a backbone trained on small
    crops is used to; where these are parts of an image at its own scale, the image is whole.
    """
    recipe, device, task = training.recipe, training.fabric.device, training.task
    labels = training.labels[rows].to(device)
    if training.feature_cache is not None:
        masks = training.pixels.masks(rows).to(device) if task.needs_masks else None
        return Batch(EMPTY_IMAGES, labels, masks=masks, features=training.feature_cache.validation(rows))
    images = images_at(training.pixels, rows, recipe.data, task.needs_masks, device)
    side = recipe.train_size(recipe.train.epochs - 1)
    resized = task.num_views > 1 and not task.views_are_parts and images.sizes is None
    first = eval_transform(images.pixels, recipe.augment, side if resized else None)
    others = () if second is None else (images.view(recipe.second_augment or recipe.augment, side, second),)
    return Batch(first, labels, others, images.masks)
