"""The confusion matrix of masks and its figures, against scikit-learn and a case that was computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score
from torch import Tensor

from headstart.tasks.segmentation_metrics import ConfusionMetric, PixelMean, confusion_matrices


def made_up(classes: int, seed: int = 0, size: tuple[int, int, int] = (3, 31, 45)) -> tuple[Tensor, Tensor]:
    """Masks with ignored pixels of several kinds, and predictions everywhere, those pixels too."""
    chance = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, classes + 2, size, generator=chance).to(torch.uint8)
    masks[torch.rand(size, generator=chance) < 0.1] = 255
    predicted = torch.randint(0, classes, size, generator=chance)
    agree = (torch.rand(size, generator=chance) < 0.5) & (masks < classes)
    return masks, torch.where(agree, masks.long(), predicted)


@pytest.mark.parametrize("classes", [2, 6, 11, 12, 16, 40, 150, 250])
@pytest.mark.parametrize("kind", [torch.int64, torch.uint8])
def test_each_image_s_matrix_is_scikit_learn_s(classes: int, kind: torch.dtype) -> None:
    masks, predicted = made_up(classes)
    found = confusion_matrices(masks, predicted.to(kind), classes)
    assert found.dtype == torch.int64
    for matrix, mask, answer in zip(found.numpy(), masks.numpy(), predicted.numpy(), strict=True):
        counted = mask < classes
        assert np.array_equal(matrix, confusion_matrix(mask[counted], answer[counted], labels=np.arange(classes)))


def test_figures_are_those_of_scikit_learn_on_the_pixels_that_count() -> None:
    masks, predicted = made_up(6)
    metric = ConfusionMetric(6, list("abcdef"))
    for part in (slice(0, 1), slice(1, 3)):
        metric.update(confusion_matrices(masks[part], predicted[part], 6))
    counted = (masks < 6).numpy()
    true, answers = masks.numpy()[counted], predicted.numpy()[counted]
    expected = jaccard_score(true, answers, average=None)
    figures = {name: float(value) for name, value in metric.compute().items()}
    assert list(figures) == ["accuracy", "miou", *(f"iou_{name}" for name in "abcdef")]
    assert [figures[f"iou_{name}"] for name in "abcdef"] == pytest.approx(expected)
    assert figures["miou"] == pytest.approx(jaccard_score(true, answers, average="macro"))
    assert figures["accuracy"] == pytest.approx((true == answers).mean())


def test_the_four_by_four_case() -> None:
    """By hand. 9 is ignored, whatever is predicted there; class d is nowhere, and class c only predicted."""
    true = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [9, 9, 1, 1], [0, 0, 9, 1]], dtype=torch.uint8)
    predicted = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0], [1, 2, 1, 1], [0, 2, 2, 1]])
    matrix = confusion_matrices(true[None], predicted[None], 4)
    assert matrix.tolist() == [[[4, 1, 1, 0], [1, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]
    metric = ConfusionMetric(4, "abcd")
    metric.update(matrix)
    figures = {name: float(value) for name, value in metric.compute().items()}
    assert math.isnan(figures.pop("iou_d"))
    assert figures == pytest.approx(
        {"accuracy": 10 / 13, "miou": (4 / 7 + 6 / 8 + 0) / 3, "iou_a": 4 / 7, "iou_b": 6 / 8, "iou_c": 0.0}
    )


def test_masks_without_a_pixel_that_counts_have_no_figures() -> None:
    metric = ConfusionMetric(2)
    metric.update(
        confusion_matrices(torch.full((1, 3, 3), 255, dtype=torch.uint8), torch.zeros(1, 3, 3, dtype=torch.long), 2)
    )
    assert all(math.isnan(float(value)) for value in metric.compute().values())


def test_the_mean_loss_is_of_pixels_not_of_images() -> None:
    metric = PixelMean()
    metric.update(torch.tensor([1.0, 3.0, 0.0]), torch.tensor([True, True, False]))
    metric.update(torch.tensor([5.0]), torch.tensor([True]))
    assert float(metric.compute()) == pytest.approx(3.0)
    metric.update(torch.tensor([math.nan]), torch.tensor([True]))
    assert math.isnan(float(metric.compute()))
