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
from headstart.training.loop import train
from headstart.training.setup import Training, start
from headstart.training import feature_cache as frozen
from headstart.transforms.augment import plain_view

Masked = Callable[..., recipes.Recipe]
STILL: dict[str, Any] = {
    "backbone__train": False, "data__size": 48, "views__flip": 0.0, "views__zoom": [1.0, 1.0], "train__batch": 4,
    "optimizer__name": "sgd", "optimizer__lr": 0.005, "decoder__dropout": 0.1,
}  # fmt: skip
"""Windows as large as the images, as they are; steps that are as near to each other as their gradients."""


def finish(training: Training) -> RunFolder:
    for _ in train(training):
        pass
    return training.run


def test_it_ends_at_the_same_weights_and_figures(
    small_tiles: Path, tmp_path: Path, masked: Masked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept in full to rounding, and by half as nearly as a figure can tell."""

    def ended(name: str, once: bool) -> RunFolder:
        return finish(start(masked(**STILL, probe__once=once), str(small_tiles), tmp_path / name))

    anew, by_half = ended("anew", once=False), ended("half", once=True)
    monkeypatch.setattr(frozen, "_small", lambda part: part.float().cpu())
    for run, exact in ((ended("full", once=True), 1e-6), (by_half, 1e-4)):
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
    original = Segment.embed

    def counted(task: Segment, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sizes.append(len(images))
        return original(task, images)

    monkeypatch.setattr(Segment, "embed", counted)
    training = start(masked(**STILL, data__labels=0.5, insight__pictures=False), str(small_tiles), tmp_path / "run")
    looked_at = [count for count in sizes if count > 2]  # one or two are tried for their size, and to be drawn
    assert looked_at == [6 + 6], "half of the training images, and the validation images"
    before = len(sizes)
    finish(training)
    assert len(sizes) == before


def test_maps_by_half_are_the_maps(small_tiles: Path, tmp_path: Path, masked: Masked) -> None:
    training = start(masked(**STILL), str(small_tiles), tmp_path / "run")
    assert training.embedded is not None
    assert {part.dtype for part in training.embedded.plain.parts} == {torch.float16}
    rows = np.array([3, 15])
    with torch.inference_mode():
        exact = training.task.eval().embed(plain_view(training.pixels.batch(rows), training.recipe.views))
    for kept, part in zip(training.embedded.validation(rows), exact, strict=True):
        assert kept.dtype == torch.float32
        torch.testing.assert_close(kept, part, rtol=1e-3, atol=1e-5)


def test_maps_for_which_there_is_no_room_are_refused(
    small_tiles: Path, tmp_path: Path, masked: Masked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "_available", lambda: 100_000)
    with pytest.raises(hs.HeadstartError, match=r"probe.once: expected room in memory for the maps of 18 images"):
        start(masked(**STILL), str(small_tiles), tmp_path / "run")
    assert not (tmp_path / "run").exists()
