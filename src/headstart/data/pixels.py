"""Every image decoded once: a memory-mapped table of uint8 squares, found again by what the files are.

The first run over a folder decodes it; later ones cost a look at each file's size and time. Where the disk has no
room for the table, the images are decoded anew for every batch instead.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.cache import cache_folder
from headstart.data.decode import Resize, Unreadable, read, square
from headstart.data.index import Index
from headstart.errors import HeadstartError
from headstart.recipe import Data
from headstart.run import write_atomically

VERSION = 1
"""Part of the key: raised when the same file would give other pixels."""

Squares = np.memmap[Any, np.dtype[np.uint8]]
"""A store that is being written: uint8 (N, 3, size, size)."""

Report = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class Pixels:
    """The images of `index` as squares of uint8."""

    index: Index
    """One row per image that could be read."""
    size: int
    """Side of the squares."""
    fingerprint: str
    """BLAKE2b of every image's path, class, split and content; it does not hang on where the folder is."""
    contents: tuple[str, ...]
    """BLAKE2b-128 of each image's file, a row of the index each."""
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of the files that were left out."""
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]] = field(repr=False)
    streaming: bool = False
    """Whether the images are decoded anew for every batch, for want of room on the disk."""

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The images at some rows of the index: uint8 (B, 3, size, size)."""
        return torch.from_numpy(self.read(np.asarray(rows, dtype=np.int64)))


def decode(index: Index, settings: Data, progress: Report | None = None) -> Pixels:
    """Decode every image of ``index``, or find that it has been done.

    Raises HeadstartError for unreadable files, unless ``settings.skip_unreadable``.
    """
    files = [index.root / path for path in index.paths]
    store = cache_folder() / "pixels" / f"{_key(files, settings)}.npy"
    shape = (len(files), 3, settings.size, settings.size)
    found, squares = _read_notes(store.with_suffix(".json"), files), _open(store, shape)
    if found is None or squares is None:
        found, stored = _decode_into(store, shape, files, settings, progress)
        squares = _open(store, shape) if stored else None
    unreadable = {int(row): reason for row, reason in found["unreadable"].items()}
    kept = np.array([row for row in range(len(files)) if row not in unreadable], dtype=np.int64)
    skipped = tuple((index.paths[row], reason) for row, reason in unreadable.items())
    readable = _leave_out(index, skipped, list(unreadable), settings.skip_unreadable)
    contents = tuple(found["contents"][row] for row in kept)
    return Pixels(
        index=readable,
        size=settings.size,
        fingerprint=_fingerprint(readable, contents),
        contents=contents,
        skipped=skipped,
        read=_from_files([files[row] for row in kept], settings) if squares is None else _from_store(squares, kept),
        streaming=squares is None,
    )


def _key(files: Sequence[Path], settings: Data) -> str:
    key = blake2b(f"{VERSION} {settings.size} {settings.resize}".encode(), digest_size=16)
    for file in files:
        try:
            status = file.stat()
            key.update(
                f"\n{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
            )
        except OSError:
            key.update(f"\n{file.absolute()}\0missing".encode("utf-8", "surrogateescape"))
    return key.hexdigest()


def _read_notes(path: Path, files: Sequence[Path]) -> dict[str, Any] | None:
    """What was noted beside a store; None where nothing was, or where it no longer holds."""
    try:
        notes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # Damaged bytes stay damaged. A file that the system would not hand over (permission, a network disk) may come
    # back with the same size and time, and so under the same key.
    withheld = (files[int(row)] for row, reason in notes["unreadable"].items() if reason.startswith("missing"))
    return None if any(os.access(file, os.R_OK) for file in withheld) else notes


