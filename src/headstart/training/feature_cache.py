"""A frozen backbone run once: what it makes of every image is kept, so that a head is trained in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows, batches, seed_of
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Recipe
from headstart.tasks import Task
from headstart.transforms.augment import eval_transform
from headstart.transforms.batch import images_at
from headstart.transforms.params import sample_params

LARGEST_HALF = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class CachedFeatures:
    """What the backbone makes of M of the images of an index."""

    parts: tuple[Tensor, ...]
    """(M, D) each, or maps (M, D, h, w): these as float16 in the machine's memory, whatever trains on them."""
    masks: Tensor | None
    """uint8 (M, side, side): what lies under random views, where the task learns from masks."""
    place: NDArray[np.int64]
    """(N,): where each image of the index stands in the parts."""
    device: torch.device
    """Where it is wanted."""

    def of(self, rows: Rows) -> tuple[Tensor, ...]:
        """float32 (B, ...) each."""
        places = self.place[rows]
        assert (places >= 0).all(), "images that are neither trained on nor looked at were not run"
        return tuple(part[places].to(self.device).float() for part in self.parts)


@dataclass(frozen=True)
class FeatureCache:
    """What the backbone makes of all images that are trained on or looked at (`Task.encode`)."""

    val: CachedFeatures
    """Of the images as validation sees them."""
    augmented: tuple[CachedFeatures, ...]
    """Of random views of the training images, one after the other taken for an epoch."""

    def training(self, rows: Rows, epoch: int) -> tuple[Tensor, ...]:
        """What the head is trained on in an epoch, (B, ...) each."""
        return (self.augmented[epoch % len(self.augmented)] if self.augmented else self.val).of(rows)

    def training_masks(self, rows: Rows, epoch: int, pixels: Pixels) -> Tensor:
        """The masks under them, uint8 (B, H, W): of the views, or of the images as they are."""
        view = self.augmented[epoch % len(self.augmented)] if self.augmented else self.val
        masks = pixels.masks(rows) if view.masks is None else view.masks[view.place[rows]]
        return masks.to(view.device)

    def validation(self, rows: Rows) -> tuple[Tensor, ...]:
        """What is looked at, (B, ...) each."""
        return self.val.of(rows)


@torch.inference_mode()
def cache_features(
    task: Task, pixels: Pixels, train_rows: Rows, recipe: Recipe, autocast: AbstractContextManager[None]
) -> FeatureCache:
    """Run the backbone of ``task``, in eval mode, over all images and over ``recipe.probe.views`` views of some.

    ``train_rows`` are the training images that are used. Raises HeadstartError when memory has no room for the maps.
    """
    device, with_masks = next(task.parameters()).device, task.target == "mask"
    side = recipe.train_size(recipe.train.epochs - 1)
    task.eval()

    def run(rows: Rows, chance: Sequence[int | str] = ()) -> CachedFeatures:
        kept: list[Tensor] = []
        for number, some in enumerate(batches(np.arange(len(rows)), recipe.val.batch_size)):
            mask = None
            if chance:
                images = images_at(pixels, rows[some], recipe.data, with_masks, device)
                drawn = sample_params(
                    recipe.augment, len(some), torch.Generator().manual_seed(seed_of(*chance, number))
                )
                view, mask = images.view(recipe.augment, side, drawn), images.mask(side, drawn)
            else:  # all of one size, so that their maps are too
                view = eval_transform(pixels.batch(rows[some]).to(device), recipe.augment)
            seen = [*map(_to_storage_dtype, task.encode(view)), *(() if mask is None else (mask.cpu(),))]
            kept = kept or _allocate(seen, len(rows))
            for part, of_some in zip(kept, seen, strict=True):
                part[some] = of_some
        masks = kept.pop() if with_masks and chance else None
        place = np.full(len(pixels), -1)
        place[rows] = np.arange(len(rows))
        return CachedFeatures(tuple(part.to(device) if part.ndim == 2 else part for part in kept), masks, place, device)

    looked_at = [row for row, split in enumerate(pixels.index.splits) if split in ("val", "test")]
    with autocast:
        plain = run(np.union1d(train_rows, np.array(looked_at, dtype=np.int64)))
        views = tuple(run(train_rows, ("probe", recipe.seed, number)) for number in range(recipe.probe.views))
    return FeatureCache(plain, views)


def _to_storage_dtype(part: Tensor) -> Tensor:
    """Features as they are; maps, which are large, by half: 11 bits of each number, finer than a mask can tell."""
    return part.float().cpu() if part.ndim == 2 else part.clamp(-LARGEST_HALF, LARGEST_HALF).half().cpu()


def _allocate(seen: Sequence[Tensor], count: int) -> list[Tensor]:
    """Room for as much as was seen of a first batch, for ``count`` images."""
    needed = count * sum(part[0].numel() * part.element_size() for part in seen)
    free = _available_memory()
    if free is not None and needed > 0.8 * free:
        raise HeadstartError(
            f"probe.cache_features: expected room in memory for the maps of {count:,} images ({needed / 2**30:.1f} GiB), found"
            f" {free / 2**30:.1f} GiB available",
            "probe.cache_features=false, which runs the backbone in every step",
        )
    return [torch.zeros(count, *part.shape[1:], dtype=part.dtype) for part in seen]


def _available_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not say so."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
