"""A worker process ends with the study that started it, however that one ends: no orphan goes on training."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when the one that started it ends."""


def die_with_parent(parent: int) -> None:
    """Kill this process when ``parent``, the process that started it, ends; at once if it has ended already.

    On Linux the kernel does it. Everywhere a thread waits for the end of the pipe that `multiprocessing` holds open as
    long as the parent lives.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
    process = multiprocessing.parent_process()
    if process is not None:
        threading.Thread(target=_exit_after, args=(process.sentinel,), name="parent watch", daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
