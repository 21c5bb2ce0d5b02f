"""The public names are imported on first use; what needs no torch runs without it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import headstart as hs

pytestmark = pytest.mark.slow


def imported(program: str, *modules: str) -> list[str]:
    """Those of ``modules`` that a program imports, in a process of its own."""
    report = f"\nimport sys; print([m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    found: list[str] = eval(done.stdout.splitlines()[-1])
    return found


def test_the_package_names_its_public_surface() -> None:
    assert {*hs.__all__, "__version__"} == set(dir(hs))
    assert hs.__version__ == version("headstart")
    with pytest.raises(AttributeError, match="module 'headstart' has no attribute 'train'"):
        _ = hs.train


def test_importing_headstart_imports_nothing_large() -> None:
    assert imported("import headstart", "torch", "numpy", "pydantic", "rich", "headstart.api") == []


def test_check_imports_neither_torch_nor_plots(photos: Path) -> None:
    program = f"import headstart as hs; assert hs.check({str(photos)!r}).status == 0"
    assert imported(program, "torch", "timm", "sklearn", "headstart.report") == []


def test_a_report_is_made_without_torch(trained: tuple[Path, Path]) -> None:
    program = f"import headstart as hs; hs.Run({str(trained[0])!r}).report()"
    assert imported(program, "torch", "timm", "lightning_fabric") == []


def test_what_a_function_returns_says_what_it_was_computed_on(trained: tuple[Path, Path]) -> None:
    calls: list[tuple[int, int]] = []
    evaluation = hs.Run(trained[0]).evaluate(trained[1], progress=lambda *each: calls.append(each))
    assert (evaluation.split, evaluation.excluded) == ("val", 0)
    assert len(evaluation.paths) == evaluation.metrics.images == calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize(
    ("said", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_wait_without_spinning_unless_the_user_says_how(said: dict[str, str], expected: str | None) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in names} | said
    code = "import headstart, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)
