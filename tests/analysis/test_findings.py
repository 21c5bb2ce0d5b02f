"""Findings appear when the numbers say so, and only then: each on both sides of its threshold."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.analysis.findings import findings
from headstart.metrics.bootstrap import Interval
from headstart.runs.analysis import EpochAnalysis, EpochMetrics, FeatureAnalysis, Scaling


def near(value: float, half: float = 0.02) -> Interval:
    return Interval(value, value - half, value + half)


def figures(knn: float | None, accuracy: float = 0.6) -> EpochMetrics:
    return EpochMetrics(
        images=100,
        accuracy=near(accuracy),
        loss=near(1),
        ece=near(0.1),
        brier=near(0.5),
        knn=None if knn is None else near(knn),
        purity=None,
        silhouette=None,
    )


def learned(
    *knn: tuple[int, float, float],
    variance: float | None = 0.9,
    ece: tuple[float, float] | None = None,
    accuracy: float = 0.6,
) -> FeatureAnalysis:
    """Epochs as (number, kNN of validation, kNN of training)."""
    epochs = [
        EpochAnalysis(epoch=epoch, val=figures(val, accuracy), train=figures(train), variance=variance)
        for epoch, val, train in knn
    ]
    scaling = None
    if ece is not None:
        before, after = near(ece[0]), near(ece[1])
        scaling = Scaling(
            temperature=1.7,
            images=50,
            ece_before=before,
            ece_after=after,
            brier_before=near(0.5),
            brier_after=near(0.4),
        )
    return FeatureAnalysis(epochs=tuple(epochs), scaling=scaling, perplexity=30, split="all", seed=0)


def rows(*epochs: tuple[float, float, float, float, float], first_lr: float = 1e-3) -> list[dict[str, Any]]:
    """`metrics.csv` from (training loss, training accuracy, validation loss, accuracy, calibration error)."""
    table: list[dict[str, Any]] = []
    for epoch, (loss, accuracy, val_loss, val_accuracy, ece) in enumerate(epochs):
        lr = first_lr if epoch == 0 else 1e-3
        table.append({"epoch": epoch, "split": "train", "loss": loss, "accuracy": accuracy, "lr": lr})
        table.append({"epoch": epoch, "split": "val", "loss": val_loss, "accuracy": val_accuracy, "ece": ece})
    return table


CALM = rows((1, 0.5, 0.9, 0.6, 0.05), (0.5, 0.62, 0.5, 0.7, 0.05), (0.4, 0.7, 0.81, 0.69, 0.05))


def test_a_calm_run_says_nothing() -> None:
    assert findings(CALM, "val_loss", learned((1, 0.6, 0.6), (3, 0.61, 0.65))) == []
    assert findings([], "val_loss") == []


def test_both_best_epochs_are_named_when_they_differ() -> None:
    table = rows((1, 0.5, 0.9, 0.6, 0.05), (0.5, 0.62, 0.5, 0.7, 0.05), (0.4, 0.7, 0.6, 0.75, 0.05))
    table += rows(*[(1, 0.5, 0.9, 0.6, 0.05)] * 3, (0.4, 0.7, 0.6, 0.74, 0.05))[-2:]
    for kept, epoch in (("val_loss", 2), ("val_accuracy", 3), ("last", 4)):
        (said,) = findings(table, kept)
        assert "The best epoch by loss is 2 (accuracy 70.00%), by accuracy 3 (75.00%)" in said
        assert f"the checkpoint is that of epoch {epoch} (checkpoint.monitor" in said


@pytest.mark.parametrize(("ece", "appears"), [(0.19, True), (0.071, True), (0.069, False), (0.02, False)])
def test_confidence_that_grows_too_large_is_told_from_features_that_get_worse(ece: float, appears: bool) -> None:
    table = rows((1, 0.5, 0.9, 0.6, 0.05), (0.5, 0.62, 0.5, 0.7, 0.05), (0.4, 0.7, 0.6, 0.75, ece))
    said = [each for each in findings(table, "val_loss") if "over-confident" in each]
    assert bool(said) == appears
    if appears:
        assert f"calibration error 0.05 to {ece:.2f}" in said[0]
        better = findings(table, "val_loss", learned((2, 0.61, 0.61), (3, 0.66, 0.66)))
        assert any("while kNN accuracy still rises (61.0% at epoch 2, 66.0% at epoch 3)" in each for each in better)
        worse = findings(table, "val_loss", learned((2, 0.61, 0.61), (3, 0.59, 0.6)))
        assert any("and kNN accuracy does not rise (61.0%" in each for each in worse)


def test_a_first_epoch_with_learning_rate_zero_is_named() -> None:
    values = (3.91, 0.02, 3.91, 0.0204, 0.0), (0.5, 0.62, 0.5, 0.7, 0.05), (0.4, 0.7, 0.81, 0.69, 0.05)
    (said,) = findings(rows(*values, first_lr=0), "val_loss")
    assert "first epoch learned nothing: its learning rate was 0 (validation accuracy 2.04%, loss 3.9100)" in said
    assert findings(rows(*values), "val_loss") == []


@pytest.mark.parametrize(("accuracy", "appears"), [(0.81, True), (0.79, False)])
def test_overfitting_is_seen_beyond_ten_points(accuracy: float, appears: bool) -> None:
    table = rows((1, 0.5, 0.9, 0.6, 0.05), (0.5, 0.6, 0.5, 0.71, 0.05), (0.1, accuracy, 0.9, 0.7, 0.05))
    assert any("accuracy on the training images is" in each for each in findings(table, "val_loss")) == appears


def test_a_loss_that_still_fell_is_named() -> None:
    falling = rows((1, 0.5, 0.9, 0.5, 0), (0.8, 0.6, 0.8, 0.6, 0), (0.7, 0.7, 0.7, 0.7, 0))
    assert any("still falling" in each for each in findings(falling, "val_loss"))
    assert not any("still falling" in each for each in findings(CALM, "val_loss"))
    assert not any("still falling" in each for each in findings(falling[:4], "val_loss"))  # two epochs say little


@pytest.mark.parametrize(("last", "word"), [(0.66, "rose"), (0.645, "rose"), (0.635, None), (0.55, "fell")])
def test_knn_accuracy_rises_or_falls_only_beyond_both_intervals(last: float, word: str | None) -> None:
    said = findings(CALM, "val_loss", learned((1, 0.6, 0.6), (3, last, last), accuracy=last))
    expected = [f"kNN accuracy {word} from 60.0 % (epoch 1) to {100 * last:.1f} % (epoch 3)."] if word else []
    assert said == expected


@pytest.mark.parametrize(("train", "appears"), [(0.76, True), (0.73, False)])
def test_features_that_know_the_training_images_are_named(train: float, appears: bool) -> None:
    said = findings(CALM, "val_loss", learned((3, 0.6, train)))
    assert any("are over-fitted: kNN accuracy is" in each for each in said) == appears


@pytest.mark.parametrize(("accuracy", "appears"), [(0.55, True), (0.57, False)])
def test_neighbors_that_beat_the_head_are_named(accuracy: float, appears: bool) -> None:
    said = findings(CALM, "val_loss", learned((3, 0.6, 0.6), accuracy=accuracy))
    assert any("better than the head" in each for each in said) == appears


@pytest.mark.parametrize(("variance", "appears"), [(0.23, True), (0.51, False)])
def test_a_pca_map_that_shows_little_says_so(variance: float, appears: bool) -> None:
    said = findings(CALM, "val_loss", learned((3, 0.6, 0.6), variance=variance))
    assert any("PCA explains 23% of the variance" in each for each in said) == appears


def test_features_that_are_all_alike_are_named() -> None:
    (said,) = findings(CALM, "val_loss", learned((3, 0.6, 0.6), variance=None))
    assert "After epoch 3 the features of all images are identical" in said


@pytest.mark.parametrize(
    ("ece", "words"),
    [
        ((0.19, 0.04), "changes the calibration error on the other 50 from 19.0% to 4.0%"),
        ((0.049, 0.04), None),
        ((0.04, 0.06), "Temperature scaling does not help"),
    ],
)
def test_a_temperature_is_named_when_it_is_worth_its_while(ece: tuple[float, float], words: str | None) -> None:
    said = findings(CALM, "val_loss", learned((3, 0.6, 0.6), ece=ece))
    assert [words in each for each in said] == [True] if words else said == []
