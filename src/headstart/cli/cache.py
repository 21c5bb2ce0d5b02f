"""``headstart cache``: list and clear decoded images."""

from __future__ import annotations

from datetime import datetime

from headstart.cli.arguments import OUT


def ls() -> None:
    """List what is in the cache: decoded images, drawn masks, sets of duplicates; the least recently used first.

    HEADSTART_CACHE names its folder, HEADSTART_CACHE_SIZE its limit (50GB; 10%; default: 20 % of the disk).
    """
    from rich.table import Table
    from rich.text import Text

    from headstart import api
    from headstart.environment import cache_folder, cache_limit

    known = api.cache()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("kind", "size", "last used", "", "of"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for entry in known:
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        table.add_row(entry.kind, _size(entry.size), used, "in use" if entry.in_use else "", Text(entry.of))
    if known:
        OUT.print(table)
    total = sum(entry.size for entry in known)
    text = f"{len(known)} entries, {_size(total)} of at most {_size(cache_limit())} in {cache_folder()}"
    OUT.print(text, markup=False, highlight=False, soft_wrap=True)


def clear() -> None:
    """Remove what is in the cache, except what a running process uses. It is made again when it is needed."""
    from headstart import api

    count, size = api.clear_cache()
    left = len(api.cache())
    text = f"{count} entries removed, {_size(size)}" + (f"; {left} in use" if left else "")
    OUT.print(text, markup=False, highlight=False, soft_wrap=True)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"
