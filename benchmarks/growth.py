"""Growth: what check, fit (one epoch), predict and the report take for 1, 4 and 16 times as many images.

python benchmarks/growth.py IMAGES [FIRST=1000] [TIMES=1,4,16]

The images are crops of random size of those in the folder IMAGES, 32 x 32 pixels, one in 21 of them for validation,
in ten classes; the network is `resnet8s`. Every command is a process of its own with a new cache; printed are its
processor seconds (of all threads), seconds on the clock, and largest resident memory, then the exponent between the
first and the last size: 1 is linear, 2 the square, below 1 start-up. 200,000 images:

python benchmarks/growth.py OBJECTS50 12500
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, CLASSES = 32, 10
CHANGES = ["data.image_size=32", "augment.sizes=[]", "train.epochs=1", "val.image_size=32"]


def make_images(source: Path, folder: Path, count: int) -> None:
    """Write ``count`` crops, each of another place and size."""
    files, random = sorted(source.rglob("*.jpg")), np.random.default_rng(0)
    for number in range(count):
        place = folder / ("val" if number % 21 == 0 else "train") / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        with Image.open(files[number % len(files)]) as image:
            side = int(random.integers(min(image.size) // 2, min(image.size)))
            left, top = (int(random.integers(0, each - side + 1)) for each in image.size)
            crop = image.convert("RGB").resize((SIDE, SIDE), box=(left, top, left + side, top + side))
        crop.save(place / f"{number:06d}.jpg", quality=90)


def measured(command: list[str], cache: Path, log: Path) -> tuple[float, float, float]:
    """Processor seconds, seconds on the clock, and largest resident memory in MiB of a command and its children."""
    began, child = time.perf_counter(), os.fork()
    if not child:
        with log.open("ab") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        os.execve(sys.executable, [sys.executable, "-m", "headstart", *command], {**os.environ, "HEADSTART_CACHE": str(cache)})  # fmt: skip  # noqa: E501
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in {0, 1}:  # 1: check has findings
        raise SystemExit(f"headstart {' '.join(command)}: {log.read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024


def main(source: str, first: str = "1000", times: str = "1,4,16") -> None:
    sizes = [int(first) * int(each) for each in times.split(",")]
    found: dict[str, list[float]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            top = Path(place)
            make_images(Path(source), top / "images", size)
            run, log = top / "run", top / "log"
            commands = {
                "check": ["check", str(top / "images")],
                "fit": ["fit", "scratch-quick", str(top / "images"), *CHANGES, "--out", str(run)],
                "predict": ["predict", str(run), str(top / "images"), "--out", str(top / "labels.csv")],
                "report": ["report", str(run)],
            }
            for name, command in commands.items():
                cpu, wall, memory = measured(command, top / "cache", log)
                found.setdefault(name, []).append(cpu)
                print(f"{size:>7,} images, {name}: {cpu:.1f} processor s, {wall:.1f} s, {memory:,.0f} MiB", flush=True)
    for name, seconds in found.items():
        exponent = math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])
        slope = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2]) if len(sizes) > 1 else math.nan
        before = (seconds[1] - seconds[0]) / (sizes[1] - sizes[0]) if len(sizes) > 2 else math.nan
        print(
            f"{name}: exponent {exponent:.2f}; {1000 * slope:.2f} s per 1,000 more images, {1000 * before:.2f} before"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
