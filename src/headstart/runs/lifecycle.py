"""Life of a run folder: free, being made, unfinished, finished. Told from the names in it.

.new                    the folder is being made; goes once `recipe.toml` is there, or when the run is continued.
                        Without that file it is what a dead process left: nobody's, and taken by the next start
resume/unfinished.txt   from the start until everything is there, the last artifact included
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from headstart.errors import HeadstartError, quoted
from headstart.files import is_temporary, require_place, similar_beside, temporary_name, write_atomically
from headstart.runs.checksums import forget
from headstart.runs.lock import NAME as LOCK
from headstart.runs.lock import owner_of

NEW = ".new"
RESUME, CHECKPOINT = "resume", "checkpoint.pt"
UNFINISHED = "unfinished.txt"

RUN_FILES = ("recipe.toml", "data.json", "environment.json")
"""What every run has."""
SHOWN = 3
"""Runs that are named of those in a folder."""
_AT_START = {
    *(
        "environment.json",
        "data.json",
        "trained_on.txt",
        "held_out.json",
        "groups.json",
        "architecture.json",
        "thumbnails.zip",
    ),
    *("features", "masks", RESUME, "checksums.json"),
}
"""What is in a new run folder before its recipe."""


def require_folder(path: Path) -> None:
    """Raise HeadstartError where there is no folder; an exported network is told from what is missing."""
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a name of more than 255 bytes)
        return
    found = "a file" if os.path.isfile(path) else "no such folder"  # noqa: PTH113
    predict = f"headstart predict {quoted(path)} IMAGES"
    raise HeadstartError(
        f"{path}: expected a run folder, found {found}{similar_beside(path) if found != 'a file' else ''}",
        predict if path.suffix == ".onnx" else "headstart fit quick DATA",
    )


def require_run(path: Path) -> None:
    """Raise HeadstartError for a folder that is no run; one of runs, and a study, are told from what is in them."""
    missing = [name for name in RUN_FILES if not (path / name).is_file()]
    if not missing:
        return
    inside = runs_inside(path)
    if not inside:
        raise HeadstartError(f"{path}: expected a run folder, found no {missing[0]} in it", "headstart fit quick DATA")
    names = ", ".join(each.relative_to(path).as_posix() for each in inside[:SHOWN])
    more = f" and {len(inside) - SHOWN} more" if len(inside) > SHOWN else ""
    raise HeadstartError(
        f"{path}: expected a run folder, found a folder of {len(inside)} ({names}{more})",
        f"{quoted(inside[0])} in its place",
    )


def runs_inside(path: Path) -> list[Path]:
    """The runs in a folder, and in the ``trials/`` of a study, in order; none where it cannot be read."""
    places = [path, path / "trials", path / "folds" / "1" / "trials"]
    found = [place / name for place in places for name in sorted(_names(place))]
    return [each for each in found if all((each / name).is_file() for name in RUN_FILES)]


def is_free(path: Path) -> bool:
    """Whether a run can be made at ``path``: nothing is there, or an empty folder, or what a dead start left."""
    return not path.exists() or (path.is_dir() and (_is_empty(path) or is_cut_short(path)))


def is_nobodys(path: Path) -> bool:
    """Whether a run can be made at ``path`` and no process is about to make one there."""
    return is_free(path) and owner_of(path) is None


def is_cut_short(path: Path) -> bool:
    """Whether ``path`` holds the beginning of a run that never came to be: no recipe, nothing of someone else."""
    names = _names(path)
    return NEW in names and "recipe.toml" not in names and names <= _AT_START | {NEW}


def refuse_unless_free(path: Path) -> None:
    """Raise HeadstartError unless a run can be made at ``path``, and written."""
    if (path / "recipe.toml").exists():
        raise HeadstartError(
            f"{path}: expected a free folder for the run, found another run",
            f"headstart fit --resume {quoted(path)}, or choose another --out",
        )
    if not is_free(path):
        raise HeadstartError(
            f"{path}: expected a free folder for the run, found {'files in it' if path.is_dir() else 'a file'}",
            "choose another --out",
        )
    refuse_inside_run(path)
    require_place(path, "--out", folder=True)


def refuse_inside_run(path: Path) -> None:
    """Raise HeadstartError for a run or study that would be made in the folder of a run."""
    for above in path.absolute().parents:
        if all((above / name).is_file() for name in RUN_FILES):
            said = f"--out {path}: expected a place outside of runs, found it in {above}"
            raise HeadstartError(said, f"--out {above.parent / path.name}")


def begin(path: Path) -> None:
    """Mark the free folder ``path`` as one that is being made, and remove what a dead start left in it."""
    write_atomically(path / NEW, b"")
    clear(path, keep=(NEW,))


def clear(path: Path, keep: tuple[str, ...] = ()) -> None:
    """Remove what a start wrote; the mark last, so that what cannot be removed stays known as nobody's."""
    for name in [name for name in (*sorted(_AT_START), "recipe.toml", NEW) if name not in keep]:
        with suppress(OSError):
            shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink()


def born(path: Path) -> None:
    """Remove the mark of a folder that is being made: it has its recipe, so it is a run."""
    with suppress(OSError):
        (path / NEW).unlink()


def mark_unfinished(path: Path) -> None:
    """Mark a run as unfinished, whatever else is in it or is not."""
    write_atomically(path / RESUME / UNFINISHED, b"headstart fit --resume continues this run.\n")


def is_marked_unfinished(path: Path) -> bool:
    """Whether a run waits to be continued: by its mark, or a checkpoint."""
    return bool(_names(path / RESUME))


def finish(path: Path) -> None:
    """Remove the mark and the checkpoint of a run that has everything, in one step."""
    born(path)
    folder = path / RESUME
    if not folder.is_dir():
        return
    forget(path, f"{RESUME}/{CHECKPOINT}")
    gone = temporary_name(folder)
    try:
        folder.rename(gone)
    except OSError as error:
        raise HeadstartError(
            f"{folder}: cannot be removed ({error.strerror or error})", f"headstart fit --resume {quoted(path)}"
        ) from None
    shutil.rmtree(gone, ignore_errors=True)


def _is_empty(path: Path) -> bool:
    return not _names(path)


def _names(path: Path) -> set[str]:
    """What is in a folder, without its lock and files that were being written."""
    try:
        return {name for name in os.listdir(path) if name != LOCK and not is_temporary(name)}  # noqa: PTH208
    except OSError:
        return set()
