"""Results lie outside the images that they were made from, where they would be taken for more images or labels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from headstart.errors import HeadstartError


def refuse_inside(out: Path, folders: Iterable[str | os.PathLike[str]], free: str, why: str) -> None:
    """Raise HeadstartError where ``out`` is one of the ``folders`` of images, or below one.

    ``free`` is where it could be, seen from the outermost of these folders: ``{name}`` stands for the folder's own.
    ``why`` says what would happen to it there. What is no folder, a table of labels for one, counts for nothing.
    """
    inside = [Path(each) for each in folders if Path(each).is_dir() and _is_within(out, Path(each))]
    if not inside:
        return
    outermost = min(inside, key=lambda folder: len(folder.resolve().parts)).resolve()
    place = outermost.parent / free.format(name=outermost.name)
    beside = os.path.relpath(place)
    raise HeadstartError(
        f"--out {out}: expected a place outside the images, {why}, found it in {inside[0]}",
        f"--out {place if out.is_absolute() or beside.startswith('../..') else beside}",
    )


def refuse_results_inside(out: Path, images: Iterable[str | os.PathLike[str]]) -> None:
    """Raise HeadstartError for a run or study that would be made in a folder of its images."""
    name = out.absolute().name.replace("{", "{{").replace("}", "}}")
    refuse_inside(out, images, f"runs/{name}", "so that nothing in it is taken for one of them")


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
