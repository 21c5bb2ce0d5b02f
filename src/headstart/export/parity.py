"""Parity: an exported network's outputs against our own predictions, on images of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from headstart.data.parallel import Progress
from headstart.data.resize import resize_to_square
from headstart.errors import HeadstartError
from headstart.export.images import Bytes, RunImages, decoded
from headstart.inference.model import Model
from headstart.tasks import Batch
from headstart.transforms.augment import eval_transform

Floats = NDArray[np.float32]
Pair = tuple[Floats, Floats]
"""Expected and given outputs of an image: (C,), (K, H, W) or (F,)."""
Forward = Callable[[Bytes], Floats]
"""uint8 (B, H, W, 3) -> probabilities (B, C) or (B, K, H, W), or features (B, F)."""

TOLERANCE = 1e-4
"""Largest difference in a probability; in features relative to the largest of them."""
MAX_DECODED_WHOLE = 20
"""Large images that are decoded at their full size as well: that takes a second each."""


@dataclass(frozen=True)
class Parity:
    """How an export's outputs compare with our predictions."""

    against: str
    """What was compared, for a reader."""
    images: int
    largest: float
    """Largest difference in a probability, or in a feature relative to the largest feature."""
    equal: int
    """Images, or pixels of masks, with the same most probable class; of features, images within the tolerance."""
    compared: int
    """Images or pixels that were compared."""
    flipped: int
    """Of those that differ, the ones that are not a tie within twice the tolerance."""

    @property
    def holds(self) -> bool:
        """Whether no output differs by more than the tolerance, and no most probable class does."""
        return self.largest <= TOLERANCE and not self.flipped  # a nan is not

    def to_json(self) -> dict[str, object]:
        return {
            "against": self.against,
            "images": self.images,
            "largest_difference": self.largest,
            "equal_top1": self.equal,
            "compared": self.compared,
        }


def exact(model: Model) -> Model:
    """The model on the CPU in float32, whatever precision it was trained with."""
    train = model.recipe.train.model_copy(update={"precision": "32-true"})
    recipe = model.recipe.model_copy(update={"train": train})
    return replace(model, recipe=recipe, task=model.task.to("cpu"), device=torch.device("cpu"))


def resized(model: Model, image: Bytes) -> Tensor:
    """A decoded image as `predict` gives it to the network: uint8 (1, 3, H, W)."""
    config = model.recipe.data
    if config.resize == "keep":
        return torch.from_numpy(image.transpose(2, 0, 1).copy()).unsqueeze(0)
    square = resize_to_square(Image.fromarray(image), config.image_size, config.resize)
    return torch.from_numpy(square).unsqueeze(0)


@torch.inference_mode()
def ours(model: Model, pixels: Tensor) -> Floats:
    """Probabilities as `predict` computes them; features of a network without classes."""
    if model.task.target != "none":
        return model.probabilities(pixels)
    inputs = eval_transform(pixels.to(model.device), model.recipe.augment)
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=model.mixed_precision):
        unlabeled = torch.full((len(inputs),), -1, device=model.device)
        features: Floats = model.task.infer(Batch(inputs, unlabeled)).features.cpu().numpy()
    return features


def check(model: Model, images: RunImages, forward: Forward, progress: Progress | None = None) -> list[Parity]:
    """Compare ``forward`` with our predictions for some images, one at a time, the first as the second
    of a batch.

    The first result is what must hold; others follow where they say more: of a run that predicts in bfloat16, and of
    large JPEG files decoded at their full size.
    """
    reference, mixed = exact(model), model.mixed_precision
    pairs: list[Pair] = []
    half: list[Pair] = []
    whole: list[Pair] = []
    for number, (file, image) in enumerate(_readable(model, images)):
        pixels = resized(model, image)
        expected = ours(reference, pixels)
        given = forward(np.stack([image, image]) if number == 0 else image[None])[-1]
        pairs.append((expected[0], given))
        if mixed:
            half.append((ours(model, pixels)[0], given))
        if len(whole) < MAX_DECODED_WHOLE:
            full = decoded(model, file, whole=True)
            if full is not None and full.shape != image.shape:
                whole.append((expected[0], forward(full[None])[0]))
        if progress is not None:
            progress(number + 1, len(images))
    if not pairs:
        raise HeadstartError(
            f"export: expected images to compare predictions on, found none of {len(images)} readable",
            "headstart export --help",
        )
    features = model.task.target == "none"
    found = [_parity("our predictions", pairs, features)]
    if half:
        found.append(_parity("our predictions in bfloat16, as the run makes them", half, features))
    if whole:
        found.append(_parity("our predictions, if large JPEG files are decoded at full size", whole, features))
    return found


def _readable(model: Model, images: RunImages) -> Iterator[tuple[Path, Bytes]]:
    for file in images.files:
        image = decoded(model, file)
        if image is not None:
            yield file, image


def _parity(against: str, pairs: list[Pair], features: bool) -> Parity:
    largest, equal, compared, flipped = 0.0, 0, 0, 0
    for expected, given in pairs:
        scale = max(1.0, float(np.abs(expected).max())) if features else 1.0
        difference = float(np.abs(expected - given).max()) / scale
        largest = float(np.maximum(largest, difference))  # a nan stays
        if features:
            same, tie = np.array([difference <= TOLERANCE]), np.array([False])
        else:
            same = np.atleast_1d(expected.argmax(axis=0) == given.argmax(axis=0))
            second, first = np.sort(expected, axis=0)[-2:] if len(expected) > 1 else (0 * expected[0], expected[0])
            tie = np.atleast_1d(first - second <= 2 * TOLERANCE)
        equal += int(same.sum())
        compared += same.size
        flipped += int((~same & ~tie).sum())
    return Parity(against, len(pairs), largest, equal, compared, flipped)
