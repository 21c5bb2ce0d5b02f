"""Memory of decoding, and of reading tables and JSON: limited whatever a file says.

What the images that are being decoded take together, in all threads, is limited.

A file of some kilobytes may hold an image of gigabytes. What it takes follows from its header, before a pixel is read:
width x height x bytes per pixel. An image that takes more than the limit is refused; one that takes more than is left
waits until the other threads have finished theirs.

What a table or JSON takes is estimated before it is parsed, and refused where it is more than `SHARE` of what is left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.data.unreadable import Unreadable
from headstart.environment import available_memory
from headstart.errors import HeadstartError

SHARE = 0.8
"""Of the memory that is available, what the content of one table or JSON file may take."""


class TooLargeError(HeadstartError):
    """A file whose content takes more memory than may be used."""


def require_room(file: Path, needed: int, kind: str, hint: str) -> None:
    """Raise `TooLargeError` where the content of a file, of some ``kind``, takes more bytes than may be used.

    Without a limit where the system does not say what is available.
    """
    free = available_memory()
    if free is not None and needed > SHARE * free:
        raise TooLargeError(
            f"{file}: expected {kind} that takes at most {SHARE * free / 1e9:.2f} GB of memory, {100 * SHARE:.0f} % of"
            f" what is available, found {file.stat().st_size / 1e6:,.1f} MB that take {needed / 1e9:.2f} GB",
            hint,
        )


class _Own(threading.local):
    """What this thread has reserved, and how many scopes it is in."""

    depth: int = 0
    bytes: int = 0


_OWN = _Own()
_CHANGED = threading.Condition()
_reserved = 0
"""Bytes reserved by all threads."""


@contextmanager
def decoding() -> Iterator[None]:
    """Scope in which one image is decoded and used: what is reserved inside is free again at its end."""
    _OWN.depth += 1
    try:
        yield
    finally:
        _OWN.depth -= 1
        if not _OWN.depth:
            _change(-_OWN.bytes)
            _OWN.bytes = 0


def reserve(wanted: int, limit: int) -> None:
    """Reserve ``wanted`` bytes until the end of the scope `decoding`, in which this must be called.

    Waits while other threads have so much that all together would take more than ``limit``. A thread that has reserved
    something already does not wait: it might wait for itself. Raises Unreadable for more than ``limit``.
    """
    if wanted > limit:
        detail = f"decoding takes {wanted / 1e9:.2f} GB, more than {limit / 1e9:.2f} GB, 5 bytes for each of"
        raise Unreadable("too large", f"{detail} data.max_pixels={limit // 5}")
    more = wanted - _OWN.bytes
    if more <= 0:
        return
    with _CHANGED:
        if not _OWN.bytes:
            _CHANGED.wait_for(lambda: not _reserved or _reserved + wanted <= limit)
        _change(more)
    _OWN.bytes = wanted


def _change(amount: int) -> None:
    global _reserved  # noqa: PLW0603 - there is one memory
    if amount:
        with _CHANGED:
            _reserved += amount
            _CHANGED.notify_all()
