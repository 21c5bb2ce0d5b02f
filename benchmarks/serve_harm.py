"""Harm to `headstart serve` over loopback: what each bad client is answered, and what the others notice meanwhile.

python benchmarks/serve_harm.py RUN IMAGES [seconds=5]

The server is a process of its own with ``--seconds`` as given. Beside each bad client a good one posts an image every
fifth of a second. Printed are the answers that the bad clients had, after how long, the largest resident memory of the
server (VmHWM, reset before each; Linux), and the good client's answers with its longest response time.
"""

from __future__ import annotations

import http.client
import io
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

BOUNDARY = "----of-the-harm"
HEAD = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n".encode()
CLIENTS = 100
"""Slow ones at a time."""
GIB2 = 2 * 2**30
Attack = Callable[[int], str]


def form(content: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def answer_of(client: socket.socket) -> str:
    """The status of an answer, or how the connection ended."""
    try:
        first = client.recv(4096)
    except OSError as error:
        return type(error).__name__
    return first.split(b" ", 2)[1].decode() if first else "closed"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def pour(port: int, head: bytes, piece: bytes, total: int) -> str:
    """Send ``piece`` again and again, as much of ``total`` bytes as the server takes; its answer and what it took."""
    sent = 0
    with connect(port) as client:
        client.sendall(HEAD + head)
        with suppress(OSError):
            while sent < total:
                client.sendall(piece)
                sent += len(piece)
        return f"{answer_of(client)} after {sent / 2**20:.0f} MiB"


def claimed(port: int) -> str:
    return pour(port, f"Content-Length: {GIB2}\r\n\r\n".encode(), bytes(2**20), GIB2)


def chunked(port: int) -> str:
    return pour(port, b"Transfer-Encoding: chunked\r\n\r\n", f"{2**20:x}\r\n".encode() + bytes(2**20) + b"\r\n", GIB2)


def chunked_part(port: int) -> str:
    """The zeros are a file of a form, which the parser keeps."""
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'.encode()
    head = b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(start):x}\r\n".encode() + start + b"\r\n"
    return pour(port, head, f"{2**16:x}\r\n".encode() + bytes(2**16) + b"\r\n", GIB2)


def dribble(port: int, start: bytes, byte: bytes = b"x", warm: bytes = b"") -> str:
    """A byte every half second after ``start``; before it, a whole request and its answer on the same connection."""
    with connect(port) as client:
        if warm:
            client.sendall(warm)
            while not client.recv(4096).endswith(b"}"):
                continue
        client.sendall(start)
        client.settimeout(0.5)
        for _ in range(120):
            try:
                first = client.recv(4096)
                return first.split(b" ", 2)[1].decode() if first else "closed"
            except TimeoutError:
                pass
            except OSError as error:
                return type(error).__name__
            try:
                client.sendall(byte)
            except OSError as error:
                return type(error).__name__
        return "HELD for 60 s"


def many(attack: Attack, count: int = CLIENTS) -> Attack:
    def run(port: int) -> str:
        with ThreadPoolExecutor(count) as clients:
            found = Counter(clients.map(attack, [port] * count))
        return ", ".join(f"{number} x {what}" for what, number in found.most_common())

    return run


def silent_readers(port: int) -> str:
    """Ask for a page on many connections, again and again, and read nothing of it."""
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    clients = [connect(port) for _ in range(CLIENTS)]
    for client in clients:
        client.setblocking(False)
        try:
            client.send(asked)
        except BlockingIOError:
            continue
    time.sleep(10)
    for client in clients:
        client.close()
    return "held for 10 s, nothing read"


def garbage(port: int) -> str:
    random, found = np.random.default_rng(0), []
    huge = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2**20 + b"\r\n\r\n"
    chunk = HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n"
    negative = HEAD + b"Content-Length: -1\r\n\r\n"
    parts = b"".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"\r\n\r\nx\r\n'.encode() for _ in range(100_000))  # fmt: skip  # noqa: E501
    small = HEAD + f"Content-Length: {len(parts)}\r\n\r\n".encode() + parts
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="other"\r\n\r\n'.encode() + bytes(30_000_000)
    large = HEAD + f"Content-Length: {len(field)}\r\n\r\n".encode() + field
    for sent in (random.bytes(2**20), b"\x16\x03\x01" + random.bytes(500) + b"\r\n\r\n", huge, chunk, negative, small, large):  # fmt: skip  # noqa: E501
        with connect(port) as client:
            with suppress(OSError):
                client.sendall(sent)
            found.append(answer_of(client))
    return " ".join(found)


