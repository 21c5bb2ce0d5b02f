"""Feature cache: a frozen backbone is run once over all images, so that a head is trained in seconds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.allocator import freed_memory_kept
from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows, batches, seed_of
from headstart.errors import HeadstartError
from headstart.file_memory import available_memory
from headstart.recipes.recipe import Recipe
from headstart.tasks import Task
from headstart.transforms.augment import eval_transform
from headstart.transforms.batch import images_at
from headstart.transforms.params import sample_params

LARGEST_HALF = torch.finfo(torch.float16).max
SHARED_BACKBONES = 3
"""Backbones whose features are kept in memory for the next probe: those of a study's settings D, E and G."""


@dataclass(frozen=True)
class CachedFeatures:
    """Backbone outputs (`Task.encode`) for M of the N images of an index."""

    parts: tuple[Tensor, ...]
    """Features, float32 (M, D) each, on `device`; or feature maps, float16 (M, D, h, w) each, in main memory."""
    masks: Tensor | None
    """uint8 (M, side, side): the masks of augmented images; None for plain images, and without masks."""
    place: NDArray[np.int64]
    """(N,): position of each image in `parts`; -1 for an image that was not run."""
    device: torch.device
    """Device of the training."""

    def of(self, rows: Rows) -> tuple[Tensor, ...]:
        """Outputs for the images at ``rows``, float32 (B, ...) each, on `device`."""
        places = self.place[rows]
        assert (places >= 0).all(), "the backbone was run for all images that are trained on, validated or tested"
        return tuple(part[places].to(self.device).float() for part in self.parts)


@dataclass(frozen=True)
class FeatureCache:
    """Backbone outputs for all images that are trained on, validated or tested."""

    val: CachedFeatures
    """Of the images without augmentation."""
    augmented: tuple[CachedFeatures, ...]
    """Of `probe.views` augmentations of the training images, which take turns over the epochs."""

    def training(self, rows: Rows, epoch: int) -> tuple[Tensor, ...]:
        """Outputs that the head is trained on in an epoch, float32 (B, ...) each."""
        return self._of_epoch(epoch).of(rows)

    def training_masks(self, rows: Rows, epoch: int, pixels: Pixels) -> Tensor:
        """Masks that go with `training`, uint8 (B, H, W): augmented too, or those of ``pixels``."""
        view = self._of_epoch(epoch)
        masks = pixels.masks(rows) if view.masks is None else view.masks[view.place[rows]]
        return masks.to(view.device)

    def validation(self, rows: Rows) -> tuple[Tensor, ...]:
        """Outputs without augmentation, float32 (B, ...) each."""
        return self.val.of(rows)

    def _of_epoch(self, epoch: int) -> CachedFeatures:
        return self.augmented[epoch % len(self.augmented)] if self.augmented else self.val


@torch.inference_mode()
def plain_features(task: Task, pixels: Pixels, rows: Rows, recipe: Recipe) -> CachedFeatures:
    """Backbone outputs, in eval mode, for the images at ``rows``, and all others where probes share them."""
    task.eval()
    if not recipe.probe.share_features:
        return _cache_plain(task, pixels, rows, recipe)
    return shared_features(task, pixels, np.union1d(rows, _rows_of(pixels, "train", "val", "test")), recipe)


def _rows_of(pixels: Pixels, *splits: str) -> Rows:
    return np.array([row for row, split in enumerate(pixels.index.splits) if split in splits], dtype=np.int64)


_shared: dict[Hashable, CachedFeatures] = {}


@freed_memory_kept()
@torch.inference_mode()
def cache_features(
    task: Task, pixels: Pixels, train_rows: Rows, recipe: Recipe, autocast: AbstractContextManager[None]
) -> FeatureCache:
    """Run the backbone of ``task``, in eval mode, over all images, and over `probe.views` augmentations of some.

    ``train_rows`` are the training images that are used. Raises HeadstartError when the maps do not fit into memory.
    """
    task.eval()
    with autocast:
        val = plain_features(task, pixels, np.union1d(train_rows, _rows_of(pixels, "val", "test")), recipe)
        augmented = tuple(
            _cache_augmented(task, pixels, train_rows, recipe, number) for number in range(recipe.probe.views)
        )
    return FeatureCache(val, augmented)


def _cache_plain(task: Task, pixels: Pixels, rows: Rows, recipe: Recipe) -> CachedFeatures:
    """Backbone outputs for the images at ``rows`` without augmentation."""
    device, parts = next(task.parameters()).device, _Storage(len(rows))
    for places in batches(np.arange(len(rows)), recipe.val.batch_size):
        images = pixels.batch(rows[places], device)  # all of one size, so that their maps are too
        parts.put(places, map(_to_storage_dtype, task.encode(eval_transform(images, recipe.augment))))
    return CachedFeatures(parts.on(device), None, _place_of(rows, pixels), device)


