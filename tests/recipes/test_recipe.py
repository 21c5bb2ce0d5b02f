"""Recipes: complete, strict, and the same after a trip to disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import timm
import torch
from timm.optim.muon import Muon as TimmMuon
from torch import nn

import headstart as hs
from headstart.models.backbones import build
from headstart.recipes import recipe as recipes
from headstart.runs.tables import best_epoch
from headstart.tasks import TASKS
from headstart.training.optimizer import lr_factor, make_optimizer, set_lr
from narrow import given

every_recipe = pytest.mark.parametrize("name", recipes.shipped())


@every_recipe
def test_a_shipped_recipe_loads_and_survives_a_trip_to_disk(name: str, tmp_path: Path) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.description
    (tmp_path / "copy.toml").write_text(recipe.to_toml())
    assert recipes.load(str(tmp_path / "copy.toml")) == recipe


@pytest.mark.slow
@every_recipe
def test_a_shipped_recipe_builds_and_normalizes_as_its_weights_expect(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.task in TASKS
    assert build(recipe.backbone.name).training
    pretrained = timm.get_pretrained_cfg(recipe.backbone.name) or timm.models.PretrainedCfg()
    assert (recipe.augment.mean, recipe.augment.std) == (tuple(pretrained.mean), tuple(pretrained.std))


def test_the_report_s_models_differ_in_their_weights_alone() -> None:
    a, b = recipes.load("resnet18-scratch"), recipes.load("resnet18-pretrained")
    assert (a.backbone.weights, b.backbone.weights) == ("none", "imagenet")
    told = {"name", "description", "expect", "backbone"}
    assert a.model_dump(exclude=told) == b.model_dump(exclude=told)
    assert (a.expect and a.expect.value, b.expect and b.expect.value) == (0.646, 0.8628)


def test_the_report_s_schedule_is_its_formula() -> None:
    """epoch/30 below 30, 1 - (epoch - 30)/(100 - 30) after."""
    recipe = recipes.load("resnet18-scratch")
    for epoch in range(100):
        formula = epoch / 30 if epoch < 30 else 1 - (epoch - 30) / (100 - 30)
        for step in (0, 7, 703):
            assert lr_factor(recipe.schedule, 100, epoch, step, 704) == pytest.approx(formula, abs=1e-12)


def test_cosine_per_step_is_torch_s() -> None:
    """Against CosineAnnealingLR, at the middle of each step."""
    schedule = recipes.Schedule(name="cosine", warmup=0.0, per="step")
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2 * 5 * 4)
    for half in range(2 * 5 * 4):
        if half % 2:
            epoch, step = divmod(half // 2, 4)
            assert lr_factor(schedule, 5, epoch, step, 4) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-6)
        optimizer.step()
        theirs.step()


def test_warm_up_rises_and_never_a_step_without_learning() -> None:
    schedule = recipes.Schedule(name="cosine", warmup=0.2, per="step")
    factors = [lr_factor(schedule, 5, epoch, step, 10) for epoch in range(5) for step in range(10)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert min(factors) > 0
    assert max(factors) <= 1


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_weight_decay_spares_vectors_and_the_head_has_its_own_rate(name: Literal["adamw", "muon"]) -> None:
    network = nn.ModuleDict({"backbone": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "head": nn.Linear(3, 2)})
    settings = recipes.Optimizer(name=name, lr=0.1, weight_decay=0.5, head_lr_factor=10)
    optimizer = make_optimizer(network, settings)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    named = {name: found[id(parameter)] for name, parameter in network.named_parameters()}
    assert named["backbone.0.weight"] == (0.1, 0.5)
    assert named["backbone.1.weight"] == named["backbone.0.bias"] == (0.1, 0.0)
    assert named["head.weight"] == (1.0, 0.5)
    set_lr(optimizer, 0.5)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [0.05, 0.5]


def test_a_step_of_muon_moves_a_convolution_by_the_nearest_orthogonal_matrix() -> None:
    """U V' of the gradient's singular value decomposition, to the accuracy of five Newton-Schulz iterations, by the
    learning rate times 0.2 times the root of the longer side (Liu et al. 2025, arXiv 2502.16982, equation 4)."""
    layer = nn.Conv2d(4, 8, 3, bias=False)
    before = layer.weight.detach().clone()
    optimizer = make_optimizer(layer, recipes.Optimizer(name="muon", lr=0.1))
    torch.manual_seed(0)
    layer.weight.grad = torch.randn_like(layer.weight)
    optimizer.step()
    step = (before - layer.weight.detach()).flatten(1)
    u, _, v = torch.linalg.svd(layer.weight.grad.flatten(1), full_matrices=False)
    values = torch.linalg.svdvals(step) / (0.1 * 0.2 * 36**0.5)
    assert 0.6 < values.min() < values.max() < 1.3
    assert torch.nn.functional.cosine_similarity(step.flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_steps_of_muon_are_those_of_timm_to_the_precision_of_its_bfloat16() -> None:
    """Of a convolution, a square matrix, a tall one, a depthwise convolution and vectors; timm rounds to 8 bits."""

    def steps(kind: Callable[[nn.Module], torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        layers = nn.ModuleList([nn.Conv2d(8, 16, 3), nn.Linear(8, 8), nn.Linear(6, 20), nn.Conv2d(8, 8, 3, groups=8)])
        before = {name: parameter.detach().clone() for name, parameter in layers.named_parameters()}
        optimizer = kind(layers)
        for _ in range(3):
            for parameter in layers.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
        return {name: parameter.detach() - before[name] for name, parameter in layers.named_parameters()}

    def of_timm(layers: nn.Module) -> torch.optim.Optimizer:
        return TimmMuon(layers.parameters(), 0.01, momentum=0.9, nesterov=True, adjust_lr_fn="match_rms_adamw")

    ours = steps(lambda layers: make_optimizer(layers, recipes.Optimizer(name="muon", lr=0.01, weight_decay=0)))
    for name, expected in steps(of_timm).items():
        assert float((ours[name] - expected).norm() / expected.norm()) < (0.02 if expected.ndim > 1 else 1e-6), name


def test_overrides_are_read_as_toml_and_else_as_text() -> None:
    words = ["train.epochs=7", "backbone.weights=runs/a b", "head.hidden=[4, 2]", "data.skip_unreadable=true"]
    recipe = recipes.load("quick", recipes.read_overrides(words))
    assert (recipe.train.epochs, recipe.backbone.weights) == (7, "runs/a b")
    assert (recipe.head.hidden, recipe.data.skip_unreadable) == ((4, 2), True)


def test_only_classifiers_have_a_size_and_mirror_images_of_their_own() -> None:
    for change in ({"val.hflip": True}, {"val.image_size": 40}):
        recipes.load("quick", change)
        for name in ("segment-quick", "byol-quick"):
            with pytest.raises(hs.HeadstartError, match=r"val\.hflip, val\.image_size: expected neither with the task"):
                recipes.load(name, change)


def test_low_resolution_comes_first_and_none_is_larger_than_the_data() -> None:
    recipe = recipes.load("quick", {"data.image_size": 64, "augment.sizes": [32, 48, 64], "train.epochs": 7})
    assert [recipe.train_size(epoch) for epoch in range(7)] == [32, 32, 48, 48, 64, 64, 64]
    short = recipes.override(recipe, {"train.epochs": 2})
    assert [short.train_size(epoch) for epoch in range(2)] == [48, 64], "the last epoch is at the last size"
    with pytest.raises(hs.HeadstartError, match=r"augment\.sizes: expected none above data\.image_size"):
        recipes.load("quick", {"data.image_size": 32, "augment.sizes": [48]})


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            {"train": 5},
            "field train: expected a table of fields (epochs, batch_size, fixed_steps, images_per_epoch,"
            " label_smoothing, precision, compile, sync_batchnorm), found 5",
        ),
        ({"expect": "0.9"}, "field expect: expected a table of fields (metric, value, source), found '0.9'"),
        ({"expect.metric": "val_accuracy"}, "field expect.value: expected a value, found nothing"),
        ({"augment.mean": [0.5]}, "field augment.mean: expected three numbers, found [0.5]"),
        (
            {"augment.std": [0.5, 0.5, 0.5, 0.5]},
            "field augment.std: expected three numbers, found [0.5, 0.5, 0.5, 0.5]",
        ),
        ({"augment.mean": 0.5}, "field augment.mean: expected three numbers, found 0.5"),
        ({"augment.mean": ["a", 1, 2]}, "field augment.mean.0: expected a valid number, found 'a'"),
        ({"augment.sizes": 32}, "field augment.sizes: expected a list of numbers, found 32"),
        ({"data.ignore_classes": "unknown"}, "field data.ignore_classes: expected a list of names, found 'unknown'"),
    ],
)
def test_what_was_expected_is_said_in_plain_words(override: dict[str, object], said: str) -> None:
    with pytest.raises(hs.HeadstartError) as caught:
        recipes.load("quick", override)
    assert caught.value.message == f"quick: {said}"


def test_views_that_cannot_be_made_are_refused() -> None:
    for changes, words in (
        ({"augment.blur_kernel": 4}, "blur_kernel: expected an odd number, found 4"),
        ({"augment.blur_sigma": [2.0, 1.0]}, "blur_sigma: expected the minimum, then the maximum"),
        ({"augment.crop": 0.5, "augment.crop_max": 0.4}, r"crop_max: expected at least crop \(0\.5\), found 0\.4"),
        ({"augment.zoom": [2.0, 1.0]}, "zoom: expected the minimum, then the maximum"),
        (
            {"augment.blur": 0.5, "augment.blur_kernel": 63, "data.image_size": 31},
            r"augment\.blur_kernel: expected less than 62",
        ),
        ({"second_augment.sizes": [32]}, r"second_augment\.sizes: expected none"),
        ({"second_augment.solarise": 0.1}, r"unknown field second_augment\.solarise; did you mean solarize"),
        ({"byol.decoy": 0.1}, r"unknown field byol\.decoy; did you mean ema_decay"),
    ):
        with pytest.raises(hs.HeadstartError, match=words):
            recipes.load("byol-quick", changes)


def test_the_report_s_byol_is_what_it_states() -> None:
    """Section 2.1: byol-pytorch's defaults but for the crop, batches of 100, Adam at 1e-4."""
    recipe = recipes.load("byol-resnet50")
    assert (recipe.byol.projection_dim, recipe.byol.hidden_dim, recipe.byol.ema_decay) == (256, 4096, 0.99)
    assert (recipe.train.batch_size, recipe.optimizer.name, recipe.optimizer.lr) == (100, "adam", 1e-4)
    assert (recipe.data.image_size, recipe.data.resize, recipe.augment.crop) == (128, "crop", 1.0)
    views, told = (
        recipe.augment,
        ("jitter", "brightness", "contrast", "saturation", "hue", "grayscale", "hflip", "blur"),
    )
    assert [getattr(views, name) for name in told] == [0.3, 0.8, 0.8, 0.2, 0.0, 0.2, 0.5, 0.2]
    assert (views.blur_kernel, views.blur_sigma) == (3, (1.0, 2.0))


