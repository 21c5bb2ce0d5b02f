"""Peers: whether the other processes of a training still live, and what is said when one of them ends.

A process that waits in a collective cannot tell a peer that works for minutes (it decodes, it maps features) from a
host that is gone, so no timeout of collectives serves both. Each process therefore holds a connection to the first one,
on which the system's TCP keepalive finds a dead host after `SILENCE` seconds, whatever Python does meanwhile. A process
that ends says on it why; one that says nothing was killed. The first process passes on what it hears.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import selectors
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_fabric import Fabric
from torch import distributed

from headstart.errors import HeadstartError, quoted
from headstart.process import launch_words
from headstart.training import one_voice
from headstart.training.ranks import cpu_group

SILENCE = 30
"""Seconds without an answer of its system after which a peer counts as lost."""
GRACE = 5.0
"""Seconds that the training has to end by itself, after a peer has, before its process is ended."""


@dataclass(frozen=True)
class Ending:
    """Why a process ended: the message that it sent, or that the first process sends for one that is gone."""

    kind: Literal["done", "stopped", "failed", "lost"]
    rank: int
    message: str = ""
    hint: str = ""


class Peers:
    """The connections of this process to the other ones of its training. All ranks make one together."""

    def __init__(self, fabric: Fabric, run: Path) -> None:
        self.rank, self.run = fabric.global_rank, run
        self.ending: Ending | None = None
        self._known, self._taken, self._closed = threading.Event(), threading.Event(), False
        place = (platform.node(), int(os.environ.get("GROUP_RANK", "0")))
        self._places: list[Any] = [None] * fabric.world_size
        distributed.all_gather_object(self._places, place, group=cpu_group())
        self._sockets = _connect(fabric)
        threading.Thread(target=self._watch, name="headstart peers", daemon=True).start()

    def tell(self, ending: Ending) -> None:
        """Send ``ending`` to the first process, or from it to all."""
        line = json.dumps(asdict(ending)).encode() + b"\n"
        for connection in list(self._sockets):
            with suppress(OSError):
                connection.sendall(line)

    def leave(self, ending: Ending) -> None:
        """Say why this process ends, and close the connections."""
        self._closed = True
        self.tell(ending)
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes the thread

    def take(self, patience: float) -> HeadstartError | KeyboardInterrupt | None:
        """What ended a peer, if that is known within ``patience`` seconds: the caller now ends this process."""
        if not self._known.wait(patience):
            return None
        self._taken.set()
        return self._error()

    def is_here(self, rank: int) -> bool:
        """Whether a rank is on this host."""
        return bool(self._places[rank][1] == self._places[self.rank][1])

    @property
    def _speaks_here(self) -> bool:
        """Whether this is the first process on this host that lives."""
        assert self.ending is not None
        return self.rank == next(
            rank for rank in range(len(self._places)) if self.is_here(rank) and rank != self.ending.rank
        )

    def _watch(self) -> None:
        ending = self._next_ending()
        if ending is None or self._closed:
            return
        self.ending = ending
        if self.rank == 0:
            self.tell(ending)
        self._known.set()
        if not self._taken.wait(GRACE):  # the training waits for the peer, and would for long
            self._end_process()

    def _next_ending(self) -> Ending | None:
        """Wait for the end of a peer; None where all have done their work."""
        selector, heard = selectors.DefaultSelector(), dict.fromkeys(self._sockets, b"")
        for each in self._sockets:
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                how = "closed its connection"
                try:
                    received = connection.recv(65536)
                except OSError as error:
                    received, how = b"", f"does not answer ({error.strerror or error})"
                heard[connection] += received
                if b"\n" in heard[connection]:
                    ending = Ending(**json.loads(heard[connection].partition(b"\n")[0]))
                    if ending.kind != "done":
                        return ending
                    selector.unregister(connection)
                elif not received:
                    return Ending("lost", self._sockets[connection], how)
        return None

    def _error(self) -> HeadstartError | KeyboardInterrupt:
        assert self.ending is not None
        ending, (host, number) = self.ending, self._places[self.ending.rank]
        where = f"process {ending.rank} on host {host} (node {number})"
        if ending.kind == "stopped":
            return KeyboardInterrupt()
        if ending.kind == "failed":
            return HeadstartError(f"{where}: {ending.message}", ending.hint)
        return HeadstartError(
            f"{where}: expected it to go on training, found that it {ending.message}: it was killed, or its host or the"
            " network is gone",
            f"{launch_words()}headstart fit --resume {quoted(self.run)} (in as many processes for the same weights, or"
            " in fewer)"
            if (self.run / "recipe.toml").is_file()
            else "the same command again",
        )

    def _end_process(self) -> None:
        assert self.ending is not None
        error = self._error()
        if isinstance(error, KeyboardInterrupt):
            os._exit(130)
        if not (self.ending.kind == "failed" and self.is_here(self.ending.rank)) and one_voice.speaks(
            self._speaks_here
        ):
            shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides the cursor
            sys.stderr.write(f"{shown}error {error}\n")
            sys.stderr.flush()
        os._exit(2)


_current: Peers | None = None


def watch_peers(fabric: Fabric, run: Path) -> None:
    """Watch the other processes from here to `done`. Called by all ranks together; with one process it does nothing."""
    global _current  # noqa: PLW0603 (a process is in one group)
    if fabric.world_size > 1:
        _current = Peers(fabric, run)


def done() -> None:
    """The work is done, on all ranks: from here on each may end as it likes."""
    _leave(Ending("done", int(os.environ.get("RANK", "0"))))


def stopped() -> None:
    """This process was interrupted, and says so itself: the others end as well, without a word."""
    _leave(Ending("stopped", int(os.environ.get("RANK", "0"))))


def _leave(ending: Ending) -> None:
    global _current  # noqa: PLW0603
    if _current is not None:
        _current.leave(ending)
        _current = None


@contextmanager
def ends_explained() -> Iterator[None]:
    """Tell the others of an error or a Ctrl-C inside the block, and raise for an error of PyTorch what ended a peer.

    That is a HeadstartError, or KeyboardInterrupt where the peer was stopped.
    """
    try:
        yield
    except KeyboardInterrupt:
        stopped()
        raise
    except HeadstartError as error:
        _leave(Ending("failed", int(os.environ.get("RANK", "0")), error.message, error.hint))
        raise
    except Exception:
        watch = _current
        ended = watch.take(GRACE) if watch is not None else None
        if watch is None or ended is None:
            raise
        assert watch.ending is not None
        if watch.ending.kind == "failed" and watch.is_here(watch.ending.rank):
            one_voice.said_here()
        raise ended from None


def _connect(fabric: Fabric) -> dict[socket.socket, int]:
    """Connections and the ranks at their other ends: of the first process to all, of the others to it.

    Whoever cannot reach the first process goes on without: collectives go other ways.
    """
    if fabric.global_rank:
        nothing: Any = None
        address, token = fabric.broadcast(nothing)
        with suppress(OSError):
            connection = socket.create_connection(address, timeout=20)
            connection.sendall(f"{token} {fabric.global_rank:08d}".encode())
            return {_keep_alive(connection): 0}
        return {}
    host = _own_address(os.environ.get("MASTER_ADDR", "localhost"))
    token = secrets.token_hex(8)
    found: dict[socket.socket, int] = {}
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=fabric.world_size) as server:
        fabric.broadcast((server.getsockname()[:2], token))
        server.settimeout(20)
        with suppress(OSError):
            while len(found) < fabric.world_size - 1:
                connection, _ = server.accept()
                rank = _introduced(connection, token)
                if rank is not None:
                    found[_keep_alive(connection)] = rank
    return found


def _introduced(connection: socket.socket, token: str) -> int | None:
    """The rank that a new connection names after the token; None for one of somebody else."""
    connection.settimeout(5)
    heard, length = b"", len(token) + 9
    with suppress(OSError, ValueError):
        while len(heard) < length and (more := connection.recv(length - len(heard))):
            heard += more
        if heard.startswith(token.encode()):
            return int(heard[len(token) :])
    connection.close()
    return None


def _own_address(master: str) -> str:
    """The address of this host on the way to ``master``, which is this host: that at which the others reach it."""
    for family, _, _, _, address in socket.getaddrinfo(master, 1, type=socket.SOCK_DGRAM):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # sends nothing
            return str(probe.getsockname()[0])
    return "127.0.0.1"


def _keep_alive(connection: socket.socket) -> socket.socket:
    """Have the system ask the other one's every few seconds whether it is there; what it does not say ends `recv`."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # macOS has its own name
    for option, value in (
        (idle, SILENCE // 3),
        (getattr(socket, "TCP_KEEPINTVL", None), SILENCE // 6),
        (getattr(socket, "TCP_KEEPCNT", None), 4),
        (getattr(socket, "TCP_USER_TIMEOUT", None), 1000 * SILENCE),
    ):
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection
