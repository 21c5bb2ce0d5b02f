"""The cache folder: what is in it, how large it may become, and what is removed first.

    pixels/KEY.npy, KEY.json   decoded images and masks (`headstart.data.pixel_cache`)
    masks/KEY/                 masks drawn from other files (`headstart.data.masks.cached_masks`)
    duplicates/KEY.json        sets of near duplicates
    weights/                   weights that the user put there; neither counted nor removed

An entry that a live process uses is held by a shared lock of the system (flock), which ends with the process.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart.data.cache_notes import read_notes
from headstart.environment import cache_folder, cache_limit
from headstart.files import is_temporary, remove_leftovers

try:
    import fcntl
except ImportError:  # Windows does not let open files be removed
    fcntl = None  # type: ignore[assignment]

FOREIGN_LEFTOVER_AGE = 86_400.0
"""Seconds after which an unfinished table of another machine, which may share the cache, counts as left."""
DRAWING_AGE = 3600.0
"""Seconds since the last mask was drawn into a folder after which its process counts as ended."""


@dataclass(frozen=True)
class CacheEntry:
    """What was decoded or computed once from one set of files."""

    kind: str
    """``images``, ``masks``, ``duplicates``, or ``unfinished`` for what a process decodes now."""
    of: str
    """The folder of the files; empty where it is not known."""
    size: int
    """Bytes."""
    used: float
    """When it was last used, in seconds since 1970."""
    in_use: bool
    """Whether a live process uses it."""
    paths: tuple[Path, ...]

    def remove(self) -> bool:
        """Remove its files, the notes first: a table without them is not used. Whether all of them went."""
        for path in self.paths:
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return not any(path.exists() for path in self.paths)


def entries() -> list[CacheEntry]:
    """All entries, the least recently used first. What dead processes left is removed before."""
    _remove_leftovers()
    return sorted([*_tables(), *_mask_folders(), *_duplicates()], key=lambda entry: entry.used)


def clear() -> tuple[int, int]:
    """Remove all entries that no live process uses: (entries, bytes) removed."""
    gone = [entry for entry in entries() if not entry.in_use and entry.remove()]
    return len(gone), sum(entry.size for entry in gone)


def make_room(size: int) -> bool:
    """Remove the least recently used entries until ``size`` bytes more are within the limit and fit on the disk.

    Returns whether they do; where they cannot, nothing is removed.
    """
    known = entries()
    loose = [entry for entry in known if not entry.in_use]
    total, free = sum(entry.size for entry in known), shutil.disk_usage(_existing(cache_folder())).free
    # Nine tenths of the free space: the run that follows must still be written.
    missing = max(total + size - cache_limit(), size - int(0.9 * free))
    if missing > sum(entry.size for entry in loose):
        return False
    for entry in loose:
        if missing <= 0:
            break
        if entry.remove():
            missing -= entry.size
    return missing <= 0


def hold(path: Path) -> int | None:
    """Mark a file as used by this process until the returned descriptor is closed; None where that is not possible."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    with suppress(OSError):
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def touch(path: Path) -> None:
    """Note that an entry was used now."""
    with suppress(OSError):
        os.utime(path)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _tables() -> Iterator[CacheEntry]:
    folder, files = cache_folder() / "pixels", defaultdict(list)
    for path in _list(folder):
        files[path.name if path.name.startswith(".") else path.name.split(".")[0]].append(path)
    for key, paths in files.items():
        size, used = _size_and_time(paths)
        table, notes = folder / f"{key}.npy", folder / f"{key}.json"
        if key.startswith("."):
            yield CacheEntry("unfinished", "", size, used, True, tuple(paths))
            continue
        kind, of = _described(notes)
        yield CacheEntry(kind, of, size, used, table in paths and _is_held(table), tuple(sorted(paths)))


def _mask_folders() -> Iterator[CacheEntry]:
    for folder in _list(cache_folder() / "masks"):
        notes = folder / "masks.json"
        paths = list(folder.iterdir()) if folder.is_dir() else []
        size, used = _size_and_time([*paths, folder])
        in_use = _is_held(notes) if notes.is_file() else time.time() - used < DRAWING_AGE
        used = notes.stat().st_mtime if notes.is_file() else used
        yield CacheEntry("masks", "", size, used, in_use, (notes, folder))


def _duplicates() -> Iterator[CacheEntry]:
    for path in _list(cache_folder() / "duplicates"):
        size, used = _size_and_time([path])
        yield CacheEntry("duplicates", _described(path)[1], size, used, False, (path,))


def _described(notes: Path) -> tuple[str, str]:
    """Kind and folder of a table."""
    content = read_notes(notes) or {}
    return ("masks" if "pixel_counts" in content else "images"), str(content.get("of", ""))


def _size_and_time(paths: list[Path]) -> tuple[int, float]:
    size, latest = 0, 0.0
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            size, latest = size + status.st_size, max(latest, status.st_mtime)
    return size, latest


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _existing(folder: Path) -> Path:
    return next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)


def _remove_leftovers() -> None:
    """Remove what dead processes were writing; of unknown ones, after a day."""
    folder = cache_folder()
    for part in ("pixels", "masks", "duplicates"):
        remove_leftovers(folder / part, foreign_after=FOREIGN_LEFTOVER_AGE)
        for path in _list(folder / part):
            unknown = path.name.startswith(".") and not is_temporary(path.name)
            with suppress(OSError):
                if unknown and time.time() - path.stat().st_mtime > FOREIGN_LEFTOVER_AGE:
                    path.unlink()
