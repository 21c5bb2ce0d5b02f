"""Many files at once: Pillow lets go of Python's lock while it decodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""


def map_ordered(
    count: int, make: Callable[[int], Result], report: Progress | None = None
) -> Iterator[tuple[int, Result]]:
    """(row, what ``make`` makes of it) for the rows 0 ... count-1, in order, each reported when it is done."""
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for row, made in enumerate(threads.map(make, range(count))):
            yield row, made
            if report is not None:
                report(row + 1, count)
    finally:
        threads.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
