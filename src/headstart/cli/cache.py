"""``headstart cache``: list and clear decoded images."""

from __future__ import annotations

from datetime import datetime

from headstart.cli.arguments import OUT


def ls() -> None:
    """List what is in the cache: decoded images, drawn masks, sets of duplicates; the least recently used first.

    [bold]headstart cache ls[/bold] lists it.
    [bold]HEADSTART_CACHE=/scratch headstart cache ls[/bold] lists another.

    HEADSTART_CACHE names its folder, HEADSTART_CACHE_SIZE its limit (50GB; 10%; default: 20 % of the disk).
    """
    from headstart import api
    from headstart.environment import cache_folder, cache_limit

    known = api.cache()
    wide = max([len(entry.kind) for entry in known], default=0)
    for entry in known:  # a line each, however long the path
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        state = "in use" if entry.in_use else ""
        text = f"{entry.kind:{wide}}  {_size(entry.size):>7}  {used}  {state:6}  {entry.of}"
        OUT.print(text, markup=False, highlight=False, soft_wrap=True)
    total = sum(entry.size for entry in known)
    text = f"{len(known)} entries, {_size(total)} of at most {_size(cache_limit())} in {cache_folder()}"
    OUT.print(text, markup=False, highlight=False, soft_wrap=True)


def clear() -> None:
    """Remove what is in the cache, except what a running process uses. It is made again when it is needed.

    [bold]headstart cache clear[/bold] clears it.
    [bold]HEADSTART_CACHE=/scratch headstart cache clear[/bold] clears another.
    """
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