def _cache_augmented(task: Task, pixels: Pixels, rows: Rows, recipe: Recipe, number: int) -> CachedFeatures:
    """Backbone outputs for the ``number``-th augmentation of the images at ``rows``, and its masks."""
    device, side = next(task.parameters()).device, recipe.train_size(recipe.train.epochs - 1)
    masks = torch.zeros(len(rows), side, side, dtype=torch.uint8) if task.needs_masks else None
    parts = _Storage(len(rows), reserved=0 if masks is None else masks.nbytes)
    for step, places in enumerate(batches(np.arange(len(rows)), recipe.val.batch_size)):
        images = images_at(pixels, rows[places], recipe.data, task.needs_masks, device)
        generator = torch.Generator().manual_seed(seed_of("probe", recipe.seed, number, step))
        params = sample_params(recipe.augment, len(places), generator)
        parts.put(places, map(_to_storage_dtype, task.encode(images.view(recipe.augment, side, params))))
        under = images.mask(side, params)
        if masks is not None and under is not None:
            masks[places] = under.cpu()
    return CachedFeatures(parts.on(device), masks, _place_of(rows, pixels), device)


def shared_features(task: Task, pixels: Pixels, rows: Rows, recipe: Recipe) -> CachedFeatures:
    """`_cache_plain`, once in this process for the same backbone, its weights, and the same images seen the same way.

    The images are encoded in the same batches whoever comes first, so the features are equal to the last bit.
    """
    device = next(task.parameters()).device
    digest = blake2b(digest_size=16)
    for name, tensor in task.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    seen = (recipe.backbone.name, recipe.augment.mean, recipe.augment.std, recipe.val.batch_size)
    size = (pixels.height, pixels.width, recipe.data.resize, recipe.train.precision, torch.get_num_threads())
    key = (digest.hexdigest(), pixels.fingerprint, seen, size, str(device), rows.tobytes())
    if key not in _shared:
        while len(_shared) >= SHARED_BACKBONES:
            _shared.pop(next(iter(_shared)))
        _shared[key] = _cache_plain(task, pixels, rows, recipe)
    return _shared[key]


class _Storage:
    """Tensors for ``count`` images in main memory, allocated when the first batch shows their shapes.

    ``reserved`` bytes of the memory are for something else.
    """

    def __init__(self, count: int, reserved: int = 0) -> None:
        self.count, self.reserved = count, reserved
        self.tensors: list[Tensor] = []

    def put(self, places: Rows, parts: Iterable[Tensor]) -> None:
        """Store a batch: (B, ...) each, at the positions ``places``."""
        batch = list(parts)
        self.tensors = self.tensors or _allocate(batch, self.count, self.reserved)
        for tensor, part in zip(self.tensors, batch, strict=True):
            tensor[places] = part

    def on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The tensors: features on ``device``; maps, which are large, stay in main memory."""
        return tuple(tensor.to(device) if tensor.ndim == 2 else tensor for tensor in self.tensors)


def _place_of(rows: Rows, pixels: Pixels) -> NDArray[np.int64]:
    """(N,): the position in ``rows`` of each image, -1 for the others."""
    place = np.full(len(pixels), -1)
    place[rows] = np.arange(len(rows))
    return place


def _to_storage_dtype(part: Tensor) -> Tensor:
    """Features as float32; maps, which are large, as float16: its 11 bits are finer than a mask's classes need."""
    return part.float().cpu() if part.ndim == 2 else part.clamp(-LARGEST_HALF, LARGEST_HALF).half().cpu()


def _allocate(batch: Sequence[Tensor], count: int, reserved: int) -> list[Tensor]:
    """Zeros for ``count`` images, shaped like the parts of a first ``batch``.

    Raises HeadstartError when they and ``reserved`` bytes would take more than 80 % of the available memory.
    """
    needed = reserved + count * sum(part[0].numel() * part.element_size() for part in batch)
    free = available_memory()
    if free is not None and needed > 0.8 * free:
        raise HeadstartError(
            f"probe.cache_features: expected room in memory for the maps of {count:,} images"
            f" ({needed / 2**30:.1f} GiB), found {free / 2**30:.1f} GiB available",
            "probe.cache_features=false, which runs the backbone in every step",
        )
    return [torch.zeros(count, *part.shape[1:], dtype=part.dtype) for part in batch]
