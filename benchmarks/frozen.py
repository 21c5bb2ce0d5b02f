"""Heads on a frozen backbone: run once against run in every step, 30 epochs. python benchmarks/frozen.py CLOTHING."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from headstart.recipes import recipe as recipes
from headstart.training.loop import train
from headstart.training.setup import start

CHANGES = {
    "data.image_size": 64,
    "augment.sizes": [],
    "augment.hflip": 0.0,  # the same pictures for both: only the way there differs
    "augment.rotate": 0.0,
    "backbone.freeze": True,
    "train.epochs": 30,
    "train.batch_size": 32,
    "train.label_smoothing": 0.0,
    "optimizer.name": "adam",
    "optimizer.lr": 1e-3,
    "checkpoint.monitor": "last",
    "analysis.train_samples": 0,
    "analysis.epochs": [30],
    "analysis.save_images": False,
}


def trained(data: str, once: bool, place: Path) -> tuple[float, float, float]:
    """Seconds, from images that are decoded to the end; those of the processor; the last validation accuracy."""
    recipe = recipes.load("quick", {**CHANGES, "probe.cache_features": once})
    began, worked = time.perf_counter(), time.process_time()
    training = start(recipe, data, place)
    for _ in train(training):
        pass
    took, work = time.perf_counter() - began, time.process_time() - worked
    return took, work, training.progress.rows[-1]["accuracy"]


def main() -> None:
    data = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        start(recipes.load("quick", {**CHANGES}), data, Path(folder) / "decoding")
        once, work, one = trained(data, True, Path(folder) / "once")
        anew, more, other = trained(data, False, Path(folder) / "anew")
    print(f"once {once:.1f} s, accuracy {one:.2%}; in every step {anew:.1f} s, accuracy {other:.2%}")
    apart = abs(one - other) * 100
    print(f"{anew / once:.1f} times as fast (asked: 20), accuracies {apart:.2f} points apart (asked: 0.5)")
    # Beside other programs, the clock tells of them too; the processor's time does not.
    print(f"processor: once {work:.1f} s, in every step {more:.1f} s, {more / work:.1f} times")


if __name__ == "__main__":
    main()
