"""Commands in surroundings that people have: no width, no Unicode, a reader that leaves. Programs of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forked import type_in

pytestmark = pytest.mark.slow

PLACES = {
    "no width": {"COLUMNS": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C"},
    "C and no UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
TINY = [
    "data.image_size=32",
    "augment.sizes=[]",
    "train.epochs=1",
    "backbone.name=test_resnet",
    "backbone.weights=none",
]


def typed(surroundings: dict[str, str], *words: object) -> str:
    """What a command prints, as bytes that are its encoding's or nothing; it must not end in a traceback."""
    command = [sys.executable, "-m", "headstart", *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **surroundings})
    assert done.returncode in (0, 1), done.stderr.decode(errors="replace")
    assert b"Traceback" not in done.stderr
    return done.stdout.decode("latin-1" if "latin" in surroundings.get("PYTHONIOENCODING", "") else "utf-8")


@pytest.fixture
def named(photos: Path) -> Path:
    """Photographs with a class that ASCII cannot write, and one that Latin-1 cannot."""
    (photos / "hat").rename(photos / "chapeau d'été")
    (photos / "shoes").rename(photos / "ботинки")
    return photos


@pytest.mark.parametrize("place", PLACES)
def test_check_and_help_print_what_the_stream_can_show(place: str, named: Path) -> None:
    said = typed(PLACES[place], "check", named)
    assert "class (3)" in said
    assert "No issues found" in said
    assert ("ботинки" in said) == (place in ("no width", "C"))
    assert "--unlabeled" in typed(PLACES[place], "study", "--help")
    if place != "C and no UTF-8 mode":  # there a name is bytes of no known encoding
        assert '"chapeau d\'été"' in typed(PLACES[place] | {"PYTHONIOENCODING": "ascii"}, "check", named, "--json")


@pytest.mark.parametrize("place", ["no width", "ascii"])
def test_fit_and_predict_print_what_the_stream_can_show(place: str, named: Path, tmp_path: Path) -> None:
    run = tmp_path / "é"

    def printed(*words: object) -> str:
        status, stdout, stderr = type_in(tmp_path, *words, variables=PLACES[place]).ended()
        assert status == 0, stderr.decode(errors="replace")
        assert b"Traceback" not in stderr
        return stdout.decode("utf-8")

    assert "use it" in printed("fit", "quick", named, *TINY, "--out", run)
    rows = printed("predict", run, named).splitlines()
    assert rows[0] == "filename,label,confidence"
    assert len(rows) == 61
    assert any(row.startswith("ботинки/") for row in rows), "data are UTF-8 everywhere"


@pytest.mark.parametrize("words", [["check"], pytest.param(["check", "--json"], marks=pytest.mark.slow)])
def test_a_reader_that_leaves_is_no_error(words: list[str], photos: Path) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    command = shlex.join([sys.executable, "-m", "headstart", *words, str(photos)])
    done = subprocess.run(
        [shell, "-c", f"{command} | head -c 1; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False
    )
    assert (done.returncode in (0, 1), len(done.stdout), done.stderr) == (True, 1, b"")
    done = subprocess.run([shell, "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
