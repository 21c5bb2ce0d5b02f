"""The headline: accuracy and minutes of a recipe over seeds, from the command line as a user would type it.

python benchmarks/quick.py clothing/ 0 1 2
python benchmarks/quick.py solar-cells 0 1 2    # those of `headstart demo`: flipped both ways, not rotated, 9 epochs
python benchmarks/quick.py objects50/ 0 1 2 --recipe scratch-quick

The minutes are those until the weights of the last epoch are written, then those of the whole command with its page.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import headstart as hs
from headstart.cli.demo import CELL_OVERRIDES, solar_cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--recipe", default="quick")
    given = parser.parse_args()
    data, seeds = given.data, given.seeds
    accuracies, minutes = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            # A cache of its own: the time includes decoding every image.
            environment = {**os.environ, "HEADSTART_CACHE": str(Path(folder) / "cache")}
            words = ["fit", given.recipe, data, f"seed={seed}", "--out", str(out)]
            if data == "solar-cells":
                words[2:3] = [str(solar_cells(Path(folder) / data)), *CELL_OVERRIDES, "train.epochs=9"]
            began, started = time.perf_counter(), time.time()
            subprocess.run(["headstart", *words], check=True, env=environment, capture_output=True)
            minutes.append((time.perf_counter() - began) / 60)
            run = hs.Run(out)
            accuracies.append(run.accuracy or 0.0)
            weights = (run.folder.last.stat().st_mtime - started) / 60
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(
            f"seed {seed}: {accuracies[-1]:.2%} in {weights:.1f} minutes, {minutes[-1]:.1f} in all, at most"
            f" {memory:.2f} GiB",
            flush=True,
        )
    if len(seeds) > 1:
        print(
            f"mean {statistics.mean(accuracies):.2%}, standard deviation {statistics.stdev(accuracies):.2%},"
            f" {min(minutes):.1f} to {max(minutes):.1f} minutes"
        )


if __name__ == "__main__":
    main()
