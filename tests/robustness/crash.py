"""Interrupt training and studies in every way, go on as the product says, and compare: ``make crash``, or

    python tests/robustness/crash.py [--kind kill] [--seed 0] [--trials 230] [--case kill/segment/17]

A trial survives if everything that is there afterwards equals what an uninterrupted command leaves, but for times (see
`compare.py`). The moment of a kill is a share of the command's time that a random generator of (seed, case) draws, so
``--case`` replays it, on an equally busy machine at the same step. Prints survived / tried per kind and task.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from robustness import corruption, crash_kinds
from robustness.rename_points import WHEN, at_rename, copied, first_and_last, from_copy
from robustness.scenarios import FITS, SELF_SUPERVISED, STUDIES, Scenario, in_folder, make_material, make_scenario

SHARES = {"classify": 50, "byol": 40, "segment": 45, "probe": 35, "study": 20, "study-jobs-2": 10} | dict.fromkeys(
    SELF_SUPERVISED, 10
)
"""Random kills of each, of 230."""
KINDS = ("kill", "rename", "signal", "disk", "corrupt")
SIZES = ("40k", "200k", "1m", "2m", "3m", "4m", "5m", "7m", "9m", "12m")
INODES = (5, 8, 12, 16, 20, 24, 28, 34)
Trial = tuple[str, Callable[[], str | None]]
"""(case, what is wrong with it)."""


def trials(kind: str, scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> Iterable[Trial]:
    """All trials of a kind."""
    return {"kill": _kills, "rename": _renames, "signal": _signals, "disk": _disks, "corrupt": _corruptions}[kind](
        scenarios, top, given
    )


def _case(top: Path, name: str, trial: Callable[[Path], str | None]) -> Trial:
    folder = top / "trials" / name.replace("/", "_")
    return name, lambda: in_folder(folder, trial)


def _draw(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed}/{name}")


def _kills(scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> Iterable[Trial]:
    for name, scenario in scenarios.items():
        for number in range(max(1, round(given.trials * SHARES[name] / 230))):
            case = f"kill/{name}/{number}"
            yield _case(top, case, partial(crash_kinds.killed, scenario, _draw(given.seed, case)))


def _renames(scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> Iterable[Trial]:
    for name, scenario in scenarios.items():
        if name not in (*FITS, "study"):
            continue  # the renames of BYOL, or those of the study in other processes
        if given.case:
            for _, _, number, when in (case.split("/") for case in given.case if case.startswith(f"rename/{name}/")):
                yield _case(top, f"rename/{name}/{number}/{when}", partial(at_rename, scenario, int(number), when))
            continue
        copies = top / f"copies-{name}"
        points = copied(scenario, copies)
        for point in first_and_last(points) if given.fewer else points:
            for when in WHEN if point.number >= given.begin else ():
                trial = partial(from_copy, scenario, copies, point, when)
                yield _case(top, f"rename/{name}/{point.number}/{when}", trial)
        shutil.rmtree(copies)


def _signals(scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> Iterable[Trial]:
    for name, scenario in scenarios.items():
        if name in SELF_SUPERVISED:
            continue
        for which in ("SIGTERM", "SIGINT", "SIGHUP"):
            for number in range(3 if name in FITS else 2):
                case = f"signal/{name}/{which}/{number}"
                trial = partial(crash_kinds.signaled, scenario, _draw(given.seed, case), getattr(signal, which))
                yield _case(top, case, trial)


def _disks(scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> Iterable[Trial]:
    if os.geteuid() or not _can_mount(top):
        print("disk: skipped, for it mounts file systems (needs root)", flush=True)
        return
    for name, scenario in scenarios.items():
        if name not in FITS:
            continue
        for size in SIZES:
            trial = partial(crash_kinds.full, scenario, f"size={size}", crash_kinds.ROOM)
            yield _case(top, f"disk/{name}/size={size}", trial)
        for inodes in INODES:
            trial = partial(crash_kinds.full, scenario, f"{crash_kinds.ROOM},nr_inodes={inodes}", "nr_inodes=9000")
            yield _case(top, f"disk/{name}/inodes={inodes}", trial)
        for way, kind in (("read-only", crash_kinds.read_only), ("full-at-once", crash_kinds.full_at_once)):
            for number in range(4):
                case = f"disk/{name}/{way}-{number}"
                yield _case(top, case, partial(kind, scenario, _draw(given.seed, case)))


def _can_mount(top: Path) -> bool:
    try:
        with crash_kinds.small_disk(top / "can-mount", "size=40k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _corruptions(scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> Iterable[Trial]:
    for name in ("classify", "segment"):
        if name in scenarios:
            yield from (_case(top, case, trial) for case, trial in corruption.trials(scenarios[name], top, given.seed))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kind", choices=KINDS, action="append")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--trials", type=int, default=230, help="random kills")
    arguments.add_argument(
        "--only", choices=(*FITS, *SELF_SUPERVISED, *STUDIES), action="append", help="only these commands"
    )
    arguments.add_argument("--case", action="append", help="replay a trial, named as it was printed")
    arguments.add_argument("--minutes", type=float, default=600, help="begin no trial later than this")
    arguments.add_argument(
        "--fewer", action="store_true", help="of renames that each epoch has, the first and the last"
    )
    arguments.add_argument("--begin", type=int, default=1, help="the first rename that is tried")
    given = arguments.parse_args()
    cases = [case.split("/") for case in given.case or ()]
    kinds = dict.fromkeys(case[0] for case in cases) or given.kind or KINDS
    names = dict.fromkeys(case[1] for case in cases) or given.only or [*FITS, *SELF_SUPERVISED, *STUDIES]
    _import_everything()
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="crash-", dir=place) as folder:
        top = Path(folder)
        make_material(top)
        scenarios = {name: make_scenario(name, top) for name in names}
        failed = sum(_try_all(kind, scenarios, top, given) for kind in kinds)
    return int(failed > 0)


def _try_all(kind: str, scenarios: dict[str, Scenario], top: Path, given: argparse.Namespace) -> int:
    """Print survived / tried of a kind; the number that did not survive."""
    tried: dict[str, list[bool]] = defaultdict(list)
    end = time.monotonic() + 60 * given.minutes
    for case, trial in trials(kind, scenarios, top, given):
        if given.case and case not in given.case:
            continue
        if time.monotonic() > end:
            print(f"{kind}: out of time before {case}", flush=True)
            break
        fault = trial()
        tried[case.split("/")[1]].append(fault is None)
        if fault:
            print(f"    --seed {given.seed} --case {case}: {fault}", flush=True)
    for name, results in tried.items():
        print(f"{kind:8} {name:14} {sum(results)} / {len(results)}", flush=True)
    every = [result for results in tried.values() for result in results]
    print(f"{kind}: survived {sum(every)} / {len(every)}", flush=True)
    return len(every) - sum(every)


def _import_everything() -> None:
    """Import what commands import when they run, once for all of the processes that are forked from this one."""
    import lightning_fabric  # noqa: F401
    import openTSNE  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import timm  # noqa: F401

    import headstart.cli.main
    import headstart.report.run_page
    import headstart.studies.runner
    import headstart.training.loop
    import headstart.training.setup  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
