"""What the training loop may ask of every task in `TASKS`."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import headstart as hs
from headstart import recipe as recipes
from headstart.data.pixels import decode
from headstart.data.split import training_index
from headstart.data.views import draw, plain_view, training_view
from headstart.tasks import TASKS, Batch, Task, task_named

Built = tuple[Task, Batch, int]
Small = Callable[..., recipes.Recipe]


def recipe_of(task: str, small: Small, unlabelled: Small) -> recipes.Recipe:
    return small(task=task) if TASKS[task].target == "label" else unlabelled(task=task)


@pytest.fixture(params=sorted(TASKS))
def built(request: pytest.FixtureRequest, photos: Path, small: Small, unlabelled: Small) -> Built:
    """A task on real photographs: (the task, a batch of twelve, how many classes it answers with)."""
    recipe = recipe_of(request.param, small, unlabelled)
    kind = task_named(request.param)
    index = training_index(str(photos), recipe.data, kind.target)
    rows = list(range(0, 60, 5))
    pixels = decode(index, recipe.data).batch(rows)
    second = None
    if kind.views == 2:
        second = training_view(pixels, recipe.views, 32, draw(recipe.views, 12, torch.Generator().manual_seed(0)))
    batch = Batch(plain_view(pixels, recipe.views), torch.tensor([index.labels[row] for row in rows]), second)
    torch.manual_seed(0)
    return kind.build(recipe, index.classes), batch, len(index.classes) if kind.target == "label" else 0


def part_of(batch: Batch, rows: slice) -> Batch:
    return Batch(*(None if each is None else each[rows] for each in batch))


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
        assert probabilities.shape == (12, classes)
        assert probabilities.dtype == torch.float32
        torch.testing.assert_close(probabilities.sum(dim=1), torch.full((12,), float(classes > 0)))
        seen = task.evaluate(batch)
        torch.testing.assert_close(seen.probabilities, probabilities)
        assert seen.features.shape == (12, task.features)
        assert (seen.features.dtype, task.classes) == (torch.float32, classes)
        torch.testing.assert_close(seen.features, task.see(batch).features)
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
        (features,) = task.embed(batch.images)
    assert features.ndim == 2
    assert all(torch.equal(before[name], tensor) for name, tensor in task.weights().items())


def test_the_backbone_s_weights_are_kept_under_its_name(built: Built) -> None:
    """Where `backbone.weights=RUN` looks for them, and alone under it."""
    task, _, _ = built
    kept = {name.removeprefix("backbone.") for name in task.weights() if name.startswith("backbone.")}
    assert kept == set(task.backbone.state_dict())


def test_weights_come_back_and_those_of_another_network_do_not(built: Built, small: Small, unlabelled: Small) -> None:
    task, batch, classes = built
    name = next(name for name, kind in TASKS.items() if kind is type(task))
    other = type(task).build(recipe_of(name, small, unlabelled), [str(i) for i in range(classes)])
    other.set_weights(pickle.loads(pickle.dumps(task.weights())))
    task.eval()
    other.eval()
    with torch.inference_mode():
        mine, theirs = task.see(batch), other.see(batch)
    assert torch.equal(mine.features, theirs.features)
    assert torch.equal(mine.probabilities, theirs.probabilities)
    with pytest.raises(RuntimeError, match="found others"):
        other.set_weights({"x": torch.zeros(1)})
    assert not any("metrics" in name for name in task.weights())


def test_public_methods_say_what_they_take_and_give(built: Built) -> None:
    for name in (
        "build",
        "load_backbone",
        "forward",
        "predict",
        "embed",
        "evaluate",
        "after_step",
        "weights",
        "set_weights",
    ):
        assert inspect.getdoc(getattr(type(built[0]), name)), name


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(hs.HeadstartError, match="expected byol, classify, segment, found clasify; nearest: classify"):
        task_named("clasify")
