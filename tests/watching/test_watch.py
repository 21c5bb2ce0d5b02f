"""`headstart watch` serves files of known names to whoever has the token, and says what a run is doing."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from command import refused
from headstart.comparison.study import Study
from headstart.runs.folder import RunFolder
from headstart.runs.lifecycle import mark_unfinished
from headstart.runs.lock import own
from headstart.watching import server as watching
from headstart.watching.files import read_served
from headstart.watching.images import ImageServer, read_image
from headstart.watching.server import WatchServer, serve_folder
from headstart.watching.states import state_of, watched_folders

SECRET = "not for the network"


@contextmanager
def serving(folder: Path) -> Iterator[WatchServer]:
    with serve_folder(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with reports, and with files that are nobody's business; a secret lies beside it."""
    top = tmp_path / "top"
    for name in ("one", "deep/er/two"):
        (top / name / "weights").mkdir(parents=True)
        (top / name / "report.html").write_text(f"<html><head></head><body><main>{name}</main></body></html>")
    for name in ("recipe.toml", "weights/best.safetensors", ".lock", "environment.json", "report.html.bak"):
        (top / "one" / name).write_text(SECRET)
    (tmp_path / "report.html").write_text(SECRET)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "report.html").write_text(SECRET)
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    (top / "file").mkdir()
    (top / "file" / "report.html").symlink_to(tmp_path / "report.html")
    (top / "metrics.csv").mkdir()
    return top


