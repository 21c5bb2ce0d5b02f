"""Which files below the watched folder a browser may have: those of known names, and no link out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote

PAGES = ("report.html", "comparison.html")
KINDS = {
    **dict.fromkeys(PAGES, "text/html; charset=utf-8"),
    "metrics.csv": "text/csv; charset=utf-8",
    "predictions.csv": "text/csv; charset=utf-8",
    "labels-to-check.csv": "text/csv; charset=utf-8",
    "table.csv": "text/csv; charset=utf-8",
    "MODEL_CARD.md": "text/plain; charset=utf-8",
}
"""Names of files that are served, and what they are."""
MAX_BYTES = 64_000_000


def served_file(top: Path, path: str) -> Path | None:
    """The file that the path of a URL names, ``/quick-photos/report.html``; None for any that is not served.

    ``top`` is the watched folder. The file need not be there yet. No part may be hidden, empty, ``.`` or ``..``, and
    no link may lead out of ``top``.
    """
    parts = unquote(path, errors="surrogateescape").removeprefix("/").split("/")
    if parts[-1] not in KINDS or not all(map(_is_plain, parts)):
        return None
    file = top.joinpath(*parts)
    try:
        place, root = os.path.realpath(file), os.path.realpath(top)
        inside = os.path.commonpath([place, root]) == root
    except (OSError, ValueError):
        return None
    return file if inside and os.path.basename(place) in KINDS else None  # noqa: PTH119


def _is_plain(part: str) -> bool:
    return bool(part) and not part.startswith(".") and not any(each in part for each in ("/", "\\", "\0", ":"))


def read_served(file: Path) -> bytes | None:
    """The bytes of a regular file; None without one, for a larger one than `MAX_BYTES`, and for a link."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as content:
        return content.read(MAX_BYTES + 1)


def version_of(file: Path) -> str:
    """What changes with the file: its time, size and place on the disk; empty without it."""
    try:
        about = file.lstat()
    except OSError:
        return ""
    return f"{about.st_mtime_ns:x}-{about.st_size:x}-{about.st_ino:x}"
