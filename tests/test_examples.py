"""The examples run as they stand, on few images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_solar_cells(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "solar_cells.py"), "--images", "60", "--weights", "none"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "evaluate: accuracy" in done.stdout
    assert (tmp_path / "out" / "run" / "report.html").is_file()
