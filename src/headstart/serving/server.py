"""The server: a socket on this machine, uvicorn, and connections that must say something in time."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from headstart.errors import HeadstartError
from headstart.inference.model import load_model
from headstart.runs.folder import RunFolder
from headstart.serving.app import create_app
from headstart.serving.limits import Limits


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises HeadstartError for an address that is taken, or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(address)
        except OSError:
            opened.close()
            raise
    except (OSError, OverflowError) as error:
        raise HeadstartError(
            f"serve: expected a free address of this machine, found {host} port {port}"
            f" ({getattr(error, 'strerror', None) or error})",
            "--port 0 (any free port)",
        ) from None
    return opened


def make_server(run: RunFolder, limits: Limits, *, unfinished: bool = False) -> uvicorn.Server:
    """A server for a run's best weights; ``server.run(sockets=[bind(host, port)])`` serves until SIGINT or SIGTERM.

    Raises HeadstartError for a run that is not finished (unless ``unfinished``), or that predicts nothing.
    """

    class Impatient(H11Protocol):
        """A connection that is closed if no request has begun by the limit: its headers come too slowly."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(limits.seconds, self._close_if_silent)

        def _close_if_silent(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    app = create_app(load_model(run, unfinished=unfinished), run.path.absolute().name, limits)
    config = uvicorn.Config(
        app,
        http=Impatient,
        log_level="warning",
        lifespan="on",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
        server_header=False,
        proxy_headers=False,
    )
    return uvicorn.Server(config)
