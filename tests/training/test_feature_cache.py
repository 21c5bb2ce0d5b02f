"""A frozen backbone is run once, and what comes of it is what running it every time gives."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import headstart as hs
from headstart.inference.predict import Predictions
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.training import checkpointing as keeping
from headstart.training.loop import Epoch, train
from headstart.training.setup import resume, start
from headstart.training.state import TrainState
from interrupted import stopped_and_resumed
from narrow import narrow

pytestmark = pytest.mark.slow

Small = Callable[..., recipes.Recipe]
STILL = {"augment__hflip": 0.0, "augment__rotate": 0.0, "augment__sizes": [], "backbone__freeze": True}


def finish(training: TrainState) -> RunFolder:
    for _ in train(training):
        pass
    return training.run


def images_run(training: TrainState) -> list[int]:
    """How many images each pass through the backbone has had, from now on."""
    passes: list[int] = []
    training.task.backbone.register_forward_hook(lambda _, given, __: passes.append(len(given[0])))
    return passes


@pytest.mark.slow
def test_heads_on_stored_features_end_at_the_weights_of_heads_on_images(
    photos: Path, tmp_path: Path, small: Small
) -> None:
    once, anew = (
        finish(start(small(**STILL, probe__cache_features=once), str(photos), tmp_path / str(once)))
        for once in (True, False)
    )
    one, other = load_file(once.last), load_file(anew.last)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(once.metrics, anew.metrics, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert mine["accuracy"] == theirs["accuracy"]


def test_the_backbone_is_run_once_and_stays_as_it_was(photos: Path, tmp_path: Path, small: Small) -> None:
    without_pictures = small(**STILL, analysis__save_images=False)  # of the errors, whose heat maps take another pass
    training = start(without_pictures, str(photos), tmp_path / "run")
    before = {name: value.clone() for name, value in training.task.backbone.state_dict().items()}
    passes = images_run(training)
    finish(training)
    assert passes == []
    after = training.task.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())  # batch-norm statistics too


def test_cached_views_are_taken_in_turn(photos: Path, tmp_path: Path, small: Small) -> None:
    training = start(small(**STILL | {"augment__hflip": 0.5}, probe__views=2), str(photos), tmp_path / "run")
    embedded = training.feature_cache
    assert embedded is not None
    first, second, third = (embedded.training(training.train_rows, epoch)[0] for epoch in range(3))
    assert not torch.equal(first, second)
    assert torch.equal(first, third)
    (plain,) = embedded.validation(training.train_rows)
    unflipped = (first == plain).all(dim=1)
    assert 0 < int(unflipped.sum()) < len(plain)  # a draw for each image


def test_stopped_and_resumed_a_probe_ends_at_the_same_weights(photos: Path, tmp_path: Path, small: Small) -> None:
    whole = finish(start(small(**STILL), str(photos), tmp_path / "whole"))
    again = stopped_and_resumed(6, tmp_path / "stopped", photos, small(**STILL)).run
    one, other = load_file(whole.last), load_file(again.last)
    assert all(torch.equal(one[name], other[name]) for name in one)


def weights_equal(one: Path, other: Path) -> bool:
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def figures(run: RunFolder) -> list[dict[str, Any]]:
    times = {"seconds", "images_per_second"}
    return [{name: value for name, value in row.items() if name not in times} for row in run.metrics]


PROBE = STILL | {"train__epochs": 6, "checkpoint__monitor": "val_loss", "optimizer__lr": 0.03}
"""Four steps and an end are an epoch."""


@pytest.mark.slow
def test_short_epochs_are_held_and_written_down_together_when_it_is_stopped(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "WRITE_INTERVAL", 1e9)
    training = start(small(**PROBE), str(photos), tmp_path / "run")
    run, events, seen = training.run, train(training), []
    for _ in range(17):  # three epochs, and two steps of the next
        event = next(events)
        if isinstance(event, Epoch):
            weights = {name: tensor.clone() for name, tensor in training.task.weights().items()}
            seen.append((event.rows[1]["loss"], weights))
        assert not (run.path / "metrics.csv").exists()
        assert not (run.path / "weights").exists()
    assert hs.Run(run.path).report().is_file()
    events.close()
    assert [row["epoch"] for row in run.metrics if row["split"] == "val"] == [0, 1, 2]
    for kept, (_, epoch) in ((run.best, min(seen, key=lambda each: each[0])), (run.last, seen[-1])):
        stored = load_file(kept)
        assert all(torch.equal(stored[name], tensor) for name, tensor in epoch.items())
    answers = hs.Run(run.path).predict(photos, unfinished=True)
    assert len(narrow(answers, Predictions).labels) == 60


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [3, 8, 14, 19, 27])
def test_killed_while_epochs_are_held_it_ends_at_the_same_weights(
    killed_after: int, photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything was written, and after one epoch, the second, was: what a kill leaves is the folder as it is."""
    whole = finish(start(small(**PROBE), str(photos), tmp_path / "whole"))
    monkeypatch.setattr(keeping, "WRITE_INTERVAL", 1e9)
    training = start(small(**PROBE), str(photos), tmp_path / "run")
    events = train(training)
    for number in range(killed_after):
        monkeypatch.setattr(keeping, "WRITE_INTERVAL", 0 if number == 9 else 1e9)
        next(events)
    shutil.copytree(training.run.path, tmp_path / "killed")
    written = RunFolder.open(tmp_path / "killed")
    assert {row["epoch"] for row in written.metrics} == (set() if killed_after < 10 else {0, 1})
    assert written.last.exists() == written.checkpoint.exists() == (killed_after >= 10)
    again = finish(resume(tmp_path / "killed"))
    assert weights_equal(whole.last, again.last)
    assert weights_equal(whole.best, again.best)
    assert figures(whole) == figures(again)
    assert whole.predictions == again.predictions


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_an_epoch_has_as_many_steps_whatever_the_label_fraction(
    fraction: float, photos: Path, tmp_path: Path, small: Small
) -> None:
    training = start(small(data__label_fraction=fraction, train__epochs=1), str(photos), tmp_path / "run")
    index = training.pixels.index
    labels = [index.classes[index.labels[row]] for row in training.train_rows]
    assert {name: labels.count(name) for name in index.classes} == dict.fromkeys(index.classes, 16 * fraction)
    assert training.steps == 4
    order = training.epoch_rows(0).tolist()
    assert len(order) == 48
    assert {order.count(row) for row in training.train_rows} == {round(1 / fraction)}
    finish(training)
    fewer = start(
        small(data__label_fraction=fraction, train__epochs=1, train__fixed_steps=False), str(photos), tmp_path / "fewer"
    )
    assert fewer.steps == 4 * fraction


