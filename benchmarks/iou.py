"""How long the confusion matrix of a set of masks takes, beside a loop over its classes.

The loop is the one of the course's own script (per class: how often predicted, how often true, how often both), over
all masks at once, with masks of bytes, of int64, and of float64, which the script has (it fills numpy.empty). Made-up
masks in patches, as land cover is, a third of the pixels wrong, and once more with every pixel drawn by itself, which
takes the histogram off the counts that it has just changed. Times are of one core, in turns, the shortest of each.

    taskset -c 1 python benchmarks/iou.py [ROUNDS]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from headstart.metrics.segmentation import iou
from headstart.tasks.segmentation_metrics import confusion_matrices

MASKS, SIDE, CLASSES = 257, 512, 7


def patches(seed: int, side: int) -> torch.Tensor:
    """uint8 (MASKS, SIDE, SIDE): for each mask a coarse random field per class, enlarged; the largest wins."""
    chance = torch.Generator().manual_seed(seed)
    masks = []
    for _ in range(MASKS):
        field = torch.randn(1, CLASSES, side, side, generator=chance)
        masks.append(F.interpolate(field, size=(SIDE, SIDE), mode="bilinear").argmax(1).to(torch.uint8))
    return torch.cat(masks)


def by_class(predicted: NDArray[np.generic], true: NDArray[np.generic]) -> list[float]:
    """IoU per class."""
    found = []
    for i in range(CLASSES):
        tp_fp = np.sum(predicted == i)
        tp_fn = np.sum(true == i)
        tp = np.sum((predicted == i) * (true == i))
        found.append(float(tp / (tp_fp + tp_fn - tp)))
    return found


def by_confusion(predicted: torch.Tensor, true: torch.Tensor) -> list[float]:
    return [float(each) for each in iou(confusion_matrices(true, predicted, CLASSES).numpy().sum(axis=0))]


def shortest(ways: Sequence[Callable[[], list[float]]], rounds: int) -> list[float]:
    """Processor seconds of each way, in turns; all have to find the same."""
    seconds = [float("inf")] * len(ways)
    for _ in range(rounds):
        found = []
        for number, way in enumerate(ways):
            began = time.process_time()
            found.append(way())
            seconds[number] = min(seconds[number], time.process_time() - began)
        assert all(np.allclose(each, found[0], rtol=1e-12, atol=0) for each in found)
    return seconds


def main() -> None:
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for words, side in (("patches", 12), ("noise", SIDE)):
        true = patches(0, side)
        predicted = torch.where(patches(1, side) < 3, patches(2, side), true)
        print(f"{words}: mIoU {np.mean(by_confusion(predicted, true)):.4f}")
        for kind in (np.uint8, np.int64, np.float64):
            arrays = predicted.numpy().astype(kind), true.numpy().astype(kind)
            ways = (partial(by_confusion, predicted, true), partial(by_class, *arrays))
            ours, loop = shortest(ways, rounds)
            print(
                f"    loop over {kind.__name__}: {loop:.3f} s, headstart {ours:.4f} s, {loop / ours:.1f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()
