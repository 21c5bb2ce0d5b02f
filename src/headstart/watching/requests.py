"""A request of a browser to this machine: for whom it is, from where it comes, and whether it has the token."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

SILENT = 20.0
"""Seconds after which a connection that says nothing is closed."""


class Guarded(Protocol):
    """A server whose requests need its token."""

    @property
    def token(self) -> str: ...
    @property
    def cookie(self) -> str:
        """Its name: browsers do not tell the ports of a machine apart."""

    @property
    def port(self) -> int: ...


class LocalRequest(BaseHTTPRequestHandler):
    """One connection to 127.0.0.1."""

    server: Guarded  # type: ignore[assignment]
    timeout = SILENT
    server_version, sys_version = "headstart", ""
    sites: tuple[str, ...] = ("none", "same-origin")
    """Whence a request may come, as a browser says in Sec-Fetch-Site."""

    def do_GET(self) -> None:
        """Refuse what is not for this server, and what has no token; answer the rest."""
        address = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query, errors="surrogateescape").items()}
        if not self.is_for_here():
            self.say(HTTPStatus.MISDIRECTED_REQUEST, "headstart watch answers to 127.0.0.1 and localhost alone")
        elif self.needs_cookie(address.path, asked) and not self.has_cookie():
            self.say(HTTPStatus.FORBIDDEN, "expected the token: open the address that headstart watch has printed")
        else:
            self.answer(address.path, asked)

    def answer(self, path: str, asked: dict[str, str]) -> None:
        """Answer a request for ``path`` with the values ``asked`` of its query."""
        raise NotImplementedError

    def needs_cookie(self, path: str, asked: dict[str, str]) -> bool:  # noqa: ARG002
        return True

    def headers_of(self) -> dict[str, str]:
        """Headers that every answer has."""
        return {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def is_for_here(self) -> bool:
        """Whether the request names this server, and comes from none but its pages."""
        names = {f"{name}:{self.server.port}" for name in ("127.0.0.1", "localhost")}
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "none")
        host = self.headers.get_all("Host") or [""]
        here = len(host) == 1 and host[0].lower() in names
        return here and (origin is None or origin.removeprefix("http://") in names) and site in self.sites

    def has_cookie(self) -> bool:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
        except CookieError:
            return False
        return found is not None and self.is_token(found.value)

    def is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode("utf-8", "replace"), self.server.token.encode())

    def send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Answer with ``content`` of a media type."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers_of(len(content))
        self.wfile.write(content)

    def say(self, status: HTTPStatus, text: str) -> None:
        """Answer with a sentence."""
        self.send(f"{text}\n".encode(), "text/plain; charset=utf-8", status)

    def end_headers_of(self, length: int | None) -> None:
        """The headers of every answer, and how long this one is; None for a stream."""
        for name, value in self.headers_of().items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the terminal stays free."""
