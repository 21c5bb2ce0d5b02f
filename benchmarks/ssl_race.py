"""Self-supervised methods at equal processor minutes: kNN accuracy of what they learned from images without labels.

Every method trains for the same processor time of this process (all threads; steps alone, from decoded pixels: not the
decoding, not validation), its schedule as long as that. Then all images are encoded, without augmentation, and each
validation image is classified by its 20 nearest training images. `random` is the backbone untrained; `lightly-byol` is
lightly's BYOL example at the same image and batch size, its transforms in this process. Methods take turns.

    python benchmarks/ssl_race.py MINUTES SEEDS DATA... [--methods byol-quick,vicreg-quick:optimizer.lr=3e-3,...]

DATA is a labeled folder, or `solar-cells` (elpv-dataset). A method is a recipe, with overrides behind colons.
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision import models
from torchvision import transforms as T

from headstart.cli.demo import solar_cells
from headstart.data.dataset import Dataset, open_dataset
from headstart.data.pixels import Pixels
from headstart.metrics.neighbors import knn_correct, nearest_neighbors
from headstart.recipes import recipe as recipes
from headstart.training.loop import Epoch, Step, train
from headstart.training.setup import start
from headstart.transforms.augment import eval_transform

METHODS = "random,byol-quick,vicreg-quick,emp-ssl-quick,fastsiam-quick,lightly-byol"
TIMED_STEPS = 5
"""Steps that say how many fit into the time, after one of warm-up."""
BATCH = 64
"""Of lightly's BYOL, as in byol-quick."""
QUIET = {"checkpoint.every_minutes": 1e6, "analysis.train_samples": 0, "analysis.save_images": False}


