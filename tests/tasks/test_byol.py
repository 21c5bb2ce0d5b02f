"""BYOL against byol-pytorch with equal weights and views, against the paper's formulas, and in sickness."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from byol_pytorch import BYOL
from torch import Tensor, nn

import headstart as hs
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes import recipe as recipes
from headstart.tasks import Batch
from headstart.tasks.byol import Byol, ema_decay
from headstart.tasks.collapse_metrics import FeatureStd, ViewSimilarity
from headstart.training.setup import start
from headstart.training.validate import validate
from headstart.transforms.augment import augment
from headstart.transforms.params import sample_params

pytestmark = pytest.mark.slow

Small = Callable[..., recipes.Recipe]


@pytest.fixture
def batch(photos: Path, unlabeled: Small) -> Batch:
    """Two views of twelve photographs."""
    recipe = unlabeled()
    pixels = decode(training_index(str(photos), recipe.data), recipe.data).batch(list(range(0, 60, 5)))
    one, two = (sample_params(recipe.augment, 12, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    images, second = (augment(pixels, recipe.augment, 32, drawn) for drawn in (one, two))
    return Batch(images, torch.full((12,), -1), (second,))


@pytest.fixture
def task(unlabeled: Small) -> Byol:
    """With a target that has come away from the online network."""
    torch.manual_seed(0)
    task = Byol.build(unlabeled(), [])
    with torch.no_grad():
        for parameter in (*task.target_backbone.parameters(), *task.target_projector.parameters()):
            parameter.add_(0.02 * torch.randn_like(parameter))
    return task


def theirs_of(task: Byol, batch: Batch, decay: float) -> BYOL:
    """byol-pytorch's network with the weights of ours, that sees the views of the batch."""
    theirs = BYOL(
        copy.deepcopy(task.backbone),
        image_size=32,
        hidden_layer=-1,
        projection_size=task.config.projection_dim,
        projection_hidden_size=task.config.hidden_dim,
        augment_fn=lambda _: batch.images,
        augment_fn2=lambda _: batch.other_views[0],
        moving_average_decay=decay,
    )
    pairs = (
        (theirs.online_encoder.net, task.backbone),
        (theirs.online_encoder.projector, task.projector),
        (theirs.online_predictor, task.predictor),
        (theirs.target_encoder.net, task.target_backbone),
        (theirs.target_encoder.projector, task.target_projector),
    )
    for other, own in pairs:
        other.load_state_dict(own.state_dict())
    return theirs


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_and_its_gradients_are_byol_pytorch_s(task: Byol, batch: Batch, training: bool) -> None:
    theirs = theirs_of(task, batch, 0.99).train(training)
    task.train(training)
    ours, other = task(batch), theirs(batch.images)
    torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)
    ours.backward()
    other.backward()
    for own, name in ((task.backbone, "net"), (task.projector, "projector")):
        for mine, other in zip(own.parameters(), getattr(theirs.online_encoder, name).parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)
    for mine, other in zip(task.predictor.parameters(), theirs.online_predictor.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_three_steps_are_byol_pytorch_s_to_the_last_statistic(task: Byol, batch: Batch) -> None:
    """Losses, the target's parameters, and the running statistics of batch normalization in both networks."""
    task.config = task.config.model_copy(update={"ema_decay": 0.9, "decay_schedule": "constant"})
    theirs = theirs_of(task, batch, 0.9).train()
    task.train()
    one, two = (torch.optim.SGD(network.parameters(), lr=0.05) for network in (task, theirs))
    for _ in range(3):
        ours, other = task(batch), theirs(batch.images)
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)
        for loss, optimizer in ((ours, one), (other, two)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        task.after_step(0.5)
        theirs.update_moving_average()
    for own, other in ((task.backbone, theirs.online_encoder.net), (task.target_backbone, theirs.target_encoder.net)):
        state = other.state_dict()
        for name, tensor in own.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=1e-3, atol=1e-4, msg=name)
    projectors = task.target_projector, theirs.target_encoder.projector
    for mine, its in zip(*(projector.parameters() for projector in projectors), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)


