"""How near a training step is to what this machine can do: its time beside the floor of its FLOPs.

python benchmarks/floor.py [RECIPE...]

The floor of a step is its floating-point operations over the rate at which this machine multiplies large matrices; the
ratio says how many times longer the step takes. Operations are counted by PyTorch's FlopCounterMode (convolutions and
matrix products, forward and backward); below is where the processor's time goes, by PyTorch's profiler.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from headstart.recipes.recipe import Recipe, load
from headstart.studies import step_time
from headstart.studies.step_time import STEPS, measure_steps, side_of

RECIPES = ("scratch-quick", "quick", "resnet18-scratch", "byol-quick", "emp-ssl-quick", "segment-quick")
ROUNDS = 5
CLASSES = tuple(str(number) for number in range(50))


def matrix_rate() -> float:
    """FLOP/s of products of 2,048 x 2,048 matrices in float32: the median of some."""
    matrix, times = torch.randn(2048, 2048), []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began)
    return 2 * 2048**3 / median(times[1:])


def copy_rate() -> float:
    """Bytes/s, read and written, of copies of 256 MiB."""
    source = torch.zeros(2**26)
    target, times = torch.empty_like(source), []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - began)
    return 2 * source.numel() * source.element_size() / median(times[1:])


def convolution_backward_flops(
    gradient: Sequence[int], _: Sequence[int], weight: Sequence[int], *more: Any, **__: Any
) -> int:
    """Operations of the backward pass of a convolution, in groups or not: PyTorch 2.14 counts groups as one."""
    of_images, of_weights, _bias = more[-1]
    return 2 * math.prod(gradient) * math.prod(weight[1:]) * (bool(of_images) + bool(of_weights))


def flops_of(recipe: Recipe) -> float:
    """Floating-point operations of a training step, per image."""
    mapping = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        measure_steps(recipe, CLASSES, side_of(recipe))
    images = (STEPS + 1) * recipe.train.batch_size
    return float(counter.get_total_flops()) / images


def shares_of(recipe: Recipe, count: int = 6) -> str:
    """The operations that take most of the processor's time, with their shares."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        measure_steps(recipe, CLASSES, side_of(recipe))
    events = profiled.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    longest = sorted(events, key=lambda event: -event.self_cpu_time_total)[:count]
    return ", ".join(f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / whole:.0%}" for event in longest)


def main() -> None:
    step_time.BATCH = 10_000  # steps of the recipes' own size
    rate, copying = matrix_rate(), copy_rate()
    print(f"{torch.get_num_threads()} threads: {rate / 1e9:,.0f} GFLOP/s, copies {copying / 1e9:.1f} GB/s\n")
    print("| recipe | side | GFLOP an image | floor, ms | measured, ms (of rounds) | ratio | where the time goes |")
    print("|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or RECIPES:
        recipe = load(name, {"backbone.weights": "none"})
        flops = flops_of(recipe)
        times = [1000 * measure_steps(recipe, CLASSES, side_of(recipe)).image for _ in range(ROUNDS)]
        floor, measured = 1000 * flops / rate, median(times)
        print(
            f"| `{name}` | {side_of(recipe)} | {flops / 1e9:.2f} | {floor:.2f} | {measured:.2f} ({min(times):.2f} to"
            f" {max(times):.2f}) | {measured / floor:.1f} | {shares_of(recipe)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
