"""headstart: how much of a head start does pre-training give you, on your own images?

    import headstart as hs

    run = hs.fit("quick", "photos/")
    run.predict(["a.jpg"]).rows()
    run.report()

The names in ``__all__`` are the public API. They are imported on first use (PEP 562), so that ``import headstart`` is
immediate and imports no torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.api import OnnxModel, Run, check, compare, fit, resume, study

    __version__: str

# Threads of libgomp spin for milliseconds after each loop, on processors that others wait for: beside other programs
# a training step took ten times as long, and six times the processor seconds. It reads this when PyTorch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__all__ = ["HeadstartError", "OnnxModel", "Run", "check", "compare", "fit", "resume", "study"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("headstart")
    if name in __all__:
        from headstart import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
