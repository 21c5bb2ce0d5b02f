"""`.lock`: one owner of a run or study folder at a time.

    with own(folder):
        ...  # write into it

The file names its owner: host, process, when the process started, since when it owns the folder. It is held by the
operating system's lock (flock), which ends with the process, however it ends, and which a suspended process keeps.
Where that lock does not reach, on a network file system between hosts, the owner touches the file every
`BEAT_INTERVAL` seconds, and a file that was not touched for `LIVE_FOR` seconds is a dead one's. The owner removes it at
the end, so that a folder at rest has none.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.files import remove_leftovers, require_place
from headstart.process import Process, boot, is_first_rank, this_process

try:
    import fcntl
except ImportError:  # Windows: by process number and heartbeat
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
BEAT_INTERVAL = 20.0
"""Seconds between two touches of the file by its owner."""
LIVE_FOR = 180.0
"""Seconds without a touch that make an owner on another host a dead one: clients of NFS see times a minute late."""


@dataclass(frozen=True)
class Owner:
    """Who owns a folder: the content of the file."""

    host: str
    boot: str
    process: str
    since: float
    """Seconds since 1970."""

    @property
    def facts(self) -> str:
        """``process 4711 on lab-2 since 2026-11-27 15:47:00``."""
        process = Process.parse(self.process)
        since = datetime.fromtimestamp(self.since).isoformat(" ", "seconds")
        return f"process {process.pid if process else self.process} on {self.host} since {since}"


class _Held:
    """A folder that this process owns."""

    def __init__(self, folder: Path) -> None:
        self.key, self.file = Path(os.path.realpath(folder)), folder / NAME
        self.thread, self.depth = threading.get_ident(), 0
        self.owner = Owner(platform.node(), boot(), str(this_process()), round(time.time(), 3))
        self.descriptor = _acquire(folder, self.owner)
        self._end = threading.Event()
        self._beat = threading.Thread(target=self._touch, name="headstart lock", daemon=True)
        self._beat.start()

    def _touch(self) -> None:
        while not self._end.wait(BEAT_INTERVAL):
            with suppress(OSError):  # the disk is away, or the folder: the next save says so
                if not self.lost():
                    os.utime(self.file)

    def lost(self) -> bool:
        """Whether another owner's file is there: this process was suspended for long, on another host than that."""
        try:
            return not os.path.samestat(self.file.stat(), os.fstat(self.descriptor)) or _read(self.file) != self.owner
        except OSError:
            return False

    def release(self) -> None:
        self._end.set()
        if not self.lost():
            _remove(self.file)
        os.close(self.descriptor)


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


@contextmanager
def own(folder: Path) -> Iterator[None]:
    """Own ``folder``, which is made if it is missing, and removed at the end if it was and nothing was put into it.

    What dead processes were writing below it is removed (`files.remove_leftovers`).

    Entering again from the same thread is free. Under torchrun the first process alone owns the folder; the others work
    for it. Raises HeadstartError when another live process owns it, and when it cannot be written.
    """
    if not is_first_rank():
        yield
        return
    made = list(takewhile(lambda each: not each.exists(), (folder, *folder.parents)))
    try:
        held = _enter(folder)
        try:
            yield
        finally:
            _leave(held)
    finally:
        with suppress(OSError):
            for each in made:  # while empty
                each.rmdir()


def _enter(folder: Path) -> _Held:
    key = Path(os.path.realpath(folder))
    with _guard:
        held = _held.get(key)
        if held is not None and held.owner.process != str(this_process()):
            held = None  # the parent's, from before a fork
        if held is None:
            held = _held[key] = _open(folder)
            remove_leftovers(folder)
        elif held.thread != threading.get_ident():
            raise _refusal(folder, held.owner)
        held.depth += 1
    return held


def _leave(held: _Held) -> None:
    with _guard:
        held.depth -= 1
        if held.depth == 0:
            del _held[held.key]
            held.release()


def require_owned(folder: Path) -> None:
    """Raise HeadstartError if this process owned ``folder`` and another one has taken it since."""
    held = _held.get(Path(os.path.realpath(folder)))
    if held is not None and held.lost():
        raise _refusal(folder, _read(held.file))