def _open(store: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The decoded squares; None where there are none, or not all (a copy that was cut short)."""
    try:
        squares: NDArray[np.uint8] = np.load(store, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return squares if squares.shape == shape else None


def _decode_into(
    store: Path, shape: tuple[int, ...], files: Sequence[Path], settings: Data, progress: Report | None
) -> tuple[dict[str, Any], bool]:
    """Decode all files into ``store``; where it cannot be made, only look at them. Returns notes and whether it was."""
    # Not the process's number: in containers that share a cache, all have the same.
    temporary = store.with_name(f".{store.name}.{uuid.uuid4().hex}.part")
    squares: Squares | None
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        squares = _reserve(temporary, shape)
    except OSError:  # no room, or no permission
        squares = None
    try:
        notes = _decode_all(files, settings, squares, progress)
        stored = squares is not None and _publish(temporary, squares, notes, store)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return notes, stored


def _publish(temporary: Path, squares: Squares, notes: dict[str, Any], store: Path) -> bool:
    """Give notes and store their names, the store last: what has a name is complete. False when the disk refuses."""
    noted = temporary.with_suffix(".json")
    try:
        squares.flush()
        write_atomically(noted, json.dumps(notes).encode())
        noted.replace(store.with_suffix(".json"))
        temporary.replace(store)
    except (OSError, HeadstartError):
        return False
    finally:
        with suppress(OSError):
            noted.unlink()
    return True


def _reserve(path: Path, shape: tuple[int, ...]) -> Squares:
    """A new memory-mapped file whose blocks are on the disk already: writing to it cannot run out of room.

    It takes nine tenths of the free room at most, so that the run that follows can still be written.
    """
    if math.prod(shape) > 0.9 * shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    squares: Squares = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            path.unlink()
            raise
    return squares


def _decode_all(
    files: Sequence[Path], settings: Data, squares: NDArray[np.uint8] | None, progress: Report | None
) -> dict[str, Any]:
    def one(row: int) -> tuple[str, str | None]:
        try:
            picture = read(files[row], enough_for=settings.size)
        except Unreadable as error:
            return "", str(error)
        if squares is not None:
            squares[row] = square(picture.rgb, settings.size, settings.resize)
        return picture.content, None

    contents, unreadable = [], {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for row, (content, fault) in enumerate(threads.map(one, range(len(files)))):
            contents.append(content)
            if fault is not None:
                unreadable[row] = fault
            if progress is not None:
                progress(row + 1, len(files))
    return {"contents": contents, "unreadable": unreadable}


def _leave_out(index: Index, skipped: Sequence[tuple[str, str]], rows: Sequence[int], allowed: bool) -> Index:
    if not skipped:
        return index
    if not allowed:
        path, reason = skipped[0]
        more = f" (and {len(skipped) - 1} more such files)" if len(skipped) > 1 else ""
        raise HeadstartError(
            f"{index.root / path}: expected an image, found a file that is {reason}{more}",
            f"headstart check {index.root}, or leave such files out: data.skip_unreadable=true",
        )
    readable = index.without(rows)
    for split in ("train", "val"):
        before, after = index.counts(split), readable.counts(split)
        gone = [name for name in index.classes if before[name] and not after[name]]
        if gone:
            raise HeadstartError(
                f"{index.root}: class {gone[0]}: expected images for {split}, found only unreadable ones",
                f"headstart check {index.root}",
            )
    return readable


def _fingerprint(index: Index, contents: Sequence[str]) -> str:
    names = [index.classes[label] if label >= 0 else "" for label in index.labels]
    lines = sorted("\0".join(row) for row in zip(index.paths, names, index.splits, contents, strict=True))
    return blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _from_store(
    squares: NDArray[np.uint8], kept: NDArray[np.int64]
) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    return lambda rows: squares[kept[rows]]


def _from_files(files: Sequence[Path], settings: Data) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    threads = ThreadPoolExecutor(os.cpu_count())

    def one(row: int) -> NDArray[np.uint8]:
        return square(read(files[row], enough_for=settings.size).rgb, settings.size, settings.resize)

    return lambda rows: np.stack(list(threads.map(one, rows.tolist())))


def stream(
    files: Sequence[Path], size: int, resize: Resize, batch: int
) -> Iterator[tuple[list[int], Tensor, list[tuple[int, str]]]]:
    """Decode files that are needed once, a batch at a time and one batch ahead of its use.

    Yields (positions in ``files``, their pixels as uint8 (B, 3, size, size), (position, reason) of unreadable ones).
    The pixels are those of `decode`, bit for bit.
    """

    def one(position: int) -> NDArray[np.uint8] | str:
        try:
            return square(read(files[position], enough_for=size).rgb, size, resize)
        except Unreadable as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ahead: deque[tuple[int, Future[NDArray[np.uint8] | str]]] = deque()
        waiting = iter(range(len(files)))
        while True:
            for position in waiting:
                ahead.append((position, threads.submit(one, position)))
                if len(ahead) >= 2 * batch:
                    break
            if not ahead:
                return
            done = [ahead.popleft() for _ in range(min(batch, len(ahead)))]
            results = [(position, future.result()) for position, future in done]
            good = [(position, result) for position, result in results if not isinstance(result, str)]
            bad = [(position, result) for position, result in results if isinstance(result, str)]
            pixels = np.stack([result for _, result in good]) if good else np.empty((0, 3, size, size), np.uint8)
            yield [position for position, _ in good], torch.from_numpy(pixels), bad
