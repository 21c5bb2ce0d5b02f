"""The server of ``headstart watch``: 127.0.0.1 alone, with a token, from the standard library.

    /?token=TOKEN       sets a cookie and leads to /: the token does not stay in the address
    /                   the runs and studies below the folder
    /RUN/report.html    a page of `files.KINDS`, followed by the script of `watching.html.jinja`
    /events?of=PAGE     server-sent events: state of the run, and version of its page

Images of the runs come from another port (`images.py`).

A request is answered only if it is for 127.0.0.1 or localhost with this port (a foreign page that has its own name lead
to 127.0.0.1 sends that name), comes from no other page, and has the cookie.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from datetime import datetime
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.files import similar_beside
from headstart.watching.files import KINDS, PAGES, read_served, served_file, version_of
from headstart.watching.images import ImageServer
from headstart.watching.pages import following, list_page, list_version, waiting_page
from headstart.watching.requests import LocalRequest
from headstart.watching.states import is_watched, state_of

LOOK, BEAT = 1.0, 5.0
"""Seconds between two looks at a folder, and after which an event is sent though nothing has changed."""
MAX_EVENTS = 32
"""Pages followed at the same time."""


class WatchServer(ThreadingHTTPServer):
    """Serves one folder to whoever has the token; ``serve_forever`` until ``shutdown``."""

    daemon_threads = True
    timeout = 0.5
    """Seconds that `handle_request` waits for one."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.token = folder, secrets.token_urlsafe(24)
        self.left = threading.BoundedSemaphore(MAX_EVENTS)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise HeadstartError(
                f"watch: expected a free port of this machine, found {port} ({why})", "--port 0 (any free port)"
            ) from None
        self.closing = threading.Event()
        self.images = ImageServer(folder, self.token, self.cookie)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """Its name: browsers do not tell the ports of a machine apart."""
        return f"headstart-{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that has gone is no error."""

    def shutdown(self) -> None:
        self.closing.set()
        super().shutdown()

    def server_close(self) -> None:
        super().server_close()
        if "images" in vars(self):  # not where the port was taken
            self.images.server_close()


def serve_folder(folder: Path, port: int = 0) -> WatchServer:
    """A server for ``folder``. Raises HeadstartError where there is no such folder, and for a port that is taken."""
    if not folder.is_dir():
        raise HeadstartError(
            f"{folder}: expected a folder with runs, found none{similar_beside(folder)}", "headstart fit quick DATA"
        )
    return WatchServer(folder, port)


class _Handler(LocalRequest):
    server: WatchServer

    def headers_of(self) -> dict[str, str]:
        images = " ".join(f"http://{name}:{self.server.images.port}" for name in ("127.0.0.1", "localhost"))
        policy = (
            f"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob: {images};"
            " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return super().headers_of() | {"Content-Security-Policy": policy}

    def needs_cookie(self, path: str, asked: dict[str, str]) -> bool:
        return not (path == "/" and "token" in asked)

    def answer(self, path: str, asked: dict[str, str]) -> None:
        if path == "/" and "token" in asked:
            self._enter(asked["token"])
        elif path == "/":
            self.send(list_page(self.server.folder), KINDS[PAGES[0]])
        elif path == "/events":
            self._follow(asked.get("of", "/"))
        else:
            self._file(path)

    def _enter(self, token: str) -> None:
        if not self.is_token(token):
            self.say(HTTPStatus.FORBIDDEN, "another token: open the address that headstart watch has printed")
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Set-Cookie", f"{self.server.cookie}={token}; HttpOnly; SameSite=Strict; Path=/")
        self.end_headers_of(0)

    def _file(self, path: str) -> None:
        file = served_file(self.server.folder, path)
        version = "" if file is None else version_of(file)  # before it is read: a later one is told as a change
        content = None if file is None else read_served(file)
        if file is not None and content is None and file.name == PAGES[0] and is_watched(file.parent):
            self.send(waiting_page(file.parent), KINDS[file.name])
        elif file is None or content is None:
            self.say(HTTPStatus.NOT_FOUND, "no such page")
        else:
            self.send(
                following(content, version, self.server.images.port) if file.name in PAGES else content,
                KINDS[file.name],
            )

    def _follow(self, page: str) -> None:
        """Server-sent events until the browser has gone: at each change, and every `BEAT` seconds."""
        file = None if page == "/" else served_file(self.server.folder, page)
        if page != "/" and (file is None or file.name not in PAGES or not (file.exists() or is_watched(file.parent))):
            self.say(HTTPStatus.NOT_FOUND, "no such page")
            return
        if not self.server.left.acquire(blocking=False):
            self.say(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_EVENTS} pages are followed already")
            return
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers_of(None)
            sent, beat = "", 0.0
            while not self.server.closing.is_set():
                facts = self._facts(file)
                if facts != sent or time.monotonic() - beat > BEAT:
                    now = f"{datetime.now().astimezone():%H:%M:%S}"
                    self.wfile.write(f"data: {facts[:-1]}, {json.dumps('now')}: {json.dumps(now)}}}\n\n".encode())
                    sent, beat = facts, time.monotonic()
                self.server.closing.wait(LOOK)
        except OSError:  # the browser has gone
            pass
        finally:
            self.server.left.release()

    def _facts(self, file: Path | None) -> str:
        """State of the folder of a page and version of the page, as JSON."""
        if file is None:
            return json.dumps({"version": list_version(self.server.folder), "kind": "list", "said": "", "command": ""})
        if file.name != PAGES[0]:  # a comparison, which is of several runs
            return json.dumps({"version": version_of(file), "kind": "list", "said": "", "command": ""})
        state = state_of(file.parent)
        return json.dumps(
            {"version": version_of(file), "kind": state.kind, "said": state.said, "command": state.command}
        )
