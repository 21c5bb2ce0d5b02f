"""Two processes, as torchrun starts them on one machine without a GPU (gloo); of torchrun itself, its Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import headstart as hs
from command import headstart
from forked import headstart_by_two
from headstart.models.run_weights import read_weights
from headstart.recipes import recipe as recipes
from headstart.training.setup import start
from headstart.training.validate import validate
from pictures import copy_photos

pytestmark = pytest.mark.slow

SMALL = {
    "data.image_size": 32,
    "augment.sizes": [],
    "backbone.name": "test_resnet",
    "backbone.weights": "none",
    "train.epochs": 2,
    "val.batch_size": 4,
    "checkpoint.monitor": "last",
    "analysis.train_samples": 0,
}
MASKS = {
    "task": "segment",
    "data.resize": "keep",
    "decoder.channels": 16,
    "data.image_size": 64,
    "train.batch_size": 4,
    "val.batch_size": 2,
}
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "headstart", "fit"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TIMES = ("seconds", "images_per_second")

Small = Callable[..., recipes.Recipe]


def by_two(recipe: recipes.Recipe, data: Path, place: Path) -> hs.Run:
    """The run that two processes train together."""
    file, run = place / "small.toml", place / "run"
    file.write_text(recipe.to_toml())
    done = headstart_by_two(place, "fit", file, data, "--out", run)
    assert done.returncodes == [0, 0], done.output
    assert done.output.count("use it") == 1  # one of them speaks
    return hs.Run(run)


@pytest.fixture
def one_thread() -> Any:
    """As many threads as the two processes have: results differ by them in the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def together(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[hs.Run, Path]:
    """A classifier that two processes trained, and the photographs; to read and not to change."""
    folder = tmp_path_factory.mktemp("together")
    photographs = copy_photos(shared_data("clothing"), folder / "photos")
    changes = {"data.val_fraction": 0.25, "train.epochs": 20, "train.batch_size": 16}
    return by_two(recipes.load("quick", SMALL | changes), photographs, folder), photographs


@pytest.mark.usefixtures("one_thread")
def test_their_figures_are_those_of_the_saved_weights_to_the_last_digit(
    together: tuple[hs.Run, Path], tmp_path: Path
) -> None:
    """A batch-normalized network, whose statistics each process has of its own images; an odd number of these."""
    run, photographs = together
    last = [row for row in run.metrics if row["split"] == "val"][-1]
    alone = json.loads(headstart("evaluate", run.path, photographs, "--json").stdout)
    assert last["images"] == alone["images"] == 15
    assert [last[name] for name in ("accuracy", "loss", "ece")] == [
        alone[name]["value"] for name in ("accuracy", "loss", "ece")
    ]
    file = tmp_path / "predicted.csv"
    assert headstart("predict", run.path, photographs, "--probabilities", "--out", file).returncode == 0
    with file.open(encoding="utf-8") as table:
        predicted = {row["filename"]: row for row in csv.DictReader(table)}
    for row in run.folder.predictions:
        ours = {k: v for k, v in row.items() if k.startswith("probability_")}
        assert ours == {name: predicted[row["filename"]][name] for name in ours}


@pytest.mark.usefixtures("one_thread")
def test_so_are_those_of_masks(tiles: Path, tmp_path: Path) -> None:
    for part in ("sat.jpg", "mask.png"):
        min((tiles / "val").glob(f"*_{part}")).unlink()
    run = by_two(recipes.load("quick", SMALL | MASKS), tiles, tmp_path)
    last = [row for row in run.metrics if row["split"] == "val"][-1]
    alone = json.loads(headstart("evaluate", run.path, tiles, "--json").stdout)
    assert last["images"] == alone["images"] == 5
    assert [last[name] for name in ("accuracy", "miou")] == [alone[name]["value"] for name in ("accuracy", "miou")]
    each = {row["name"]: row["iou"] and row["iou"]["value"] for row in alone["per_class"]}
    assert {name: last.get(f"iou_{name}") for name in each} == each


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("task", ["byol", "vicreg"])
def test_so_are_those_of_self_supervision(photos: Path, tmp_path: Path, unlabeled: Small, task: str) -> None:
    """Those that are means over images, and those of a whole split's statistics."""
    recipe = unlabeled(task=task, val__batch_size=4, checkpoint__monitor="last", analysis__train_samples=8)
    run = by_two(recipe, photos, tmp_path)
    last = [row for row in run.metrics if row["split"] == "val"][-1]
    alone = start(recipe, str(photos), tmp_path / "alone")
    alone.task.load_weights(read_weights(run.folder))
    alone.progress.epoch = int(last["epoch"])
    row, outputs = validate(alone, "val")
    (recorder,) = alone.recorders
    row |= recorder.at_epoch(alone, outputs)
    assert {k: v for k, v in row.items() if k not in TIMES} == {k: v for k, v in last.items() if k not in TIMES}
    assert row["view_similarity"] > 0


def test_they_take_the_steps_of_one(photos: Path, tmp_path: Path) -> None:
    """A head on a frozen backbone, where no batch statistics are in the way: the same weights, but for rounding."""
    changes = {
        "backbone.freeze": True,
        "head.dropout": 0.0,
        "train.batch_size": 16,
        "optimizer.lr": 0.01,
        "augment.hflip": 0.0,
    }
    recipe = recipes.load("quick", SMALL | changes)
    together = by_two(recipe, photos, tmp_path)
    alone = hs.fit(recipe, photos, out=tmp_path / "alone")
    one, other = (load_file(run.path / "weights" / "last.safetensors") for run in (together, alone))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_ctrl_c_stops_both_at_one_step_and_they_go_on_to_the_same_weights(
    together: tuple[hs.Run, Path], tmp_path: Path
) -> None:
    """Ctrl-C reaches both processes and torchrun, which then sends it on to both."""
    whole, photographs = together
    path = tmp_path / "stopped"
    words = [*LAUNCH, str(whole.path / "recipe.toml"), str(photographs), "--out", str(path)]
    training = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (path / "metrics.csv").is_file():
        assert training.poll() is None
        time.sleep(0.05)
    os.killpg(training.pid, signal.SIGINT)
    _, said = training.communicate(timeout=60)
    message = f"Stopped and saved. Resume with: torchrun --nproc-per-node=2 -m headstart fit --resume {path}"
    assert [line for line in said.splitlines() if "Stopped" in line] == [message]
    stopped = torch.load(path / "resume" / "checkpoint.pt", weights_only=True)["progress"]
    assert 0 < stopped["epoch"] < whole.folder.recipe.train.epochs
    resumed = headstart_by_two(tmp_path, "fit", "--resume", path)
    assert resumed.returncodes == [0, 0], resumed.output
    one, other = (run / "weights" / "last.safetensors" for run in (whole.path, path))
    assert one.read_bytes() == other.read_bytes()
    rows = [[{k: v for k, v in row.items() if k not in TIMES} for row in run.metrics] for run in (whole, hs.Run(path))]
    assert rows[0] == rows[1]
