"""Estimated against measured time of a study: python benchmarks/study_estimate.py CLOTHING OUT [FIELD=VALUE ...]."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from rich.console import Console

from headstart.console.study_progress import run_study_with_progress
from headstart.data.dataset import Dataset
from headstart.recipes.recipe import read_overrides
from headstart.studies.request import make_plan
from headstart.studies.time_estimate import estimate


def main() -> None:
    data, out, *changes = sys.argv[1:]
    overrides = {"data.image_size": 64, "augment.sizes": [], "train.epochs": 3, **read_overrides(changes)}
    dataset = Dataset(data)
    plan = make_plan(
        dataset,
        settings="ABDG",
        labels=[0.25, 1.0],
        seeds=2,
        out=Path(out),
        recipe="quick",
        pretraining="byol-quick",
        overrides=overrides,
    )
    dataset.pixels(plan.recipe.data, plan.target)  # decoded before: the estimate leaves decoding out
    estimated = sum(estimate(plan, dataset).values())
    began = time.perf_counter()
    study = run_study_with_progress(plan, dataset, console=Console(file=io.StringIO()))
    took = time.perf_counter() - began
    ratio = f"{estimated / took:.2f} times (required: 0.7 to 1.3)"
    print(f"estimated {estimated:.0f} s, took {took:.0f} s: {ratio}, {study.done} trials")


if __name__ == "__main__":
    main()
