"""Local processes of a study: what is under way when they are closed is cut off, what has ended is not."""

from __future__ import annotations

import os
import time
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import suppress
from pathlib import Path

import pytest

from headstart.data.dataset import Dataset
from headstart.studies.executor import ProcessesExecutor
from headstart.studies.worker import Context

pytestmark = pytest.mark.slow


def test_closing_ends_what_is_idle_and_cuts_off_a_call_that_does_not_end(tmp_path: Path) -> None:
    executor = ProcessesExecutor(2, Context("key", tmp_path, tmp_path, Dataset(tmp_path), 1, None))
    calls = [executor.submit(os.getpid), executor.submit(os.getpid)]
    pids = [call.result(timeout=240) for call in calls]  # both import PyTorch, on a busy machine in more than a minute
    assert len({*pids, os.getpid()}) == 3
    endless = executor.submit(time.sleep, 600)
    executor.shutdown()
    with suppress(CancelledError, BrokenExecutor):
        endless.result(timeout=10)
    assert endless.done()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