def test_settings_can_be_judged_on_training_images_alone(photos: Path, tmp_path: Path, small: Small) -> None:
    ordinary = start(small(), str(photos), tmp_path / "ordinary").pixels.index
    val = {ordinary.paths[row] for row in ordinary.positions("val")}
    judged = start(small(data__validate_on="train"), str(photos), tmp_path / "judged").pixels.index
    used = {judged.paths[row] for split in ("train", "val") for row in judged.positions(split)}
    assert used == {ordinary.paths[row] for row in ordinary.positions("train")}
    assert not used & val
    assert judged.counts("val") == {"dress": 3, "hat": 3, "shoes": 3}


def quiet(recipe: recipes.Recipe, photos: Path, out: Path) -> hs.Run:
    return hs.fit(recipe, photos, out=out, console=Console(file=io.StringIO()))


LOGISTIC: dict[str, Any] = STILL | {"probe__method": "logistic", "train__epochs": 1}


@pytest.mark.real_too
@pytest.mark.slow
def test_a_logistic_probe_is_a_run_like_any_other(photos: Path, tmp_path: Path, small: Small) -> None:
    run = quiet(small(**LOGISTIC, backbone__name="resnet10t"), photos, tmp_path / "run")
    assert run.finished
    shown = run.evaluate(photos).metrics
    assert shown.accuracy.value == pytest.approx(run.accuracy)
    assert (run.path / "probe.json").is_file()
    train_row = run.metrics[0]
    assert train_row["accuracy"] > 0.9  # 512 features, 48 images


def test_a_logistic_probe_on_a_trained_backbone_is_refused(small: Small) -> None:
    with pytest.raises(
        hs.HeadstartError, match=r"probe.method logistic: expected a frozen backbone.*found backbone.freeze"
    ):
        small(**LOGISTIC | {"backbone__freeze": False})
