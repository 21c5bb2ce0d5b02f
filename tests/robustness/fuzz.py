"""Fuzz every parser of what a user can hand to headstart: ``make fuzz``, or

    python tests/robustness/fuzz.py [--cases 10000] [--seed 0] [--target image-png] [--case 123]

A case is a real file that is mutated by a random generator of (seed, target, case), so each can be replayed alone. A
case survives if its file is read, or refused by HeadstartError or Unreadable, in five seconds of computing and within
1 GiB of memory beside the libraries. Prints survived / tried per target, and how to replay each kind of failure.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from robustness.fuzz_targets import GROUPS, all_targets
from robustness.mutate import Target

SECONDS, WAITING, MEMORY = 5.0, 60.0, 1 << 30
"""Longest time of a case, computing and waiting, and most memory that it takes, beside Python and PyTorch."""


class Failure(NamedTuple):
    """A case that did not survive."""

    target: str
    case: int
    kind: str
    """Exception and the line of headstart that it left, ``hang`` or ``memory``."""


def generator(seed: int, target: str, case: int) -> random.Random:
    """The random generator of a case."""
    return random.Random(f"{seed}/{target}/{case}")


def try_case(folder: Path, target: Target, seed: int, case: int) -> str | None:
    """What is wrong with a case; None if it survives."""
    from headstart.data.unreadable import Unreadable
    from headstart.errors import HeadstartError

    draw = generator(seed, target.name, case)
    file = folder / target.file
    file.write_bytes(target.mutate(draw, target.corpus))
    try:
        target.use(file, draw)
    except (HeadstartError, Unreadable) as error:
        return "several lines" if "\n" in str(error) else None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/headstart/" in frame.filename] or frames
        return f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if len(target.corpus) == 1:
            file.write_bytes(target.corpus[0])
        else:
            file.unlink(missing_ok=True)
    return None


def fuzz(folder: Path, target: Target, cases: Iterable[int], seed: int = 0) -> list[Failure]:
    """Try cases in processes of their own; one that hangs or dies is replaced and goes on with the next case."""
    waiting, failures = list(cases), []
    while waiting:
        shared = mmap.mmap(-1, 16)
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            os.close(read_end)
            _work(folder, target, waiting, seed, shared, write_end)
        os.close(write_end)
        found, reason = _watch(child, shared, read_end)
        failures += [Failure(target.name, case, kind) for case, kind in found]
        at = struct.unpack("qd", shared[:16])[0]
        if reason:
            failures.append(Failure(target.name, waiting[at], reason))
        waiting = waiting[at + 1 :]
    return failures


def _work(folder: Path, target: Target, cases: Sequence[int], seed: int, shared: mmap.mmap, out: int) -> None:
    """The child: stops after a case that took more memory than it may, for the peak of a process never falls."""
    warnings.simplefilter("ignore")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)  # the libraries' own complaints
    before = _memory()
    for at, case in enumerate(cases):
        shared[:16] = struct.pack("qd", at, time.monotonic())
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process, whatever it does
        kind = try_case(folder, target, seed, case)
        used = _memory() - before
        kind = f"memory of {used >> 20} MiB" if used > MEMORY else kind
        if kind:
            os.write(out, f"{case} {kind}\n".encode())
            if kind.startswith("memory"):
                break
    os.write(out, b"end\n")
    os._exit(0)


def _memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _watch(child: int, shared: mmap.mmap, pipe: int) -> tuple[list[tuple[int, str]], str]:
    """Failures that the child found, and why it ended early: "" if it did not."""
    content, reason = b"", ""
    while True:
        ready, _, _ = select.select([pipe], [], [], 0.1)
        if ready:
            part = os.read(pipe, 1 << 16)
            if not part:
                break
            content += part
        elif (begun := struct.unpack("qd", shared[:16])[1]) and time.monotonic() - begun > WAITING:
            os.kill(child, signal.SIGKILL)
            reason = "hang"
            break
    os.close(pipe)
    status = os.waitpid(child, 0)[1]
    lines = content.decode().splitlines()
    if not reason and lines[-1:] != ["end"]:
        number = os.WTERMSIG(status)
        reason = "hang" if number == signal.SIGPROF else f"process died of signal {number}"
    failures = [line.split(" ", 1) for line in lines if line != "end"]
    return [(int(case), kind) for case, kind in failures], reason


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cases", type=int, default=10_000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--group", choices=GROUPS, action="append")
    arguments.add_argument("--target", action="append", help="only these targets")
    arguments.add_argument("--case", type=int, help="replay one case, with its traceback")
    arguments.add_argument(
        "--part", default="0/1", help="every n-th target, to share them among processes: 0/2 and 1/2"
    )
    given = arguments.parse_args()
    part, parts = map(int, given.part.split("/"))
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=place) as folder:
        os.environ["HEADSTART_CACHE"] = f"{folder}/cache"
        targets = all_targets(Path(folder), given.group or tuple(GROUPS))
        targets = [each for each in targets if not given.target or each[1].name in given.target][part::parts]
        if given.case is not None:
            return _replay(*targets[0], given.seed, given.case)
        total = 0
        for own, target in targets:
            begun = time.monotonic()
            failures = fuzz(own, target, range(given.cases), given.seed)
            total += len(failures)
            seconds = time.monotonic() - begun
            print(f"{target.name:36} {given.cases - len(failures):,} / {given.cases:,}  ({seconds:.0f} s)", flush=True)
            for kind, count in Counter(failure.kind for failure in failures).most_common():
                first = next(failure.case for failure in failures if failure.kind == kind)
                print(f"    {count} x {kind}: --seed {given.seed} --target {target.name} --case {first}", flush=True)
        print(f"survived {len(targets) * given.cases - total:,} / {len(targets) * given.cases:,}")
    return int(total > 0)


def _replay(folder: Path, target: Target, seed: int, case: int) -> int:
    draw = generator(seed, target.name, case)
    content = target.mutate(draw, target.corpus)
    print(len(content), content[:3000])
    (folder / target.file).write_bytes(content)
    target.use(folder / target.file, draw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
