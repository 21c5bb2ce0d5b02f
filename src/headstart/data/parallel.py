"""Map over files in threads: Pillow releases the GIL while it decodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (files done, files in total)."""
MAX_PART, PARTS = 8, 100
"""Rows per task of a thread, for handing one over takes a tenth of the time that a small image does; and least number
of tasks, so that threads end together and progress is seen."""


def map_ordered(
    count: int, function: Callable[[int], Result], progress: Progress | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield (row, ``function(row)``) for the rows 0 ... count-1, computed in threads and in order."""
    size = max(1, min(MAX_PART, count // PARTS))
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for part, results in zip(parts, threads.map(lambda part: [*map(function, part)], parts), strict=True):
            for row, result in zip(part, results, strict=True):
                yield row, result
                if progress is not None:
                    progress(row + 1, count)
    finally:
        threads.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
