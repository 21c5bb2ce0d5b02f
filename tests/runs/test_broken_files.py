"""Every file of a run, broken in every way: a command says so in one line, or gives the answer that it gave before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

import headstart as hs
from command import Done, headstart
from headstart.recipes import recipe as recipes
from headstart.runs.checksums import NAME
from pictures import copy_photos

pytestmark = pytest.mark.slow

NOT_READ = ("report.html", ".lock")
WRITTEN_AGAIN = ("trained_on.txt", "held_out.json", "architecture.json", "features/images.csv")
"""What `fit --resume` writes again without training."""


def flipped(content: bytes) -> bytes:
    """One bit in the middle, where tensors, pixels and figures are."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(range(1, 251)) * (1 + len(content) // 250),
    "a bit flipped": flipped,
    "not UTF-8": lambda content: content.replace(b"e", b"\xe9"),
    "a list": lambda _: b"[1, 2, 3]\n",
    "a number": lambda _: b"7\n",
    "an object": lambda _: b'{"format": 2, "epoch": "one"}\n',
    "deep": lambda _: b"[" * 100_000,
}


Answer = tuple[int, str, str, bytes]


class Made(NamedTuple):
    """A finished run, and images that its commands are given."""

    path: Path
    images: Path
    commands: dict[str, tuple[str, ...]]


def run_command(made: Made, path: Path, command: str) -> Done:
    words = [word.format(run=path, images=made.images) for word in made.commands[command]]
    return headstart(command, *words)


@pytest.fixture(scope="module", params=["labels", "masks"])
def made(
    request: pytest.FixtureRequest,
    shared_data: Callable[[str], Path],
    small: Callable[..., recipes.Recipe],
    masked: Callable[..., recipes.Recipe],
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    folder = tmp_path_factory.mktemp("broken")
    if request.param == "labels":
        images = copy_photos(shared_data("clothing"), folder / "photos")
        recipe = small(train__epochs=2, analysis__train_samples=6, val__batch_size=64)
    else:
        images = request.getfixturevalue("small_tiles")
        recipe = masked(data__image_size=32)
    run = hs.fit(recipe, images, out=folder / "run")
    first = min(images.rglob("*.jpg"))
    commands = {
        "report": ("{run}",),
        "map": ("{run}",),
        "predict": ("{run}", str(first), *(("--out", str(folder / "masks")) if request.param == "masks" else ())),
        "evaluate": ("{run}", str(images), "--json"),
    }
    return Made(run.path, images, commands)


def artifacts(path: Path) -> Iterator[str]:
    """Files of a run; of equal kinds one is enough."""
    kinds: set[str] = set()
    for file in sorted(path.rglob("*")):
        kind = f"{file.parent.name if file.parent.name in ('images', 'truth', 'best') else ''}{file.suffix}"
        name = file.relative_to(path).as_posix()
        if file.is_file() and name not in NOT_READ and not (name.startswith("masks/") and kind in kinds):
            kinds.add(kind)
            yield name


def answer(made: Made, path: Path, command: str) -> Answer:
    """Status, output and messages of a command, and the page that it writes."""
    done = run_command(made, path, command)
    page = (path / "report.html").read_bytes() if command in ("report", "map") and done.returncode == 0 else b""
    return done.returncode, done.stdout, done.stderr, page


def fault(name: str, expected: Answer, found: Answer, listed: bool) -> str | None:
    """What is wrong with the answer of a command after ``name`` was broken; ``listed``: its checksum is known."""
    if found[0] != 2:
        return None if not listed or (found[:2], found[3]) == (expected[:2], expected[3]) else "another answer"
    lines = [line for line in found[2].splitlines() if line.strip()]
    if len(lines) != 1 or Path(name).name not in lines[0] or " Next: " not in lines[0]:
        return f"says {lines}"
    overwrites = "--resume" in lines[0] and not name.startswith(WRITTEN_AGAIN)
    return "advises what overwrites weights" if overwrites else None


def faults(made: Made, folder: Path, *, listed: bool = True) -> list[str]:
    """Faults of every file x damage x command; of a random share of them, by a fixed seed.

    Without checksums, as in a run of an earlier headstart (not ``listed``), another answer is no fault.
    """
    share = float(os.environ.get("HEADSTART_BROKEN_FILES", "0.02"))
    path, whole, random = folder / "run", folder / "whole", Random(0)  # of one place, for the page names it
    shutil.copytree(made.path, path)
    expected = {command: answer(made, path, command) for command in made.commands}
    assert all(each[0] == 0 for each in expected.values()), expected
    for file in path.rglob(NAME) if not listed else ():
        file.unlink()
    shutil.copytree(path, whole)
    found = []
    for name, kind, command in product(artifacts(whole), (*BROKEN, "a folder"), made.commands):
        if random.random() >= share:
            continue
        damage(path / name, kind)
        try:
            said = fault(name, expected[command], answer(made, path, command), listed)
        except Exception as error:  # a traceback
            said = repr(error)
        if said is not None:
            found.append(f"{command}: {name} {kind}: {said}")
        _restore(path, whole)
    return found


def damage(file: Path, kind: str) -> None:
    content = file.read_bytes()
    if kind == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(BROKEN[kind](content))


def test_a_broken_file_is_named_in_one_line_or_changes_no_answer(made: Made, tmp_path: Path) -> None:
    """`HEADSTART_BROKEN_FILES=1` tries all of them, in a quarter of an hour."""
    found = faults(made, tmp_path)
    assert not found, "\n".join(found)


def test_without_checksums_it_is_one_line_or_an_answer_too(made: Made, tmp_path: Path) -> None:
    found = faults(made, tmp_path, listed=False)
    assert not found, "\n".join(found)


def _restore(path: Path, whole: Path) -> None:
    """Make ``path`` equal to ``whole``."""
    shutil.rmtree(path)
    shutil.copytree(whole, path)
