"""``headstart serve``: predictions over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli.arguments import ERR, RunArgument, Unfinished, say_at_once
from headstart.errors import HeadstartError

MOST = 1_000_000
"""Megabytes of a request, and seconds to wait for it: more is no limit."""


def serve(
    run: RunArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 8000,
    max_mb: Annotated[float, typer.Option("--max-mb", min=0.001, help="Largest request, in megabytes.")] = 32.0,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest image to decode at full size.")] = 50_000_000,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time for a request to come, and again to be answered.")
    ] = 30.0,
    unfinished: Unfinished = False,
) -> None:
    """Serve a run's predictions over HTTP: POST images to /predict, or open the page in a browser.

    [bold]headstart serve runs/quick-photos[/bold] listens on port 8000 of this machine.
    [bold]headstart serve runs/quick-photos --host 0.0.0.0 --port 80[/bold] listens to every machine.

    [bold]curl -F images=@photo.jpg http://127.0.0.1:8000/predict[/bold] asks it.

    Also /health, /metrics and /openapi.json. There is no password: whoever reaches the port may ask. Needs pip install
    'headstart\\[serve]'.
    """
    say_at_once(f"serve    {run}")
    from headstart.environment import require_extra

    require_extra("serve", ("fastapi", "uvicorn", "python_multipart"))
    from headstart.runs.folder import RunFolder
    from headstart.serving.limits import Limits
    from headstart.serving.server import bind, make_server

    for option, value in (("--max-mb", max_mb), ("--seconds", seconds)):
        if value > MOST:
            raise HeadstartError(f"serve {option}: expected at most {MOST:,}, found {value:g}", f"{option} {MOST}")
    limits = Limits(max_bytes=int(max_mb * 1e6), max_pixels=max_pixels, seconds=seconds)
    with bind(host, port) as listening:
        server = make_server(RunFolder.open(run), limits, unfinished=unfinished)
        name = f"[{host}]" if ":" in host else host
        where = f"http://{name}:{listening.getsockname()[1]}"
        ERR.print(f"serving {run} at {where} (Ctrl-C stops)", markup=False, soft_wrap=True)
        server.run(sockets=[listening])
