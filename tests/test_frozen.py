"""A frozen backbone is run once, and what comes of it is what running it every time gives."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import headstart as hs
from headstart import recipe as recipes
from headstart.loop import train
from headstart.run import RunFolder
from headstart.training import Training, resume, start

Small = Callable[..., recipes.Recipe]
STILL = {"views__flip": 0.0, "views__rotate": 0.0, "views__sizes": [], "backbone__train": False}


def finish(training: Training) -> RunFolder:
    for _ in train(training):
        pass
    return training.run


def images_run(training: Training) -> list[int]:
    """How many images each pass through the backbone has had, from now on."""
    passes: list[int] = []
    training.task.backbone.register_forward_hook(lambda _, given, __: passes.append(len(given[0])))
    return passes


def test_heads_on_stored_features_end_at_the_weights_of_heads_on_images(
    photos: Path, tmp_path: Path, small: Small
) -> None:
    once, anew = (
        finish(start(small(**STILL, probe__once=once), str(photos), tmp_path / str(once))) for once in (True, False)
    )
    one, other = load_file(once.last), load_file(anew.last)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(once.metrics, anew.metrics, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert mine["accuracy"] == theirs["accuracy"]


def test_the_backbone_is_run_once_and_stays_as_it_was(photos: Path, tmp_path: Path, small: Small) -> None:
    training = start(small(**STILL), str(photos), tmp_path / "run")
    before = {name: value.clone() for name, value in training.task.backbone.state_dict().items()}
    passes = images_run(training)
    finish(training)
    assert passes == []
    after = training.task.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())  # batch-norm statistics too


def test_cached_views_are_taken_in_turn(photos: Path, tmp_path: Path, small: Small) -> None:
    training = start(small(**STILL | {"views__flip": 0.5}, probe__views=2), str(photos), tmp_path / "run")
    embedded = training.embedded
    assert embedded is not None
    first, second, third = (embedded.training(training.train_rows, epoch)[0] for epoch in range(3))
    assert not torch.equal(first, second)
    assert torch.equal(first, third)
    (plain,) = embedded.validation(training.train_rows)
    unflipped = (first == plain).all(dim=1)
    assert 0 < int(unflipped.sum()) < len(plain)  # a draw for each image


def test_stopped_and_resumed_a_probe_ends_at_the_same_weights(photos: Path, tmp_path: Path, small: Small) -> None:
    whole = finish(start(small(**STILL), str(photos), tmp_path / "whole"))
    events = train(start(small(**STILL), str(photos), tmp_path / "stopped"))
    for _ in range(6):
        next(events)
    events.close()
    again = finish(resume(tmp_path / "stopped"))
    one, other = load_file(whole.last), load_file(again.last)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_an_epoch_has_as_many_steps_whatever_the_label_fraction(
    fraction: float, photos: Path, tmp_path: Path, small: Small
) -> None:
    training = start(small(data__labels=fraction, train__epochs=1), str(photos), tmp_path / "run")
    index = training.pixels.index
    labels = [index.classes[index.labels[row]] for row in training.train_rows]
    assert {name: labels.count(name) for name in index.classes} == dict.fromkeys(index.classes, 16 * fraction)
    assert training.steps == 4
    order = training.order(0).tolist()
    assert len(order) == 48
    assert {order.count(row) for row in training.train_rows} == {round(1 / fraction)}
    finish(training)
    fewer = start(
        small(data__labels=fraction, train__epochs=1, train__same_steps=False), str(photos), tmp_path / "fewer"
    )
    assert fewer.steps == 4 * fraction


def test_settings_can_be_judged_on_training_images_alone(photos: Path, tmp_path: Path, small: Small) -> None:
    ordinary = start(small(), str(photos), tmp_path / "ordinary").pixels.index
    val = {ordinary.paths[row] for row in ordinary.positions("val")}
    judged = start(small(data__judge_on="training"), str(photos), tmp_path / "judged").pixels.index
    used = {judged.paths[row] for split in ("train", "val") for row in judged.positions(split)}
    assert used == {ordinary.paths[row] for row in ordinary.positions("train")}
    assert not used & val
    assert judged.counts("val") == {"dress": 3, "hat": 3, "shoes": 3}


def quiet(recipe: recipes.Recipe, photos: Path, out: Path) -> hs.Run:
    return hs.fit(recipe, photos, out, console=Console(file=io.StringIO()))


LOGISTIC: dict[str, Any] = STILL | {"probe__method": "logistic", "train__epochs": 1}


def test_a_logistic_probe_is_a_run_like_any_other(photos: Path, tmp_path: Path, small: Small) -> None:
    run = quiet(small(**LOGISTIC), photos, tmp_path / "run")
    assert run.finished
    shown = run.evaluate(photos)
    assert shown.accuracy.value == pytest.approx(run.accuracy)
    assert (run.path / "probe.json").is_file()
    train_row = run.metrics[0]
    assert train_row["accuracy"] > 0.9  # 512 features, 48 images


def test_a_logistic_probe_on_a_trained_backbone_is_refused(small: Small) -> None:
    with pytest.raises(
        hs.HeadstartError, match=r"probe.method logistic: expected a frozen backbone.*found backbone.train"
    ):
        small(**LOGISTIC | {"backbone__train": True})