def owner_of(folder: Path) -> Owner | None:
    """The live owner of ``folder``, this process included; None without one. Changes nothing."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return None
    try:
        owner = _read(folder / NAME)
        locked = _try_lock(descriptor)
        if locked is False or Path(os.path.realpath(folder)) in _held:
            return owner or Owner(platform.node(), boot(), "(starting)", time.time())
        return owner if owner is not None and _lives_without_lock(owner, folder, locked is True) else None
    finally:
        os.close(descriptor)


def _open(folder: Path) -> _Held:
    for _ in range(10):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _Held(folder)
        except FileNotFoundError as error:  # another process has just removed the empty folder that it had made
            failure: OSError = error
        except OSError as error:
            failure = error
            break
    require_place(folder, folder=True)
    raise HeadstartError(
        f"{folder / NAME}: cannot be written ({failure.strerror or failure})",
        f"free disk space, set permissions or choose another folder: df -h {folder.parent}",
    ) from None


def _acquire(folder: Path, owner: Owner) -> int:
    """Open the file, locked, with ``owner`` written into it. Raises HeadstartError where another one lives."""
    until = time.monotonic() + 1
    while True:
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        locked = _try_lock(descriptor)
        try:
            if locked is False:
                holder = _read(folder / NAME, patient=True)
                if not _is_dead(holder) or time.monotonic() > until:
                    raise _refusal(folder, holder)
                time.sleep(0.02)  # somebody only looks, in `owner_of`
            elif _is_at(descriptor, folder / NAME):  # else its owner has just removed it
                _take(descriptor, folder, owner, locked is True)
                return descriptor
        except BaseException as error:
            if locked and isinstance(error, OSError):  # a full disk; it is nobody else's
                _remove(folder / NAME)
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int, folder: Path, owner: Owner, locked: bool) -> None:
    """Write ``owner`` into the open file. Raises HeadstartError where another one lives."""
    before = _read(folder / NAME)
    if before is not None and _lives_without_lock(before, folder, locked):
        raise _refusal(folder, before)
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(asdict(owner)).encode())
    if before is not None and (not locked or before.boot != boot()):
        time.sleep(0.2)  # another one may have taken it in the same moment: the later one has it
        if (after := _read(folder / NAME)) != owner:
            raise _refusal(folder, after)


def _is_dead(owner: Owner | None) -> bool:
    process = None if owner is None else Process.parse(owner.process)
    return process is not None and process.is_alive is False


def _try_lock(descriptor: int) -> bool | None:
    """Whether this open file got the system's lock; None where there are no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _lives_without_lock(owner: Owner, folder: Path, locked: bool) -> bool:
    """Whether ``owner`` lives though the system's lock is free, because that lock does not reach it."""
    if owner.boot == boot():
        if locked:  # it would hold the lock
            return False
        process = Process.parse(owner.process)
        if process is not None and process.is_alive is not None:
            return process.is_alive
    return _silence(folder) < LIVE_FOR


def _silence(folder: Path) -> float:
    """Seconds since the file was touched, by the clock of its disk: those of two hosts may differ."""
    try:
        touched = (folder / NAME).stat().st_mtime
        with tempfile.TemporaryFile(dir=folder) as now:
            return os.fstat(now.fileno()).st_mtime - touched
    except OSError:
        return 0.0


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return False


def _read(file: Path, patient: bool = False) -> Owner | None:
    """Who wrote the file; None if it is damaged or empty. ``patient`` waits for one that has only just opened it."""
    for _ in range(20 if patient else 1):
        try:
            content = json.loads(file.read_bytes())
            return Owner(str(content["host"]), str(content["boot"]), str(content["process"]), float(content["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            if patient:
                time.sleep(0.05)
    return None


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _refusal(folder: Path, owner: Owner | None) -> HeadstartError:
    found = "another process" if owner is None else owner.facts
    process = None if owner is None else Process.parse(owner.process)
    if owner is None or process is None:
        hint = "wait until it has ended, then the same command again"
    elif owner.boot == boot():
        hint = f"wait until it has ended, or end it (kill {process.pid}), then the same command again"
    else:
        hint = (
            f"wait until it has ended, or end it (ssh {owner.host} kill {process.pid}), then the same command again; it"
            f" counts as ended {LIVE_FOR:.0f} s after its last sign"
        )
    return HeadstartError(f"{folder}: expected no other process in this folder, found {found}", hint)