def picture(size: tuple[int, int], kind: str, mode: str = "L", **options: object) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size).save(content, kind, **options)
    return content.getvalue()


def scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: each costs its decoder a pass over all of the image."""
    content = picture((side, side), "JPEG", quality=1, progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


def uploads(content: bytes, count: int) -> Attack:
    def send(port: int) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        try:
            connection.request("POST", "/predict", form(content), headers)
            answer = connection.getresponse()
            said = answer.read().decode()
        except OSError as error:
            return type(error).__name__
        finally:
            connection.close()
        return f"{answer.status} {said.partition('read: ')[2][:60]}"

    return many(send, count)


def attacks() -> Iterator[tuple[str, Attack]]:
    whole = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    body = HEAD + b"Content-Length: 100000\r\n\r\n" + form(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    yield "2 GiB of zeros, claimed", claimed
    yield "2 GiB of zeros, chunked", chunked
    yield "2 GiB file in a form, chunked", chunked_part
    yield f"{CLIENTS} slow bodies", many(lambda port: dribble(port, body))
    yield f"{CLIENTS} slow headers", many(lambda port: dribble(port, b"POST /predict HTTP/1.1\r\nX: "))
    yield f"{CLIENTS} slow headers of a second request", many(lambda port: dribble(port, b"GET / HTTP/1.1\r\nX: ", warm=whole))  # fmt: skip  # noqa: E501
    yield f"{CLIENTS} that read nothing", silent_readers
    yield "garbage", garbage
    yield "PNG of 900 million pixels", uploads(picture((30_000, 30_000), "PNG", "1"), 1)
    yield "10 GIF of 1 billion pixels", uploads(picture((2, 2), "GIF").replace(b"\x02\x00\x02\x00", b"\xff\x7f\xff\x7f"), 10)  # fmt: skip  # noqa: E501
    yield "20 PNG of 49 million pixels", uploads(picture((7000, 7000), "PNG", "RGB"), 20)
    yield "20 progressive JPEG of 49 million pixels", uploads(picture((7000, 7000), "JPEG", "RGB", quality=1, progressive=True), 20)  # fmt: skip  # noqa: E501
    yield "20 TIFF of 49 million pixels", uploads(picture((7000, 7000), "TIFF", "RGB", compression="tiff_deflate"), 20)
    yield "4 progressive JPEG of 49 million pixels, 100 scans", uploads(scans(7000, 100), 4)


@contextmanager
def served(run: str, seconds: str) -> Iterator[tuple[int, int]]:
    """(port, process) of a server."""
    command = [sys.executable, "-m", "headstart", "serve", run, "--port", "0", "--seconds", seconds]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().split("http://127.0.0.1:")[1].split()[0])
        try:
            yield port, server.pid
        finally:
            server.terminate()


def high_water(process: int) -> int:
    """Largest resident memory since it was reset, in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


def good_client(port: int, content: bytes, stop: threading.Event, found: list[tuple[str, float]]) -> None:
    send = uploads(content, 1)
    while not stop.wait(0.2):
        began = time.perf_counter()
        found.append((send(port), time.perf_counter() - began))


def main(run: str, images: str, seconds: str = "5") -> None:
    content = next(iter(sorted(Path(images).rglob("*.jpg")))).read_bytes()
    with served(run, seconds) as (port, process):
        for name, attack in attacks():
            stop, found = threading.Event(), list[tuple[str, float]]()
            good = threading.Thread(target=good_client, args=(port, content, stop, found))
            Path(f"/proc/{process}/clear_refs").write_text("5", encoding="ascii")
            before, began = high_water(process), time.perf_counter()
            good.start()
            said = attack(port)
            took = time.perf_counter() - began
            stop.set()
            good.join()
            others = Counter(what.split(" x ", 1)[-1].split()[0] for what, _ in found)
            longest = max((each for _, each in found), default=0.0)
            print(f"{name}: {said}; {took:.1f} s, memory {before} to {high_water(process)} MiB; good client {dict(others)}, longest {longest:.2f} s", flush=True)  # fmt: skip  # noqa: E501


if __name__ == "__main__":
    main(*sys.argv[1:])
