"""Ways in which work is interrupted. Each trial returns what is wrong afterwards, or None."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robustness.commands import Command, run, start
from robustness.compare import differences
from robustness.scenarios import STUDIES, Scenario

ROOM = "size=1g"
"""Option of a disk on which every task finds room, BYOL with the optimizer of two networks too."""
STOPPED = (130, 143)
"""Exit statuses of a command that was asked to stop, and saved."""


def killed(scenario: Scenario, draw: random.Random, folder: Path) -> str | None:
    """SIGKILL at a random moment, and often again while it is resumed; then resumed to the end."""
    shares = [draw.random() * 1.05, *(draw.random() for _ in range(draw.choice((0, 0, 0, 1, 1, 2))))]
    words = scenario.words
    for share in shares:
        command = start(words, folder, scenario.environment(folder))
        if _kill_after(command, share * scenario.seconds) is None and (left := _orphans(command)):
            return f"orphans: {left} after SIGKILL"
        words = scenario.words if scenario.name in STUDIES else ("fit", "--resume", scenario.place)
    return resumed(scenario, folder)


def _kill_after(command: Command, seconds: float) -> int | None:
    """Exit status of a command that ended by itself; None for one that was killed."""
    status = command.wait(seconds)
    if status is None:
        command.kill()
        command.wait()
    return status


def _orphans(command: Command) -> list[int]:
    """Processes that live a minute after the one that started them; they are killed.

    A worker that is still importing PyTorch ends as soon as it has: seconds, on a machine with nothing else to do.
    """
    for _ in range(600):
        left = command.orphans()
        if not left:
            return []
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def resumed(scenario: Scenario, folder: Path) -> str | None:
    """What is wrong after the work was gone on with to its end, as the product says; None if nothing is."""
    fault = scenario.go_on(folder)
    if fault:
        return fault
    faults = scenario.faults(folder)
    return "; ".join(faults[:4]) if faults else None


def signaled(scenario: Scenario, draw: random.Random, number: int, folder: Path) -> str | None:
    """SIGTERM, SIGINT or SIGHUP at a random moment: it stops within ten seconds and says how to go on."""
    command = start(scenario.words, folder, scenario.environment(folder))
    if command.wait((0.1 + 0.9 * draw.random()) * scenario.seconds) is None:
        command.kill(number)
        status = command.wait(10)
        if status is None:
            command.kill()
            command.wait()
            return "still runs ten seconds later"
        said = command.said()
        if left := _orphans(command):
            return f"orphans: {left}"
        if "Traceback" in said:
            return "traceback: " + said.strip().splitlines()[-1]
        if status not in (0, *STOPPED, -number):
            return f"status {status}: {said.strip().splitlines()[-1:]}"
        if status in STOPPED and not any(word in said for word in ("headstart ", "the same command")):
            return "no word of how to go on"
    return resumed(scenario, folder)


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A tmpfs at ``folder`` (needs root)."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def full(scenario: Scenario, options: str, larger: str, folder: Path) -> str | None:
    """A disk without room for the work, or without inodes; then with room, resumed."""
    with small_disk(folder / "disk", options):
        work = folder / "disk"
        environment = {**scenario.environment(folder)}
        status, said = run(scenario.words, _logs(folder, work), environment)
        if fault := _one_line(status, said):
            return fault
        _remount(work, larger)
        return _resumed_in(scenario, work)


def read_only(scenario: Scenario, draw: random.Random, folder: Path) -> str | None:
    """A run that was killed at a random moment is resumed on a read-only disk, in vain; then on a writable one.

    A disk cannot become read-only while a file on it is open for writing, as the lock of a run is.
    """
    with small_disk(folder / "disk", ROOM):
        work = _logs(folder, folder / "disk")
        environment = scenario.environment(folder)
        _kill_after(start(scenario.words, work, environment), draw.random() * scenario.seconds)
        _remount(work, "ro")
        for words in (("fit", "--resume", scenario.place), scenario.words):
            status, said = run(words, work, environment)
            if fault := _one_line(status, said):
                return fault
        _remount(work, "rw")
        return _resumed_in(scenario, work)


def full_at_once(scenario: Scenario, draw: random.Random, folder: Path) -> str | None:
    """A disk that is full from a random moment on; then it has room, and the run is resumed."""
    with small_disk(folder / "disk", ROOM):
        work = _logs(folder, folder / "disk")
        command = start(scenario.words, work, scenario.environment(folder))
        if command.wait(draw.random() * scenario.seconds) is None:
            _fill(work)
            if fault := _one_line(command.wait(), command.said()):
                return fault
            _remount(work, ROOM)
        return _resumed_in(scenario, work)


def _fill(work: Path) -> None:
    """Make a disk as large as what is on it, and two pages more; again where the command has written meanwhile."""
    while True:
        disk = os.statvfs(work)
        try:
            return _remount(work, f"size={(disk.f_blocks - disk.f_bfree) * disk.f_frsize + 8192}")
        except subprocess.CalledProcessError:
            if os.statvfs(work).f_bfree == disk.f_bfree:  # it is not for what was written
                raise


def _logs(folder: Path, work: Path) -> Path:
    """The small disk, on which the output of commands is a link to a file elsewhere."""
    (work / "output.txt").symlink_to(folder / "output.txt")
    return work


def _remount(work: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(work)], check=True, capture_output=True)


def _one_line(status: int | None, said: str) -> str | None:
    errors = [line for line in said.splitlines() if line.startswith("error ")]
    if "Traceback" in said or "Exception ignored" in said:
        return "traceback: " + said.strip().splitlines()[-1]
    if status == 2 and len(errors) != 1:
        return f"{len(errors)} error lines"
    return None if status in (0, 1, 2) else f"status {status}"


def _resumed_in(scenario: Scenario, work: Path) -> str | None:
    fault = scenario.go_on(work)
    if fault:
        return fault
    faults = differences(scenario.expected, work / scenario.place)
    return "; ".join(faults[:4]) if faults else None
