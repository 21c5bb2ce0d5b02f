"""How long `headstart check` takes over a large folder, as a whole process.

python benchmarks/check_speed.py DATA [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time


def main() -> None:
    data, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    seconds, images = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        done = subprocess.run(["headstart", "check", data, "--json"], check=False, capture_output=True, text=True)
        seconds.append(time.perf_counter() - began)
        images = sum(json.loads(done.stdout)["images"].values())
    middle = statistics.median(seconds)
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    print(f"{images:,} images in {middle:.1f} s ({spread}): {images / middle:,.0f} images/s")


if __name__ == "__main__":
    main()
