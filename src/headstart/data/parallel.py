"""Map over files in threads: Pillow releases the GIL while it decodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (files done, files in total)."""


def map_ordered(
    count: int, function: Callable[[int], Result], progress: Progress | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield (row, ``function(row)``) for the rows 0 ... count-1, computed in threads and in order."""
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for row, result in enumerate(threads.map(function, range(count))):
            yield row, result
            if progress is not None:
                progress(row + 1, count)
    finally:
        threads.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
