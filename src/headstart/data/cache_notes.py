"""Notes in the cache: JSON with a checksum, so that what was damaged or edited is not trusted."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from headstart.files import write_atomically

CacheMetadata = dict[str, Any]
"""JSON beside a table: ``contents`` (content hashes), ``unreadable`` (row -> reason), and what is added by its kind."""


def write_notes(path: Path, notes: CacheMetadata) -> None:
    """Write notes with a checksum. Raises HeadstartError where the disk refuses."""
    notes = json.loads(json.dumps(notes))  # as it will be read: keys are text
    write_atomically(path, json.dumps({"checksum": _checksum(notes), "notes": notes}).encode())


def read_notes(path: Path) -> CacheMetadata | None:
    """What `write_notes` wrote; None for a file that is missing or was changed since."""
    try:
        content = json.loads(path.read_bytes())
        notes: CacheMetadata = content["notes"]
        return notes if content["checksum"] == _checksum(notes) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _checksum(notes: CacheMetadata) -> str:
    return blake2b(json.dumps(notes, sort_keys=True).encode(), digest_size=16).hexdigest()
