"""How long `headstart --help` takes, as a whole process: the median of 20.

python benchmarks/help_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import time


def main() -> None:
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        subprocess.run(["headstart", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    print(f"median {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
