"""ARCHITECTURE.md is what the modules say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "architecture.py"
SOURCE = ROOT / "src" / "headstart"


def test_the_page_matches_the_modules() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], check=False)
    assert done.returncode == 0, "ARCHITECTURE.md is out of date: make architecture"


def test_every_module_has_a_line_with_a_summary() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    modules = [path for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]
    lines = [line.split() for line in page.partition("## Modules")[2].splitlines() if ".py " in line]
    assert sorted(words[0] for words in lines) == sorted(path.name for path in modules)
    assert all(len(words) > 1 for words in lines)
