"""A run folder is made in one step, whatever happens meanwhile; and only what is nobody's is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import headstart as hs
from headstart.recipes import recipe as recipes
from headstart.runs import lifecycle
from headstart.runs.folder import RunFolder
from headstart.runs.lock import own


def make(path: Path) -> RunFolder:
    def rest(run: RunFolder) -> None:
        run.write("trained_on.txt", b"aa\n")
        run.write("features/images.csv", b"filename,split,label\n")
        lifecycle.mark_unfinished(run.path)

    return RunFolder.create(path, recipes.load("quick"), {"headstart": "0.1.0"}, {"root": "x"}, rest)


def names(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


KILLED = """
import os, shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_lifecycle import make, names
from headstart.runs.lifecycle import is_free, refuse_unless_free
folder = Path(sys.argv[1])
make(folder / "whole")
whole, operation = names(folder / "whole"), 0
while True:
    child = os.fork()
    if child == 0:
        left = operation
        def die_before(real):
            def call(*arguments, **options):
                global left
                if left == 0:
                    os.kill(os.getpid(), 9)
                left -= 1
                return real(*arguments, **options)
            return call
        for name in ("replace", "unlink", "mkdir", "fsync"):
            setattr(os, name, die_before(getattr(os, name)))
        make(folder / "run")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    if (folder / "run" / "recipe.toml").exists():
        assert set(whole) <= set(names(folder / "run")), operation
    else:
        refuse_unless_free(folder / "run")
        make(folder / "run")
        assert names(folder / "run") == whole, operation
    shutil.rmtree(folder / "run")
    operation += 1
print(operation)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
def test_killed_at_any_operation_of_the_disk_there_is_a_whole_run_or_a_folder_that_is_free(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15


@pytest.mark.parametrize("number", range(5))
def test_a_disk_that_is_full_meanwhile_leaves_nothing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.fsync, [number]

    def full(descriptor: int) -> None:
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "a" / "run", tmp_path / "empty"):
        left[0] = number
        with pytest.raises(hs.HeadstartError, match="No space left"):
            make(path)
    assert names(tmp_path) == ["empty"]
    monkeypatch.undo()
    assert "recipe.toml" in names(make(tmp_path / "empty").path)


def test_folders_of_someone_else_are_not_taken(tmp_path: Path) -> None:
    """Neither images with masks and a data.json, nor a run, nor a beginning with another file in it."""
    mine = tmp_path / "mine"
    (mine / "masks").mkdir(parents=True)
    (mine / "data.json").write_text("{}")
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / lifecycle.NEW).touch()
    (begun / "notes.txt").touch()
    for path in (mine, begun, make(tmp_path / "run").path):
        before = names(path)
        with pytest.raises(hs.HeadstartError, match="expected a free folder"):
            make(path)
        assert names(path) == before
        with own(path):
            assert not lifecycle.is_free(path)


def test_a_beginning_is_no_run_and_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / lifecycle.NEW).touch()
    (tmp_path / "environment.json").write_text("{}")
    with pytest.raises(hs.HeadstartError, match="stopped before its first step") as caught:
        RunFolder.open(tmp_path)
    assert "again" in caught.value.hint


def test_a_finished_run_has_no_mark(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    assert lifecycle.is_marked_unfinished(run.path)
    run.write("resume/checkpoint.pt", b"1")
    lifecycle.finish(run.path)
    lifecycle.finish(run.path)
    assert not lifecycle.is_marked_unfinished(run.path)
    assert not [name for name in names(run.path) if "resume" in name]
    assert "resume/checkpoint.pt" not in (run.path / "checksums.json").read_text()
