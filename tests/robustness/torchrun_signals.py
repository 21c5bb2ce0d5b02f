"""Stop two processes of torchrun on the CPU (gloo) by a signal at a random moment, resume, and compare:

    python tests/robustness/torchrun_signals.py [--trials 20] [--seed 0] [--case SIGINT/group/3]

``group``: to torchrun and the processes of its group, as a terminal sends Ctrl-C. ``torchrun``: to torchrun alone, as
a scheduler does. A trial survives if everything has ended after ten seconds without a process left, "Stopped and saved"
stands there once unless the run was finished or had not begun, and if all files are equal after two processes have gone
on. Prints survived / tried, and the seconds from the signal to the end.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from forked import headstart_by_two
from robustness import material
from robustness.compare import differences
from robustness.scenarios import ENVIRONMENT, NOT_BEGUN, in_folder

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "headstart", "fit"]
SECONDS, LONGEST = 10.0, 60.0
"""Within which everything has to end, and after which it is killed."""
SIGNALS, RECEIVERS = ("SIGINT", "SIGTERM"), ("group", "torchrun")


class Whole(NamedTuple):
    """A training that nothing interrupted."""

    top: Path
    seconds: float
    """From its first file to its end."""

    @property
    def run(self) -> Path:
        return self.top / "whole" / "run"


def launch(top: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Torchrun with two processes that train ``folder``/run, in a session of its own; returns as that appears."""
    words = [*LAUNCH, str(top / "classify.toml"), str(top / "labeled"), "--out", "run"]
    environment = {**os.environ, **ENVIRONMENT, "HEADSTART_CACHE": str(folder / "cache")}
    with (folder / "said.txt").open("wb") as said:
        started = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    while not (folder / "run").exists():
        if started.poll() is not None:
            raise RuntimeError((folder / "said.txt").read_text())
        time.sleep(0.005)
    return started


def make_whole(top: Path) -> Whole:
    """The material and a training without interruption."""
    from headstart.recipes import recipe as recipes

    material.labeled(top / "labeled")
    base, overrides = material.RECIPES["classify"]
    recipe = recipes.load(base, overrides | {"train.epochs": 12, "train.batch_size": 6})
    (top / "classify.toml").write_text(recipe.to_toml(), encoding="utf-8")
    (top / "whole").mkdir()
    started = launch(top, top / "whole")
    begun = time.monotonic()
    if started.wait():
        raise RuntimeError((top / "whole" / "said.txt").read_text())
    return Whole(top, time.monotonic() - begun)


def stopped(whole: Whole, number: int, receiver: str, draw: random.Random, times: list[float], folder: Path) -> str:
    """What is wrong with a training that was sent a signal, and with what came of it; empty if nothing is."""
    started = launch(whole.top, folder)
    with suppress(subprocess.TimeoutExpired):
        started.wait(draw.random() * whole.seconds)
    processes = [started.pid, *_children(started.pid)]
    finished = started.poll() is not None
    begun = time.monotonic()
    if not finished:
        (os.killpg if receiver == "group" else os.kill)(started.pid, number)
    with suppress(subprocess.TimeoutExpired):
        started.wait(LONGEST)
    left = [pid for pid in processes if _lives(pid)]
    while left and time.monotonic() - begun < LONGEST:
        time.sleep(0.01)
        left = [pid for pid in left if _lives(pid)]
    took = time.monotonic() - begun
    times.append(took)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    said = (folder / "said.txt").read_text(encoding="utf-8", errors="replace")
    faults = [f"ended after {took:.1f} s"] if took > SECONDS else []
    count = len(re.findall(r"Stopped and saved\.|Stopped\. |use it  ", said))
    if count != 1:
        last = [line for line in said.splitlines() if line.strip()][-3:]
        faults.append(f"said {count} times how to go on: {last}")
    return "; ".join(faults + _resumed(whole, folder))


def _resumed(whole: Whole, folder: Path) -> list[str]:
    os.environ["HEADSTART_CACHE"] = str(folder / "cache")
    run = folder / "run"
    done = headstart_by_two(folder, "fit", "--resume", run)
    if any(sign in done.output for sign in NOT_BEGUN):
        done = headstart_by_two(folder, "fit", whole.top / "classify.toml", whole.top / "labeled", "--out", run)
    if done.returncodes != [0, 0]:
        return [f"resumed: status {done.returncodes}: {done.output.strip().splitlines()[-1:]}"]
    return differences(whole.run, run)[:4]


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found += [int(folder.name), *_children(int(folder.name))]
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, default=20, help="of each signal to each receiver")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--case", action="append", help="only this one")
    arguments.add_argument("--minutes", type=float, default=600, help="begin no trial later than this")
    given = arguments.parse_args()
    end, failed = time.monotonic() + 60 * given.minutes, 0
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="torchrun-") as top:
        whole = make_whole(Path(top))
        for name in SIGNALS:
            for receiver in RECEIVERS:
                times: list[float] = []
                tried = survived = 0
                for number in range(given.trials):
                    case = f"{name}/{receiver}/{number}"
                    if (given.case and case not in given.case) or time.monotonic() > end:
                        continue
                    draw, folder = random.Random(f"{given.seed}/{case}"), Path(top) / case.replace("/", "-")

                    def trial(
                        folder: Path, name: str = name, to: str = receiver, draw: random.Random = draw,
                        times: list[float] = times,
                    ) -> str:  # fmt: skip
                        return stopped(whole, getattr(signal, name), to, draw, times, folder)

                    fault = in_folder(folder, trial)
                    tried, survived = tried + 1, survived + (not fault)
                    if fault:
                        print(f"    --seed {given.seed} --case {case}: {fault}", flush=True)
                if times:
                    middle, longest = statistics.median(times), max(times)
                    print(
                        f"{name} to {receiver}: survived {survived} / {tried}; {middle:.1f} s, at most {longest:.1f} s"
                    )
                failed += tried - survived
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
