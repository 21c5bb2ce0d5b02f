"""The C library's allocator: memory that is freed and needed again at once does not go back to the system meanwhile.

A training step frees and allocates the same large blocks as the one before. By default glibc returns blocks above 32
MiB, and what is free at the top of its heap, to the system, which hands out zeroed pages again at the next touch: for
EfficientNet-Lite0 at 160 px, 32 images a step, 160,000 page faults and a sixth of the processor time of each step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`: free memory at the top of the heap above which it is returned, and the size of
blocks from which each has a mapping of its own."""
KEPT = 2**31 - 1
"""Bytes: more than any block of a step."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory for later allocations in the block, and return it to the system at its end.

    Does nothing where the C library is not glibc. Afterwards the thresholds are those that glibc itself grows to.
    """
    library = _glibc()
    if library is None:
        yield
        return
    _set_thresholds(library, KEPT, KEPT)
    try:
        yield
    finally:
        _set_thresholds(library, 32 << 20, 64 << 20)
        library.malloc_trim(0)


def _set_thresholds(library: ctypes.CDLL, mapped: int, trimmed: int) -> None:
    library.mallopt(MMAP_THRESHOLD, mapped)
    library.mallopt(TRIM_THRESHOLD, trimmed)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:  # musl, macOS, Windows
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
