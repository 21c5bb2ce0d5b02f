"""Which images a run was trained on, and which were held out.

trained_on.txt   BLAKE2b-128 of every training image's file, so that `evaluate` can exclude them
held_out.json    where headstart made the split: every image that is not in training, and its split
groups.json      where images have groups (patients, videos): those of the validation images
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headstart.errors import HeadstartError, quoted
from headstart.metrics.bootstrap import numbered
from headstart.runs.facts import Groups, HeldOut
from headstart.runs.folder import RunFolder


def write_trained_on(run: RunFolder, contents: Iterable[str]) -> None:
    """Write `trained_on.txt`: the BLAKE2b-128 of each training image's file, in hexadecimal digits."""
    run.write("trained_on.txt", "".join(f"{content}\n" for content in sorted(set(contents))).encode())


def read_trained_on(run: RunFolder) -> set[str]:
    """Read `trained_on.txt`. Raises HeadstartError without it: no image would count as one that was trained on."""
    path, again = run.path / "trained_on.txt", "(--moved-to DATA: where they are now)"
    content = run.read("trained_on.txt", run.write_again, optional=True)
    hashes = set((content or b"").decode("ascii", "replace").split())
    if not hashes:
        raise HeadstartError(
            f"{path}: expected the hashes of the images that the run was trained on, found"
            f" {'no such file' if content is None else 'none in it'}",
            f"headstart fit --resume {quoted(run.path)}, which writes it again from the images {again}",
        )
    if not all(len(each) == 32 and set(each) <= set(string.hexdigits) for each in hashes):
        raise HeadstartError(f"{path}: expected the hash of an image in each line, found another", run.write_again)
    return hashes


def run_of(weights: str) -> Path | None:
    """The run that weights are of: a run folder, or the one of a ``weights/best.safetensors``; None for others."""
    if not weights:
        return None
    path = Path(weights)
    folder = path if path.is_dir() else path.parent.parent if path.parent.name == "weights" else None
    return folder if folder is not None and (folder / "recipe.toml").is_file() else None


def seen_by(weights: str, contents: Iterable[str]) -> int | None:
    """How many images, given by the hashes of their files, the run that ``weights`` are of was trained on.

    None for weights of no run, and of one that does not say.
    """
    folder = run_of(weights)
    try:
        return None if folder is None else len(read_trained_on(RunFolder(folder)) & set(contents))
    except HeadstartError:
        return None


def write_held_out(run: RunFolder, splits: Mapping[str, str]) -> None:
    """Write `held_out.json`: path in the data folder -> split, of the images that are not in training."""
    # ASCII, for file names need not be UTF-8.
    run.write("held_out.json", (json.dumps(splits, indent=0) + "\n").encode())


def read_held_out(run: RunFolder, *, optional: bool = False) -> dict[str, str]:
    """Read `held_out.json`; empty without the file, as in a run on data that came with a split.

    Raises HeadstartError where the run had one, unless it is ``optional``: `headstart fit --resume` writes it again.
    """
    return run.facts("held_out.json", HeldOut, run.write_again, optional=optional) or {}


def write_groups(run: RunFolder, groups: Mapping[str, str]) -> None:
    """Write `groups.json`: path in the data folder -> group, "" for an image of its own, of the validation images."""
    run.write("groups.json", (json.dumps(groups, indent=0) + "\n").encode())


def read_groups(run: RunFolder, filenames: Sequence[str]) -> list[int] | None:
    """The number of each image's group, over which intervals are; None where no two images share one.

    A run without the file, of an earlier version or on data without groups, has none. Raises HeadstartError for a
    damaged file.
    """
    groups = run.facts("groups.json", Groups, run.copy_again, optional=True) or {}
    return numbered([groups.get(name, "") for name in filenames])
