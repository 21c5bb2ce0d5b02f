"""Atomic writes, temporary names, CSV tables and free file names. No torch."""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.process import Process, this_process

Row = dict[str, Any]

_TEMPORARY = re.compile(r"\.([0-9a-f]{8}-[0-9]+-[0-9a-f]*)-[0-9a-f]{8}\..*\.part", re.DOTALL)
"""Names that `temporary_name` gives: the process stands in them."""


def similar_beside(path: Path, suffixes: Sequence[str] = ()) -> str:
    """``; did you mean photos?`` where a folder beside ``path``, or a file of one of ``suffixes``, is called alike."""
    try:
        beside = list(itertools.islice(path.parent.iterdir(), 2000))
        names = [each.name for each in beside if each.suffix.lower() in suffixes or each.is_dir()]
    except OSError:
        return ""
    similar = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean {path.with_name(similar[0])}?" if similar else ""


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that nobody else uses: this process's number and start, a random part, and its name."""
    name = os.fsdecode(os.fsencode(path.name)[-150:])  # of at most 255 bytes
    return path.with_name(f".{this_process()}-{secrets.token_hex(4)}.{name}.part")


def is_temporary(name: str) -> bool:
    """Whether a file is called as `temporary_name` calls them."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_leftovers(folder: Path, *, deep: bool = True, foreign_after: float = 60.0) -> None:
    """Remove what dead processes left under `temporary_name` in ``folder``, and below it unless not ``deep``.

    Whether a process of another machine lives cannot be seen from here: its files go once they are ``foreign_after``
    seconds old. What cannot be removed stays.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (match := _TEMPORARY.fullmatch(name)) is None:
                continue
            process, path = Process.parse(match[1]), Path(parent, name)
            alive = None if process is None else process.is_alive
            with suppress(OSError):
                if alive is False or (alive is None and time.time() - path.lstat().st_mtime > foreign_after):
                    shutil.rmtree(path, ignore_errors=True) if name in folders else path.unlink()
        folders[:] = [name for name in folders if deep and not _TEMPORARY.fullmatch(name)]


def write_atomically(path: Path, content: bytes | memoryview, *, flush: bool = True) -> None:
    """Write ``content`` to a temporary file beside ``path``, flush it to disk (``flush``), and rename it to ``path``.

    Raises HeadstartError when the disk is full or the folder cannot be written; ``path`` is then as it was.
    """
    temporary = temporary_name(path)
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


def require_place(path: Path, option: str = "", *, folder: bool = False) -> None:
    """Raise HeadstartError where no file, or no file in the ``folder``, can be made at ``path``: before the work.

    ``option`` is what names the path on the command line.
    """
    if not folder and path.is_symlink() and not path.exists():
        found = f"found a link to {path.readlink()}, which is not there"
        raise HeadstartError(
            f"{option} {path}: cannot be written (expected a file or nothing, {found})",
            f"choose another {option or 'place'}",
        )
    places = (path.absolute(), *path.absolute().parents)
    there = next(each for each in places[not folder :] if os.path.lexists(each))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    found = "one that takes no files" if there.is_dir() else "a file"
    raise HeadstartError(
        f"{option} {path}: cannot be written (expected a folder that takes files, found {found}: {there})",
        f"choose another {option or 'place'}",
    )


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


def rename_aside(path: Path) -> Path:
    """Rename a broken file or folder to the first free name of ``path.broken-1``, ``path.broken-2``, ...

    Raises HeadstartError where that cannot be done.
    """
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.broken-{number}")):
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise HeadstartError(
            f"{path}: cannot be renamed to {aside.name} ({error.strerror or error})", f"mv {path} {aside}"
        ) from None
    return aside


def free_name(parent: Path, stem: str, is_free: Callable[[Path], bool] = lambda path: not path.exists()) -> Path:
    """The first of ``parent/stem``, ``stem-2``, ``stem-3``, ... that is free: unless said otherwise, does not exist."""
    number = 1
    while not is_free(path := parent / (stem if number == 1 else f"{stem}-{number}")):
        number += 1
    return path


def digits_to_int(digits: str) -> int:
    """The number that decimal digits stand for; 10 ** 18 for a larger one, of which Python reads 4,300 digits alone."""
    return min(int(digits), 10**18) if len(digits) <= 4000 else 10**18
