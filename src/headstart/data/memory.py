"""Memory of decoding: what the images that are being decoded take together, in all threads, is limited.

A file of some kilobytes may hold an image of gigabytes. What it takes follows from its header, before a pixel is read:
width x height x bytes per pixel. An image that takes more than the limit is refused; one that takes more than is left
waits until the other threads have finished theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.data.unreadable import Unreadable


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
