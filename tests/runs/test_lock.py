"""One owner of a folder: against other processes that live, die, are suspended, or run on another host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headstart.errors import HeadstartError
from headstart.process import Process, boot, this_process
from headstart.runs import lock
from headstart.runs.lock import LIVE_FOR, NAME, own, owner_of, require_owned

OWNS = """
import sys
from pathlib import Path
from headstart.runs.lock import own
with own(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns ``folder`` until its standard input ends."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", OWNS, str(folder)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "owned\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def lock_of(folder: Path, process: Process, boot: str, *, silent: float = 0.0) -> None:
    """Leave a lock file as another process would."""
    folder.mkdir(exist_ok=True)
    content = {"host": "lab-2", "boot": boot, "process": str(process), "since": time.time() - 3600}
    (folder / NAME).write_text(json.dumps(content), encoding="utf-8")
    touched = time.time() - silent
    os.utime(folder / NAME, (touched, touched))


def test_a_second_process_is_refused_with_the_facts_of_the_first_even_while_that_is_suspended(tmp_path: Path) -> None:
    with another_owner(tmp_path / "run") as other:
        for number in (signal.SIGSTOP, signal.SIGCONT):
            other.send_signal(number)
            with (
                pytest.raises(HeadstartError, match=f"process {other.pid} on .* since 20") as caught,
                own(tmp_path / "run"),
            ):
                pass
            assert f"kill {other.pid}" in caught.value.hint
        owner = owner_of(tmp_path / "run")
        assert owner is not None
        assert f"process {other.pid} " in owner.facts


def test_the_lock_of_a_process_that_was_killed_is_taken_over_at_once(tmp_path: Path) -> None:
    with another_owner(tmp_path / "run") as other:
        other.kill()
        other.wait()
        assert (tmp_path / "run" / NAME).exists()
        assert owner_of(tmp_path / "run") is None
        with own(tmp_path / "run"):
            owner = owner_of(tmp_path / "run")
            assert owner is not None
            assert Process.parse(owner.process) == this_process()


def test_at_the_end_nothing_is_left_of_it(tmp_path: Path) -> None:
    with own(tmp_path / "a" / "empty"):
        assert (tmp_path / "a" / "empty" / NAME).exists()
    assert not (tmp_path / "a" / "empty").exists()
    with own(tmp_path / "run"), own(tmp_path / "run"):
        (tmp_path / "run" / "file").touch()
    with pytest.raises(ZeroDivisionError), own(tmp_path / "run"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]


def test_another_thread_is_another_owner(tmp_path: Path) -> None:
    refused: list[bool] = []

    def try_it() -> None:
        try:
            with own(tmp_path):
                refused.append(False)
        except HeadstartError:
            refused.append(True)

    with own(tmp_path):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    try_it()
    assert refused == [True, False]


@pytest.mark.parametrize("silent", [LIVE_FOR - 60, LIVE_FOR + 1])
def test_an_owner_on_another_host_lives_by_its_heartbeat(silent: float, tmp_path: Path) -> None:
    """The system's lock is free: it does not reach that host."""
    lock_of(tmp_path, Process("00000000", os.getpid(), "1"), "another boot", silent=silent)
    if silent > LIVE_FOR:
        with own(tmp_path):
            assert "lab-2" not in (tmp_path / NAME).read_text(encoding="utf-8")
        return
    with pytest.raises(HeadstartError, match="on lab-2 since") as caught, own(tmp_path):
        pass
    assert "ssh lab-2 kill" in caught.value.hint
    assert "180 s" in caught.value.hint


def test_the_heartbeat_touches_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_INTERVAL", 0.01)
    with own(tmp_path):
        os.utime(tmp_path / NAME, (1, 1))
        ends = time.monotonic() + 10
        while (tmp_path / NAME).stat().st_mtime < 2 and time.monotonic() < ends:
            time.sleep(0.01)
        assert (tmp_path / NAME).stat().st_mtime > 2


def test_whose_folder_was_taken_is_told_so_at_the_next_save_and_leaves_the_lock_alone(tmp_path: Path) -> None:
    """Suspended for long, on another host than the one that took it over."""
    with own(tmp_path):
        require_owned(tmp_path)
        lock_of(tmp_path, Process("00000000", 1, "1"), "another boot")
        with pytest.raises(HeadstartError, match="process 1 on lab-2"):
            require_owned(tmp_path)
    assert "lab-2" in (tmp_path / NAME).read_text(encoding="utf-8")


def test_without_locks_of_the_system_the_process_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    with another_owner(tmp_path) as other:
        owner = owner_of(tmp_path)
        with pytest.raises(HeadstartError, match=f"process {other.pid} on"), own(tmp_path):
            pass
        assert owner is not None
        alive = Process.parse(owner.process)
        assert alive is not None
        # The same number, given out again; and a number that nobody has.
        for dead in (Process(alive.machine, alive.pid, "1"), Process(alive.machine, 2**22 + 1, alive.start)):
            lock_of(tmp_path, dead, boot())
            with own(tmp_path):
                pass
            assert not (tmp_path / NAME).exists()


RACES = """
import sys, time
from pathlib import Path
from headstart.errors import HeadstartError
from headstart.runs.lock import own
folder, count = Path(sys.argv[1]), 0
while count < 10:
    try:
        with own(folder):
            number = int((folder / "number").read_text())
            time.sleep(0.0005)
            (folder / "number").write_text(str(number + 1))
            count += 1
    except HeadstartError:
        time.sleep(0.0005)
"""


def test_four_processes_that_race_for_the_lock_of_a_dead_one_own_it_one_at_a_time(tmp_path: Path) -> None:
    """Each adds to a number that it reads and writes; two at once would lose additions."""
    lock_of(tmp_path, Process(this_process().machine, 2**22 + 1, "1"), boot())
    (tmp_path / "number").write_text("0", encoding="utf-8")
    racers = [subprocess.Popen([sys.executable, "-c", RACES, str(tmp_path)]) for _ in range(4)]
    assert [racer.wait(60) for racer in racers] == [0, 0, 0, 0]
    assert (tmp_path / "number").read_text(encoding="utf-8") == "40"


def test_damaged_content_is_no_owner(tmp_path: Path) -> None:
    for content in (b"", b"{", b"[]", b'{"host": 1}', b"\xff\xfe", b"null"):
        (tmp_path / NAME).write_bytes(content)
        with own(tmp_path):
            pass
        assert not (tmp_path / NAME).exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeadstartError, match="cannot be written"), own(tmp_path / "file" / "run"):
        pass


def test_under_torchrun_the_first_process_alone_owns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_owner(tmp_path / "run"):
        monkeypatch.setenv("RANK", "1")
        with own(tmp_path / "run"):
            pass
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(HeadstartError), own(tmp_path / "run"):
            pass
