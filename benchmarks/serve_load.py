"""Load on `headstart serve` over loopback: requests, errors, response times, and memory of the server.

python benchmarks/serve_load.py RUN IMAGES [clients=200] [seconds=60]

Each client, a thread of this process, posts one image after the other on a connection of its own. The server is a
process of its own on the same machine: clients and server share its processors.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

BOUNDARY = "----of-the-load"


def form(content: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def resident(process: int) -> int:
    """Resident memory in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


def client(port: int, bodies: list[bytes], until: float, number: int, seconds: list[float], errors: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    turn = number
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
            connection.request("POST", "/predict", bodies[turn % len(bodies)], headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                seconds.append(time.perf_counter() - began)
            else:
                errors.append(str(answer.status))
        except OSError as error:
            errors.append(type(error).__name__)
            connection.close()
        turn += 1
    connection.close()


def main(run: str, images: str, clients: str = "200", seconds: str = "60") -> None:
    bodies = [form(file.read_bytes()) for file in sorted(Path(images).rglob("*.jpg"))[:100]]
    command = [sys.executable, "-m", "headstart", "serve", run, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        port = int(said.split("http://127.0.0.1:")[1].split()[0])
        warm: list[float] = []
        client(port, bodies, time.perf_counter() + 3, 0, warm, [])
        before, times, errors = resident(server.pid), list[float](), list[str]()
        until = time.perf_counter() + float(seconds)
        threads = [
            threading.Thread(target=client, args=(port, bodies, until, number, times, errors))
            for number in range(int(clients))
        ]
        for thread in threads:
            thread.start()
        memory = []
        for _ in range(4):
            time.sleep(float(seconds) / 4)
            memory.append(resident(server.pid))
        for thread in threads:
            thread.join()
        server.terminate()
    p50, p99 = np.quantile(times, [0.5, 0.99])
    print(
        f"{clients} clients, {seconds} s: {len(times):,} requests answered, {len(errors)} errors {sorted(set(errors))}"
    )
    print(f"{len(times) / float(seconds):.0f} per second, median {p50:.2f} s, p99 {p99:.2f} s")
    print(f"alone: median {np.median(warm):.3f} s; memory of the server {before} MiB before, then {memory} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
