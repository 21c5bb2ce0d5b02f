"""Tables of pixels on the disk: memory-mapped, complete as soon as they have a name, found again by what they hold.

Beside each lie notes, JSON. Where the disk has no room for a table, or refuses it, there is none.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.environment import cache_folder
from headstart.errors import HeadstartError
from headstart.files import write_atomically

CacheMetadata = dict[str, Any]
"""What was noted while a table was filled: ``contents`` and ``unreadable`` (row -> reason), and perhaps more."""
Table = np.memmap[Any, np.dtype[np.uint8]]
"""A table that is being written: uint8, a row per file."""
Filling = Callable[[NDArray[np.uint8] | None], CacheMetadata]
"""Reads all files, writes them into a table if there is one, and returns notes."""


def cache_path(files: Sequence[Path], made: str) -> Path:
    """Where the table of ``files`` lies, made as ``made`` says: it hangs on each file's place, size and time."""
    key = blake2b(made.encode(), digest_size=16)
    for file in files:
        try:
            status = file.stat()
            key.update(
                f"\n{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
            )
        except OSError:
            key.update(f"\n{file.absolute()}\0missing".encode("utf-8", "surrogateescape"))
    return cache_folder() / "pixels" / f"{key.hexdigest()}.npy"


def read_metadata(store: Path, files: Sequence[Path]) -> CacheMetadata | None:
    """What was noted beside a table; None where nothing was, or where it no longer holds."""
    try:
        notes: CacheMetadata = json.loads(store.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # Damaged bytes stay damaged. A file that the system would not hand over (permission, a network disk) may come
    # back with the same size and time, and so under the same key.
    withheld = (files[int(row)] for row, reason in notes["unreadable"].items() if reason.startswith("missing"))
    return None if any(os.access(file, os.R_OK) for file in withheld) else notes


def open_table(store: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """A table; None where there is none, or not all of it (a copy that was cut short)."""
    try:
        table: NDArray[np.uint8] = np.load(store, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return table if table.shape == shape else None


def make_table(store: Path, shape: tuple[int, ...], fill: Filling) -> tuple[CacheMetadata, NDArray[np.uint8] | None]:
    """Fill a table at ``store``; where it cannot be made, ``fill`` only looks at the files. Returns notes and table."""
    # Not the process's number: in containers that share a cache, all have the same.
    temporary = store.with_name(f".{store.name}.{uuid.uuid4().hex}.part")
    table: Table | None
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        table = _reserve(temporary, shape)
    except OSError:  # no room, or no permission
        table = None
    try:
        notes = fill(table)
        stored = table is not None and _publish(temporary, table, notes, store)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return notes, open_table(store, shape) if stored else None


def _publish(temporary: Path, table: Table, notes: CacheMetadata, store: Path) -> bool:
    """Give notes and table their names, the table last: what has a name is complete. False when the disk refuses."""
    noted = temporary.with_suffix(".json")
    try:
        table.flush()
        write_atomically(noted, json.dumps(notes).encode())
        noted.replace(store.with_suffix(".json"))
        temporary.replace(store)
    except (OSError, HeadstartError):
        return False
    finally:
        with suppress(OSError):
            noted.unlink()
    return True


def _reserve(path: Path, shape: tuple[int, ...]) -> Table:
    """A new memory-mapped file whose blocks are on the disk already: writing to it cannot run out of room.

    It takes nine tenths of the free room at most, so that the run that follows can still be written.
    """
    if math.prod(shape) > 0.9 * shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    table: Table = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            path.unlink()
            raise
    return table
