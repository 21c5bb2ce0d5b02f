"""A study's workers as processes: killed, orphaned, of a Dask cluster. The figures are those of one process."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from command import headstart
from headstart.comparison.study import read_study
from headstart.recipes import recipe as recipes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")]


@pytest.fixture(scope="module")
def recipe(small: Callable[..., recipes.Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "small.toml"
    changes = {
        "backbone__name": "test_resnet", "backbone__weights": "none", "data__image_size": 32, "augment__sizes": [],
        "train__epochs": 40,
    }  # fmt: skip
    file.write_text(small(**changes).to_toml(), encoding="utf-8")
    return file


def study_words(data: Path, recipe: Path, out: Path) -> list[str]:
    words = ["study", str(data), "--recipe", str(recipe), "--out", str(out), "--settings", "AG"]
    return [*words, "--labels", "1", "--seeds", "1", "--no-tune", "--budget", "none"]


def begin(data: Path, recipe: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [*study_words(data, recipe, out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "headstart", *words],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def children(parent: int) -> list[int]:
    """The worker processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == parent and status[0] != "Z" and b"spawn_main" in command:
            found.append(int(folder.name))
    return found


def until(condition: Callable[[], object], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def figures(out: Path) -> tuple[list[dict[str, str]], list[list[bool]]]:
    """The rows of the table without times, and which images each trial is right about."""
    with (out / "table.csv").open(encoding="utf-8") as file:
        rows = [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in csv.DictReader(file)]
    trials = sorted(read_study(out / "study.json").trials, key=lambda trial: trial.setting)
    answers = [trial.correct.tolist() for trial in trials if trial.correct is not None]
    assert len(answers) == 2
    return rows, answers


@pytest.fixture(scope="module")
def alone(trained: tuple[Path, Path], recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study in one process, this one."""
    out = tmp_path_factory.mktemp("alone") / "study"
    here(trained[1], recipe, out)
    return out


def here(data: Path, recipe: Path, out: Path) -> None:
    """The study in this process, with as many threads as the workers have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    done = headstart(*study_words(data, recipe, out))
    torch.set_num_threads(before)
    assert done.returncode == 0, done.stderr


def test_a_killed_study_leaves_no_worker_and_its_next_call_ends_equal(
    trained: tuple[Path, Path], recipe: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    process = begin(trained[1], recipe, out, "--jobs", "2")
    until((out / "trials" / "A-1-seed0" / "recipe.toml").exists)
    workers = children(process.pid)
    assert workers
    process.kill()
    process.communicate()
    until(lambda: not any(_lives(worker) for worker in workers), 60)
    here(trained[1], recipe, out)
    assert figures(out) == figures(alone)


def _lives(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("where", [("--jobs", "2"), ("--cluster", "local:2")], ids=["jobs", "cluster"])
def test_workers_that_are_killed_lose_nothing(
    where: tuple[str, str], trained: tuple[Path, Path], recipe: Path, alone: Path, tmp_path: Path
) -> None:
    if where[0] == "--cluster":
        pytest.importorskip("distributed")
    out = tmp_path / "study"
    process = begin(trained[1], recipe, out, *where)
    until((out / "trials" / "A-1-seed0" / "metrics.csv").exists)
    killed = children(process.pid)
    assert killed
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    said = process.communicate(timeout=280)[0]
    assert process.returncode == 0, said
    assert figures(out) == figures(alone)
    study = read_study(out / "study.json")
    assert (study.done, len(study.trials)) == (2, 2)
