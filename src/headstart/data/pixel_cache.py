"""Pixel cache: memory-mapped uint8 tables on disk, each with JSON metadata, keyed by the files they were decoded from.

A table is written under a temporary name and renamed, so that a table with its final name is complete. It is used only
where its notes say so: they hold a checksum of themselves, the table's length, and a checksum of every row. Where the
disk has no room or refuses to write, there is no table.
"""

from __future__ import annotations

import errno
import math
import os
import weakref
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.cache import hold, make_room, touch
from headstart.data.cache_notes import CacheMetadata, read_notes, write_notes
from headstart.data.unreadable import WITHHELD
from headstart.environment import cache_folder
from headstart.errors import HeadstartError
from headstart.files import temporary_name

Table = np.memmap[Any, np.dtype[np.uint8]]
"""A table that is being written: uint8, one row per file."""
Fill = Callable[[NDArray[np.uint8] | None], CacheMetadata]
"""Decodes all files, into a table if there is one, and returns the metadata."""
WHOLE = 2**27
"""Bytes of a table up to which every row is verified when it is opened; of a larger one `SAMPLED` rows."""
SAMPLED = 256


def cache_path(files: Sequence[Path], config: str) -> Path:
    """Path of the table of ``files`` decoded with ``config``: a hash of both, and of each file's size and time."""
    key = blake2b(config.encode(), digest_size=16)
    for file in files:
        try:
            status = file.stat()
            key.update(
                f"\n{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
            )
        except OSError:
            key.update(f"\n{file.absolute()}\0missing".encode("utf-8", "surrogateescape"))
    return cache_folder() / "pixels" / f"{key.hexdigest()}.npy"


def read_metadata(path: Path, files: Sequence[Path]) -> CacheMetadata | None:
    """Metadata beside a table; None if missing, or out of date because a file that was not readable may be now."""
    metadata = read_notes(path.with_suffix(".json"))
    if metadata is None:
        return None
    # Damaged bytes stay damaged. But a file that could not be opened (permissions, a network disk) may become readable
    # with the same size and time, and so under the same key.
    reasons: dict[str, str] = metadata["unreadable"]
    withheld = (files[int(row)] for row, reason in reasons.items() if reason.startswith(("missing", WITHHELD)))
    if any(os.access(file, os.R_OK) for file in withheld):
        return None
    # And what no installed reader opened may be opened by one that is installed now.
    return None if any("pip install" in reason for reason in reasons.values()) else metadata


def open_table(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Open a table; None if it is missing or not the one that its notes describe. Until it is let go, it stays."""
    notes = read_notes(path.with_suffix(".json"))
    descriptor = hold(path)
    if notes is None or descriptor is None:
        return None
    table = None
    try:
        if os.fstat(descriptor).st_size == notes["bytes"]:
            table = np.load(path, mmap_mode="r")
    except Exception:  # a damaged header raises whatever Python's parser does
        table = None
    if (
        not isinstance(table, np.memmap)
        or table.dtype != np.uint8
        or table.shape != shape
        or not _is_intact(table, notes)
    ):
        os.close(descriptor)
        return None
    weakref.finalize(table, os.close, descriptor)
    touch(path.with_suffix(".json"))
    return table


def _is_intact(table: Table, notes: CacheMetadata) -> bool:
    """Whether the rows are those of the notes: all of them, or a sample of a large table's."""
    rows, step = notes["rows"], max(1, len(table) // SAMPLED) if table.nbytes > WHOLE else 1
    return len(rows) == len(table) and all(zlib.crc32(table[row]) == rows[row] for row in range(0, len(table), step))


def make_table(
    path: Path, shape: tuple[int, ...], fill: Fill, files: Sequence[Path]
) -> tuple[CacheMetadata, NDArray[np.uint8] | None]:
    """Create and fill a table of ``files`` at ``path``; without room, ``fill`` gets None. Returns metadata and table.

    Entries of the cache that were not used for longest make room (`cache.make_room`).
    """
    temporary = temporary_name(path)
    table: Table | None
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        table = _allocate(temporary, shape)
    except OSError:  # no room, or no permission
        table = None
    try:
        metadata = fill(table) | {"of": os.path.commonpath([file.parent for file in files])}
        stored = table is not None and _publish(temporary, table, metadata, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return metadata, open_table(path, shape) if stored else None


def _publish(temporary: Path, table: Table, metadata: CacheMetadata, path: Path) -> bool:
    """Rename metadata and table to their final names, the table last. False when the disk refuses."""
    try:
        table.flush()
        rows = [zlib.crc32(row) for row in table]
        write_notes(path.with_suffix(".json"), metadata | {"bytes": temporary.stat().st_size, "rows": rows})
        temporary.replace(path)
    except (OSError, HeadstartError):
        return False
    return True


def _allocate(path: Path, shape: tuple[int, ...]) -> Table:
    """Create a memory-mapped file with its blocks allocated, so that writing to it cannot run out of disk space.

    Raises OSError where the cache may not become so large, or the disk has no room.
    """
    if not make_room(math.prod(shape)):
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
