"""Commands to type next name torchrun, where it started this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headstart.cli.hints import resume_command, typed_command


def test_they_name_as_many_processes_as_run_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["headstart", "fit", "quick", "my photos"])
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert typed_command() == "headstart fit quick 'my photos'"
    assert resume_command(Path("runs/a")) == "headstart fit --resume runs/a"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    for world, launch in (("2", "torchrun --nproc-per-node=2"), ("4", "torchrun --nproc-per-node=2 --nnodes=2 ...")):
        monkeypatch.setenv("WORLD_SIZE", world)
        assert typed_command() == f"{launch} -m headstart fit quick 'my photos'"
        assert resume_command(Path("runs/a")) == f"{launch} -m headstart fit --resume runs/a"
