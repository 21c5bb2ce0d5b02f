"""How far a study's "about 12 min left" is off, replayed on the durations of real studies.

``python benchmarks/time_left.py record FOLDER LOG 4m ABD`` runs a study and logs its estimates and each step;
``python benchmarks/time_left.py replay LOG ...`` prints how far the end that it says lies from the real one, over the
second half of each study, in per cent of the study's time.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from headstart.studies.budget import read_budget
from headstart.studies.request import make_plan, prepare_study
from headstart.studies.time_left import TimeLeft


def record(folder: str, log: str, budget: str, settings: str) -> None:
    """Run a study of ``folder`` in a temporary folder; its progress as JSON into ``log``."""
    with tempfile.TemporaryDirectory() as out:
        plan = make_plan(folder, settings=settings, out=Path(out) / "study")
        runner, seconds = prepare_study(plan, budget=read_budget(budget))
        began, events = time.monotonic(), list[tuple[float, str, float]]()

        def progress(name: str, share: float) -> None:
            events.append((time.monotonic() - began, name, share))

        runner.on_progress = progress
        for _ in runner.run():
            pass
        whole = time.monotonic() - began
    Path(log).write_text(json.dumps({"seconds": seconds, "events": events, "whole": whole}), encoding="utf-8")
    print(f"{len(seconds)} trainings, {sum(seconds.values()):.0f} s estimated, {whole:.0f} s taken")


def replay(log: str) -> None:
    """Print how far the time left was off in the second half of a recorded study."""
    made = json.loads(Path(log).read_text(encoding="utf-8"))
    whole, clock, off = made["whole"], [0.0], []
    left = TimeLeft(made["seconds"], now=lambda: clock[0])
    for at, name, share in made["events"]:
        clock[0] = at
        left.advance(name, share, 1)
        if whole / 2 <= at < whole:
            off.append(((left.seconds(1) or 0.0) - (whole - at)) / whole)
    error, ratio = np.abs(np.array(off)), sum(made["seconds"].values()) / whole
    print(
        f"{log}: {whole:.0f} s, estimated {ratio:.2f} times that. From half-way on, the end is said within 15 % of the"
        f" study's time at {100 * (error <= 0.15).mean():.0f} % of {len(error)} moments; mean error"
        f" {100 * error.mean():.1f} %, largest {100 * error.max():.0f} %"
    )


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(*sys.argv[2:6])
    else:
        for each in sys.argv[2:]:
            replay(each)
