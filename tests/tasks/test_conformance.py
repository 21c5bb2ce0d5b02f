"""What the training loop may ask of every task in `TASKS`."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import headstart as hs
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes import recipe as recipes
from headstart.tasks import EMPTY_IMAGES, TASKS, Batch, Task, task_named
from headstart.transforms.augment import augment, eval_transform
from headstart.transforms.params import sample_params
from narrow import given

Built = tuple[Task, Batch, int]
Small = Callable[..., recipes.Recipe]


def recipe_of(task: str, small: Small, unlabeled: Small, masked: Small) -> recipes.Recipe:
    return {"label": small, "none": unlabeled, "mask": masked}[TASKS[task].target](task=task)


@pytest.fixture(params=sorted(TASKS))
def built(
    request: pytest.FixtureRequest,
    shared_data: Callable[[str], Path],
    photos_to_read: Path,
    small: Small,
    unlabeled: Small,
    masked: Small,
) -> Built:
    """A task on real photographs: (the task, a batch of twelve, how many classes it answers with)."""
    recipe = recipe_of(request.param, small, unlabeled, masked)
    kind = task_named(request.param)
    torch.manual_seed(0)
    if kind.target == "mask":
        return _on_masks(recipe, shared_data("camvid"))
    index = training_index(str(photos_to_read), recipe.data, kind.target)
    rows = list(range(0, 60, 5))
    pixels = decode(index, recipe.data).batch(rows)
    others: tuple[torch.Tensor, ...] = ()
    if kind.num_views > 1:
        drawn = sample_params(recipe.augment, 12, torch.Generator().manual_seed(0))
        others = (augment(pixels, recipe.augment, 32, drawn),)
    batch = Batch(eval_transform(pixels, recipe.augment), torch.tensor([index.labels[row] for row in rows]), others)
    return kind.build(recipe, index.classes), batch, len(index.classes) if kind.target == "label" else 0


def _on_masks(recipe: recipes.Recipe, data: Path) -> Built:
    """Parts of road scenes, with pixels that are ignored; validated as they are."""
    index = training_index(str(data), recipe.data, "mask")
    pixels, rows = decode(index, recipe.data), list(range(0, 60, 5))
    images, masks = (part(rows)[..., 90:160, 100:180] for part in (pixels.batch, pixels.masks))
    assert (masks >= len(index.classes)).any()
    batch = Batch(eval_transform(images, recipe.augment), torch.full((12,), -1), masks=masks)
    return task_named(recipe.task).build(recipe, index.classes), batch, 0


def part_of(batch: Batch, rows: slice) -> Batch:
    parts: dict[str, Any] = {
        name: each[rows] if isinstance(each, Tensor) else tuple(part[rows] for part in each)
        for name, each in batch._asdict().items()
        if each is not None
    }
    return batch._replace(**parts)


def test_forward_is_a_scalar_loss_whose_gradient_reaches_every_parameter(built: Built) -> None:
    task, batch, _ = built
    task.train()
    loss = task(batch)
    assert loss.shape == ()
    loss.backward()
    for name, parameter in task.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert all(parameter.requires_grad for parameter in task.backbone.parameters())


def test_training_metrics_hold_the_loss_that_forward_gave(built: Built) -> None:
    task, batch, _ = built
    task.train()
    losses = [float(task(batch).detach()) for _ in range(2)]
    assert float(task.training_metrics["loss"].compute()) == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_predictions_are_probabilities_and_evaluate_gives_the_same(built: Built) -> None:
    task, batch, classes = built
    task.eval()
    with torch.inference_mode():
        probabilities = task.predict(batch.images)
        assert probabilities.dtype == torch.float32
        seen = task.evaluate(batch)
        if batch.masks is None:
            assert probabilities.shape == (12, classes)
            torch.testing.assert_close(probabilities.sum(dim=1), torch.full((12,), float(classes > 0)))
            torch.testing.assert_close(seen.probabilities, probabilities)
        else:
            assert (probabilities.shape[0], *probabilities.shape[2:]) == batch.masks.shape
            torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(batch.masks.shape))
            assert seen.confusion is not None
            assert seen.confusion.shape == (12, probabilities.shape[1], probabilities.shape[1])
            assert seen.probabilities.shape == (12, 0)
        assert seen.features.shape == (12, task.features)
        assert (seen.features.dtype, task.classes) == (torch.float32, classes)
        torch.testing.assert_close(seen.features, task.infer(batch).features)
        loss = task.metrics["loss"].compute()
        assert torch.isfinite(loss)


def test_answers_are_judged_by_their_likelihood_and_their_labels(built: Built) -> None:
    task, batch, classes = built
    if not classes:
        pytest.skip("it gives no answers")
    task.eval()
    with torch.inference_mode():
        probabilities = task.predict(batch.images)
        task.evaluate(batch)
    loss = F.nll_loss(probabilities.log(), batch.labels)
    assert float(task.metrics["loss"].compute()) == pytest.approx(float(loss), rel=1e-5)
    right = (probabilities.argmax(dim=1) == batch.labels).float().mean()
    assert float(task.metrics["accuracy"].compute()) == pytest.approx(float(right))


def test_evaluating_in_parts_is_evaluating_at_once(built: Built) -> None:
    task, batch, _ = built
    task.eval()
    with torch.inference_mode():
        task.evaluate(batch)
        whole = {name: float(value) for name, value in task.metrics.compute().items()}
        task.metrics.reset()
        for part in (slice(0, 7), slice(7, 12)):
            task.evaluate(part_of(batch, part))
    assert {name: float(value) for name, value in task.metrics.compute().items()} == pytest.approx(whole, rel=1e-5)


def test_looking_changes_nothing(built: Built) -> None:
    task, batch, _ = built
    task.eval()
    before = {name: tensor.clone() for name, tensor in task.weights().items()}
    with torch.inference_mode():
        task.evaluate(batch)
        parts = task.encode(batch.images)
    assert all(part.ndim == (2 if batch.masks is None else 4) for part in parts)
    assert all(torch.equal(before[name], tensor) for name, tensor in task.weights().items())


def test_the_backbone_s_weights_are_kept_under_its_name(built: Built) -> None:
    """Where `backbone.weights=RUN` looks for them, and alone under it."""
    task, _, _ = built
    kept = {name.removeprefix("backbone.") for name in task.weights() if name.startswith("backbone.")}
    assert kept == set(task.backbone.state_dict())


def test_what_a_backbone_made_before_is_as_good_as_the_images(built: Built) -> None:
    """Except where two views are compared, which are made anew each time."""
    task, batch, _ = built
    if task.num_views > 1:
        pytest.skip("it learns with its backbone alone")
    task.eval()
    with torch.inference_mode():
        before = batch._replace(images=EMPTY_IMAGES, features=task.encode(batch.images))
        mine, theirs = task.infer(batch), task.infer(before)
        torch.testing.assert_close(float(task(before)), float(task(batch)))
    for one, other in zip(mine, theirs, strict=True):
        assert one is other is None or torch.equal(given(one), given(other))


def test_weights_come_back_and_those_of_another_network_do_not(
    built: Built, small: Small, unlabeled: Small, masked: Small
) -> None:
    task, batch, classes = built
    name = next(name for name, kind in TASKS.items() if kind is type(task))
    task.eval()
    answers = classes if batch.masks is None else task.predict(batch.images).shape[1]
    other = type(task).build(recipe_of(name, small, unlabeled, masked), [str(i) for i in range(answers)])
    other.load_weights(pickle.loads(pickle.dumps(task.weights())))
    other.eval()
    with torch.inference_mode():
        mine, theirs = task.infer(batch), other.infer(batch)
    assert torch.equal(mine.features, theirs.features)
    assert torch.equal(mine.probabilities, theirs.probabilities)
    assert mine.confusion is theirs.confusion is None or torch.equal(given(mine.confusion), given(theirs.confusion))
    with pytest.raises(RuntimeError, match="found others"):
        other.load_weights({"x": torch.zeros(1)})
    assert not any("metrics" in name for name in task.weights())


def test_public_methods_say_what_they_take_and_give(built: Built) -> None:
    for name in (
        "build",
        "load_backbone",
        "prepare",
        "forward",
        "predict",
        "encode",
        "evaluate",
        "after_step",
        "weights",
        "load_weights",
    ):
        assert inspect.getdoc(getattr(type(built[0]), name)), name


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(
        hs.HeadstartError,
        match="expected byol, classify, emp_ssl, fastsiam, segment, vicreg, found clasify; did you mean classify",
    ):
        task_named("clasify")
