"""What the content of a file takes in memory, and what there is: a file that would take more is refused unparsed.

A file of some megabytes may hold gigabytes: ``[[],[],[], ...``, or short lines below a header of many columns.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from headstart.errors import HeadstartError

SHARE = 0.8
"""Of the memory that is available, what the content of one table or JSON file may take."""
ALWAYS = 1 << 26
"""Bytes that a file may take in any case: what is left is an estimate, too."""
SMALL = 1 << 20
"""Bytes of a JSON file of a run or study that is read without an estimate, as nearly all are: it takes 30 MB."""
BELOW_FOUR_BYTES = bytes(range(0xF0))
"""Bytes of UTF-8 that begin no character of four."""
CHUNK = 1 << 22
COSTS = {b"{": 200, b"[": 72, b",": 41, b":": 30, b'"': 38}
"""Bytes of memory for each such byte, in CPython: a dict; a list; an element in it, a number; a value of a dict; half a
string. Numbers of a polygon, ``123.45,``, take 5 times as much as their text, ``[[],[],`` 24 times."""


class TooLargeError(HeadstartError):
    """A file whose content takes more memory than may be used."""


def require_room(file: Path, needed: int, kind: str, hint: str) -> None:
    """Raise `TooLargeError` where the content of a file, of some ``kind``, takes more bytes than may be used.

    Without a limit where the system does not say what is available.
    """
    free = available_memory()
    if free is not None and needed > max(ALWAYS, SHARE * free):
        raise TooLargeError(
            f"{file}: expected {kind} that takes at most {SHARE * free / 1e9:.2f} GB of memory, {100 * SHARE:.0f} % of"
            f" what is available, found {file.stat().st_size / 1e6:,.1f} MB that take {needed / 1e9:.2f} GB",
            hint,
        )


def require_room_for_json(file: Path, hint: str) -> None:
    """Raise `TooLargeError` where parsing a JSON file twice, as text and as a model, takes more bytes than may be used.

    What is no file, or cannot be read, is left to whoever reads it.
    """
    with suppress(OSError):
        if file.is_file() and file.stat().st_size > SMALL:
            require_room(file, 2 * memory_of_json(file), "JSON", hint)


def memory_of_json(file: Path) -> int:
    """About what parsing a JSON file takes, in bytes: rather too much. Reads the file once, in parts."""
    size, needed, text, strings = 0, 0, 1, 1
    with file.open("rb") as opened:
        while part := opened.read(CHUNK):
            size += len(part)
            needed += sum(part.count(byte) * cost for byte, cost in COSTS.items())
            # Python keeps all characters of a text in as many bytes as its widest one takes.
            if text < 4 and not part.isascii():
                text = strings = 4 if part.translate(None, BELOW_FOUR_BYTES) else max(text, 2)
            if b"\\u" in part:
                strings = 4
    return needed + size * (1 + text + strings)


def memory_of_table(text: str, separator: str, columns: int) -> int:
    """About what the rows of a table take as dictionaries, twice, in bytes: rather too much.

    Each row has all columns, however short its line.
    """
    rows = text.count("\n") + text.count("\r")
    return 2 * (rows * (300 + 45 * columns) + 60 * (text.count(separator) + rows)) + len(text)


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping; None if the system does not say.

    The least of what the machine has left, what its control groups (containers, SLURM) allow, and `ulimit -v`.
    """
    return min(
        (left for left in (_left_on_machine(), *_left_in_groups(), _left_of_ulimit()) if left is not None), default=None
    )


def _left_on_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What each control group (of version 2) that holds this process has left; pages of files it gives back."""
    try:
        path = next(
            line[3:].strip("/\n") for line in own.read_text(encoding="utf-8").splitlines() if line.startswith("0::")
        )
    except (OSError, StopIteration):
        path = ""
    found = []
    for folder in (root / path, *(root / path).parents):
        with suppress(OSError, ValueError, StopIteration):
            limit = int((folder / "memory.max").read_text(encoding="ascii"))  # "max": none
            used = int((folder / "memory.current").read_text(encoding="ascii"))
            statistics = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            files = sum(
                int(line.split()[1]) for line in statistics if line.startswith(("active_file ", "inactive_file "))
            )
            found.append(max(0, limit - used + files))
        if folder == root:
            break
    return found


def _left_of_ulimit() -> int | None:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return None if limit == resource.RLIM_INFINITY else max(0, limit - pages * resource.getpagesize())
    except (ImportError, OSError):  # Windows, macOS
        return None
