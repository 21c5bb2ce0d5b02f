"""``headstart report``: the HTML report of a run."""

from __future__ import annotations

from headstart.cli.arguments import OUT, RunArgument


def report(run: RunArgument) -> None:
    """Write the HTML report of a run: one self-contained file. Works during training, too."""
    from headstart import api

    OUT.print(str(api.Run(run).report()), soft_wrap=True)