def test_the_paper_s_two_views_differ_in_blur_and_solarization_alone() -> None:
    recipe = recipes.load("byol")
    one, two = recipe.augment.model_dump(), given(recipe.second_augment).model_dump()
    assert {k: (v, two[k]) for k, v in one.items() if v != two[k]} == {"blur": (1.0, 0.1), "solarize": (0.0, 0.2)}


def test_the_best_epoch_is_by_the_metric_that_is_kept() -> None:
    values = ((0, 0.9, 0.5), (1, 0.2, 0.6), (2, 0.4, 0.7), (3, 0.5, 0.1))
    rows = [{"epoch": e, "split": "val", "loss": loss, "accuracy": accuracy} for e, loss, accuracy in values]
    assert [best_epoch(rows, keep) for keep in ("val_loss", "val_accuracy", "last", "loss")] == [1, 2, 3, 1]
    assert best_epoch([], "last") is None


def test_maps_are_of_epochs_that_are_validated() -> None:
    recipe = recipes.load("scratch-quick", {"train.epochs": 20, "val.every": 6})
    assert list(recipe.validated_epochs()) == [1, 7, 13, 19]
    assert recipe.analysis_epochs() == (1, 7, 19)
    assert recipes.load("quick", {"train.epochs": 5, "val.every": 9}).analysis_epochs() == (4,)
    with pytest.raises(hs.HeadstartError, match=r"analysis\.epochs: .* 2, 8, 14, 20, found \(3, 20\)"):
        recipes.load("scratch-quick", {"train.epochs": 20, "val.every": 6, "analysis.epochs": [3, 20]})
