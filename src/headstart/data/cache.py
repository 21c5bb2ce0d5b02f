"""Where headstart keeps what it can make again: decoded pixels, downloaded weights, the demo's images."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$HEADSTART_CACHE``, or ``~/.cache/headstart``; it may not exist yet."""
    return Path(os.environ.get("HEADSTART_CACHE") or Path.home() / ".cache" / "headstart")
