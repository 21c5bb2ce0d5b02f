"""Processes that are forked from one that has imported PyTorch: a new interpreter takes seconds to import it.

Programs that kill themselves, and ``headstart`` in two processes, as torchrun starts them. What torchrun itself does,
such as passing on a Ctrl-C, is tested with torchrun.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple, cast

# Not the command line: as it is imported it sets up its consoles, for the streams and variables of its process.
PRELOADED = ["headstart.api", "headstart.training.loop", "headstart.training.setup", "typer", "rich.progress"]


class Ended(NamedTuple):
    """The exit status of each process, and what they wrote to standard output and error."""

    returncodes: list[int | None]
    output: str


class Command(NamedTuple):
    """``headstart`` and some words, typed in: its process, and the files of its standard output and error."""

    process: ForkServerProcess
    stdout: Path
    stderr: Path

    def interrupt(self) -> None:
        """Ctrl-C."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGINT)

    def ended(self) -> tuple[int | None, bytes, bytes]:
        """Its exit status, standard output and error, once it has ended."""
        status = _ended([self.process], []).returncodes[0]
        return status, self.stdout.read_bytes(), self.stderr.read_bytes()


def type_in(folder: Path, *words: object, variables: Mapping[str, str] | None = None) -> Command:
    """Type in ``headstart`` and these words, with environment variables; ``folder`` takes what it prints.

    Of the variables that Python itself reads as it starts, PYTHONIOENCODING alone has its effect.
    """
    stdout, stderr = folder / "stdout.txt", folder / "stderr.txt"
    program = "from headstart.__main__ import main; main()"
    environment = {"OMP_NUM_THREADS": "1", "COLUMNS": "200", **(variables or {})}
    return Command(_start(program, [*map(str, words)], environment, stdout, stderr), stdout, stderr)


def python(folder: Path, program: str, *arguments: object) -> Ended:
    """Run a program in a process of its own, as ``python -c`` would; ``folder`` takes its output."""
    output = folder / "output.txt"
    return _ended([begin(output, program, *arguments)], [output])


def begin(
    output: Path, program: str, *arguments: object, pipe: Connection[Any, Any] | None = None
) -> ForkServerProcess:
    """Begin a program in a process of its own; a file takes its output. It finds its end of a pipe as ``pipe``."""
    return _start(program, [*map(str, arguments)], {}, output, pipe=pipe)


def headstart_by_two(folder: Path, *words: object) -> Ended:
    """Type in ``headstart`` and these words in two processes of one thread; ``folder`` takes their output."""
    return by_two(folder, "from headstart.cli.main import main; main()", *words)


def by_two(folder: Path, program: str, *arguments: object) -> Ended:
    """Run a program in two processes of one thread, with torchrun's variables; ``folder`` takes their output."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outputs = [folder / f"rank-{rank}.txt" for rank in range(2)]
    program = f"import torch; torch.set_num_threads(1)\n{program}"
    ranks = []
    for rank, output in enumerate(outputs):
        environment = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "tests",
            "OMP_NUM_THREADS": "1", "COLUMNS": "200",
        }  # fmt: skip
        ranks.append(_start(program, [*map(str, arguments)], environment, output))
    return _ended(ranks, outputs)


def _start(
    program: str,
    arguments: list[str],
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    pipe: Connection[Any, Any] | None = None,
) -> ForkServerProcess:
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    output.parent.mkdir(parents=True, exist_ok=True)
    words = program, arguments, {**os.environ, **environment}, output, errors or output, pipe
    process = context.Process(target=_run, args=words)
    process.start()
    return process


def _ended(processes: list[ForkServerProcess], outputs: list[Path]) -> Ended:
    for process in processes:
        process.join(240)
        process.kill()  # it hangs, if it still lives
        process.join()
    output = "".join(file.read_text(encoding="utf-8") for file in outputs)
    return Ended([process.exitcode for process in processes], output)


def _run(
    program: str,
    arguments: list[str],
    environment: dict[str, str],
    output: Path,
    errors: Path,
    pipe: Connection[Any, Any] | None,
) -> None:
    opened = {file: os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) for file in (output, errors)}
    for stream, file in ((1, output), (2, errors)):
        os.dup2(opened[file], stream)
    if encoding := environment.get("PYTHONIOENCODING"):  # Python reads it as it starts, and this one has started
        cast(TextIOWrapper, sys.stdout).reconfigure(encoding=encoding, errors="strict")
        cast(TextIOWrapper, sys.stderr).reconfigure(encoding=encoding, errors="backslashreplace")
    os.environ.clear()  # of the test that began the server
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(program, "<forked>", "exec"), {"__name__": "__main__", "pipe": pipe})
