"""Images of a run for its page: a sheet of thumbnails, and where the files themselves are on this machine."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from headstart.runs.folder import RunFolder
from headstart.runs.thumbnails import SIDE, decode_thumbnail, read_thumbnails

MAX_IMAGES = 5000
"""Images that a page shows at the most, so that it stays small and fast."""
ACROSS = 50
"""Thumbnails in a row of the sheet."""
SIDES = ((600, SIDE), (3000, 40), (MAX_IMAGES, 36))
"""Up to so many images, pixels of a thumbnail."""
MAX_SHEET = 3_600_000
"""Bytes of the sheet; above, its JPEG has a lower quality."""


class Sheet(NamedTuple):
    """Thumbnails of a page, `ACROSS` in a row."""

    url: str | None
    """One JPEG, as a data URL; None without any."""
    side: int
    """Of each, in pixels."""


def thumbnail_sheet(run: RunFolder, rows: Sequence[int]) -> Sheet:
    """The thumbnails of ``rows`` of `features/images.csv`, `MAX_IMAGES` at the most."""
    side = next(side for most, side in SIDES if len(rows) <= most)
    thumbnails = read_thumbnails(run, rows)
    if not thumbnails:
        return Sheet(None, side)
    sheet = Image.new("RGB", (side * ACROSS, side * -(-len(rows) // ACROSS)))
    for i, row in enumerate(rows):
        thumbnail = decode_thumbnail(thumbnails[row]) if row in thumbnails else None
        if thumbnail is not None:
            small = thumbnail.resize((side, side), Image.Resampling.BILINEAR)
            sheet.paste(small, (side * (i % ACROSS), side * (i // ACROSS)))
    for quality in (55, 40, 25, 10):
        content = io.BytesIO()
        sheet.save(content, "JPEG", quality=quality)
        if content.tell() <= MAX_SHEET:
            break
    return Sheet("data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode(), side)


def image_folder(run: RunFolder) -> str:
    """The folder of the run's images as a ``file:`` URL with a slash at its end, "" where this machine has none.

    A page that is opened as a file on this machine shows an enlarged image from there; elsewhere its thumbnail.
    """
    root = run.data["root"]
    if root[:2] in ("//", "\\\\"):  # another machine, which a foreign run folder must not make a browser ask
        return ""
    try:
        return Path(root).as_uri() + "/" if Path(root).is_dir() else ""
    except (OSError, ValueError):  # relative, or no path at all
        return ""