def ask(
    server: WatchServer | ImageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    """Status, body and headers of an answer; with the cookie, and the right Host, unless others are given."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    given = {"Host": f"127.0.0.1:{server.port}", "Cookie": f"{server.cookie}={server.token}"} | headers
    for name, value in given.items():
        if value:
            connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, body, answer.headers


def test_the_token_opens_it_and_does_not_stay_in_the_address(folder: Path) -> None:
    with serving(folder) as server:
        status, _, headers = ask(server, f"/?token={server.token}", Cookie="")
        assert (status, headers["Location"]) == (303, "/")
        assert "HttpOnly" in headers["Set-Cookie"]
        assert "SameSite=Strict" in headers["Set-Cookie"]
        status, body, headers = ask(server, "/", Cookie=headers["Set-Cookie"].split(";")[0])
        assert status == 200
        assert 'href="/one/report.html"' in body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "one" in ask(server, "/one/report.html")[1]
        assert "two" in ask(server, "/deep/er/two/report.html")[1]


@pytest.mark.parametrize("path", ["/", "/one/report.html", "/events?of=/", "/?token=wrong", "/?token=", "/nowhere"])
def test_without_the_token_nothing_is_said(folder: Path, path: str) -> None:
    with serving(folder) as server:
        for cookie in (
            "",
            f"{server.cookie}=wrong",
            f"{server.cookie}={server.token}x",
            f"other={server.token}",
            "\xff;=",
        ):
            status, body, headers = ask(server, path, Cookie=cookie)
            assert status == 403
            assert "one" not in body
            assert headers["Set-Cookie"] is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_foreign_page_is_refused_even_with_the_cookie(folder: Path, headers: dict[str, str]) -> None:
    with serving(folder) as server:
        given = {name: value.format(port=server.port) for name, value in headers.items()}
        for path in ("/", "/one/report.html", "/events?of=/", f"/?token={server.token}"):
            status, body, answer = ask(server, path, **given)
            assert status == 421
            assert "report" not in body
            assert answer["Set-Cookie"] is None
        assert ask(server, "/", Host=f"LOCALHOST:{server.port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/one/recipe.toml",
        "/one/weights/best.safetensors",
        "/one/.lock",
        "/one/environment.json",
        "/one/report.html.bak",
        "/one/",
        "/one",
        "/../report.html",
        "/one/../../report.html",
        "/one/..%2f..%2freport.html",
        "/%2e%2e/report.html",
        "/..%5creport.html",
        "/one/%2e%2e/%2e%2e/report.html",
        "//report.html",
        "/./one/report.html",
        "/one//report.html",
        "/one/report.html%00",
        "/one%00/report.html",
        "/%ff%fe/report.html",
        "/linked/report.html",
        "/file/report.html",
        "/metrics.csv",
        "/C:/report.html",
        "/one/%252e%252e/report.html",
    ],
)
def test_only_files_of_known_names_below_the_folder(folder: Path, path: str) -> None:
    with serving(folder) as server:
        status, body, _ = ask(server, path)
        assert status == 404
        assert SECRET not in body
        assert ask(server, f"/events?of={path}")[0] == 404


def test_other_methods_are_refused_and_no_file_is_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(folder) as server:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(server, "/one/report.html", method)[0] == 501
    monkeypatch.setattr("headstart.watching.files.MAX_BYTES", 10)
    assert read_served(folder / "one" / "report.html") is None
    os.mkfifo(folder / "table.csv")
    assert read_served(folder / "table.csv") is None


@pytest.fixture
def with_images(trained: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """(a run below a folder that is watched, a copy of its images, which the test may change)."""
    run = Path(shutil.copytree(trained[0], tmp_path / "top" / "a run"))
    photographs = Path(shutil.copytree(trained[1], tmp_path / "photos"))
    data = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(data | {"root": str(photographs)}))
    (run / "checksums.json").unlink()
    return run, photographs


def test_an_image_that_a_run_lists_is_served_to_its_pages_alone(with_images: tuple[Path, Path]) -> None:
    run, photographs = with_images
    name = RunFolder(run).predictions[0]["filename"]
    path = f"/a%20run/image?{urlencode({'file': name})}"
    with serving(run.parent) as server:
        status, _, headers = ask(server.images, path)
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert int(headers["Content-Length"]) == (photographs / name).stat().st_size
        assert headers["Access-Control-Allow-Origin"] is None, "or scripts could read its pixels"
        assert (
            f"http://127.0.0.1:{server.images.port}"
            in ask(server, "/a%20run/report.html")[2]["Content-Security-Policy"]
        )
        assert ask(server.images, path, Cookie="")[0] == 403
        for given in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert ask(server.images, path, **given)[0] == 421
        for kind in ("empty", "document", "iframe", "script"):
            assert ask(server.images, path, **{"Sec-Fetch-Dest": kind})[0] == 421
        assert ask(server, path)[0] == 404, "the pages' own origin has none"


def test_no_other_file_is_served_as_an_image(with_images: tuple[Path, Path]) -> None:
    run, photographs = with_images
    (photographs / "hat" / "unlisted.jpg").write_bytes((photographs / "hat").glob("*.jpg").__next__().read_bytes())
    first, second, third = (row["filename"] for row in RunFolder(run).predictions[:3])
    secret = run.parent.parent / "secret.jpg"
    secret.write_bytes((photographs / first).read_bytes())
    for name, content in ((second, None), (third, SECRET)):
        (photographs / name).unlink()
        if content is None:
            (photographs / name).symlink_to(secret)
        else:
            (photographs / name).write_text(content)
    with serving(run.parent) as server:
        for name in (
            "hat/unlisted.jpg",
            "../secret.jpg",
            str(secret),
            "",
            "data.json",
            second,
            third,
            f"{first}/",
            "\0",
        ):
            for place in ("/a%20run", "/a%20run/..", ""):
                assert ask(server.images, f"{place}/image?{urlencode({'file': name})}")[0] == 404
        assert ask(server.images, f"/a%20run/other?{urlencode({'file': first})}")[0] == 404
    for root in ("//elsewhere/share", "photos", ""):  # another machine, and what is relative to nothing
        data = json.loads((run / "data.json").read_text())
        (run / "data.json").write_text(json.dumps(data | {"root": root}))
        assert read_image(run, first) is None


def events(server: WatchServer, page: str) -> Iterator[dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"/events?of={page}", headers={"Cookie": f"{server.cookie}={server.token}"})
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    try:
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
    finally:
        answer.close()
        connection.close()


def test_an_event_tells_of_a_change_and_heartbeats_of_none(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK", 0.02)
    monkeypatch.setattr(watching, "BEAT", 0.1)
    run = shutil.copytree(trained[0], tmp_path / "runs" / "a run")
    with serving(tmp_path / "runs") as server:
        told = events(server, "/a%20run/report.html")
        first = next(told)
        assert first["kind"] == "finished"
        assert next(told)["version"] == first["version"], "a heartbeat"
        RunFolder(run).write("report.html", b"<main>another</main>")
        mark_unfinished(run)
        for fact in told:
            if fact["kind"] == "stopped" and fact["version"] != first["version"]:
                break
        assert fact["command"] == f"headstart fit --resume '{run}'"
        assert [row["kind"] for row in [next(events(server, "/"))]] == ["list"]


def test_as_many_pages_are_followed_as_may_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_EVENTS", 1)
    with serving(folder) as server:
        told = events(server, "/")
        next(told)
        assert ask(server, "/events?of=/")[0] == 503


def test_states_of_a_run_from_its_start_to_its_end(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with own(run):
        assert state_of(run).kind == "starting"
        shutil.copytree(trained[0], run, dirs_exist_ok=True)
        mark_unfinished(run)
        assert state_of(run).said == "training: 3 of 3 epochs done, maps and report are being made"
        rows = [row for row in RunFolder(run).metrics if row["epoch"] == 0]
        RunFolder(run).write_table("metrics.csv", rows)
        assert (state_of(run).kind, state_of(run).said) == ("training", "training: 1 of 3 epochs done")
    stopped = state_of(run)
    assert (stopped.kind, stopped.said) == ("stopped", "stopped: 1 of 3 epochs done")
    assert stopped.command == f"headstart fit --resume {run}"
    assert (state_of(trained[0]).kind, state_of(trained[0]).command) == ("finished", "")
    (run / "metrics.csv").write_text("damaged")
    assert state_of(run).kind == "damaged"


def test_states_of_a_study(made_study: Callable[..., Study], tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(made_study(skip=lambda s, f, k: k > 0).to_json())
    assert state_of(tmp_path).said.startswith(
        "stopped: 21 of 63 trials done; the headstart study command that began it"
    )
    with own(tmp_path):
        assert state_of(tmp_path).kind == "training"
    (tmp_path / "study.json").write_text(made_study().to_json())
    assert state_of(tmp_path).said == "finished: 63 of 63 trials done"


def test_runs_are_found_whatever_lies_beside_them(trained: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "run").symlink_to(trained[0])  # may lead anywhere, so it is none
    shutil.copytree(trained[0], tmp_path / "a" / "<b>run</b>")
    (tmp_path / "a" / ".hidden").mkdir()
    shutil.copy(trained[0] / "recipe.toml", tmp_path / "a" / ".hidden")
    assert watched_folders(tmp_path) == [tmp_path / "a" / "<b>run</b>"]
    assert watched_folders(trained[0]) == [trained[0]]
    with serving(tmp_path) as server:
        page = ask(server, "/")[1]
        assert ">a/&lt;b&gt;run&lt;/b&gt;</a>" in page
        assert "<b>run" not in page
        assert 'href="/a/%3Cb%3Erun%3C/b%3E/report.html"' in page


def test_a_wrong_folder_or_port_is_refused_in_one_line(tmp_path: Path, folder: Path) -> None:
    assert "expected a folder with runs" in refused("watch", tmp_path / "nowhere")
    assert "expected a folder with runs" in refused("watch", tmp_path / "report.html", cwd=tmp_path)
    with serving(folder) as server:
        assert f"expected a free port of this machine, found {server.port}" in refused(
            "watch", folder, "--port", server.port
        )


@pytest.mark.slow
def test_the_command_prints_an_address_that_opens_it_without_torch_and_ends_with_ctrl_c(folder: Path) -> None:
    code = (
        "import sys, threading\n"
        "from headstart.cli.main import main\n"
        f"sys.argv = ['headstart', 'watch', {str(folder)!r}]\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as it:
        try:
            assert it.stderr is not None
            address = next(word for word in it.stderr.readline().split() if word.startswith("http://127.0.0.1:"))
            host, path = address.removeprefix("http://").split("/", 1)
            connection = http.client.HTTPConnection(host, timeout=10)
            connection.request("GET", f"/{path}")
            assert connection.getresponse().status == 303
            connection.close()
            it.send_signal(signal.SIGINT)
            out, err = it.communicate(timeout=30)
            assert (it.returncode, out.strip(), err) == (0, "False", "")
        finally:
            it.kill()  # a failure is not waited for
