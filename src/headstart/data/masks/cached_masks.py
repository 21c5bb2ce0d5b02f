"""Masks that headstart draws from other files, as PNG in the cache: one per image, with a classes.txt beside them.

Number 0 is the background, and the classes follow in order. The folder's name is a hash of what the masks were drawn
from, and its ``masks.json`` is written last, so that a folder that has one is complete and is used again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.cache import hold, touch
from headstart.data.cache_notes import read_notes, write_notes
from headstart.data.masks.class_lists import NAMES
from headstart.data.parallel import Progress, map_ordered
from headstart.environment import cache_folder
from headstart.errors import HeadstartError
from headstart.files import temporary_name

VERSION = 1
"""Part of the folder's name: increased when the same files would give another mask."""
BACKGROUND = "background"
MAX_DRAWN = 254
"""Most classes: number 0 is the background, 255 is ignored."""


@dataclass(frozen=True)
class CachedMasks:
    """Masks in the cache."""

    mask_of: Mapping[str, Path]
    """Image -> its mask; or the file that cannot be read, whose use raises the error."""
    overlaps: Mapping[str, int] = field(default_factory=dict)
    """Image -> pixels of more than one class; images without such pixels are left out."""
    classes: tuple[str, ...] = ()
    """Names of the classes as in classes.txt, the background first if there is any."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What of the files was not drawn, in words -> how many."""


_HELD: dict[Path, int | None] = {}
"""Folders that this process uses, which stay in the cache for so long."""
Draw = Callable[[str], "tuple[NDArray[np.uint8], int] | Path"]
"""Image -> its mask, uint8 (H, W), and the pixels of more than one class in it; or a file that cannot be read."""


def files_key(files: Iterable[Path]) -> str:
    """Path, size and modification time of each file."""
    lines = []
    for file in files:
        try:
            status = file.stat()
            lines.append(f"{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            lines.append(f"{file.absolute()}\0missing")
    return "\n".join(lines)


def cached_masks(
    key: str, images: Sequence[str], names: Sequence[str], draw: Draw, progress: Progress | None = None
) -> CachedMasks:
    """The masks of ``images``, drawn unless the cache has those of this ``key``.

    ``names``: the classes numbered 1, 2, ... in the masks. Without a pixel of number 0 in any of them, there is no
    class background. Raises HeadstartError for too many classes, and where the cache cannot be written.
    """
    if len(names) > MAX_DRAWN:
        raise HeadstartError(
            f"masks: expected at most {MAX_DRAWN} classes, found {len(names)} ({', '.join(names[:3])}, ...)",
            "headstart check --help",
        )
    digest = blake2b(digest_size=16)
    for part in (str(VERSION), key, *images, "", *names):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    folder = cache_folder() / "masks" / digest.hexdigest()
    masks = _from_cache(folder, images) or _draw_all(folder, images, names, draw, progress)
    touch(folder / "masks.json")
    if folder not in _HELD:
        _HELD[folder] = hold(folder / "masks.json")
    return masks


def _mask_name(image: str) -> str:
    digest = blake2b(image.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    stem = PurePosixPath(image).stem.encode("ascii", "replace").decode().replace("?", "_")
    return f"{stem[:100]}-{digest}.png"


def _from_cache(folder: Path, images: Sequence[str]) -> CachedMasks | None:
    stored = read_notes(folder / "masks.json")
    if stored is None:
        return None
    mask_of = {image: folder / _mask_name(image) for image in images}
    try:
        if [file.stat().st_size for file in (*mask_of.values(), folder / NAMES)] != stored["bytes"]:
            return None
    except OSError:
        return None
    overlaps = {images[int(row)]: pixels for row, pixels in stored["overlaps"].items()}
    return CachedMasks(mask_of, overlaps, tuple(stored["classes"]))


def _draw_all(
    folder: Path, images: Sequence[str], names: Sequence[str], draw: Draw, progress: Progress | None
) -> CachedMasks:
    def draw_one(row: int) -> tuple[Path, int, bool]:
        drawn = draw(images[row])
        if isinstance(drawn, Path):
            return drawn, 0, False
        mask, overlap = drawn
        png = io.BytesIO()
        Image.fromarray(mask).save(png, "PNG", compress_level=1)
        file = folder / _mask_name(images[row])
        _write(file, png.getvalue())
        return file, overlap, bool((mask == 0).any())

    mask_of: dict[str, Path] = {}
    overlaps: dict[int, int] = {}
    background, complete = False, True
    for row, (file, overlap, has_background) in map_ordered(len(images), draw_one, progress):
        mask_of[images[row]] = file
        overlaps |= {row: overlap} if overlap else {}
        background |= has_background
        complete &= file.parent == folder
    classes = (BACKGROUND, *names) if background else tuple(names)
    lines = [f"{number}: {name}\n" for number, name in enumerate(classes, 0 if background else 1)]
    _write(folder / NAMES, "".join(lines).encode())
    if complete:
        sizes = [file.stat().st_size for file in (*mask_of.values(), folder / NAMES)]
        with suppress(HeadstartError):  # no room: drawn anew the next time
            write_notes(folder / "masks.json", {"overlaps": overlaps, "classes": classes, "bytes": sizes})
    return CachedMasks(mask_of, {images[row]: pixels for row, pixels in overlaps.items()}, classes)


def _write(file: Path, content: bytes) -> None:
    temporary = temporary_name(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise HeadstartError(
            f"{file}: cannot be written ({error.strerror or error})",
            "free disk space, or name another folder: HEADSTART_CACHE=/path",
        ) from None
