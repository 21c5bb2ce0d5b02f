"""From random weights in ten minutes: `scratch-quick` on a folder, with several seeds, each by the command as typed.

python benchmarks/scratch.py DATA OUT [SEEDS] [OVERRIDE...]

The seconds are those from the command to the written weights of the last epoch, then to the end of the command with its
maps and page. The accuracy is that of the weights that are kept: the best epoch's on the validation images, or with
`checkpoint.monitor=last` the last one's.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from headstart.runs.folder import RunFolder


def train(data: str, out: Path, seed: int, overrides: list[str]) -> tuple[float, float, float]:
    """(validation accuracy, seconds until the weights are written, seconds of the command)."""
    words = [sys.executable, "-m", "headstart", "fit", "scratch-quick", data, "--out", str(out), f"seed={seed}"]
    began, started = time.perf_counter(), time.time()
    subprocess.run([*words, *overrides], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - began
    run = RunFolder.open(out)
    rows = [row["accuracy"] for row in run.metrics if row["split"] == "val"]
    accuracy = rows[-1] if run.recipe.checkpoint.monitor == "last" else max(rows)
    return accuracy, run.last.stat().st_mtime - started, whole


def main() -> None:
    data, out, *rest = sys.argv[1:]
    seeds = [int(seed) for seed in rest[0].split(",")] if rest else [0, 1, 2]
    results = []
    for seed in seeds:
        accuracy, weights, whole = train(data, Path(out) / f"seed-{seed}", seed, rest[1:])
        results.append(accuracy)
        print(f"seed {seed}: {accuracy:.2%}, weights after {weights:.0f} s, all after {whole:.0f} s", flush=True)
    if len(results) > 1:
        mean, deviation = statistics.mean(results), statistics.stdev(results)
        print(f"mean {mean:.2%}, standard deviation {100 * deviation:.2f} points, {len(results)} seeds")


if __name__ == "__main__":
    main()