def test_the_loss_is_lightly_s(task: Byol, batch: Batch) -> None:
    """Its heads with our weights, and its loss, -(cos + cos) / 2, where the paper's is 4 - 2 (cos + cos)."""
    without = "lightly is not here: make setup installs it"
    heads = pytest.importorskip("lightly.models.modules", reason=without)
    criterion = pytest.importorskip("lightly.loss", reason=without).NegativeCosineSimilarity()
    task.train()
    hidden, width = task.config.hidden_dim, task.config.projection_dim

    def theirs(own: nn.Sequential, kind: Callable[[int, int, int], Any], features: int) -> Any:
        """Its first layer has no bias: in training the batch normalization behind it takes any bias away."""
        head = kind(features, hidden, width)
        for name, tensor in head.layers.state_dict().items():
            tensor.copy_(own.state_dict()[name])
        return head

    projector, target_projector = (
        theirs(own, heads.BYOLProjectionHead, task.features) for own in (task.projector, task.target_projector)
    )
    predictor = theirs(task.predictor, heads.BYOLPredictionHead, width)
    views = (batch.images, *batch.other_views)
    with torch.no_grad():
        predictions = [predictor(projector(copy.deepcopy(task.backbone)(view))) for view in views]
        targets = [target_projector(copy.deepcopy(task.target_backbone)(view)) for view in views]
        loss = 0.5 * (criterion(predictions[0], targets[1]) + criterion(predictions[1], targets[0]))
        torch.testing.assert_close(task(batch), 4 + 4 * loss, rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_paper_s_formula(task: Byol, batch: Batch) -> None:
    """Equation 2 and its mirror image, image by image."""
    task.eval()
    views = (batch.images, *batch.other_views)
    with torch.inference_mode():
        predictions = [task.predictor(task.projector(task.backbone(view))) for view in views]
        targets = [task.target_projector(task.target_backbone(view)) for view in views]
        expected = 0.0
        for prediction, target in ((predictions[0], targets[1]), (predictions[1], targets[0])):
            for q, z in zip(prediction, target, strict=True):
                expected += float((q / q.norm() - z / z.norm()).square().sum()) / 12
        task.evaluate(batch)
        assert float(task.metrics["loss"].compute()) == pytest.approx(expected, rel=1e-5)
        assert float(task(batch)) == pytest.approx(expected, rel=1e-5)


def test_views_in_one_batch_would_be_another_loss(task: Byol, batch: Batch) -> None:
    """Why either view is a batch of its own: together they have other statistics (byol-pytorch 0.7.2 and after)."""
    with torch.no_grad():
        apart = [copy.deepcopy(task.target_backbone).train()(view) for view in (batch.images, *batch.other_views)]
        together = copy.deepcopy(task.target_backbone).train()(torch.cat([batch.images, *batch.other_views]))
    assert (torch.cat(apart) - together).abs().max() > 1e-2


def test_the_target_is_other_tensors_without_gradient_that_move_by_1_minus_tau(unlabeled: Small, batch: Batch) -> None:
    task = Byol.build(unlabeled(byol__ema_decay=0.9, byol__decay_schedule="constant"), [])
    pairs = [
        (target, online)
        for part in ("backbone", "projector")
        for target, online in zip(
            getattr(task, f"target_{part}").parameters(), getattr(task, part).parameters(), strict=True
        )
    ]
    assert all(torch.equal(target, online) for target, online in pairs), "it begins as the online network"
    assert not {target.data_ptr() for target, _ in pairs} & {online.data_ptr() for _, online in pairs}
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    task(batch).backward()
    optimizer.step()
    assert all(target.grad is None and not target.requires_grad for target, _ in pairs)
    before = [target.clone() for target, _ in pairs]
    task.after_step(1 / 3)
    for (target, online), old in zip(pairs, before, strict=True):
        torch.testing.assert_close(target, old + 0.1 * (online.detach() - old), rtol=1e-6, atol=1e-7)
    assert any(not torch.equal(target, old) for (target, _), old in zip(pairs, before, strict=True))


def test_the_decay_follows_the_paper_s_schedule() -> None:
    """1 - (1 - tau_0) (cos(pi k / K) + 1) / 2."""
    cosine = recipes.Byol(ema_decay=0.996, decay_schedule="cosine")
    for k in range(11):
        assert ema_decay(cosine, k / 10) == pytest.approx(1 - 0.004 * (math.cos(math.pi * k / 10) + 1) / 2)
    assert ema_decay(cosine, 0) == pytest.approx(0.996)
    assert ema_decay(cosine, 1) == 1
    assert {ema_decay(recipes.Byol(ema_decay=0.99), p) for p in (0, 0.5, 1)} == {0.99}


def test_the_predictor_and_projector_are_the_paper_s(task: Byol) -> None:
    """Linear, batch norm, ReLU, linear, of the widths that the recipe says."""
    for part, width in ((task.projector, task.features), (task.predictor, 16)):
        first, norm, relu, last = part
        assert isinstance(first, nn.Linear)
        assert (first.in_features, first.out_features) == (width, 64)
        assert isinstance(norm, nn.BatchNorm1d)
        assert isinstance(relu, nn.ReLU)
        assert isinstance(last, nn.Linear)
        assert last.out_features == 16


def test_what_is_seen_are_the_backbone_s_pooled_features(task: Byol, batch: Batch) -> None:
    task.eval()
    with torch.inference_mode():
        seen = task.infer(batch)
        maps = task.backbone.forward_features(batch.images)  # type: ignore[operator]
    torch.testing.assert_close(seen.features, maps.mean(dim=(2, 3)))
    assert seen.probabilities.shape == (12, 0)
    torch.testing.assert_close(task.evaluate(batch).features, seen.features)


def unit(x: Tensor) -> Tensor:
    of_length_one: Tensor = x / x.norm(dim=1, keepdim=True)
    return of_length_one


def test_spread_is_chen_and_he_s_standard_deviation(task: Byol) -> None:
    torch.manual_seed(0)
    for outputs, expected in (
        (torch.randn(4000, 64), 1.0),
        (torch.ones(50, 64) + 1e-6 * torch.randn(50, 64), 0.0),
        (torch.randn(300, 64) + 1, None),
    ):
        spread = FeatureStd(64)
        for part in outputs.split(37):  # type: ignore[no-untyped-call]
            spread.update(part)
        value = float(spread.compute())
        assert value == pytest.approx(float(unit(outputs).std(dim=0, correction=0).mean() * 8), abs=1e-5)
        if expected is not None:
            assert value == pytest.approx(expected, abs=0.02)


def test_likeness_compares_an_image_with_itself_and_with_others() -> None:
    torch.manual_seed(0)
    features = torch.randn(40, 16) + 3
    for noise in (0.0, 0.5, 100.0):
        others = features + noise * torch.randn(40, 16)
        likeness = ViewSimilarity(16)
        for part in (slice(0, 7), slice(7, 40)):
            likeness.update(features[part], others[part])
        cosines = unit(features) @ unit(others).T
        same = float(cosines.diagonal().mean())
        different = float(cosines[~torch.eye(40, dtype=torch.bool)].mean())
        assert float(likeness.compute()) == pytest.approx((same - different) / (1 - different), abs=1e-5)
    likeness.reset()
    likeness.update(features, features)
    assert float(likeness.compute()) == pytest.approx(1)


def test_a_frozen_backbone_is_refused(unlabeled: Small) -> None:
    with pytest.raises(hs.HeadstartError, match=r"backbone\.freeze: expected false"):
        Byol.build(unlabeled(backbone__freeze=True), [])
    with pytest.raises(hs.HeadstartError, match=r"backbone\.freeze_stages: expected 0 for the task byol"):
        Byol.build(unlabeled(backbone__freeze_stages=1), [])


def test_the_target_begins_from_the_weights_that_the_recipe_names(unlabeled: Small, tmp_path: Path) -> None:
    """Continued pre-training: weights loaded into the backbone are the target's too."""
    first = Byol.build(unlabeled(), [])
    torch.save(first.backbone.state_dict(), tmp_path / "weights.pt")
    second = Byol.build(unlabeled(), [])
    provenance = second.load_backbone(recipes.Backbone(name="test_resnet", weights=str(tmp_path / "weights.pt")))
    assert provenance["tensors"] == {"loaded": len(first.backbone.state_dict()), "missing": 0, "unexpected": 0}
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(second.backbone.state_dict()[name], tensor)
        assert torch.equal(second.target_backbone.state_dict()[name], tensor)


def test_what_is_trained_on_small_crops_is_looked_at_in_the_same_size(
    photos: Path, tmp_path: Path, unlabeled: Small
) -> None:
    training = start(unlabeled(data__image_size=48, augment__sizes=[32]), str(photos), tmp_path / "run")
    seen: list[int] = []
    training.task.backbone.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[-1]))
    figures, _ = validate(training, "val")
    assert set(seen) == {32}
    assert figures["images"] == 12
