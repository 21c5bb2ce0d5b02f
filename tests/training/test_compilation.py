"""Compiled training steps: the same training as without, to rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.fx
from safetensors.torch import load_file
from torch import nn

from headstart.recipes import recipe as recipes
from headstart.training.loop import train
from headstart.training.setup import start

Small = Callable[..., recipes.Recipe]


@pytest.mark.slow
def test_compiled_steps_train_the_same_network(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 images in batches of 14: three full batches, which are compiled, and one of six, which is not.

    The compiler counts the graphs that it is given, and runs them without writing code, which takes a minute.
    """
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: original(self, dynamic=False, backend=backend))
    runs = []
    for compiled in (False, True):
        recipe = small(
            train__compile=compiled, train__epochs=1, backbone__name="test_resnet", backbone__weights="none",
            data__image_size=32, augment__sizes=[], train__batch_size=14,
        )  # fmt: skip
        training = start(recipe, str(photos), tmp_path / str(compiled))
        for _ in train(training):
            pass
        runs.append(load_file(tmp_path / str(compiled) / "weights" / "last.safetensors"))
    assert len(graphs) == 1, "neither the last batch nor validation is compiled"
    assert runs[0].keys() == runs[1].keys()
    for name, tensor in runs[0].items():
        torch.testing.assert_close(runs[1][name], tensor, rtol=1e-3, atol=1e-4)


def test_resident_images_are_those_that_are_read(photos: Path, tmp_path: Path, small: Small) -> None:
    training = start(small(), str(photos), tmp_path / "run")
    pixels, device = training.pixels, torch.device("cpu")
    resident = replace(pixels, resident=pixels.batch(range(len(pixels))))
    rows = [5, 0, 40, 5]
    assert torch.equal(resident.batch(rows, device), pixels.batch(rows))
    assert pixels.on(device) is pixels  # nothing to copy: they are on the CPU
