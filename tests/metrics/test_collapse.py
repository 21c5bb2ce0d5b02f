"""The verdict on a training without labels: both sides of each threshold, and real trainings in sickness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import headstart as hs
from headstart.analysis.findings import findings
from headstart.metrics.collapse import diagnose
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.training.loop import train
from headstart.training.setup import start

Small = Callable[..., recipes.Recipe]


def rows(loss: float, spread: float, likeness: float, **more: float) -> list[dict[str, Any]]:
    first = {"epoch": 0, "split": "train", "loss": 3.0}
    return [
        first,
        {"epoch": 0, "split": "val", "loss": loss, "feature_std": spread, "view_similarity": likeness, **more},
    ]


@pytest.mark.parametrize(
    ("loss", "spread", "likeness", "kind"),
    [
        (0.4, 0.101, 0.5, "healthy"),
        (0.4, 0.099, 0.5, "collapsed"),
        (0.499, 0.05, 1.0, "collapsed"),
        (0.501, 0.05, 0.5, "unclear"),
        (0.4, 0.9, 0.979, "healthy"),
        (0.4, 0.9, 0.981, "trivial"),
        (4.0, 0.05, 0.981, "trivial"),
    ],
)
def test_the_verdict_turns_at_its_thresholds(loss: float, spread: float, likeness: float, kind: str) -> None:
    found = diagnose(rows(loss, spread, likeness))
    assert found is not None
    assert found.kind == kind
    assert bool(found.fix) == (kind != "healthy")
    (said,) = findings(rows(loss, spread, likeness), "last")
    assert found.sentence in said
    assert found.fix in said
    if kind in ("collapsed", "unclear"):
        assert f"{spread:.3f}" in said
    if kind == "trivial":
        assert f"view similarity {likeness:.3f}" in said


@pytest.mark.parametrize(
    ("of_training", "spread", "kind"),
    [(0.099, 0.099, "collapsed"), (0.101, 0.099, "unclear"), (0.05, 0.101, "healthy"), (0.9, 0.9, "healthy")],
)
def test_where_the_training_s_feature_std_is_known_the_loss_does_not_count(
    of_training: float, spread: float, kind: str
) -> None:
    """A loss of 0.4 would be agreement in BYOL, and 20 or -200 are usual elsewhere."""
    for loss in (0.4, 20.0, -200.0):
        first, last = rows(loss, spread, 0.5)
        found = diagnose([first | {"feature_std": of_training}, last])
        assert found is not None
        assert found.kind == kind
        assert ("0.10" in found.sentence and "not in training" in found.sentence) == (kind == "unclear")


def test_the_last_epoch_counts_and_neighbors_are_told_where_there_are_any() -> None:
    later = [{**row, "epoch": 1} for row in rows(0.4, 0.9, 0.5, knn=0.25)]
    found = diagnose([*rows(0.01, 0.01, 1), *later])
    assert found is not None
    assert found.kind == "healthy"
    assert "epoch 2, loss 0.4000" in found.sentence
    assert "kNN accuracy 25.0%" in found.sentence


def test_tasks_with_labels_and_runs_without_epochs_have_none() -> None:
    assert diagnose([]) is None
    assert diagnose([{"epoch": 0, "split": "val", "loss": 0.1, "accuracy": 0.9}]) is None


OFF = {
    "augment__crop": 1.0,
    "augment__hflip": 0.0,
    "augment__jitter": 0.0,
    "augment__grayscale": 0.0,
}


@pytest.mark.slow
def test_a_run_with_its_augmentations_off_is_called_trivial(photos: Path, tmp_path: Path, unlabeled: Small) -> None:
    """The mistake of one of the six reports."""
    for name, changes, kind in (("off", OFF, "trivial"), ("on", {}, "healthy")):
        for _ in train(start(unlabeled(**changes, train__epochs=6), str(photos), tmp_path / name)):
            pass
        run = hs.Run(tmp_path / name)
        found = diagnose(run.metrics)
        assert found is not None
        assert found.kind == kind, found.sentence
        assert found.sentence in (page := run.report().read_text(encoding="utf-8"))
        assert "augment.crop=0.2" in page or kind == "healthy"


@pytest.mark.slow
def test_a_network_without_its_predictor_collapses_and_is_stopped(
    photos: Path, tmp_path: Path, unlabeled: Small
) -> None:
    """Without predictor and moving average nothing keeps the outputs apart (paper, table 5; Chen and He, section 4)."""
    recipe = unlabeled(train__epochs=200, byol__ema_decay=0.0, byol__decay_schedule="constant", optimizer__lr=3e-3)
    training = start(recipe, str(photos), tmp_path / "run")
    training.task.predictor = nn.Identity()
    with pytest.raises(hs.HeadstartError, match=r"Collapsed: .*feature std 0\.\d{3}.*optimizer\.lr") as stopped:
        for _ in train(training):
            pass
    assert len(str(stopped.value).splitlines()) == 1
    run = RunFolder.open(tmp_path / "run")
    assert not run.finished
    found = diagnose(run.metrics)
    assert found is not None
    assert found.kind == "collapsed"
    assert found.sentence in hs.Run(run.path).report().read_text(encoding="utf-8")
