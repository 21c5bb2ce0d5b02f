"""Signals that end a command: where nothing else is said, as Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Of a scheduler, and of a terminal that is closed."""


@contextmanager
def ending_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt inside the block; one that is ignored (nohup) stays so.

    Outside the main thread, where Python allows no handlers, nothing changes.
    """
    previous: dict[int, Any] = {}
    try:
        for number in ENDING:
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, signal.default_int_handler) or handler
    except ValueError:  # not in the main thread
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
