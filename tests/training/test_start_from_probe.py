"""Fine-tuning that starts from a linear probe, with the statistics of batch normalization as they were loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import headstart as hs
from headstart.models.backbones import build
from headstart.recipes.recipe import Recipe
from headstart.training.loop import train
from headstart.training.setup import start
from headstart.training.state import TrainState
from interrupted import stopped_and_resumed

Small = Callable[..., Recipe]

STILL = {"optimizer__lr": 1e-12, "optimizer__weight_decay": 0.0, "augment__sizes": (), "train__epochs": 1}
"""Training that changes no weight by more than a rounding."""


@pytest.fixture
def learnt(tmp_path: Path) -> dict[str, object]:
    """A network whose normalization has statistics that no batch of photographs has."""
    torch.manual_seed(0)
    network = build("test_resnet")
    for name, statistics in network.named_buffers():
        if name.endswith("running_mean"):
            statistics.normal_(0, 0.5)
        if name.endswith("running_var"):
            statistics.uniform_(0.5, 2)
    file = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), file)
    return {"backbone__name": "test_resnet", "backbone__weights": str(file), "head__hidden": (), "head__dropout": 0.0}


def trained(recipe: Recipe, data: Path, out: Path) -> TrainState:
    training = start(recipe, str(data), out)
    for _ in train(training):
        pass
    return training


def test_the_head_starts_as_a_linear_probe(
    photos: Path, tmp_path: Path, small: Small, learnt: dict[str, object]
) -> None:
    """Training that changes nothing leaves the network that `probe.method=logistic` finds."""
    start_ = {"head__start": "probe", "backbone__freeze_batchnorm": True}
    trained(small(**learnt, **STILL, **start_), photos, tmp_path / "started")
    probe = {"backbone__freeze": True, "probe__method": "logistic"}
    trained(small(**learnt, **STILL, **probe), photos, tmp_path / "probe")
    started, solved = (load_file(tmp_path / run / "weights" / "last.safetensors") for run in ("started", "probe"))
    assert solved["head.1.weight" if "head.1.weight" in solved else "head.0.weight"].abs().sum() > 0
    for name, tensor in solved.items():
        torch.testing.assert_close(started[name].float(), tensor.float(), atol=1e-6, rtol=1e-5)


def test_batch_normalization_keeps_its_statistics_and_learns_scale_and_shift(
    photos: Path, tmp_path: Path, small: Small, learnt: dict[str, object]
) -> None:
    before = load_file(str(learnt["backbone__weights"]))
    kept = trained(small(**learnt, backbone__freeze_batchnorm=True), photos, tmp_path / "kept").task.backbone
    moved = trained(small(**learnt), photos, tmp_path / "moved").task.backbone
    for name, tensor in kept.state_dict().items():
        assert torch.equal(tensor, before[name]) == ("running" in name or "num_batches" in name), name
    assert not any(torch.equal(each, before[name]) for name, each in moved.state_dict().items() if "running" in name)


def test_stopped_and_resumed_it_ends_at_the_same_weights(
    photos: Path, tmp_path: Path, small: Small, learnt: dict[str, object]
) -> None:
    recipe = small(**learnt, head__start="probe", backbone__freeze_batchnorm=True)
    whole = trained(recipe, photos, tmp_path / "whole").task.state_dict()
    again = stopped_and_resumed(1, tmp_path / "stopped", photos, recipe)
    assert all(torch.equal(whole[name], tensor) for name, tensor in again.task.state_dict().items())


def test_from_random_weights_both_change_nothing(photos: Path, tmp_path: Path, small: Small) -> None:
    plain = {"backbone__weights": "none", "head__hidden": (), "train__epochs": 1}
    without = trained(small(**plain), photos, tmp_path / "without").task.state_dict()
    asked = small(**plain, head__start="probe", backbone__freeze_batchnorm=True)
    found = trained(asked, photos, tmp_path / "asked").task.state_dict()
    assert all(torch.equal(without[name], tensor) for name, tensor in found.items())


def test_a_probe_is_one_linear_layer(small: Small) -> None:
    with pytest.raises(hs.HeadstartError, match=r"head\.start probe: expected .* no hidden layer"):
        small(head__start="probe", head__hidden=(8,))
