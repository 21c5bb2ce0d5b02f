"""What is available, of the machine and of control groups; files of runs and studies that would take more."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart import file_memory
from headstart.comparison.race_file import read_race
from headstart.comparison.study import read_study
from headstart.file_memory import TooLargeError, available_memory
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder

EMPTY_LISTS = b'{"a": [' + b"[]," * 600_000 + b"[]]}"
"""1.8 MB that take 40."""
SHORT_LINES = b"epoch,split," + b",".join(b"c%d" % n for n in range(2000)) + b"\n" + b"0\n" * 1000


def test_files_of_runs_and_studies_that_take_too_much_are_refused_unparsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path / "run", recipes.load("quick"), {"headstart": "0.1.0"}, {"root": "x"})
    for name, content in (("data.json", EMPTY_LISTS), ("architecture.json", EMPTY_LISTS), ("metrics.csv", SHORT_LINES)):
        run.write(name, content)
    for name in ("study.json", "race.json"):
        (tmp_path / name).write_bytes(EMPTY_LISTS)
    monkeypatch.setattr(file_memory, "ALWAYS", 0)
    monkeypatch.setattr(file_memory, "available_memory", lambda: 20_000_000)
    for read, name in (
        (lambda: run.data, "data.json"),
        (lambda: run.architecture, "architecture.json"),
        (lambda: run.metrics, "metrics.csv"),
        (lambda: read_study(tmp_path / "study.json"), "study.json"),
        (lambda: read_race(tmp_path / "race.json"), "race.json"),
    ):
        with pytest.raises(TooLargeError, match=rf"{name}: expected (JSON|a table) that takes at most 0\.02 GB"):
            read()
    (run.path / "checksums.json").write_bytes(EMPTY_LISTS)
    with pytest.raises(TooLargeError, match=r"checksums\.json: expected JSON"):
        run.read("recipe.toml")


def test_control_groups_and_ulimit_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.write_text("1:cpu:/x\n0::/jobs/mine\n")
    for folder, limit in (("jobs/mine", "max"), ("jobs", "5000")):
        (tmp_path / folder).mkdir(exist_ok=True, parents=True)
        (tmp_path / folder / "memory.max").write_text(f"{limit}\n")
        (tmp_path / folder / "memory.current").write_text("3000\n")
        (tmp_path / folder / "memory.stat").write_text("anon 2500\nactive_file 200\ninactive_file 300\n")
    assert file_memory._left_in_groups(tmp_path, own) == [2500]
    assert file_memory._left_in_groups(tmp_path / "none", tmp_path / "none") == []
    monkeypatch.setattr(file_memory, "_left_in_groups", lambda: [2500])
    assert available_memory() == 2500
    monkeypatch.setattr(file_memory, "_left_in_groups", list)
    monkeypatch.setattr(file_memory, "_left_on_machine", lambda: None)
    monkeypatch.setattr(file_memory, "_left_of_ulimit", lambda: None)
    assert available_memory() is None
