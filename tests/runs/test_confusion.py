"""What is told of single images against scikit-learn's on the same pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save
from sklearn.metrics import confusion_matrix, jaccard_score

import headstart as hs
from headstart.metrics.segmentation import (
    confused_pairs,
    image_ious,
    images_to_show,
    phantoms,
    worst_and_best,
)
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import mask_names

pytestmark = pytest.mark.slow

Pixels = NDArray[np.uint8]


def read(file: Path) -> Pixels:
    with Image.open(file) as picture:
        return np.array(picture)


def stored(run: RunFolder) -> tuple[list[Pixels], list[Pixels]]:
    """Truth and answers of the kept epoch, ignored pixels left out, an array per image."""
    truths, answers = [], []
    for name in mask_names(row["filename"] for row in run.feature_images):
        truth, answer = (
            np.array(Image.open(run.path / "masks" / folder / f"{name}.png")) for folder in ("truth", "best")
        )
        truths.append(truth[truth < 6])
        answers.append(answer[truth < 6])
    return truths, answers


def test_what_is_told_of_images_is_scikit_learn_s(made_segmentation: Path) -> None:
    run = RunFolder.open(made_segmentation)
    answers = read_mask_confusions(run) or pytest.fail("there are no answers")
    truths, predicted = stored(run)
    truth, answer = np.concatenate(truths), np.concatenate(predicted)
    assert (answers.whole == confusion_matrix(truth, answer, labels=range(6))).all()
    each_image = []
    for one, other in zip(truths, predicted, strict=True):
        seen = [each for each in range(6) if ((one == each) | (other == each)).mean() >= 0.001]
        each_image.append(jaccard_score(one, other, labels=seen, average="macro"))
    assert answers.mean_of_images == pytest.approx(np.mean(each_image))
    assert (answers.wrong == [(one != other).sum() for one, other in zip(truths, predicted, strict=True)]).all()
    assert (answers.counted == 300 * 300 - 600).all()
    floor = jaccard_score(truth, np.full_like(truth, 4), labels=np.unique(truth), average="macro")
    assert answers.constant == pytest.approx(floor)


def test_a_speck_does_not_make_an_image_bad() -> None:
    """9 pixels of 10,000 missed, and 11."""
    images = [[[9991, 0], [9, 0]], [[9989, 0], [11, 0]], [[0, 0], [0, 0]]]
    ious = image_ious(np.array(images))
    assert ious[:2] == pytest.approx([0.9991, 0.9989 / 2])
    assert np.isnan(ious[2])


def test_worst_and_best_never_meet() -> None:
    assert worst_and_best(np.array([0.3, np.nan, 0.1, 0.2])) == ([2, 3], [0])
    worst, best = worst_and_best(np.arange(40) / 40)
    assert (worst, best) == (list(range(12)), [39, 38, 37, 36])
    assert worst_and_best(np.array([0.5])) == ([0], [])


def test_images_to_show_have_each_frequent_confusion_and_phantom() -> None:
    """Of 60 images, one with the third class taken for the second, and one where the fourth is made up."""
    images = np.zeros((60, 4, 4), np.int64)
    images[:, 0, 0], images[:, 0, 1], images[:, 1, 1] = 1000, np.arange(60), 1000
    images[30, 2, 1], images[31, 0, 3] = 5, 2
    rows = images_to_show(images)
    worst, best = worst_and_best(image_ious(images))
    assert rows[:16] == [*worst, *best]
    assert {30, 31} <= set(rows)
    assert len(set(rows)) == len(rows) <= 30
    assert phantoms(images.sum(axis=0)).classes == (3,)


def test_confused_pairs_are_ordered_by_pixels() -> None:
    pairs = confused_pairs(np.array([[8, 2, 0], [5, 5, 0], [0, 3, 1]]), ("a", "b", "c"))
    assert [(p.truth, p.predicted, p.pixels) for p in pairs] == [("b", "a", 5), ("c", "b", 3), ("a", "b", 2)]
    assert [p.of_class for p in pairs] == [0.5, 0.75, 0.2]
    assert [p.of_wrong for p in pairs] == [0.5, 0.3, 0.2]


def test_images_of_ignored_pixels_alone_have_no_figures(made_segmentation: Path, tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(made_segmentation, tmp_path / "run"))
    run.write("confusion.safetensors", save({"confusion": np.zeros((24, 6, 6), np.int64)}))
    assert read_mask_confusions(run) is None


@pytest.mark.parametrize("content", [b"no tensors", save({"confusion": np.zeros((3, 6, 6), np.int64)})])
def test_a_broken_file_is_an_error_that_names_it(made_segmentation: Path, tmp_path: Path, content: bytes) -> None:
    run = RunFolder.open(shutil.copytree(made_segmentation, tmp_path / "run"))
    run.write("confusion.safetensors", content)
    with pytest.raises(hs.HeadstartError, match=r"confusion\.safetensors: expected a confusion matrix per validation"):
        read_mask_confusions(run)


def test_masks_of_images_with_the_same_stem_have_names_of_their_own() -> None:
    assert mask_names(["a/1.jpg", "b/1.png", "1-2.jpg", "2.jpg"]) == ["1", "1-2", "1-2-2", "2"]
