"""Read a JSON file of any size: one that would take more memory than there is, is refused before it is parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.file_memory import CHUNK, memory_of_json, require_room


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises TooLargeError where it takes more memory than there is, HeadstartError for a file that cannot be read, or is
    no JSON.
    """
    try:
        require_room(file, memory_of_json(file), "JSON", "split it by images, free memory, or move it elsewhere")
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise HeadstartError(f"{file}: expected JSON, found: {error}", f"fix {file}") from None
    except RecursionError:
        raise HeadstartError(f"{file}: expected JSON, found one that is nested too deep", f"fix {file}") from None


def mentions(file: Path, text: bytes) -> bool:
    """Whether a file holds a text. Reads it in parts."""
    end = b""
    with file.open("rb") as opened:
        while part := opened.read(CHUNK):
            if text in end + part:
                return True
            end = part[-len(text) :]
    return False
