"""Commands of headstart in processes that can be killed: forked from one that has imported PyTorch already.

A new interpreter would take two seconds to import it; a forked one starts at once, and is killed all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

LONGEST = 180.0
"""Seconds after which a command hangs."""


class Command(NamedTuple):
    """A command that runs: the process, which leads a group and session of its own, and where its output goes."""

    pid: int
    output: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process, not to those that it has started."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = LONGEST) -> int | None:
        """Exit status, -9 for one that was killed; None if it still runs after so long."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                return None
            time.sleep(0.005)

    def said(self) -> str:
        """Everything that it wrote to standard output and error."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def orphans(self) -> list[int]:
        """Living processes of its session, which has lost its leader."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(int(folder.name))
        return found


def start(
    words: Sequence[object], folder: Path, environment: Mapping[str, str], first: Callable[[], object] = lambda: None
) -> Command:
    """Start ``headstart`` with these words in ``folder``; ``first`` is called in the new process."""
    output = folder / "output.txt"
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Command(pid, output)
    status = 70
    try:
        os.setsid()
        _listen()
        out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(folder)
        os.environ.update(environment)
        sys.argv = ["headstart", *map(str, words)]
        sys.modules["__main__"] = ModuleType("__main__")  # else workers of a study would begin by importing the harness
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        first()
        status = _main()
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _listen() -> None:
    """Take signals as in a terminal: nohup, and a shell in the background, have their children ignore some."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _main() -> int:
    from headstart.__main__ import main

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python does when it starts
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    return 0


def run(
    words: Sequence[object], folder: Path, environment: Mapping[str, str], first: Callable[[], object] = lambda: None
) -> tuple[int | None, str]:
    """Exit status of a command, and what it said; None for one that hangs, which is killed."""
    command = start(words, folder, environment, first)
    status = command.wait()
    if status is None:
        command.kill()
        command.wait()
    return status, command.said()
