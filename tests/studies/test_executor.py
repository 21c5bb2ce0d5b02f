"""Local processes of a study: what is under way when they are closed is cut off, what has ended is not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from headstart.data.dataset import Dataset
from headstart.studies.executor import ProcessesExecutor
from headstart.studies.worker import Context

pytestmark = pytest.mark.slow


def sleep_after_writing(file: Path) -> None:
    file.write_text(str(os.getpid()))
    time.sleep(600)


def test_closing_cuts_off_a_call_that_does_not_end(tmp_path: Path) -> None:
    executor = ProcessesExecutor(2, Context("key", tmp_path, tmp_path, Dataset(tmp_path), 1, None))
    ended = executor.submit(os.getpid)
    other = ended.result(timeout=60)
    file = tmp_path / "pid.txt"
    hanging = executor.submit(sleep_after_writing, file)
    while not (file.exists() and file.read_text()):
        time.sleep(0.05)
    executor.shutdown()
    for pid in (other, int(file.read_text())):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert hanging.exception(timeout=10) is not None
    assert ended.result() == other
