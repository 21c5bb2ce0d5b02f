"""`checksums.json`: the BLAKE2b-128 of every artifact, so that a damaged or changed file is told from a good one.

    {"files": {"metrics.csv": ["5f..."], "weights/best.safetensors": ["09...", "c1..."]}, "checksum": "7a..."}

``checksum`` is that of ``files``. A file is good if it is one of those listed: the new content of a file is listed
before the file is written and the old one dropped after, so that a kill in between leaves nothing that looks damaged;
null stands for a file that did not exist. `analysis/` has its own list, for `headstart map` may run beside a training.
Files that are not listed (those of an earlier headstart) are read as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from headstart.errors import HeadstartError
from headstart.file_memory import require_room_for_json
from headstart.files import write_atomically

NAME = "checksums.json"

Listed = dict[str, list[str | None]]


@contextmanager
def recorded(root: Path, name: str, content: bytes | memoryview) -> Iterator[None]:
    """List ``content`` as that of the file ``name`` of a run, which is written in the block."""
    file, key = _list_of(root, name)
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    try:
        listed = _read(file) or {}
    except HeadstartError:  # who reads is told of it; who writes begins a new list
        listed = {}
    before: list[str | None] = listed.get(key, [] if (root / name).exists() else [None])
    if before == [digest]:
        yield
        return
    if before:  # not a file of an earlier headstart, whose content is not known
        write_atomically(file, _encode(listed | {key: [*dict.fromkeys([*before, digest])]}))
    yield
    write_atomically(file, _encode(listed | {key: [digest]}), flush=False)


def forget(root: Path, name: str) -> None:
    """Take the file ``name`` of a run off the list, before it is removed."""
    file, key = _list_of(root, name)
    try:
        listed = _read(file) or {}
    except HeadstartError:  # who reads is told of it
        return
    if listed.pop(key, None) is not None:
        write_atomically(file, _encode(listed))


def listed_in(root: Path, folder: str) -> list[str]:
    """Names of the files in a folder of the run that are on the list, whether they are there or not."""
    file, prefix = _list_of(root, f"{folder}/x")
    return [f"{folder}/{name.rpartition('/')[2]}" for name in _read(file) or {} if name.startswith(prefix[:-1])]


def listed_checksum(root: Path, name: str) -> str | None:
    """The checksum of the file ``name`` of a run as it was written; None where that is not known."""
    file, key = _list_of(root, name)
    known = (_read(file) or {}).get(key, [])
    return known[0] if len(known) == 1 else None


def require_unchanged(root: Path, name: str, hint: str, *, optional: bool = False) -> bool:
    """Whether the file ``name`` of a run is there; raise HeadstartError if it is not the one that was written.

    It may be missing if it was never listed, or if it is ``optional``. ``hint`` says how to get it back.
    """
    path, (file, key) = root / name, _list_of(root, name)
    known = (_read(file) or {}).get(key)
    try:
        there = path.exists()
        if there and not path.is_file():
            raise HeadstartError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'none'}", hint)
        if not there and (known is None or None in known or optional):
            return False
        if not there:
            raise HeadstartError(f"{path}: expected the file that headstart wrote, found none", hint)
        if known is None:
            return True
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise HeadstartError(f"{path}: cannot be read ({error.strerror or error})", hint) from None
    if digest not in known:
        raise HeadstartError(
            f"{path}: expected the file that headstart wrote, found a damaged file, or a changed one (its checksum is"
            f" not that of {file.name})",
            hint,
        )
    return True


def _list_of(root: Path, name: str) -> tuple[Path, str]:
    """The file that lists ``name``, and the name there."""
    folder, *rest = PurePosixPath(name).parts
    return (root / folder / NAME, "/".join(rest)) if folder == "analysis" else (root / NAME, name)


def _read(file: Path) -> Listed | None:
    """The list in ``file``; None without one. Raises HeadstartError for a damaged one."""
    hint = f"copy the run again, or remove {file}: files are then read as they are"
    try:
        if not file.exists():
            return None
        require_room_for_json(file, hint)
        content = json.loads(file.read_bytes())
        listed: Listed = content["files"]
        if content["checksum"] == _checksum(listed):
            return listed
    except OSError as error:
        raise HeadstartError(f"{file}: cannot be read ({error.strerror or error})", hint) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise HeadstartError(f"{file}: expected a list of checksums, found a damaged file", hint)


def _encode(listed: Mapping[str, list[str | None]]) -> bytes:
    return json.dumps({"files": listed, "checksum": _checksum(listed)}, indent=1).encode()


def _checksum(listed: Mapping[str, list[str | None]]) -> str:
    return hashlib.blake2b(json.dumps(listed, sort_keys=True).encode(), digest_size=16).hexdigest()
