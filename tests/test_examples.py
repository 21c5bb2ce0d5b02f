"""The examples run as they stand, on few images."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_solar_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["solar_cells.py", "--images", "40", "--weights", "none", "--out", str(tmp_path / "out")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(ROOT / "examples" / "solar_cells.py"))
    assert "evaluate: accuracy" in capsys.readouterr().out
    assert (tmp_path / "out" / "run" / "report.html").is_file()
