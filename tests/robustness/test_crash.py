"""A short, seeded part of `make crash`: a kill, a kill at a rename and a signal, resumed to the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robustness.compare import differences

HARNESS = Path(__file__).with_name("crash.py")
CASES = ("kill/classify/3", "rename/classify/8/before", "signal/classify/SIGTERM/1")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")
def test_some_cases_of_the_crash_harness_survive() -> None:
    words = [word for case in CASES for word in ("--case", case)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    harness = [sys.executable, str(HARNESS), *words]
    done = subprocess.run(harness, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith("survived 1 / 1")], done.stdout


def test_the_comparison_sees_everything_but_times(tmp_path: Path) -> None:
    for name, seconds, loss in (("a", 1.0, 0.5), ("b", 2.0, 0.5), ("c", 1.0, 0.25)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "metrics.csv").write_text(f"epoch,loss,seconds\n0,{loss},{seconds}\n")
        (folder / "environment.json").write_text(json.dumps({"threads": 1, "started": str(seconds)}))
    assert differences(tmp_path / "a", tmp_path / "b") == []
    assert differences(tmp_path / "a", tmp_path / "c") == ["metrics.csv: differs"]
    (tmp_path / "b" / ".data.json.part").touch()
    assert differences(tmp_path / "a", tmp_path / "b") == [".data.json.part: only in the resumed folder"]
