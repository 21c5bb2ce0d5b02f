"""Executors for a study's trainings, after `concurrent.futures.Executor`: this process, or several local ones."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from headstart.studies.parent import die_with_parent
from headstart.studies.worker import Context, Event, install

T = TypeVar("T")

END_SECONDS = 2
"""How long a process that has nothing to do may take to end."""


class InProcessExecutor(Executor):
    """Runs each call in this process and thread, when it is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future that has ended. KeyboardInterrupt stops the study, as it should."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class _Process:
    """A pool of one process, and this side of a pipe to it."""

    pool: ProcessPoolExecutor
    process: BaseProcess
    """The pool's one."""
    pipe: Connection
    future: Future[Any] = field(default_factory=Future)

    def close(self, wait: bool) -> None:
        """End the process; one that is still training, or slow to end, is killed, which its run folder survives."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.future.done():
            self.process.join(END_SECONDS)
        self.process.kill()
        if wait:
            self.process.join()
        self.pipe.close()


class ProcessesExecutor(Executor):
    """``jobs`` local processes with a pool each: one that is killed takes no other along, and is replaced.

    They are started fresh, not forked (a process that has used CUDA, or threads, cannot be), and end with this one.
    """

    def __init__(self, jobs: int, context: Context) -> None:
        self._context = context
        self._busy: list[_Process] = []
        self._idle: list[_Process] = []
        self._jobs = jobs

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a call in a process that is idle, as at most ``jobs`` futures are under way. Raises RuntimeError else."""
        self._collect()
        if len(self._busy) == self._jobs:
            raise RuntimeError(f"expected at most {self._jobs} calls at a time")
        while True:
            process = self._idle.pop() if self._idle else self._start()
            try:
                future = process.pool.submit(fn, *args, **kwargs)
            except BrokenProcessPool:  # it was killed while it was idle
                process.close(wait=False)
                continue
            self._busy.append(process)
            process.future = future
            return future

    def events(self) -> Iterator[Event]:
        """What the processes have sent since the last call."""
        for process in (*self._busy, *self._idle):
            try:
                while process.pipe.poll():
                    yield process.pipe.recv()
            except (EOFError, OSError):  # it was killed
                continue

    def stop(self) -> None:
        """Have every training under way save and end."""
        for process in self._busy:
            try:
                process.pipe.send("stop")
            except OSError:  # it was killed
                continue

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End the processes; calls that are under way are cut off."""
        for process in (*self._busy, *self._idle):
            process.close(wait)
        self._busy, self._idle = [], []

    def _collect(self) -> None:
        """Make the processes whose call has ended idle, and drop those that were killed."""
        for process in [each for each in self._busy if each.future.done()]:
            self._busy.remove(process)
            if isinstance(process.future.exception(), BrokenProcessPool):
                process.close(wait=False)
            else:
                self._idle.append(process)

    def _start(self) -> _Process:
        spawn = get_context("spawn")
        here, there = spawn.Pipe()
        pool = ProcessPoolExecutor(
            1, mp_context=spawn, initializer=_begin, initargs=(os.getpid(), self._context, there)
        )
        others = active_children()
        pool.submit(_nothing)  # starts the process
        (process,) = (each for each in active_children() if each not in others)
        return _Process(pool, process, here)


def _nothing() -> None: ...


def _begin(parent: int, context: Context, pipe: Connection) -> None:
    """The first call in a process."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the study's own process tells, by the pipe
    stop, sending = threading.Event(), threading.Lock()

    def send(event: Event) -> None:
        with sending:
            pipe.send(event)

    def listen() -> None:
        try:
            pipe.recv()
        except (EOFError, OSError):
            return
        stop.set()

    threading.Thread(target=listen, name="stop", daemon=True).start()
    install(context, send, stop.is_set)
