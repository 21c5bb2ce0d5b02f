"""Pages from our templates: everything in them is escaped, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

SURROGATES = re.compile("[\ud800-\udfff]")


def render_page(template: str, context: Mapping[str, object], **filters: Callable[..., str]) -> bytes:
    """A page in UTF-8 from one of our templates; ``filters`` are added to the template's.

    A page does not load itself again: ``now``, in local time, says of when it is.
    """
    environment = Environment(loader=PackageLoader("headstart.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(filters)
    now = datetime.now().astimezone()
    text = environment.get_template(template).render({"now": f"{now:%d %B %Y, %H:%M}", **context})
    # What is no character (of file names that are not UTF-8, of a foreign run's JSON) is shown as the replacement
    # character: a page must be UTF-8.
    return SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text).encode()


def data_url(kind: str, content: bytes) -> str:
    """An image as a URL: ``data_url("jpeg", ...)``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
