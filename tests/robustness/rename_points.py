"""What a process leaves that is killed before or after one of its renames, and that the work goes on from there.

Between two renames a process only fills files under temporary names, so these are the states of a folder that differ.

- `at_rename` kills a process there by SIGKILL.
- `copied` makes one uninterrupted process copy its folder at each of its renames, by hard links: what is renamed into
  place is never written to again, and files that are still being written are copied. What the disk holds then is what
  a SIGKILL there leaves; the process has ended when its copies are tried. Half the time of a kill at each.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from robustness.commands import run, start
from robustness.crash_kinds import resumed
from robustness.scenarios import Scenario

WHEN = ("before", "after")


class Point(NamedTuple):
    """The n-th rename of a process (from 1), and what is renamed by which code: each epoch has the same ones."""

    number: int
    kind: str


def at_rename(scenario: Scenario, number: int, when: str, folder: Path) -> str | None:
    """A process that kills itself before or after its n-th rename; then resumed."""

    def die(at: int, now: str, _: object) -> None:
        if (at, now) == (number, when):
            os.kill(os.getpid(), signal.SIGKILL)

    command = start(scenario.words, folder, scenario.environment(folder), partial(_at_each_rename, die))
    command.wait()
    return resumed(scenario, folder)


def copied(scenario: Scenario, folder: Path) -> list[Point]:
    """Run the command in ``folder``/work, which copies itself to ``folder``/N-before and N-after; its renames."""
    work, log = folder / "work", folder / "renames"
    work.mkdir(parents=True)

    def copy(number: int, when: str, target: object) -> None:
        _copy_by_links(work, folder / f"{number}-{when}")
        if when == "before":
            with log.open("a", encoding="utf-8") as lines:
                lines.write(f"{_kind(Path(str(target)))}\n")

    run(scenario.words, work, scenario.environment(work), partial(_at_each_rename, copy))
    return [Point(at, kind) for at, kind in enumerate(log.read_text(encoding="utf-8").splitlines(), 1)]


def from_copy(scenario: Scenario, folder_of_copies: Path, point: Point, when: str, folder: Path) -> str | None:
    """A copy of `copied`, resumed."""
    copy = folder_of_copies / f"{point.number}-{when}"
    shutil.copytree(copy, folder, dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(copy)
    return resumed(scenario, folder)


def first_and_last(points: list[Point]) -> Iterator[Point]:
    """Of all renames of a kind, as of each epoch or trial, the first and the last."""
    first: dict[str, int] = {}
    for point in points:
        first.setdefault(point.kind, point.number)
    last = {point.kind: point.number for point in points}
    return (point for point in points if point.number in (first[point.kind], last[point.kind]))


def _kind(target: Path) -> str:
    """What is renamed, and the lines of headstart that do it."""
    lines = [f"{Path(each.filename).name}:{each.lineno}" for each in traceback.extract_stack()
             if "/headstart/" in each.filename]  # fmt: skip
    return f"{re.sub('[0-9a-f]*[0-9]+[0-9a-f]*', '#', target.name)} {' '.join(lines)}"


def _copy_by_links(work: Path, copy: Path) -> None:
    for parent, folders, files in os.walk(work):
        there = copy / Path(parent).relative_to(work)
        there.mkdir(parents=True)
        for name in files:
            file = Path(parent, name)
            if name.endswith((".part", ".lock", "output.txt")):
                shutil.copy2(file, there / name)
            else:
                os.link(file, there / name)
        assert not any(Path(parent, name).is_symlink() for name in folders)


def _at_each_rename(use: Callable[[int, str, object], object]) -> None:
    """Have ``use(n, when, target)`` called before and after the n-th rename of this process, by whatever function."""
    number, process = 0, os.getpid()

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def rename(*words: Any, **more: Any) -> Any:
            nonlocal number
            if os.getpid() != process:
                return original(*words, **more)
            number += 1
            use(number, "before", words[1])
            done = original(*words, **more)
            use(number, "after", words[1])
            return done

        return rename

    os.rename, os.replace = wrapped(os.rename), wrapped(os.replace)
