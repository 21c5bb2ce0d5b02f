"""Read a JSON file of any size: one that would take more memory than there is, is refused before it is parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.data.memory import require_room
from headstart.errors import HeadstartError

BELOW_FOUR_BYTES = bytes(range(0xF0))
"""Bytes of UTF-8 that begin no character of four."""
CHUNK = 1 << 22
COSTS = {b"{": 200, b"[": 72, b",": 41, b":": 30, b'"': 38}
"""Bytes of memory for each such byte, in CPython: a dict; a list; an element in it, a number; a value of a dict; half a
string. Numbers of a polygon, ``123.45,``, take 5 times as much as their text, ``[[],[],`` 24 times."""


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises TooLargeError where it takes more memory than there is, HeadstartError for a file that cannot be read, or is
    no JSON.
    """
    try:
        require_room(file, parsed_bytes(file), "JSON", "split it by images, free memory, or move it elsewhere")
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise HeadstartError(f"{file}: expected JSON, found: {error}", f"fix {file}") from None
    except RecursionError:
        raise HeadstartError(f"{file}: expected JSON, found one that is nested too deep", f"fix {file}") from None


def parsed_bytes(file: Path) -> int:
    """About what parsing a JSON file takes, in bytes: rather too much. Reads the file once, in parts."""
    size, needed, text, strings = 0, 0, 1, 1
    with file.open("rb") as opened:
        while part := opened.read(CHUNK):
            size += len(part)
            needed += sum(part.count(byte) * cost for byte, cost in COSTS.items())
            # Python keeps all characters of a text in as many bytes as its widest one takes.
            if text < 4 and not part.isascii():
                text = strings = 4 if part.translate(None, BELOW_FOUR_BYTES) else max(text, 2)
            if b"\\u" in part:
                strings = 4
    return needed + size * (1 + text + strings)


def mentions(file: Path, text: bytes) -> bool:
    """Whether a file holds a text. Reads it in parts."""
    end = b""
    with file.open("rb") as opened:
        while part := opened.read(CHUNK):
            if text in end + part:
                return True
            end = part[-len(text) :]
    return False
