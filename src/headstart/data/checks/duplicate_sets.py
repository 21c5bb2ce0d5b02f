"""Duplicate sets of an index's files, so that the split that headstart makes keeps each on one side.

They follow from the files alone, not from the size that images are trained at. They are kept in the cache, keyed as the
decoded pixels are by path, size and time of every file: `check` leaves them for `fit`, and a study finds them once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from headstart.data.cache import touch
from headstart.data.cache_notes import write_notes
from headstart.data.checks.duplicates import THUMBNAIL_SIDE, near_duplicates, same_content
from headstart.data.conversion import Conversion
from headstart.data.decode import Picture, Unreadable, read
from headstart.data.index import Index
from headstart.data.memory import decoding
from headstart.data.parallel import Progress, map_ordered
from headstart.data.pixel_cache import cache_path, read_metadata
from headstart.data.resize import without_extremes
from headstart.environment import cache_folder
from headstart.errors import HeadstartError
from headstart.value_range import ValueRange, Values

VERSION = 1
"""Part of the cache key: increased when the same files would give other sets."""

Sets = Sequence[Sequence[int]]
"""Rows of the index that show the same image; a row may be in two sets."""


class OwnRange(Conversion):
    """Scale each deep image by its own values: enough to compare it, and no other file has to be looked at."""

    def range_of(self, values: Values) -> ValueRange:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        return ValueRange(low, high if high > low else low + 1, "full scale")


def read_picture(index: Index, file: Path, conversion: Conversion) -> tuple[Picture, NDArray[np.uint8]]:
    """A decoded image of ``index`` and its gray thumbnail, uint8 (32, 32). Raises Unreadable.

    A large JPEG is decoded at a fraction of its size, always the same one. The range of ``conversion`` does not matter
    to the thumbnail: thumbnails are compared without their mean and contrast.
    """
    with decoding():
        picture = read(file, enough_for=THUMBNAIL_SIDE, conversion=conversion)
        if index.masks:  # an image with a mask is trained on at its own size
            conversion.require_pixels(*picture.size)
        gray = without_extremes(picture.rgb, THUMBNAIL_SIDE).convert("L")
        small = gray.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return picture, np.asarray(small)


def duplicate_sets(index: Index, progress: Progress | None = None) -> Sets:
    """Sets of rows that show the same image, exactly or nearly: from the cache, or by decoding every file once.

    A file that cannot be read is in no set.
    """
    files = [index.root / path for path in index.paths]
    stored = read_metadata(_cache_file(files), files)
    if stored is not None:
        touch(_cache_file(files))
        return [list(rows) for rows in stored["sets"]]
    contents: dict[int, str] = {}
    failures: dict[int, tuple[str, str]] = {}
    thumbs = np.zeros((len(index), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)

    conversion = OwnRange()

    def one(row: int) -> str | Unreadable:
        try:
            picture, thumbs[row] = read_picture(index, files[row], conversion)
        except Unreadable as error:
            return error
        return picture.content

    for row, result in map_ordered(len(index), one, progress):
        if isinstance(result, Unreadable):
            failures[row] = (result.kind, result.detail)
        else:
            contents[row] = result
    exact, near = find_duplicates(contents, thumbs)
    return store_duplicate_sets(index, [*exact, *near], failures)


def find_duplicates(
    contents: Mapping[int, str], thumbs_nhw: NDArray[np.uint8]
) -> tuple[list[list[int]], list[list[int]]]:
    """Sets of exact duplicates, and sets of near duplicates with the copies of each, from row -> content hash."""
    identical = same_content(contents)
    similar = near_duplicates(thumbs_nhw[[rows[0] for rows in identical]])
    near = [sorted(row for number in numbers for row in identical[number]) for numbers in similar]
    return [rows for rows in identical if len(rows) > 1], near


def store_duplicate_sets(index: Index, sets: Sets, failures: Mapping[int, tuple[str, str]]) -> Sets:
    """Write the sets to the cache, if the disk allows, and return them. ``failures``: row -> why it was not read."""
    unreadable = {row: kind for row, (kind, _) in failures.items()}
    notes = {"sets": [list(rows) for rows in sets], "unreadable": unreadable, "of": str(index.root)}
    with suppress(HeadstartError):
        write_notes(_cache_file([index.root / path for path in index.paths]), notes)
    return sets


def _cache_file(files: Sequence[Path]) -> Path:
    key = cache_path(files, f"duplicates {VERSION} Pillow {PIL.__version__}").stem
    return cache_folder() / "duplicates" / f"{key}.json"
