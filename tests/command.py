"""The command line in this process, as the console script runs it."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from headstart.cli.main import main


class Done(NamedTuple):
    """What a command left: its exit status and what it said."""

    returncode: int
    stdout: str
    stderr: str


def headstart(*words: object, cwd: Path | None = None) -> Done:
    """Type in ``headstart`` and these words, in a terminal of 200 columns."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(cwd or before)
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["headstart", *map(str, words)])
            patch.setenv("COLUMNS", "200")
            with pytest.raises(SystemExit) as left:
                main()
    finally:
        os.chdir(before)
    assert isinstance(left.value.code, int | None), left.value.code
    return Done(left.value.code or 0, out.getvalue(), err.getvalue())


def refused(*words: object, cwd: Path | None = None) -> str:
    """The one line that a command says when it exits with status 2."""
    done = headstart(*words, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error ")
    assert " Next: " in lines[0]
    return lines[0]
