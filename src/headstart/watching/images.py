"""Images of watched runs: the files themselves, to look at and not to read.

    /RUN/image?file=NAME     an image that the run in RUN lists, from the folder that the run names

They come from a port of their own, which makes them another origin: a page shows them, and its scripts, which may be
those of a foreign run, cannot read a pixel of them. That is what the same page can do where it is opened as a file.
"""

from __future__ import annotations

import os
import stat
import threading
from functools import lru_cache
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.runs.folder import RunFolder
from headstart.watching.files import MAX_BYTES, PAGES, served_file, version_of
from headstart.watching.requests import LocalRequest

KINDS = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF8", "gif"), (b"BM", "bmp"), (b"RIFF", "webp"))
"""First bytes of the formats that a browser shows, and their names; of WebP more is looked at."""
LISTS = ("data.json", "predictions.csv", "features/images.csv")
"""What a run's images, and their folder, are read from."""


class ImageServer(ThreadingHTTPServer):
    """Serves the images of the runs below a folder to whoever has the token of `WatchServer`."""

    daemon_threads = True

    def __init__(self, folder: Path, token: str, cookie: str) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.folder, self.token, self.cookie = folder, token, cookie
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that has gone is no error."""

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()


class _Request(LocalRequest):
    sites = ("none", "same-origin", "same-site")

    def headers_of(self) -> dict[str, str]:
        # Chromium takes two ports of 127.0.0.1 for the same site where it sends cookies, and not in this policy.
        return super().headers_of() | {"Cross-Origin-Resource-Policy": "cross-origin"}

    def is_for_here(self) -> bool:
        return super().is_for_here() and self.headers.get("Sec-Fetch-Dest", "image") == "image"

    def answer(self, path: str, asked: dict[str, str]) -> None:
        assert isinstance(self.server, ImageServer)
        place, _, last = path.rpartition("/")
        page = served_file(self.server.folder, f"{place}/{PAGES[0]}") if last == "image" else None
        found = read_image(page.parent, asked.get("file", "")) if page is not None else None
        if found is None:
            self.say(HTTPStatus.NOT_FOUND, "no such image")
        else:
            self.send(*found)


def read_image(run: Path, name: str) -> tuple[bytes, str] | None:
    """The bytes of an image that a run lists, and their media type; None for any other file.

    It must lie in the folder of the run's images, through no link that leads out of it, be a regular file of at most
    `MAX_BYTES`, and begin as one of `KINDS`.
    """
    root, names = _listed(run, tuple(version_of(run / each) for each in LISTS))
    if name not in names:
        return None
    try:
        place, top = os.path.realpath(os.path.join(root, name)), os.path.realpath(root)  # noqa: PTH118
        if os.path.commonpath([place, top]) != top:
            return None
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        content = file.read(MAX_BYTES) if stat.S_ISREG(about.st_mode) and about.st_size <= MAX_BYTES else b""
    kind = next((kind for first, kind in KINDS if content.startswith(first)), None)
    if kind is None or (kind == "webp" and content[8:12] != b"WEBP"):
        return None
    return content, f"image/{kind}"


@lru_cache(maxsize=64)
def _listed(run: Path, versions: tuple[str, ...]) -> tuple[str, frozenset[str]]:  # noqa: ARG001
    """The folder of a run's images, and those that it lists: read again when a file of `LISTS` is another one."""
    try:
        folder = RunFolder.open(run)
        root = str(folder.data.get("root", ""))
        # Another machine, which a foreign run must not make this one ask, is no folder; nor is a relative path.
        if root[:2] in ("//", "\\\\") or not Path(root).is_absolute():
            return "", frozenset()
        rows = [*folder.predictions, *folder.feature_images]
        return root, frozenset(row["filename"] for row in rows)
    except (HeadstartError, OSError):
        return "", frozenset()
