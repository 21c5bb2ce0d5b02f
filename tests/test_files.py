"""Files that several processes write, and what dead ones leave."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.errors import HeadstartError
from headstart.files import is_temporary, remove_leftovers, temporary_name, write_atomically
from headstart.process import Process, this_process

WRITES = """
import sys
from pathlib import Path
from headstart.files import write_atomically
for number in range(150):
    write_atomically(Path(sys.argv[1]), sys.argv[2].encode() * 20_000)
"""


@pytest.mark.slow
def test_two_processes_that_write_one_file_never_tear_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"a" * 20_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITES, str(file), letter]) for letter in "ab"]
    read = set()
    while any(writer.poll() is None for writer in writers):
        read.add(file.read_bytes())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert read <= {b"a" * 20_000, b"b" * 20_000}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["metrics.csv", "x" * 250 + ".png", "ü" * 120, ".hidden"])
def test_a_temporary_name_is_valid_and_known(name: str, tmp_path: Path) -> None:
    path = temporary_name(tmp_path / name)
    path.touch()
    assert is_temporary(path.name)
    assert not is_temporary(name)
    assert path != temporary_name(tmp_path / name)
    remove_leftovers(tmp_path)
    assert path.exists()  # of a live process: this one


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from headstart.process import this_process; print(this_process())"],
        capture_output=True,
        text=True,
        check=True,
    )
    dead = ended.stdout.strip()
    again = Process(this_process().machine, os.getpid(), "1")  # its number was given out again
    gone = [tmp_path / f".{dead}-0123abcd.a.csv.part", tmp_path / "deep" / f".{again}-0123abcd.a.csv.part"]
    old, new = (tmp_path / f".00000000-7-7-0123abcd.{name}.part" for name in ("old", "new"))
    kept = [new, temporary_name(tmp_path / "b"), tmp_path / ".mine.part", tmp_path / f"{dead}-0123abcd.part"]
    for path in (*gone, old, *kept):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder = tmp_path / f".{dead}-0123abcd.resume.part"
    (folder / "inside").mkdir(parents=True)
    os.utime(old, (time.time() - 3600,) * 2)
    remove_leftovers(tmp_path)
    assert not [path for path in (*gone, old, folder) if path.exists()]
    assert all(path.exists() for path in kept)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HeadstartError, match="No space left on device"):
        write_atomically(file, b"after")
    assert file.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
