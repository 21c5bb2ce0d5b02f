"""Every file of a run, broken in every way: a command says so in one line, or gives the answer that it gave before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import headstart as hs
from command import Done, headstart
from conftest import copy_photos
from headstart.recipes import recipe as recipes

pytestmark = pytest.mark.slow

NOT_READ = ("report.html", ".lock")


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
        unseen = copy_photos(shared_data("clothing"), folder / "others")  # as another data set: its split is not known
        for file in sorted(unseen.rglob("*.jpg"))[3:-3]:
            file.unlink()
    else:
        images = unseen = request.getfixturevalue("small_tiles")
        recipe = masked()
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


def answer(made: Made, path: Path, command: str) -> tuple[str, bytes]:
    """What a command says, and the page that it writes; the maps that it makes are its answer, too."""
    done = run_command(made, path, command)
    assert done.returncode == 0, done.stderr
    page = (path / "report.html").read_bytes() if command in ("report", "map") else b""
    return done.stdout, page


def test_a_broken_file_is_named_in_one_line_or_changes_no_answer(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "run"  # of one place, for the page names it
    shutil.copytree(made.path, path)
    expected = {command: answer(made, path, command) for command in made.commands}
    whole = tmp_path / "whole"
    shutil.copytree(path, whole)
    wrong = []
    for name in artifacts(whole):
        content, refused = (whole / name).read_bytes(), set()
        for kind, damage in [*BROKEN.items(), ("a folder", None)]:
            for command in made.commands:
                file = path / name
                if damage is None:
                    file.unlink()
                    file.mkdir()
                else:
                    file.write_bytes(damage(content))
                try:
                    done = run_command(made, path, command)
                except Exception as error:  # a traceback
                    wrong.append(f"{command}: {name} {kind}: {error!r}")
                    done = None
                lines = [] if done is None else [line for line in done.stderr.splitlines() if line.strip()]
                if done is not None and done.returncode == 2:
                    refused.add(kind)
                    if len(lines) != 1 or Path(name).name not in lines[0] or " Next: " not in lines[0]:
                        wrong.append(f"{command}: {name} {kind}: says {lines}")
                    if "--resume" in lines[0]:
                        wrong.append(f"{command}: {name} {kind}: advises what overwrites weights")
                elif done is not None:
                    page = (path / "report.html").read_bytes() if command in ("report", "map") else b""
                    if (done.returncode, done.stdout, page) != (0, *expected[command]):
                        wrong.append(f"{command}: {name} {kind}: another answer")
                _restore(path, whole)
    assert not wrong, "\n".join(wrong)


def _restore(path: Path, whole: Path) -> None:
    """Make ``path`` equal to ``whole``."""
    for file in path.rglob("*"):
        twin = whole / file.relative_to(path)
        if not twin.exists() or file.is_dir() != twin.is_dir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    for twin in whole.rglob("*"):
        file = path / twin.relative_to(whole)
        if twin.is_file() and not (file.is_file() and file.stat().st_mtime_ns == twin.stat().st_mtime_ns):
            shutil.copy2(twin, file)
