"""`headstart serve` over sockets: its answers are those of `headstart predict`, and no client does harm."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from command import refused
from headstart.inference.predict import Predictions
from headstart.inference.segment import MaskPredictions
from headstart.runs.folder import RunFolder

pytest.importorskip("uvicorn", reason="pip install -e .[serve]")
pytest.importorskip("fastapi", reason="pip install -e .[serve]")

BOUNDARY = "----of-the-tests"
MAX_BYTES = 1_000_000


@contextmanager
def serving(run: Path) -> Iterator[int]:
    """The port of a server with small limits."""
    from headstart.serving.limits import Limits
    from headstart.serving.server import bind, make_server

    limits = Limits(max_bytes=MAX_BYTES, max_images=30, max_pixels=1_000_000, seconds=1.0)
    server = make_server(RunFolder.open(run), limits)
    with bind("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port(trained: tuple[Path, Path]) -> Iterator[int]:
    with serving(trained[0]) as number:
        yield number


def form(files: Sequence[tuple[str, bytes]]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def request(port: int, method: str, path: str, body: bytes | Iterator[bytes] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if body is not None else {}
        connection.request(method, path, body, headers, encode_chunked=isinstance(body, Iterator))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def predict(port: int, *files: tuple[str, bytes]) -> tuple[int, Any]:
    status, content = request(port, "POST", "/predict", form(files))
    return status, json.loads(content)


def some(photos: Path, count: int) -> list[Path]:
    return sorted(photos.rglob("*.jpg"))[:: 60 // count][:count]


def test_many_clients_get_the_predictions_of_headstart_predict(trained: tuple[Path, Path], port: int) -> None:
    run, files = hs.Run(trained[0]), some(trained[1], 12)
    expected = run.predict(files)
    assert isinstance(expected, Predictions)

    def ask(file: Path) -> Any:
        status, answer = predict(port, (file.name, file.read_bytes()))
        assert status == 200
        return answer["predictions"][0]

    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(ask, files * 2))
    for answer, label, probabilities in zip(
        answers, expected.labels * 2, np.tile(expected.probabilities, (2, 1)), strict=True
    ):
        assert answer["label"] == label
        assert list(answer["probabilities"]) == run.classes
        assert np.allclose(list(answer["probabilities"].values()), probabilities, atol=2e-6)
    status, answer = predict(port, *((file.name, file.read_bytes()) for file in files))
    assert status == 200
    assert [each["filename"] for each in answer["predictions"]] == [file.name for file in files]
    assert [each["label"] for each in answer["predictions"]] == expected.labels


def test_garbage_is_named_and_the_other_images_are_predicted(trained: tuple[Path, Path], port: int) -> None:
    (photo,) = some(trained[1], 1)
    cut = photo.read_bytes()[:1000]
    status, answer = predict(port, ("a.jpg", b"no image"), ("b.jpg", photo.read_bytes()), ("c.jpg", cut), ("d", b""))
    assert status == 200
    assert ["error" in each for each in answer["predictions"]] == [True, False, True, True]
    status, answer = predict(port, ("a.jpg", b"no image"))
    assert status == 422
    assert "not an image" in answer["predictions"][0]["error"]
    assert request(port, "POST", "/predict", b"no form")[0] in (400, 422)


def test_a_bomb_is_refused_by_its_header(port: int) -> None:
    bomb = io.BytesIO()
    Image.new("1", (6_000, 6_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < MAX_BYTES
    status, answer = predict(port, ("bomb.png", bomb.getvalue()))
    assert status == 422
    assert "too large" in answer["predictions"][0]["error"]


def test_an_upload_beyond_the_limit_is_refused_before_it_is_there(port: int) -> None:
    """By the length that it claims, of which not one byte has come; and without one, by the bytes that come."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000000\r\n\r\n")
        assert b" 413 " in client.recv(1000)
    large = form([("a.jpg", bytes(2 * MAX_BYTES))])
    with suppress(ConnectionError):  # closed before all was sent
        pieces = (large[at : at + 100_000] for at in range(0, len(large), 100_000))
        assert request(port, "POST", "/predict", pieces)[0] == 413
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:  # answered long before the end
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                client.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
    many = [(f"{number}.jpg", b"x") for number in range(31)]
    assert predict(port, *many)[0] == 413


