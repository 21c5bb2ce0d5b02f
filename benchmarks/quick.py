"""The headline: accuracy and minutes of `quick` over seeds, from the command line as a user would type it.

python benchmarks/quick.py clothing/ 0 1 2
python benchmarks/quick.py solar-cells 0 1 2    # those of `headstart demo`: flipped both ways, not rotated, 9 epochs
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import headstart as hs
from headstart.cli.demo import CELL_OVERRIDES, solar_cells


def main() -> None:
    data, seeds = sys.argv[1], sys.argv[2:]
    accuracies, minutes = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            # A cache of its own: the time includes decoding every image.
            environment = {**os.environ, "HEADSTART_CACHE": str(Path(folder) / "cache")}
            words = ["fit", "quick", data, f"seed={seed}", "--out", str(out)]
            if data == "solar-cells":
                words[2:3] = [str(solar_cells(Path(folder) / data)), *CELL_OVERRIDES, "train.epochs=9"]
            began = time.perf_counter()
            subprocess.run(["headstart", *words], check=True, env=environment, capture_output=True)
            minutes.append((time.perf_counter() - began) / 60)
            accuracies.append(hs.Run(out).accuracy or 0.0)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"seed {seed}: {accuracies[-1]:.2%} in {minutes[-1]:.1f} minutes, at most {memory:.2f} GiB", flush=True)
    if len(seeds) > 1:
        print(
            f"mean {statistics.mean(accuracies):.2%}, standard deviation {statistics.stdev(accuracies):.2%},"
            f" {min(minutes):.1f} to {max(minutes):.1f} minutes"
        )


if __name__ == "__main__":
    main()
