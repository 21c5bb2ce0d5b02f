"""Two processes, as torchrun starts them on one machine without a GPU (gloo)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import headstart as hs
from headstart.metrics.classification import ClassificationMetrics
from headstart.metrics.segmentation import SegmentationMetrics
from headstart.recipes import recipe as recipes

pytestmark = pytest.mark.slow

SMALL = {
    "data.image_size": 32,
    "augment.sizes": [],
    "backbone.name": "resnet10t",
    "backbone.weights": "none",
    "train.epochs": 2,
    "checkpoint.monitor": "last",
    "analysis.train_samples": 0,
}
MASKS = {"task": "segment", "data.resize": "keep", "decoder.channels": 16, "data.image_size": 64, "train.batch_size": 4}


def by_two(recipe: recipes.Recipe, data: Path, place: Path) -> hs.Run:
    """The run that two processes train together."""
    file, run = place / "small.toml", place / "run"
    file.write_text(recipe.to_toml())
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "headstart"]
    words = [*launch, "fit", str(file), str(data), "--out", str(run)]
    done = subprocess.run(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("use it") == 1  # one of them speaks
    return hs.Run(run)


@pytest.mark.parametrize("kind", ["labels", "masks"])
def test_their_figures_are_those_of_one_process_that_looks_at_the_same_weights(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """An odd number of images is shared by them: none is counted twice, as a padded share would have it."""
    masks = kind == "masks"
    data: Path = request.getfixturevalue("tiles" if masks else "photos")
    if masks:
        for part in ("sat.jpg", "mask.png"):
            min((data / "val").glob(f"*_{part}")).unlink()
    run = by_two(recipes.load("quick", SMALL | (MASKS if masks else {"data.val_fraction": 0.25})), data, tmp_path)
    last = [row for row in run.metrics if row["split"] == "val"][-1]
    alone: Any = run.evaluate(data).metrics
    assert isinstance(alone, SegmentationMetrics if masks else ClassificationMetrics)
    assert last["images"] == alone.images
    assert last["images"] % 2 == 1
    assert last["accuracy"] == pytest.approx(alone.accuracy.value, abs=1e-3)
    if masks:
        assert last["miou"] == pytest.approx(alone.miou.value, abs=1e-3)


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
