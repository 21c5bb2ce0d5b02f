"""Start-up: processor seconds of `headstart predict` for one image, beside those of the imports it stands on.

python benchmarks/startup.py RUN IMAGE [REPEATS=3]

Each is a process of its own; the median is printed. timm imports torchvision, which imports PyTorch's compiler.
"""

from __future__ import annotations

import os
import statistics
import sys
import time


def seconds(words: list[str]) -> tuple[float, float]:
    """Processor seconds of all threads, and seconds on the clock."""
    began, child = time.perf_counter(), os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(sys.executable, [sys.executable, *words])
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def main(run: str, image: str, repeats: str = "3") -> None:
    commands = {f"import {name}": ["-c", f"import {name}"] for name in ("torch", "torchvision", "timm", "torchmetrics")}
    commands["headstart predict"] = ["-m", "headstart", "predict", run, image]
    for name, words in commands.items():
        taken = [seconds(words) for _ in range(int(repeats))]
        cpu, wall = (statistics.median(each) for each in zip(*taken, strict=True))
        print(f"{name}: {cpu:.2f} processor s, {wall:.2f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
