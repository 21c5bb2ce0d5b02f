"""Pages from our templates: everything in them is escaped, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

SURROGATES = re.compile("[\ud800-\udfff]")
COMMAND = re.compile(r"""`(headstart (?:'[^']*'|"[^"]*"|[^`'"])*)`""")
"""A command within a sentence; a quoted path may hold a backtick, too."""
COPIED = Markup(
    '<code class="typed">{}</code><button type="button" data-copy aria-label="copy the command">copy</button>'
)


def render_page(template: str, context: Mapping[str, object], **filters: Callable[..., str]) -> bytes:
    """A page in UTF-8 from one of our templates; ``filters`` are added to the template's.

    A page does not load itself again: ``now``, in local time, says of when it is.
    """
    environment = Environment(loader=PackageLoader("headstart.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(filters, sentence=sentence)
    now = datetime.now().astimezone()
    text = environment.get_template(template).render({"now": f"{now:%d %B %Y, %H:%M}", **context})
    # What is no character (of file names that are not UTF-8, of a foreign run's JSON) is shown as the replacement
    # character: a page must be UTF-8.
    return SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text).encode()


def sentence(text: str) -> Markup:
    """A sentence for a page: its commands have buttons that copy them, numbers stay with their per cent signs."""
    parts = COMMAND.split(text)  # outside and command in turn
    return Markup().join(
        COPIED.format(part) if i % 2 else escape(part.replace(" %", "\N{NO-BREAK SPACE}%"))
        for i, part in enumerate(parts)
    )


def data_url(kind: str, content: bytes) -> str:
    """An image as a URL: ``data_url("jpeg", ...)``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def relative_link(target: Path, folder: Path) -> str:
    """A link from a page in ``folder``, relative, so that both may move together."""
    return quote(os.fsencode(Path(os.path.relpath(target.absolute(), folder)).as_posix()))
