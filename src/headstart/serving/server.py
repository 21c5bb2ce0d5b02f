"""The server: a socket on this machine, uvicorn, and connections that must say something in time."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from headstart.errors import HeadstartError
from headstart.inference.model import load_model
from headstart.runs.folder import RunFolder
from headstart.serving.app import create_app
from headstart.serving.limits import Limits

PORT_TAKEN = (errno.EADDRINUSE, errno.EACCES)
"""Errors that another port mends; others are of the host."""
BACKLOG = 2048
"""Connections that wait to be accepted, as of uvicorn."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises HeadstartError for an address that is taken, or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(address)
            opened.listen(BACKLOG)  # who connects before the server has started waits, and is not refused
        except OSError:
            opened.close()
            raise
    except (OSError, OverflowError) as error:
        raise HeadstartError(
            f"serve: expected a free address of this machine, found {host} port {port}"
            f" ({getattr(error, 'strerror', None) or error})",
            "--port 0 (any free port)" if getattr(error, "errno", None) in PORT_TAKEN else "--host 127.0.0.1",
        ) from None
    return opened


class Impatient(H11Protocol):
    """A connection that is closed where it stands still: headers that come too slowly, an answer that is not read."""

    seconds: float
    """For a request's headers to come; three times as many for its body, its answer, and for that to be taken."""
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait(self.seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:  # a request has begun
            self._wait(3 * self.seconds)

    def on_response_complete(self) -> None:
        self._wait(self.seconds)
        super().on_response_complete()

    def _wait(self, seconds: float) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        silent = self.cycle is None or self.cycle.response_complete
        if silent and not self.transport.get_write_buffer_size():
            self.transport.close()
        else:  # to close it would wait until all is read
            self.transport.abort()


def make_server(run: RunFolder, limits: Limits, *, unfinished: bool = False) -> uvicorn.Server:
    """A server for a run's best weights; ``server.run(sockets=[bind(host, port)])`` serves until SIGINT or SIGTERM.

    Raises HeadstartError for a run that is not finished (unless ``unfinished``), or that predicts nothing.
    """

    class Patient(Impatient):
        seconds = limits.seconds

    app = create_app(load_model(run, unfinished=unfinished), run.path.absolute().name, limits)
    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        log_level="warning",
        lifespan="on",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
        server_header=False,
        proxy_headers=False,
    )
    return uvicorn.Server(config)
