"""Two hosts on one machine: network namespaces joined by two virtual interfaces, with one disk. Needs root and ip."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from robustness.scenarios import ENVIRONMENT

NETWORK = "10.78.9"
PORT = 29511


class Host(NamedTuple):
    """A network namespace with one interface, and its address."""

    name: str
    interface: str
    address: str

    def kill(self) -> None:
        """SIGKILL to all of its processes at once."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def link(self, state: str) -> None:
        """Turn its interface ``up`` or ``down``: nobody is told."""
        _ip("-n", self.name, "link", "set", self.interface, state)

    def processes(self) -> list[int]:
        """Its processes."""
        return [int(pid) for pid in _ip("netns", "pids", self.name).split()]


class Launched(NamedTuple):
    """Torchrun on each host, and where its output goes."""

    torchruns: list[subprocess.Popen[bytes]]
    outputs: list[Path]

    def wait(self, seconds: float) -> list[int | None]:
        """Exit status on each host; None for what still runs after so long, which is killed."""
        end, statuses = time.monotonic() + seconds, list[int | None]()
        for each in self.torchruns:
            try:
                statuses.append(each.wait(max(0.01, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                statuses.append(None)
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()
        return statuses

    def errors(self, host: int) -> list[str]:
        """Lines of a host's output that headstart begins with ``error``."""
        said = self.outputs[host].read_text(encoding="utf-8", errors="replace")
        return [line for line in said.splitlines() if line.startswith("error")]


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other. Raises OSError where this machine does not let them be made."""
    one, other = (Host(f"hs{os.getpid()}-{n}", f"hs{os.getpid()}-{n}", f"{NETWORK}.{n}") for n in (1, 2))
    pair = (one.interface, "type", "veth", "peer", "name", other.interface, "netns", other.name)
    try:
        for host in (one, other):
            _ip("netns", "add", host.name)
        _ip("-n", one.name, "link", "add", *pair)
        for host in (one, other):
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.interface)
            _ip("-n", host.name, "link", "set", "lo", "up")
            host.link("up")
        yield one, other
    finally:
        for host in (one, other):
            with suppress(OSError):
                host.kill()
                _ip("netns", "del", host.name)


def launch(hosts: tuple[Host, Host], folder: Path, *words: object) -> Launched:
    """Torchrun with one process on each host, that runs ``headstart`` with these words in ``folder``."""
    torchruns, outputs = [], [folder / f"said-{rank}.txt" for rank in range(2)]
    for rank, (host, output) in enumerate(zip(hosts, outputs, strict=True)):
        environment = {
            **os.environ, **ENVIRONMENT, "GLOO_SOCKET_IFNAME": host.interface,
            "HEADSTART_CACHE": str(folder / f"cache-{rank}"),
        }  # fmt: skip
        command = [
            "ip", "netns", "exec", host.name, sys.executable, "-m", "torch.distributed.run", "--nnodes=2",
            "--nproc-per-node=1", f"--node-rank={rank}", f"--master-addr={hosts[0].address}", f"--master-port={PORT}",
            "-m", "headstart", *map(str, words),
        ]  # fmt: skip
        with output.open("wb") as said:
            options = {"stdout": said, "stderr": said, "stdin": subprocess.DEVNULL}
            torchruns.append(
                subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **options)  # type: ignore[call-overload]
            )
    return Launched(torchruns, outputs)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
