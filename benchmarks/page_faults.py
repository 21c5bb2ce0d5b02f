"""What keeping freed memory saves of a training step: ``python benchmarks/page_faults.py [RECIPE ...]``.

Steps of a recipe's network at its last size, forward, backward and optimizer, with freed memory returned to the system
(as glibc does by itself) and kept (`headstart.allocator`), each in processes of its own, in turn, four times. Prints
the time of a step, what the system takes of its processor time, and page faults: medians and their range.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from statistics import median

HOW, ROUNDS, STEPS = ("returned", "kept"), 4, 8


def measure(name: str, how: str) -> None:
    """Print the milliseconds of a step, those of the system, and its page faults."""
    import torch
    from torch import nn

    from headstart.allocator import freed_memory_kept
    from headstart.models import backbones
    from headstart.recipes import recipe as recipes
    from headstart.training.optimizer import make_optimizer

    recipe = recipes.load(name)
    side, batch = recipe.train_size(recipe.train.epochs - 1), recipe.train.batch_size
    backbone = backbones.build(recipe.backbone.name)
    classes = 10
    head = nn.Linear(backbone(torch.zeros(2, 3, side, side)).shape[1], classes)
    network = nn.Sequential(backbone, head).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, recipe.optimizer)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (batch,))
    with freed_memory_kept() if how == "kept" else nullcontext():
        for step in range(2 + STEPS):
            if step == 2:
                began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    system, faults = after.ru_stime - before.ru_stime, after.ru_minflt - before.ru_minflt
    print(1000 * took / STEPS, 1000 * system / STEPS, faults / STEPS, after.ru_maxrss / 1024)


def main(names: list[str]) -> None:
    for name in names or ["quick", "scratch-quick"]:
        found: dict[str, list[list[float]]] = {how: [] for how in HOW}
        for _ in range(ROUNDS):
            for how in HOW:
                said = subprocess.run([sys.executable, __file__, "--one", name, how], capture_output=True, check=True)
                found[how].append([float(each) for each in said.stdout.split()])
        for how, rows in found.items():
            parts = zip(*rows, strict=True)
            columns = [f"{median(each):,.0f} ({min(each):,.0f} to {max(each):,.0f})" for each in parts]
            print(f"{name}, {how}: step {columns[0]} ms, system {columns[1]} ms, faults {columns[2]}, MiB {columns[3]}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(*sys.argv[2:])
    else:
        main(sys.argv[1:])
