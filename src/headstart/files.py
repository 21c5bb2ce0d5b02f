"""Atomic writes, CSV tables and free file names. No torch."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError

Row = dict[str, Any]


def write_atomically(path: Path, content: bytes | memoryview, *, flush: bool = True) -> None:
    """Write ``content`` to a temporary file beside ``path``, flush it to disk (``flush``), and rename it to ``path``.

    Raises HeadstartError when the disk is full or the folder cannot be written; ``path`` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if flush:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # under a file, or on a read-only disk, there is nothing to remove
            temporary.unlink()
        raise HeadstartError(
            f"{path}: cannot be written ({error.strerror or error})",
            f"free disk space, set permissions or choose another folder: df -h {path.parent}",
        ) from None


def encoded(text: str) -> bytes:
    """UTF-8; file names in another encoding, which Python holds as surrogates, come out as the bytes that they are."""
    return text.encode("utf-8", "surrogateescape")


def json_bytes(content: Any) -> bytes:
    """JSON in UTF-8 with a newline at the end; with escapes where a name is not UTF-8, so that it stays JSON."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(content, indent=2)}\n".encode()


def table(rows: Sequence[Mapping[str, Any]], header: Sequence[str] = ()) -> bytes:
    """Rows as CSV bytes (UTF-8, see `encoded`); without ``header`` it is the union of their keys, as they appear."""
    header = list(header) or list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return encoded(text.getvalue())


def number(text: str) -> Any:
    """An int or a float, or the text itself where it is neither."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def free_name(parent: Path, stem: str) -> Path:
    """The first of ``parent/stem``, ``stem-2``, ``stem-3``, ... that does not exist."""
    number = 1
    while (path := parent / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return path
