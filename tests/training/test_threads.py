"""A run goes on with as many threads as it began with: sums depend on their number in the last digits."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

import headstart as hs
from headstart.recipes import recipe as recipes
from interrupted import stopped_after

pytestmark = pytest.mark.slow


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_resumed_run_uses_its_own_number_and_ends_at_the_same_weights(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe], threads: Callable[[int], None]
) -> None:
    recipe, quiet = small(train__epochs=2), Console(file=io.StringIO(), width=300)
    threads(1)
    whole = hs.fit(recipe, photos, out=tmp_path / "whole", console=quiet)
    stopped_after(1, tmp_path / "part", photos, recipe)
    threads(2)
    said = io.StringIO()
    part = hs.resume(tmp_path / "part", console=Console(file=said, width=300))
    assert f"{part.path} goes on with 1 threads of the processor, as it began, not 2." in said.getvalue()
    assert torch.get_num_threads() == 2
    assert part.folder.last.read_bytes() == whole.folder.last.read_bytes()


def test_another_number_of_processes_is_named(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    stopped_after(1, tmp_path / "run", photos, small(train__epochs=1))
    folder = hs.Run(tmp_path / "run").folder
    folder.write_json("environment.json", folder.environment | {"processes": 2})
    said = io.StringIO()
    hs.resume(folder.path, console=Console(file=said, width=300))
    assert f"With 2: torchrun --nproc-per-node=2 -m headstart fit --resume {folder.path}" in said.getvalue()