def test_a_slow_client_is_let_go_and_the_others_are_answered(trained: tuple[Path, Path], port: int) -> None:
    (photo,) = some(trained[1], 1)
    slow, silent = (socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(2))
    with slow, silent:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n")
        slow.sendall(b"Content-Length: 1000\r\n\r\n--b\r\n")
        silent.sendall(b"POST /predict HTTP/1.1\r\nHost:")
        assert predict(port, ("a.jpg", photo.read_bytes()))[0] == 200
        assert b" 408 " in slow.recv(1000)
        assert silent.recv(1000) == b""


@pytest.mark.slow
def test_a_connection_that_stands_still_is_closed(port: int) -> None:
    """At the headers of its second request, and where nothing is read of many answers."""
    second, deaf = (socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(2))
    with second, deaf:
        second.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += second.recv(1000)
        second.sendall(b"GET /health HTTP/1.1\r\nX: ")
        deaf.settimeout(0.5)
        with suppress(TimeoutError):  # at the end of what the buffers of both sides hold
            for _ in range(100_000):
                deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        with suppress(ConnectionError):
            for _ in range(200):  # the keep-alive limit of silent connections does not hold for one that says something
                time.sleep(0.05)
                second.sendall(b"x")
            pytest.fail("the connection was held for ten seconds")
        with pytest.raises(ConnectionError):
            for _ in range(20):
                time.sleep(0.5)
                with suppress(TimeoutError):
                    deaf.sendall(b"GET /")


def test_the_pages_for_programs_and_people(trained: tuple[Path, Path], port: int) -> None:
    status, content = request(port, "GET", "/health")
    assert (status, json.loads(content)["classes"]) == (200, hs.Run(trained[0]).classes)
    (photo,) = some(trained[1], 1)
    predict(port, ("a.jpg", photo.read_bytes()))
    metrics = request(port, "GET", "/metrics")[1].decode()
    images = re.search(r"^headstart_images_total (\d+)$", metrics, re.MULTILINE)
    assert images and int(images[1]) >= 1
    assert "headstart_images_waiting 0" in metrics
    schema = json.loads(request(port, "GET", "/openapi.json")[1])
    assert "multipart/form-data" in schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    page = request(port, "GET", "/")[1].decode()
    assert 'name="images" type="file"' in page
    assert not re.search(r"(src|href)=\"https?:", page)


def test_masks_are_those_of_headstart_predict(trained_masks: Path, small_tiles: Path) -> None:
    image = next((small_tiles / "val").glob("*_sat.jpg"))
    run = hs.Run(trained_masks)
    expected = run.predict(image)
    assert isinstance(expected, MaskPredictions)
    with serving(trained_masks) as port:
        status, png = request(port, "POST", "/predict?format=png", form([("a.jpg", image.read_bytes())]))
        assert status == 200
        status, answer = predict(port, ("a.jpg", image.read_bytes()))
        assert b"headstart_images_total 2\n" in request(port, "GET", "/metrics")[1]
    with Image.open(io.BytesIO(png)) as mask:
        assert np.array_equal(np.asarray(mask), expected.palette.colorize(expected.masks[0]))
    (found,) = answer["predictions"]
    assert base64.b64decode(found["mask_png"]) == png
    assert sum(found["shares"].values()) == pytest.approx(1, abs=1e-4)


def test_what_cannot_be_served_is_refused(
    trained: tuple[Path, Path], port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Address already in use" in refused("serve", trained[0], "--port", port)
    assert "no such folder" in refused("serve", tmp_path / "none", "--port", 0)
    monkeypatch.setattr("headstart.environment.find_spec", lambda _: None)
    assert "pip install 'headstart[serve]'" in refused("serve", trained[0])
