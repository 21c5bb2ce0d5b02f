"""The one exception of decoding: a file that cannot be read, and why."""

from __future__ import annotations

WITHHELD = "not to be opened"
"""Kind of a file that is there and that the system does not open, for want of permission in most cases."""


class Unreadable(Exception):  # noqa: N818 - the name states the condition
    """A file that cannot be decoded. ``kind``: missing, empty, not an image, truncated, too large, of 4 bands, ..."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind} ({detail})" if detail else kind)
