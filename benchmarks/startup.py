"""Start-up: processor seconds of `headstart predict` for one image, by the run and by its ONNX file, side by side.

python benchmarks/startup.py RUN IMAGE [REPEATS=3] [FILE.onnx]

Without a file the run is exported first. Beside them stand the imports that they stand on. Each is a process of its
own; all take turns, and the median is printed with least and most. timm imports torchvision, which imports PyTorch's
compiler.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = ("torch", "torchvision", "timm", "torchmetrics", "onnxruntime", "headstart.cli.main")


def seconds(words: list[str]) -> tuple[float, float]:
    """Processor seconds of all threads, and seconds on the clock."""
    began, child = time.perf_counter(), os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(sys.executable, [sys.executable, *words])
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def measure(run: str, image: str, file: str, repeats: int) -> None:
    """Print what each command takes."""
    commands = {f"import {name}": ["-c", f"import {name}"] for name in IMPORTS}
    commands["headstart predict RUN IMAGE"] = ["-m", "headstart", "predict", run, image]
    commands["headstart predict FILE.onnx IMAGE"] = ["-m", "headstart", "predict", file, image]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, words in commands.items():
            taken[name].append(seconds(words))
    for name, each in taken.items():
        cpu, wall = zip(*each, strict=True)
        print(f"{name:34} {_spread(cpu)} processor s, {_spread(wall)} s on the clock")
    by_run, by_file = (statistics.median(cpu for cpu, _ in taken[name]) for name in list(commands)[-2:])
    print(f"the file takes {by_file / by_run:.2f} times the run's processor seconds; load {os.getloadavg()[0]:.1f}")


def _spread(values: tuple[float, ...]) -> str:
    return f"{statistics.median(values):5.2f} ({min(values):.2f} to {max(values):.2f})"


def main(run: str, image: str, repeats: str = "3", file: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not file:
            file = str(Path(folder, "model.onnx"))
            subprocess.run([sys.executable, "-m", "headstart", "export", run, file], check=True)
        measure(run, image, file, int(repeats))


if __name__ == "__main__":
    main(*sys.argv[1:])
