"""One training over two hosts, which are network namespaces, one of them killed or cut off, resumed, and compared:

    python tests/robustness/two_hosts.py [--trials 2] [--seed 0]     (as root, with ip of iproute2)

First what nothing interrupts: all files of two hosts equal those of two processes on one host, and the figures of the
best epoch are those that one process computes of the saved weights, to the last digit. Then each host is killed
(SIGKILL to all of its processes) or its link goes down, at random moments. A trial survives if within a minute every
host that lives has ended with one line ``error`` and a status that is not 0, and if going on gives equal files with two
hosts, and a finished run with one process. Prints survived / tried, and the seconds to the end. A training that was
done already is only compared: torchrun itself then waits for the other host, for minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command import headstart
from forked import headstart_by_two
from robustness import material
from robustness.compare import differences
from robustness.hosts import Host, launch, two_hosts
from robustness.scenarios import ENVIRONMENT, in_folder

LONGEST = 60.0
"""Seconds in which the hosts that live have to end."""
Hosts = tuple[Host, Host]


def make_material(top: Path) -> list[str]:
    """Images and recipe; the words of the command that trains on them."""
    from headstart.recipes import recipe as recipes

    material.labeled(top / "labeled")
    base, overrides = material.RECIPES["classify"]
    recipe = recipes.load(base, overrides | {"train.epochs": 20, "train.batch_size": 6})
    (top / "classify.toml").write_text(recipe.to_toml(), encoding="utf-8")
    return ["fit", str(top / "classify.toml"), str(top / "labeled"), "--out", "run"]


def whole_equals(top: Path, words: list[str], hosts: Hosts) -> tuple[str, float]:
    """What differs between two hosts, two processes and one; seconds of the training on two hosts."""
    for name in ("hosts", "processes"):
        (top / name).mkdir()
    launched = launch(hosts, top / "hosts", *words)
    run = top / "hosts" / "run"
    while not run.exists() and launched.torchruns[0].poll() is None:
        time.sleep(0.02)
    begun = time.monotonic()
    statuses = launched.wait(300)
    seconds = time.monotonic() - begun
    if statuses != [0, 0]:
        return f"status {statuses}: {launched.outputs[0].read_text()}", seconds
    done = headstart_by_two(top / "processes", *words[:-1], top / "processes" / "run")
    faults = differences(top / "processes" / "run", run) if done.returncodes == [0, 0] else [done.output]
    return "; ".join(faults + figures(run, top / "labeled")), seconds


def figures(run: Path, data: Path) -> list[str]:
    """What differs between the last validation and `headstart evaluate` by one process, of the best weights."""
    from headstart.api import Run

    rows = [row for row in Run(run).metrics if row["split"] == "val"]
    best = max(rows, key=lambda row: (row["accuracy"], -row["epoch"]))
    alone = json.loads(headstart("evaluate", run, data, "--json").stdout)
    names = ("accuracy", "loss", "ece")
    return [f"{name}: {best[name]} and {alone[name]['value']}" for name in names if best[name] != alone[name]["value"]]


def trial(top: Path, words: list[str], hosts: Hosts, case: str, wait: float, times: list[float], folder: Path) -> str:
    """What is wrong with what a killed host leaves, and with what comes of it; empty if nothing is."""
    which, _, how = case.partition("/")
    victim = int(which == "second")
    launched = launch(hosts, folder, *words)
    while not (folder / "run").exists():
        if launched.torchruns[0].poll() is not None:
            return launched.outputs[0].read_text()
        time.sleep(0.02)
    time.sleep(wait)
    begun = time.monotonic()
    hosts[victim].kill() if how == "kill" else hosts[victim].link("down")
    statuses = launched.wait(LONGEST)
    times.append(time.monotonic() - begun)
    if how == "link":
        hosts[victim].link("up")
    faults, trained = [], "use it  " in launched.outputs[0].read_text(encoding="utf-8", errors="replace")
    for rank in range(0 if trained else 2):
        if how == "link" or rank != victim:
            errors = launched.errors(rank)
            if statuses[rank] in (0, None) or len(errors) != 1:
                faults.append(f"host {rank}: status {statuses[rank]}, {len(errors)} errors: {errors[:2]}")
    return "; ".join(faults + _goes_on(top, words, hosts, folder))


def _goes_on(top: Path, words: list[str], hosts: Hosts, folder: Path) -> list[str]:
    """By ``fit --resume``, or where there was no run yet by the same command again."""
    alone, begun = folder / "alone", (folder / "run" / "recipe.toml").is_file()
    shutil.copytree(folder / "run", alone, ignore=shutil.ignore_patterns(".lock"))
    done = headstart(*(("fit", "--resume") if begun else words[:-1]), alone)
    faults = [] if done.returncode == 0 else [f"resumed by one: {done.stderr.strip()[-300:]}"]
    if not faults:
        faults += [f"by one: {fault}" for fault in figures(alone, top / "labeled")]
    launched = launch(hosts, folder, *(("fit", "--resume", "run") if begun else words))
    statuses = launched.wait(120)
    if statuses != [0, 0]:
        return [*faults, f"resumed by two: status {statuses}: {launched.errors(0)}"]
    return faults + differences(top / "hosts" / "run", folder / "run")[:4]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, default=2, help="of each way to lose each host")
    arguments.add_argument("--seed", type=int, default=0)
    given, failed = arguments.parse_args(), 0
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="hosts-") as name, two_hosts() as hosts:
        top = Path(name)
        words = make_material(top)
        fault, seconds = whole_equals(top, words, hosts)
        print(f"two hosts, two processes, one process: {fault or 'equal to the last digit'}", flush=True)
        failed += bool(fault)
        for case in ("first/kill", "second/kill", "first/link", "second/link"):
            survived, times = 0, list[float]()
            for number in range(given.trials):
                wait = random.Random(f"{given.seed}/{case}/{number}").random() * seconds * 0.7

                def once(folder: Path, case: str = case, wait: float = wait, times: list[float] = times) -> str:
                    return trial(top, words, hosts, case, wait, times, folder)

                fault = in_folder(top / f"{case.replace('/', '-')}-{number}", once) or ""
                survived += not fault
                if fault:
                    print(f"    {case} after {wait:.1f} s: {fault}", flush=True)
            longest = max(times, default=0)
            print(f"{case}: survived {survived} / {given.trials}, ended after at most {longest:.1f} s", flush=True)
            failed += given.trials - survived
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
