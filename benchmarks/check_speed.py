"""How long `headstart check` takes over a large folder, as a whole process; beside another version, in turns.

python benchmarks/check_speed.py DATA [ROUNDS [SOURCE]]

SOURCE is the folder `src` of the other version: git worktree add OLD COMMIT; OLD/src. Every process starts with an
empty cache. Processor seconds count as well, for other programs on the machine change them less.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def check(data: str, source: str) -> tuple[float, float, int]:
    """Seconds on the clock, seconds of the processor, and images."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPATH": source, "HEADSTART_CACHE": cache}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "headstart", "check", data, "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor, sum(json.loads(done.stdout)["images"].values())


def main() -> None:
    data, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    sources = [str(Path(__file__).parents[1] / "src"), *sys.argv[3:4]]
    results = [[check(data, source) for source in sources] for _ in range(rounds)]
    for number, source in enumerate(sources):
        for what, place in (("on the clock", 0), ("of the processor", 1)):
            seconds = [each[number][place] for each in results]
            middle, images = statistics.median(seconds), results[0][number][2]
            print(f"{source}: {images:,} images in {middle:.1f} s {what} ({min(seconds):.1f} to {max(seconds):.1f})")
    if len(sources) > 1:
        ratios = [[one[0][place] / one[1][place] for one in results] for place in (0, 1)]
        clock, processor = (statistics.median(some) for some in ratios)
        print(f"ratio, median of {rounds} rounds: {clock:.2f} on the clock, {processor:.2f} of the processor")


if __name__ == "__main__":
    main()
