"""A decoder on maps that were computed once is the decoder that is trained on images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import headstart as hs
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.tasks.segment import Segment
from headstart.training import feature_cache as frozen
from headstart.training.loop import train
from headstart.training.setup import start
from headstart.training.state import TrainState
from headstart.transforms.augment import eval_transform

pytestmark = pytest.mark.slow

Masked = Callable[..., recipes.Recipe]
STILL: dict[str, Any] = {
    "backbone__name": "resnet10t", "backbone__freeze": True, "data__image_size": 48, "augment__hflip": 0.0,
    "augment__zoom": [1.0, 1.0], "train__batch_size": 4,
    "optimizer__name": "sgd", "optimizer__lr": 0.005, "decoder__dropout": 0.1,
}  # fmt: skip
"""Windows as large as the images, as they are; steps that are as near to each other as their gradients."""


def finish(training: TrainState) -> RunFolder:
    for _ in train(training):
        pass
    return training.run


@pytest.mark.slow
@pytest.mark.real_too
def test_it_ends_at_the_same_weights_and_figures(
    small_tiles: Path, tmp_path: Path, masked: Masked, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Equal to rounding in full precision; in half to 1e-4 on the aerial set, on the pictures made here to 2e-4."""
    half_bound = 1e-4 if request.node.get_closest_marker("shared") else 2e-4

    def ended(name: str, once: bool) -> RunFolder:
        return finish(start(masked(**STILL, probe__cache_features=once), str(small_tiles), tmp_path / name))

    anew, by_half = ended("anew", once=False), ended("half", once=True)
    monkeypatch.setattr(frozen, "_to_storage_dtype", lambda part: part.float().cpu())
    for run, exact in ((ended("full", once=True), 1e-6), (by_half, half_bound)):
        weights, theirs = load_file(run.last), load_file(anew.last)
        assert weights.keys() == theirs.keys()
        for name, weight in weights.items():
            torch.testing.assert_close(weight, theirs[name], rtol=exact, atol=exact)
        for row, their in zip(run.metrics, anew.metrics, strict=True):
            assert row["loss"] == pytest.approx(their["loss"], abs=exact)
            assert row["miou"] == pytest.approx(their["miou"], abs=exact)


def test_the_backbone_is_run_once_over_the_images_that_are_used(
    small_tiles: Path, tmp_path: Path, masked: Masked, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = Segment.encode

    def counted(task: Segment, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sizes.append(len(images))
        return original(task, images)

    monkeypatch.setattr(Segment, "encode", counted)
    training = start(
        masked(**STILL, data__label_fraction=0.5, analysis__save_images=False), str(small_tiles), tmp_path / "run"
    )
    looked_at = [count for count in sizes if count > 2]  # one or two are tried for their size, and to be drawn
    assert looked_at == [6 + 6], "half of the training images, and the validation images"
    before = len(sizes)
    finish(training)
    assert len(sizes) == before


def test_maps_by_half_are_the_maps(small_tiles: Path, tmp_path: Path, masked: Masked) -> None:
    training = start(masked(**STILL), str(small_tiles), tmp_path / "run")
    assert training.feature_cache is not None
    assert {part.dtype for part in training.feature_cache.val.parts} == {torch.float16}
    rows = np.array([3, 15])
    with torch.inference_mode():
        exact = training.task.eval().encode(eval_transform(training.pixels.batch(rows), training.recipe.augment))
    for kept, part in zip(training.feature_cache.validation(rows), exact, strict=True):
        assert kept.dtype == torch.float32
        torch.testing.assert_close(kept, part, rtol=1e-3, atol=1e-5)


def test_maps_for_which_there_is_no_room_are_refused(
    small_tiles: Path, tmp_path: Path, masked: Masked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "available_memory", lambda: 100_000)
    with pytest.raises(
        hs.HeadstartError, match=r"probe.cache_features: expected room in memory for the maps of 18 images"
    ):
        start(masked(**STILL), str(small_tiles), tmp_path / "run")
    assert not (tmp_path / "run").exists()
