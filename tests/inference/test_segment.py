"""Masks of new images: their names, their files, and that tiles say what the whole image says."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import headstart as hs
from headstart.data.masks.codec import read_mask
from headstart.data.masks.palette_files import read_palette
from headstart.inference.mask_writer import mask_names
from headstart.inference.model import Model
from headstart.inference.segment import find_rasters, predict_masks, write_masks
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.tasks import Task


class Colors(nn.Module):
    """Stands in for a network: a class for each of red, green and blue, by what there is most of around a pixel."""

    def predict(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(5 * images, 9, stride=1, padding=4).softmax(dim=1)


@pytest.fixture
def model() -> Model:
    recipe = recipes.load("quick", {"data.resize": "keep"})
    return Model(cast(Task, Colors()), recipe, ("red", "green", "blue"), torch.device("cpu"), PALETTE)


PALETTE = Palette(("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (0, 1, 2), "color")
NUMBERS = replace(PALETTE, values=(4, 7, 9), kind="number", mode="P")


@pytest.fixture
def chips(shared_data: Callable[[str], Path]) -> list[Path]:
    """Four aerial photographs of 300 x 300 pixels."""
    return sorted((shared_data("aerial") / "val").glob("*_sat.jpg"))[:4]


@pytest.fixture
def scene(chips: list[Path]) -> NDArray[np.uint8]:
    """They side by side, uint8 (600, 900, 3): more than a tile each way."""
    pictures = [np.asarray(Image.open(file)) for file in chips]
    return np.concatenate([np.concatenate(pictures[:3], axis=1), np.concatenate(pictures[:0:-1], axis=1)])


def expected(rgb: NDArray[np.uint8], model: Model) -> NDArray[np.int64]:
    """What the stand-in says of the whole image."""
    answer: NDArray[np.int64] = model.probabilities(torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None])[0].argmax(
        axis=0
    )
    return answer


def test_masks_are_written_in_the_palette_under_the_images_names(
    model: Model, chips: list[Path], tmp_path: Path
) -> None:
    written = write_masks(model, chips, out=tmp_path / "out")
    assert [mask.name for mask in written.masks] == [file.name.replace("_sat.jpg", "_mask.png") for file in chips]
    assert sorted(written.masks) == sorted((tmp_path / "out").iterdir())
    for file, mask in zip(chips, written.masks, strict=True):
        rgb = np.asarray(Image.open(mask))
        assert rgb.shape == (300, 300, 3)
        assert rgb.dtype == np.uint8
        truth = expected(np.asarray(Image.open(file)), model)
        assert np.array_equal(rgb, np.eye(3)[truth] * 255)
        assert np.array_equal(read_mask(mask, PALETTE), truth)
    in_memory = predict_masks(model, chips)
    assert in_memory.files == tuple(chips)
    assert all(np.array_equal(read_mask(m, PALETTE), t) for m, t in zip(written.masks, in_memory.masks, strict=True))


def test_a_palette_of_numbers_gives_masks_of_numbers(model: Model, chips: list[Path], tmp_path: Path) -> None:
    (mask,) = write_masks(replace(model, palette=NUMBERS), chips[:1], out=tmp_path / "out").masks
    with Image.open(mask) as image:
        assert image.mode == "P"
        numbers = np.asarray(image)
    truth = expected(np.asarray(Image.open(chips[0])), model)
    assert np.array_equal(numbers, np.array([4, 7, 9])[truth])


@pytest.mark.slow
def test_a_data_set_s_own_palette_writes_masks_that_it_reads(
    model: Model, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    root = shared_data("deepglobe_sample")
    palette = read_palette(root, sorted(root.glob("*_mask.png")))
    files = find_rasters([root]).files
    assert [file.name for file in files] == ["0008_sat.jpg", "0097_sat.jpg", "0107_sat.jpg"]
    for file, mask in zip(
        files, write_masks(replace(model, palette=palette), files, out=tmp_path / "out").masks, strict=True
    ):
        assert np.array_equal(read_mask(mask, palette), expected(np.asarray(Image.open(file)), model))


@pytest.mark.slow
def test_a_large_image_is_the_same_in_tiles(model: Model, scene: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "large.png")
    told: list[tuple[int, int]] = []
    (mask,) = predict_masks(model, [tmp_path / "large.png"], progress=lambda *two: told.append(two)).masks
    assert mask.shape == (600, 900)
    assert (mask != expected(scene, model)).mean() < 1e-4
    assert [done for done, _ in told if done] == [1, 2, 3, 4, 5, 6, 6]
    assert {total for _, total in told} == {6}


def test_an_overlay_is_half_the_image_and_half_the_mask(model: Model, chips: list[Path], tmp_path: Path) -> None:
    (mask,) = write_masks(model, chips[:1], out=tmp_path / "out", overlay=True).masks
    (overlay,) = (tmp_path / "out").glob("*_overlay.jpg")
    assert overlay.name == chips[0].name.replace("_sat", "_overlay")
    theirs, jpeg = Image.blend(Image.open(chips[0]), Image.open(mask), 0.5), io.BytesIO()
    theirs.save(jpeg, "JPEG", quality=90)
    assert np.abs(np.asarray(Image.open(overlay)).astype(int) - np.asarray(Image.open(jpeg))).mean() < 2


def test_unreadable_files_are_named_and_left_out(model: Model, chips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "half.jpg").write_bytes(chips[0].read_bytes()[:3000])
    files = [tmp_path / "text.png", chips[0], tmp_path / "half.jpg", tmp_path / "none.jpg", chips[1]]
    told: list[int] = []
    written = write_masks(model, files, out=tmp_path / "out", progress=lambda done, _: told.append(done))
    assert len(written.masks) == len(list((tmp_path / "out").iterdir())) == 2
    faults = {file.name: reason for file, reason in written.unreadable}
    assert [faults[name].split()[0] for name in ("text.png", "half.jpg", "none.jpg")] == ["not", "truncated", "missing"]
    assert told[-1] == 5
    assert predict_masks(model, files).unreadable == written.unreadable


def test_two_images_with_one_name_are_refused_before_anything_is_written(
    model: Model, chips: list[Path], tmp_path: Path
) -> None:
    for name in ("a/7.jpg", "b/7.png", "b/7_sat.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.open(chips[0]).save(tmp_path / name)
    for two in (["a/7.jpg", "b/7.png"], ["b/7_sat.jpg", "b/7.png"], ["b/7.png", "a/7.jpg"]):
        with pytest.raises(hs.HeadstartError, match=r"7(_sat)?\.\w+ would have the same mask \(7_mask\.png\)"):
            write_masks(model, [chips[0], *(tmp_path / name for name in two)], out=tmp_path / "out")
    with pytest.raises(hs.HeadstartError, match=r"--out .*a: expected another folder than that of the images"):
        write_masks(model, [tmp_path / "a" / "7.jpg"], out=tmp_path / "a")
    assert not (tmp_path / "out").exists()
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["7.jpg"]


def test_a_mask_has_its_image_s_name() -> None:
    names = {"x/0013_sat.jpg": "0013", "x/14-SAT.tif": "14", "x/photo.jpg": "photo", "y/b.sat.PNG": "b.sat"}
    names["y/satellite.jpeg"] = "satellite"
    assert mask_names([Path(name) for name in names], Path("o")) == [Path(f"o/{n}_mask.png") for n in names.values()]


@pytest.mark.real_too
def test_masks_in_a_folder_are_not_taken_for_images(shared_data: Callable[[str], Path]) -> None:
    aerial, camvid = shared_data("aerial") / "val", shared_data("camvid") / "val"
    assert find_rasters([aerial]).files == tuple(sorted(aerial.glob("*_sat.jpg")))
    assert find_rasters([camvid]).files == tuple(sorted((camvid / "images").iterdir()))
    mask = min(aerial.glob("*_mask.png"))
    asked = find_rasters([mask, camvid / "masks"]).files
    assert asked == (mask, *sorted((camvid / "masks").iterdir())), "what is asked for"


def test_averaging_over_flips_takes_those_of_the_training(model: Model, chips: list[Path]) -> None:
    (mask,) = predict_masks(model, chips[:1], flip=True).masks
    assert (mask == predict_masks(model, chips[:1]).masks[0]).mean() > 0.99  # the stand-in is symmetric
    never = replace(model, recipe=recipes.override(model.recipe, {"augment.hflip": 0.0}))
    with pytest.raises(hs.HeadstartError, match=r"--flip: expected a run trained with flips"):
        predict_masks(never, chips[:1], flip=True)


@pytest.mark.slow
def test_a_geotiff_gives_a_mask_and_an_overlay_in_its_place(
    model: Model, scene: NDArray[np.uint8], tmp_path: Path
) -> None:
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)}
    shape = {"height": 600, "width": 900, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "town_sat.tif", "w", driver="GTiff", **place, **shape) as target:
        target.write(scene.transpose(2, 0, 1))
    for palette, values in ((PALETTE, [0, 1, 2]), (NUMBERS, [4, 7, 9])):
        out = tmp_path / palette.kind
        (mask,) = write_masks(replace(model, palette=palette), [tmp_path / "town_sat.tif"], out=out, overlay=True).masks
        assert {each.name for each in out.iterdir()} == {"town_mask.tif", "town_overlay.tif"}
        with rasterio.open(mask) as found, rasterio.open(out / "town_overlay.tif") as over:
            assert (found.crs, found.transform, found.count) == (place["crs"], place["transform"], 1)
            assert (over.crs, over.transform, over.count) == (place["crs"], place["transform"], 3)
            numbers, laid_over = found.read(1), over.read()
            assert [found.colormap(1)[value][:3] for value in values] == list(palette.colors)
        assert (numbers != np.array(values)[expected(scene, model)]).mean() < 1e-4
        theirs = (scene.astype(int) + np.eye(3, dtype=int)[np.searchsorted(values, numbers)] * 255 + 1) // 2
        assert np.array_equal(laid_over.transpose(1, 2, 0), theirs)


@pytest.mark.slow
def test_a_photograph_that_lies_on_its_side_has_a_mask_that_stands(
    model: Model, scene: NDArray[np.uint8], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene).save(tmp_path / "side.png", exif=exif)
    (mask,) = predict_masks(model, [tmp_path / "side.png"]).masks
    assert mask.shape == (900, 600)
    assert (mask != expected(np.rot90(scene, -1), model)).mean() < 1e-4