@dataclass(frozen=True)
class Result:
    """What one method reached in its time."""

    knn: float
    seconds: float
    """Of the processor."""
    images: int
    """Seen, with repetition."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float)
    parser.add_argument("seeds", type=int)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--methods", default=METHODS)
    arguments = parser.parse_args()
    methods = [each for each in arguments.methods.split(",") if each != "lightly-byol" or find_spec("lightly")]
    with tempfile.TemporaryDirectory() as folder:
        for data in arguments.data:
            root = str(solar_cells(Path(folder) / data)) if data == "solar-cells" else data
            race(methods, open_dataset(root), data, 60 * arguments.minutes, arguments.seeds)


def race(methods: list[str], dataset: Dataset, name: str, seconds: float, seeds: int) -> None:
    """Every method over the seeds, none of them always first; prints each result, then medians."""
    results: dict[str, list[Result]] = {method: [] for method in methods}
    for seed in range(seeds):
        for method in methods if seed % 2 else reversed(methods):
            result = run(method, dataset, seed, seconds)
            results[method].append(result)
            print(
                f"{name} seed {seed} {method}: kNN {result.knn:.2%}, {result.images} images,"
                f" {result.seconds:.0f} processor seconds",
                flush=True,
            )
    print(
        f"\n{name}, {seconds / 60:g} processor minutes, {torch.get_num_threads()} threads: median kNN (least, greatest)"
    )
    for method, each in results.items():
        found = [100 * result.knn for result in each]
        print(f"{method}: {statistics.median(found):.2f} % ({min(found):.2f} to {max(found):.2f})", flush=True)


def run(method: str, dataset: Dataset, seed: int, seconds: float) -> Result:
    """Train one method for so many processor seconds, and classify by neighbors."""
    name, *overrides = method.split(":")
    shipped = "byol-quick" if name in ("random", "lightly-byol") else name
    recipe = recipes.load(shipped, {**recipes.read_overrides(overrides), "seed": seed, **QUIET})
    if name == "lightly-byol":
        return lightly_byol(dataset.pixels(recipe.data, "none"), recipe.data.image_size, seed, seconds)
    with tempfile.TemporaryDirectory() as folder:
        if name != "random":
            recipe = recipes.override(recipe, length(recipe, dataset, Path(folder) / "timed", seconds))
        training = start(recipe, dataset, Path(folder) / "run")
        used, images, events = 0.0, 0, train(training)
        while name != "random" and used < seconds:
            began = time.process_time()
            event = next(events, None)
            if isinstance(event, Step):
                used += time.process_time() - began
                images += event.images
            elif event is None:
                break
        events.close()
        knn = neighbors(training.pixels, lambda pixels: training.task.encode(eval_transform(pixels, recipe.augment))[0])
    return Result(knn, used, images)


def length(recipe: recipes.Recipe, dataset: Dataset, folder: Path, seconds: float) -> dict[str, int]:
    """Epochs, and images in each of them, that take so many processor seconds."""
    training = start(recipe, dataset, folder)
    events, took = train(training), list[float]()
    while len(took) <= TIMED_STEPS:
        began = time.process_time()
        if not isinstance(next(events), Epoch):
            took.append(time.process_time() - began)
    steps = max(1, round(seconds / statistics.median(took[1:])))
    events.close()
    epochs = math.ceil(steps / training.steps)
    return {"train.epochs": epochs, "train.images_per_epoch": max(2, steps * recipe.train.batch_size // epochs)}


@torch.inference_mode()
def neighbors(pixels: Pixels, encode: Callable[[Tensor], Tensor]) -> float:
    """kNN accuracy of the validation images among all training images; ``encode`` maps uint8 (B, 3, S, S) to (B, F)."""
    features, labels = [], []
    for split in ("val", "train"):
        rows = np.array(pixels.index.positions(split))
        parts = [encode(pixels.batch(rows[first : first + BATCH])).float() for first in range(0, len(rows), BATCH)]
        features.append(torch.cat(parts).numpy())
        labels.append(np.array(pixels.index.labels)[rows])
    near = nearest_neighbors(features[0], features[1])
    return float(knn_correct(near, labels[1], labels[0]).mean())


def lightly_byol(pixels: Pixels, side: int, seed: int, seconds: float) -> Result:
    """lightly's example of BYOL (examples/pytorch/byol.py of 1.6), to which a schedule of the momentum belongs."""
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum
    from lightly.transforms import BYOLTransform, BYOLView1Transform, BYOLView2Transform

    torch.manual_seed(seed)
    transform = BYOLTransform(
        BYOLView1Transform(input_size=side, gaussian_blur=0.0), BYOLView2Transform(input_size=side, gaussian_blur=0.0)
    )
    rows = pixels.index.positions("train")
    backbone = models.resnet18()
    backbone.fc = torch.nn.Identity()
    projector, predictor = BYOLProjectionHead(512, 1024, 256), BYOLPredictionHead(256, 1024, 256)
    online = torch.nn.Sequential(backbone, projector)
    target = copy.deepcopy(online)
    deactivate_requires_grad(target)
    optimizer = torch.optim.SGD([*online.parameters(), *predictor.parameters()], lr=0.06)
    criterion = NegativeCosineSimilarity()

    def batches() -> Iterator[list[Tensor]]:
        while True:
            order = torch.randperm(len(rows)).tolist()
            for first in range(0, len(order) - BATCH + 1, BATCH):
                chosen = [rows[place] for place in order[first : first + BATCH]]
                views = [transform(T.functional.to_pil_image(image)) for image in pixels.batch(chosen)]
                yield [torch.stack(parts) for parts in zip(*views, strict=True)]

    used, images, views_of_images = 0.0, 0, batches()
    while used < seconds:
        began = time.process_time()
        one, two = next(views_of_images)
        momentum = 1 - 0.004 * (math.cos(math.pi * min(1.0, used / seconds)) + 1) / 2  # 0.996 to 1, as theirs
        update_momentum(online, target, m=momentum)
        with torch.no_grad():
            aims = target(one), target(two)
        loss = 0.5 * (criterion(predictor(online(one)), aims[1]) + criterion(predictor(online(two)), aims[0]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        used, images = used + time.process_time() - began, images + len(one)
    backbone.eval()
    scale = T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Result(neighbors(pixels, lambda batch: backbone(scale(batch / 255))), used, images)


if __name__ == "__main__":
    main()
