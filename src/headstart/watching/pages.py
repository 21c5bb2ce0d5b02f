"""Pages for a watching browser: the list of runs, one for a run without a report yet, and reports that are followed."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader

from headstart.report.page import render_page
from headstart.watching.files import PAGES
from headstart.watching.states import State, state_of, watched_folders


def following(page: bytes, version: str, images: int | None = None) -> bytes:
    """A page with the script that follows the folder it is of, before any script of its own.

    ``version`` is that of the page: the script fetches it again when an event tells of another. ``images`` is the port
    that has the images of its run.
    """
    environment = Environment(loader=PackageLoader("headstart.report"), autoescape=True)
    added = environment.get_template("watching.html.jinja").render(version=version, images=images).encode()
    return page.replace(b"</head>", added + b"</head>", 1)


def list_page(top: Path) -> bytes:
    """The runs and studies below ``top`` with their states, as a page that is followed."""
    rows = _rows(top)
    return following(
        render_page("watch.html.jinja", {"title": str(top.absolute()), "runs": rows, "waiting": ""}), _digest(rows)
    )


def waiting_page(folder: Path) -> bytes:
    """The page of a run that has no report yet, which becomes that report."""
    said = "No epoch has ended yet: the report appears here after the first."
    return following(
        render_page("watch.html.jinja", {"title": str(folder.absolute()), "runs": [], "waiting": said}), ""
    )


def list_version(top: Path) -> str:
    """What changes with the list: a digest of its rows."""
    return _digest(_rows(top))


def _digest(rows: list[tuple[str, str, State]]) -> str:
    return blake2b(repr(rows).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _rows(top: Path) -> list[tuple[str, str, State]]:
    """Name, link and state of each run or study."""
    rows = []
    for folder in watched_folders(top):
        name = folder.relative_to(top).as_posix()
        link = quote(PAGES[0] if name == "." else f"{name}/{PAGES[0]}", errors="surrogateescape")
        rows.append((top.absolute().name if name == "." else name, f"/{link}", state_of(folder)))
    return rows
