"""A data set opened once gives what opening the folder each time gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.data import dataset as datasets
from headstart.data.dataset import Dataset, open_dataset
from headstart.data.pixels import decode
from headstart.data.splits import holdout_from_train, training_index
from headstart.recipes.recipe import Data

SMALL = Data(image_size=32)


def test_its_indexes_are_those_of_the_folder(photos: Path, small_tiles: Path) -> None:
    for folder, data, target in (
        (photos, SMALL, "label"),
        (photos, SMALL, "none"),
        (photos, Data(image_size=32, group_regex=r"(\d\d)\."), "label"),
        (small_tiles, Data(image_size=32, resize="keep"), "mask"),
        (small_tiles, SMALL, "none"),
    ):
        dataset = Dataset(folder)
        index = training_index(str(folder), data, target)  # type: ignore[arg-type]
        assert dataset.index(data, target) == index  # type: ignore[arg-type]
        tuning = data.model_copy(update={"validate_on": "train"})
        assert dataset.index(tuning, target) == holdout_from_train(index, data.val_fraction)  # type: ignore[arg-type]
        assert dataset.target(data) == ("mask" if folder == small_tiles else "label")


def test_label_fractions_share_the_pixels_and_other_sizes_do_not(photos: Path) -> None:
    dataset = Dataset(photos)
    pixels = dataset.pixels(SMALL)
    assert dataset.pixels(SMALL.model_copy(update={"label_fraction": 0.5})) is pixels
    assert dataset.pixels(Data(image_size=16)) is not pixels
    expected = decode(training_index(str(photos), SMALL), SMALL)
    assert pixels.fingerprint == expected.fingerprint
    assert np.array_equal(pixels.batch([0, 5]), expected.batch([0, 5]))


def test_pickled_it_needs_no_second_scan(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(photos)
    pixels = dataset.pixels(SMALL)
    copy: Dataset = pickle.loads(pickle.dumps(dataset))
    monkeypatch.setattr(datasets, "scan", lambda _: pytest.fail("scanned again"))
    assert copy.index(SMALL) == dataset.index(SMALL)
    assert copy.pixels(SMALL).fingerprint == pixels.fingerprint
    assert copy.open(str(photos)) is copy


def test_a_folder_is_opened_once_from_wherever(photos: Path, small_tiles: Path) -> None:
    dataset = Dataset(photos)
    other = dataset.open(str(small_tiles))
    assert other is dataset.open(str(small_tiles))
    assert other.open(str(photos)) is dataset
    assert open_dataset(dataset) is dataset
    assert str(open_dataset(str(photos))) == str(photos)
    with pytest.raises(hs.HeadstartError, match="expected a folder of images, found no such folder"):
        dataset.open("/nowhere").scan(Data())
