"""Whether a study takes as long as it says: python benchmarks/study_estimate.py CLOTHING OUT [FIELD=VALUE ...]."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from rich.console import Console

from headstart import api
from headstart.recipes.recipe import read_overrides
from headstart.studies.runner import prepare
from headstart.studies.time_estimate import estimate


def main() -> None:
    data, out, *changes = sys.argv[1:]
    overrides = {"data.image_size": 64, "augment.sizes": [], "train.epochs": 3, **read_overrides(changes)}
    plan = api.plan_study(
        data, None, None, "ABDG", [0.25, 1.0], 2, Path(out), "quick", "byol-quick", overrides, tune=True
    )
    carrying = prepare(plan)
    said = sum(estimate(plan, carrying.pixels).values())
    began = time.perf_counter()
    study = api.carry_out_study(plan, console=Console(file=io.StringIO()))
    took = time.perf_counter() - began
    print(f"said {said:.0f} s, took {took:.0f} s: {said / took:.2f} times (asked: 0.7 to 1.3), {study.done} trials")


if __name__ == "__main__":
    main()
