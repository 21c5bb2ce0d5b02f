"""Findings of masks appear when the numbers are so, and say these numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from headstart.analysis.mask_findings import mask_findings
from headstart.palette import Palette
from headstart.runs.confusion import MaskConfusions

PALETTE = Palette(("field", "road", "pond"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), (0, 1, 2), "number")
CALM = [[60, 5, 5], [5, 60, 5], [5, 5, 60]]


def answered(*images: Sequence[Sequence[int]]) -> MaskConfusions:
    return MaskConfusions(tuple(f"{i}.jpg" for i in range(len(images))), np.array(images), PALETTE)


def rows(*epochs: tuple[float, float, float]) -> list[dict[str, Any]]:
    """`metrics.csv` from (validation loss, validation mean IoU, training mean IoU)."""
    table: list[dict[str, Any]] = []
    for epoch, (loss, miou, train) in enumerate(epochs):
        table.append({"epoch": epoch, "split": "train", "loss": loss, "miou": train})
        table.append({"epoch": epoch, "split": "val", "loss": loss, "miou": miou})
    return table


def test_a_calm_run_says_nothing() -> None:
    even = {"field": 0.4, "road": 0.3, "pond": 0.3}
    calm = rows((1, 0.5, 0.5), (0.5, 0.7, 0.7), (0.6, 0.6, 0.65))
    assert mask_findings(calm, "val_miou", answered(*[CALM] * 10), {"train": even, "val": even}) == []
    assert mask_findings([], "val_miou") == []


@pytest.mark.parametrize(("kept", "epoch"), [("val_loss", 2), ("val_miou", 3), ("last", 4)])
def test_both_best_epochs_are_named_when_they_differ(kept: str, epoch: int) -> None:
    (said,) = mask_findings(rows((1, 0.5, 0.5), (0.5, 0.6, 0.6), (0.6, 0.7, 0.7), (0.6, 0.6, 0.6)), kept)
    assert "The best epoch by loss is 2 (mean IoU 60.00%), by mean IoU 3 (70.00%)" in said
    assert f"the checkpoint is that of epoch {epoch} " in said


@pytest.mark.parametrize(("train", "appears"), [(0.71, True), (0.69, False)])
def test_overfitting_is_seen_beyond_ten_points(train: float, appears: bool) -> None:
    said = mask_findings(rows((1, 0.5, 0.5), (0.5, 0.7, 0.7), (0.6, 0.6, train)), "val_miou")
    assert any("mean IoU on the training windows is" in each for each in said) == appears


def test_a_figure_that_still_rose_is_named() -> None:
    rising = rows((1, 0.5, 0.5), (0.8, 0.6, 0.6), (0.7, 0.7, 0.7))
    assert [each for each in mask_findings(rising, "val_miou") if "more epochs may help" in each]
    assert not mask_findings(rising[:4], "val_miou")  # two epochs say little


def test_classes_that_are_never_predicted_are_named_with_what_would_help() -> None:
    said = mask_findings([], "val_miou", answered([[90, 8, 0], [8, 90, 0], [2, 2, 0]]))
    assert said[0] == "pond is never predicted: 0 of 4 pixels are correct (2% of all pixels)."
    assert "loss.class_weights=balanced" in said[1]
    assert any("Rare classes score lower: mean IoU 0.0% over pond (2% of the pixels)" in each for each in said)


def test_classes_that_are_nearly_never_found_are_named() -> None:
    said = mask_findings([], "val_miou", answered([[90, 8, 0], [20, 1, 20], [20, 20, 1]]))
    assert said[0] == "road and pond are nearly always missed: 2 of 82 pixels are correct (46% of all pixels)."


def test_one_answer_for_everything_is_named_alone() -> None:
    said = mask_findings([], "val_miou", answered([[0, 9, 0], [0, 90, 0], [0, 30, 0]]))
    assert said == [each for each in said if each.startswith("Every pixel is predicted as road: the network does not")]


@pytest.mark.parametrize(
    ("confusion", "words"),
    [
        ([[90, 9, 0], [9, 90, 0], [0, 0, 0]], "pond: neither in the validation masks nor predicted"),
        ([[90, 5, 4], [9, 90, 0], [0, 0, 0]], "4 pixels called pond cost 28.3 points of mean IoU: no"),
    ],
)
def test_a_class_that_is_absent_is_told_from_one_that_is_made_up(confusion: list[list[int]], words: str) -> None:
    assert any(words in each for each in mask_findings([], "val_miou", answered(confusion)))


@pytest.mark.parametrize(("pixels", "appears"), [(8, False), (10, True)])
def test_what_is_confused_most_is_named(pixels: int, appears: bool) -> None:
    """Beside 25 other wrong pixels: a quarter lies between."""
    said = mask_findings([], "val_miou", answered([[60, pixels, 5], [5, 60, 5], [5, 5, 60]]))
    assert any("field predicted as road makes" in each for each in said) == appears
    if appears:
        assert any(
            f"makes {pixels / 35:.0%} of all wrong pixels, and 13% of the pixels of field" in each for each in said
        )


def test_two_conventions_that_part_are_named() -> None:
    """Nine images of fields alone are right; the tenth has roads, and none is found."""
    said = mask_findings(
        [], "val_miou", answered(*[[[100, 0, 0], [0] * 3, [0] * 3]] * 9, [[50, 0, 0], [50, 0, 0], [0] * 3])
    )
    assert any("mean of each image's own IoU is 92.50%, mean IoU over all images together 47.50%" in e for e in said)
    assert any("Half of all wrong pixels lie in 1 of 10 images" in each for each in said)


def test_classes_that_training_never_sees_and_ignored_pixels_are_named() -> None:
    shares = {"train": {"field": 1.0, "road": 0.0}, "val": {"field": 0.6, "road": 0.4}}
    said = mask_findings([], "val_miou", answered(*[CALM] * 10), shares, ignored=0.2)
    assert said[0].startswith("road: in validation masks, but in no training mask")
    assert said[1].startswith("20% of the validation pixels are ignored in all metrics")
