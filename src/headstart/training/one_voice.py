"""One voice: which process of a host prints an error that several of its processes end by.

It imports nothing before it is asked: most errors come before PyTorch is imported.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta

PATIENCE = 5.0
"""Seconds to reach torchrun's store, which may be on a host that is gone."""

_state = {"said here": False}


def said_here() -> None:
    """Another process of this host prints the error by which this one ends."""
    _state["said here"] = True


def prints_its_error() -> bool:
    """Whether this process, which ends by an error, is the one on its host that prints it."""
    return speaks(not _state["said here"])


def speaks(otherwise: bool) -> bool:
    """Whether no process of this host has spoken yet, by torchrun's store; ``otherwise`` where there is none."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return otherwise
    address = os.environ.get("MASTER_ADDR", ""), int(os.environ.get("MASTER_PORT", "0"))
    names = ("TORCHELASTIC_RESTART_COUNT", "GROUP_RANK")
    key = "/".join(["headstart", *(os.environ.get(name, "0") for name in names)])
    try:
        socket.create_connection(address, timeout=PATIENCE).close()  # PyTorch's own attempt would print warnings
        from torch import distributed

        store = distributed.TCPStore(  # type: ignore[attr-defined]
            *address, is_master=False, timeout=timedelta(seconds=PATIENCE), wait_for_workers=False
        )
        return bool(store.add(key, 1) == 1)
    except (OSError, RuntimeError):
        return otherwise
