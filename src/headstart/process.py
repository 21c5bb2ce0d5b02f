"""Processes: which one this is, and whether another one still lives, for lock files and temporary names."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process, told from every other one, of any machine and any time."""

    machine: str
    """8 hexadecimal digits: of the running system and its process numbers (containers have their own)."""
    pid: int
    start: str
    """When it started, as its system says; process numbers are given out again."""

    def __str__(self) -> str:
        return f"{self.machine}-{self.pid}-{self.start}"

    @staticmethod
    def parse(text: str) -> Process | None:
        """The process of ``str(process)``; None for any other text."""
        parts = text.split("-")
        if len(parts) != 3 or not (parts[1].isdecimal() and parts[1].isascii() and len(parts[1]) < 20):
            return None
        return Process(parts[0], int(parts[1]), parts[2])

    @property
    def is_alive(self) -> bool | None:
        """Whether it has not ended (a suspended one has not); None where this machine cannot tell."""
        if self.machine != this_process().machine:
            return None
        start = _start(self.pid)
        return None if "" in (start, self.start) else start == self.start


def this_process() -> Process:
    """The process that this is; another one after a fork."""
    return _process(os.getpid())


@cache
def _process(pid: int) -> Process:
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return Process(blake2b(f"{boot()} {numbers}".encode(), digest_size=4).hexdigest(), pid, _start(pid) or "")


@cache
def boot() -> str:
    """Identifies the running system, the same in all of its containers, until it is started anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _start(pid: int) -> str | None:
    """When a process of this machine started; None if there is none (or a zombie), "" where nobody says."""
    if Path("/proc/self/stat").exists():
        try:
            # The name of the program, in parentheses, may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    try:
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False).stdout.strip()
    except OSError:
        return ""
    return blake2b(shown, digest_size=4).hexdigest() if shown else None


def is_one_of_several() -> bool:
    """Whether a launcher started this process with others, as torchrun does."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def launch_words() -> str:
    """What starts as many processes as run now: ``torchrun --nproc-per-node=2 -m ``; empty for one."""
    processes, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    nodes = f" --nnodes={processes // local} ..." if processes > local else ""
    return f"torchrun --nproc-per-node={local}{nodes} -m " if processes > 1 else ""


def is_first_rank() -> bool:
    """Whether this process writes and speaks: under torchrun only the first one does."""
    return os.environ.get("RANK", "0") == "0"
