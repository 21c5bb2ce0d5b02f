"""Freed memory: kept while a training runs, and the system's again afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from forked import python

COUNT = """
import resource, sys
from contextlib import nullcontext
from pathlib import Path
import torch
from headstart.allocator import freed_memory_kept

MEGABYTES = 80  # above what glibc keeps by itself

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    torch.ones(MEGABYTES << 20, dtype=torch.uint8)

before = resident()
with freed_memory_kept() if sys.argv[1] == "kept" else nullcontext():
    step()
    began = faults()
    for _ in range(20):
        step()
    print(faults() - began, resident() - before)
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_memory_that_a_step_frees_is_there_for_the_next_one_and_goes_back_at_the_end(tmp_path: Path) -> None:
    pages = 80 * 256
    (freed, _), (after,) = ([int(each) for each in line.split()] for line in _said(tmp_path, "default"))
    assert freed > 19 * pages  # each step has its pages from the system again: the oracle, without headstart
    (kept, held), (after,) = ([int(each) for each in line.split()] for line in _said(tmp_path, "kept"))
    assert kept < 5 * pages
    assert held >= 80
    assert after < 20


def _said(folder: Path, how: str) -> list[str]:
    return python(folder / how, COUNT, how).output.splitlines()
