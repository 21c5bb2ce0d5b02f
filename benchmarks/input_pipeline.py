"""Training input, images per second: headstart's decoded pixels and batch views against torchvision's own way.

torchvision's way is a Dataset that opens a JPEG file and transforms it image by image, in a DataLoader with two
workers. Ours is what the training loop does: rows of the store, then `training_view`. Both resize, flip, rotate by
up to 10 degrees (nearest) and normalize, 32 images at a time, from JPEG files, after a first epoch. The two take
turns; the ratio is of medians.

    python benchmarks/input_pipeline.py OBJECTS50 CLOTHING      # two folders of JPEG files
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from headstart.data.layouts import scan
from headstart.data.pixels import decode
from headstart.data.sampling import epoch_permutation, seed_of, step_rows, steps_in_epoch
from headstart.recipes.recipe import Augment, Data
from headstart.transforms.augment import augment
from headstart.transforms.params import sample_params

BATCH, ROUNDS = 32, 5
VIEWS = Augment(hflip=0.5, rotate=10)


class Files(Dataset[Tensor]):
    """torchvision's reference recipe, one image at a time."""

    def __init__(self, files: list[Path], side: int) -> None:
        self.files = files
        self.transform = v2.Compose(
            [
                v2.Resize((side, side)),
                v2.RandomHorizontalFlip(),
                v2.RandomRotation(10),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(VIEWS.mean, VIEWS.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Tensor:
        with Image.open(self.files[row]) as image:
            view: Tensor = self.transform(image.convert("RGB"))
        return view


def ours(root: str, side: int, images: int) -> Callable[[], int]:
    index = scan(root)
    index = index.drop(range(images, len(index)))
    pixels = decode(index, Data(image_size=side))

    def epoch() -> int:
        order, seen = epoch_permutation(0, 1, len(pixels)), 0
        for step in range(steps_in_epoch(len(pixels), BATCH)):
            rows = step_rows(order, step, BATCH)
            chance = torch.Generator().manual_seed(seed_of("views", 0, 1, step))
            seen += len(augment(pixels.batch(rows), VIEWS, side, sample_params(VIEWS, len(rows), chance)))
        return seen

    return epoch


def theirs(root: str, side: int, images: int) -> Callable[[], int]:
    index = scan(root)
    files = [index.root / path for path in index.paths[:images]]
    loader = DataLoader(Files(files, side), BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    return lambda: sum(len(batch) for batch in loader)


def speed(epoch: Callable[[], int]) -> float:
    began = time.perf_counter()
    return epoch() / (time.perf_counter() - began)


def main() -> None:
    for root, side, images in ((sys.argv[1], 64, 4000), (sys.argv[2], 224, 1000)):
        mine, other = ours(root, side, images), theirs(root, side, images)
        mine(), other()  # the first epoch: decoding, and workers starting
        figures = [(speed(mine), speed(other)) for _ in range(ROUNDS)]
        fast, slow = (statistics.median(column) for column in zip(*figures, strict=True))
        ratios = sorted(one / two for one, two in figures)
        print(
            f"{side} px: headstart {fast:,.0f} images/s, torchvision with 2 workers {slow:,.0f} images/s:"
            f" {fast / slow:.1f} times (rounds: {ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADSTART_CACHE"] = folder
        main()
