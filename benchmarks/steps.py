"""Time of a training step of a recipe, with and without `train.precision=bf16-mixed` and `train.compile`, by turns.

python benchmarks/steps.py DATA [RECIPE] [SECONDS] [OVERRIDE...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch

from headstart.recipes.recipe import load, read_overrides
from headstart.training.loop import Step, train
from headstart.training.setup import start

WARMUP = 30
"""Steps that are not timed: compilation, and the choice of convolution algorithms."""
VARIANTS = {
    "32-true": [],
    "bf16-mixed": ["train.precision=bf16-mixed"],
    "bf16-mixed, compiled": ["train.precision=bf16-mixed", "train.compile=true"],
}


def step_time(data: str, recipe: str, seconds: float, overrides: list[str], out: Path) -> tuple[float, float]:
    """Seconds per step, and seconds of the warm-up."""
    training = start(load(recipe, read_overrides(["analysis.save_images=false", *overrides])), data, out)
    began, timed, last = time.perf_counter(), 0.0, 0.0
    for count, event in enumerate(train(training), start=1):
        if count == WARMUP:
            _wait(training.fabric.device)
            timed = time.perf_counter()
        if not isinstance(event, Step) or (timed and time.perf_counter() - timed > seconds):
            break
        last = count
    _wait(training.fabric.device)
    return (time.perf_counter() - timed) / (last + 1 - WARMUP), timed - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    data, *rest = sys.argv[1:]
    recipe, seconds, overrides = (rest or ["resnet18-scratch"])[0], float((rest[1:] or ["5"])[0]), rest[2:]
    for name, changes in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            step, warmup = step_time(data, recipe, seconds, overrides + changes, Path(folder) / "run")
        print(f"{name:22} {1000 * step:8.2f} ms a step   (warm-up of {WARMUP} steps {warmup:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
