"""Images that others are judged by are found in a pool, whatever became of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.checks.contamination import leaked_rows, overlapping_rows
from headstart.data.layouts import scan
from headstart.data.pixels import Pixels, decode
from headstart.data.splits import make_val_split, training_index
from headstart.recipes.recipe import Data

SETTINGS = Data(image_size=64)


def decoded(folder: Path) -> Pixels:
    return decode(make_val_split(scan(folder), 0.2), SETTINGS)


@pytest.mark.real_too
def test_copies_and_look_alikes_of_held_out_images_are_found_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    held_out = decode(training_index(str(photos), SETTINGS), SETTINGS)
    val = held_out.index.positions("val")
    secret = [photos / held_out.index.paths[row] for row in val]
    pool = tmp_path / "pool"
    pool.mkdir()
    for place, file in enumerate(secret[:3]):
        shutil.copy(file, pool / f"copy {place}.jpg")
    for place, file in enumerate(secret[3:6]):
        with Image.open(file) as picture:
            picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)).save(
                pool / f"again {place}.jpg", quality=60
            )
    innocent = [photos / held_out.index.paths[row] for row in held_out.index.positions("train")]
    for place, file in enumerate(innocent):
        shutil.copy(file, pool / f"other {place}.jpg")
    looked = decode(scan(pool), SETTINGS)
    looked = replace(looked, index=replace(looked.index, splits=("train",) * len(looked.index)))
    found = {looked.index.paths[row] for row in overlapping_rows(looked, held_out, np.array(val))}
    assert found == {f"{kind} {i}.jpg" for kind in ("copy", "again") for i in range(3)}


def test_a_folder_does_not_leak_into_its_own_split(photos: Path) -> None:
    pixels = decoded(photos)
    assert overlapping_rows(pixels, pixels, np.array(pixels.index.positions("val"))) == []


@pytest.mark.real_too
def test_held_out_images_that_were_trained_on_are_found_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    """A copy and a smaller, compressed one of training images, in the validation folder that somebody made."""
    folder = tmp_path / "split"
    for place, file in enumerate(sorted(photos.rglob("*.jpg"))):
        target = folder / ("val" if place % 4 == 0 else "train") / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    clean = decode(scan(folder), SETTINGS)
    assert leaked_rows(clean, "val") == []
    one, two = sorted((folder / "train").rglob("*.jpg"))[:2]
    shutil.copy(one, folder / "val" / one.parent.name / "copy.jpg")
    with Image.open(two) as picture:
        smaller = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
        smaller.save(folder / "val" / two.parent.name / "again.jpg", quality=60)
    leaking = decode(scan(folder), SETTINGS)
    assert {Path(leaking.index.paths[row]).name for row in leaked_rows(leaking, "val")} == {"copy.jpg", "again.jpg"}
