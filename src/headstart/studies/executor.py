"""Executors of a study's trainings, after `concurrent.futures.Executor`: this process, or several local ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder
from headstart.training.loop import Step, train
from headstart.training.setup import resume, start

T = TypeVar("T")
OnProgress = Callable[[str, float], None]
"""Called with (name of the run, share of it that was done since the last call)."""


def no_progress(_name: str, _share: float) -> None:
    """Report nothing."""


class InProcessExecutor(Executor):
    """Runs each call in this process and thread, at the moment its result is first requested.

    So results arrive one by one, in the order in which they are waited for, and what nobody waits for never runs.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future that runs ``fn`` when its `result` or `exception` is first called."""
        return _Deferred(lambda: fn(*args, **kwargs))


class _Deferred(Future[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call

    def result(self, timeout: float | None = None) -> T:
        self._run()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._run()
        return super().exception(timeout)

    def _run(self) -> None:
        if self.done() or not self.set_running_or_notify_cancel():
            return
        try:
            self.set_result(self._call())
        except Exception as error:  # KeyboardInterrupt stops the study, as it should
            self.set_exception(error)


def process_pool(jobs: int) -> ProcessPoolExecutor:
    """``jobs`` fresh processes that share the cores among them."""
    threads = max(1, torch.get_num_threads() // jobs)
    # Not forked: a process that has used CUDA, or threads, cannot be.
    return ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    )


def train_timed(recipe: Recipe, dataset: Dataset, folder: Path, on_progress: OnProgress = no_progress) -> float:
    """`train_to_completion`; the seconds it took."""
    began = time.perf_counter()
    train_to_completion(recipe, dataset, folder, on_progress)
    return time.perf_counter() - began


def train_to_completion(
    recipe: Recipe, dataset: Dataset, folder: Path, on_progress: OnProgress = no_progress
) -> RunFolder:
    """Train a run to its end, continue an interrupted one, or return it where it is finished.

    Raises HeadstartError when the folder holds a run of another recipe, and as `start` and `resume` do.
    """
    if (folder / "recipe.toml").exists():
        run = RunFolder.open(folder)
        if run.recipe != recipe:
            raise HeadstartError(f"{folder}: expected the run of this study, found another", f"rm -r {folder}")
        if run.finished:
            on_progress(recipe.name, 1.0)
            return run
        training = resume(folder, dataset)
    else:
        training = start(recipe, dataset, folder)
    total, before = recipe.train.epochs * training.steps, 0
    for event in train(training):
        steps = event.epoch * event.steps + event.step + 1 if isinstance(event, Step) else 0
        on_progress(recipe.name, max(0, steps - before) / total)
        before = max(before, steps)
    on_progress(recipe.name, (total - before) / total)
    return training.run
