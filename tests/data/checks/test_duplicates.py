"""Pictures that look alike are found among many, and pictures that merely share a frame are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_digits

from headstart.data.checks.descriptors import mirror_signs, spectrum
from headstart.data.checks.duplicates import near_duplicates
from headstart.data.checks.registration import BORDER, register

pytestmark = pytest.mark.slow


def gray(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def pictures(shared_data: Callable[[str], Path]) -> list[Image.Image]:
    """Two hundred photographs, each of something else."""
    opened = []
    for file in sorted((shared_data("clothing") / "val").iterdir())[:200]:
        with Image.open(file) as picture:
            opened.append(picture.convert("RGB"))
    return opened


@pytest.fixture(scope="module")
def thumbs(pictures: list[Image.Image]) -> NDArray[np.uint8]:
    """They in gray, (200, 32, 32)."""
    return np.stack([gray(each) for each in pictures])


def film(thumb: NDArray[np.uint8], frames: int) -> NDArray[np.uint8]:
    """A camera that stands still: one picture and the noise of a sensor, (frames, 32, 32)."""
    noise = np.random.default_rng(0).integers(-2, 3, (frames, 32, 32))
    return np.clip(thumb.astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.mark.real_too
def test_different_photographs_are_not_alike(thumbs: NDArray[np.uint8]) -> None:
    assert near_duplicates(thumbs) == []


@pytest.mark.real_too
def test_copies_are_found_wherever_they_stand(thumbs: NDArray[np.uint8]) -> None:
    """Two hundred pictures and a darker copy of each: pairs across all blocks of the distance table."""
    darker = (thumbs * 0.9).astype(np.uint8)
    found = {tuple(each) for each in near_duplicates(np.concatenate([thumbs, darker]))}
    assert found == {(row, row + len(thumbs)) for row in range(len(thumbs))}


@pytest.mark.real_too
@pytest.mark.parametrize("frames", [20, 190, 1000])
def test_a_film_is_one_set_however_much_of_the_data_it_is(frames: int, thumbs: NDArray[np.uint8]) -> None:
    others = thumbs[1:]
    found = near_duplicates(np.concatenate([others, film(thumbs[0], frames)]))
    assert found == [list(range(len(others), len(others) + frames))]


def saved(picture: Image.Image, quality: int = 90) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cropped(picture: Image.Image, left: float, top: float) -> Image.Image:
    """95 % of each side; ``left`` and ``top`` are shares of what is cut off."""
    width, height = round(0.95 * picture.width), round(0.95 * picture.height)
    x, y = round(left * (picture.width - width)), round(top * (picture.height - height))
    return saved(picture.crop((x, y, x + width, y + height)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop in the middle": lambda each: cropped(each, 0.5, 0.5),
    "crop in a corner": lambda each: cropped(each, 1, 0),
    "crop at an edge": lambda each: cropped(each, 0.5, 1),
    "half the size": lambda each: saved(each.resize((each.width // 2, each.height // 2))),
    "JPEG quality 30": lambda each: saved(each, 30),
    "mirrored": lambda each: saved(ImageOps.mirror(each)),
    "brighter": lambda each: saved(ImageEnhance.Brightness(each).enhance(1.2)),
    "darker": lambda each: saved(ImageEnhance.Brightness(each).enhance(0.8)),
    "mirrored, cropped and darker": lambda each: cropped(
        ImageOps.mirror(ImageEnhance.Brightness(each).enhance(0.8)), 0, 0
    ),
}


@pytest.mark.real_too
@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_a_kind_are_found_and_no_others(
    kind: str, pictures: list[Image.Image], thumbs: NDArray[np.uint8]
) -> None:
    copies = np.stack([gray(each) for each in map(COPIES[kind], pictures)])
    found = {tuple(rows) for rows in near_duplicates(np.concatenate([thumbs, copies]))}
    planted = {(row, row + len(pictures)) for row in range(len(pictures))}
    assert len(found & planted) >= 0.95 * len(planted)
    assert len(found - planted) <= 0.05 * len(found)


@pytest.mark.real_too
def test_the_order_of_the_pictures_changes_no_set(pictures: list[Image.Image], thumbs: NDArray[np.uint8]) -> None:
    cut = np.stack([gray(each) for each in map(COPIES["crop at an edge"], pictures[:50])])
    both = np.concatenate([thumbs, cut])
    order = np.random.default_rng(0).permutation(len(both))
    found = near_duplicates(both)
    assert len(found) >= 48
    assert sorted(sorted(order[rows].tolist()) for rows in near_duplicates(both[order])) == found


@pytest.mark.slow
def test_solar_cells_that_merely_share_their_frame_are_not_near_duplicates() -> None:
    """Cells of one crystal show the same grid of contacts: thousands of pairs correlate by more than 0.98.

    Wafers cut one after the other from one block of many crystals do show the same picture. Copies are found all the
    same, mirrored ones too.
    """
    data = Path(pytest.importorskip("elpv_dataset").__file__).parent / "data"
    listed = [line.split() for line in (data / "labels.csv").read_text(encoding="utf-8").splitlines()]
    cells = [Image.open(data / file) for file, _, kind in listed if kind == "mono"]
    of_one_crystal = np.stack([gray(cell) for cell in cells])
    correlations = np.triu(np.corrcoef(of_one_crystal.reshape(len(of_one_crystal), -1)), k=1)
    assert (correlations > 0.98).sum() > 3000
    assert sum(len(rows) for rows in near_duplicates(of_one_crystal)) < 0.03 * len(of_one_crystal)
    again = np.stack([gray(saved(ImageOps.mirror(cell))) for cell in cells[:200]])
    found = near_duplicates(np.concatenate([of_one_crystal, again]))
    sets_of = {row: number for number, rows in enumerate(found) for row in rows}
    together = [sets_of.get(row, -1) == sets_of.get(row + len(of_one_crystal), -2) for row in range(len(again))]
    assert np.mean(together) >= 0.95


def test_different_digits_are_not_near_duplicates() -> None:
    """1,797 handwritten digits, of ten kinds that look alike among themselves."""
    digits = (load_digits().images * 15.9).astype(np.uint8)
    found = near_duplicates(np.stack([gray(Image.fromarray(each).resize((64, 64), 3)) for each in digits]))
    assert sum(len(rows) for rows in found) <= 0.01 * len(digits)


def test_a_mirrored_spectrum_is_that_of_the_mirrored_picture(pictures: list[Image.Image]) -> None:
    thumbs = np.stack([gray(each) for each in pictures[:20]]).astype(np.float32)
    assert np.allclose(spectrum(thumbs, 8) * mirror_signs(8), spectrum(thumbs[:, :, ::-1], 8), atol=1e-2)


def test_registration_undoes_a_shift_and_a_stretch() -> None:
    """Of a smooth function, evaluated where the shifted and stretched pixels lie."""
    place = np.arange(32, dtype=np.float32) - 15.5

    def picture(across: NDArray[np.float32], down: NDArray[np.float32]) -> NDArray[np.float32]:
        waves = np.sin(0.3 * across + 0.5) + np.cos(0.25 * down)[:, None] * np.sin(0.2 * across)
        return np.asarray(waves, dtype=np.float32)

    shifted = [np.asarray(each, dtype=np.float32) for each in (place * 1.04 - 0.7, place * 0.97 + 0.9)]
    fixed, moving = picture(*shifted)[None], picture(place, place)[None]
    moved, target = register(moving, fixed)
    inside = slice(BORDER, 32 - BORDER)
    before = np.abs(moving[:, inside, inside] - fixed[:, inside, inside]).max()
    assert np.array_equal(target, fixed[:, inside, inside])
    assert np.abs(moved - target).max() < 0.05 * before


def test_flat_pictures_say_nothing_and_few_pictures_suffice(pictures: list[Image.Image]) -> None:
    flat = np.stack([np.full((32, 32), level, np.uint8) for level in range(0, 250, 5)])
    assert near_duplicates(flat) == []
    assert near_duplicates(flat[:0]) == []
    slope = np.add.outer(np.arange(32), np.arange(32))
    skies = np.stack([slope * factor + level for factor in (1, 2, 3) for level in (0, 20, 40)]).astype(np.uint8)
    assert near_duplicates(skies) == []
    assert near_duplicates(film(gray(pictures[0]), 2)) == [[0, 1]]
