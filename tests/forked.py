"""Processes that are forked from one that has imported PyTorch: a new interpreter takes seconds to import it.

Programs that kill themselves, and ``headstart`` in two processes, as torchrun starts them. What torchrun itself does,
such as passing on a Ctrl-C, is tested with torchrun.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

PRELOADED = ["headstart.api", "headstart.cli.main", "headstart.training.loop", "headstart.training.setup"]


class Ended(NamedTuple):
    """The exit status of each process, and what they wrote to standard output and error."""

    returncodes: list[int | None]
    output: str


def python(folder: Path, program: str, *arguments: object) -> Ended:
    """Run a program in a process of its own, as ``python -c`` would; ``folder`` takes its output."""
    output = folder / "output.txt"
    return _ended([_start(program, [*map(str, arguments)], {}, output)], [output])


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


def _start(program: str, arguments: list[str], environment: Mapping[str, str], output: Path) -> ForkServerProcess:
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    output.parent.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=_run, args=(program, arguments, dict(environment), output))
    process.start()
    return process


def _ended(processes: list[ForkServerProcess], outputs: list[Path]) -> Ended:
    for process in processes:
        process.join(240)
        process.kill()  # it hangs, if it still lives
        process.join()
    output = "".join(file.read_text(encoding="utf-8") for file in outputs)
    return Ended([process.exitcode for process in processes], output)


def _run(program: str, arguments: list[str], environment: dict[str, str], output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(program, "<forked>", "exec"), {"__name__": "__main__"})
