"""A run scales new images of more than 8 bits as it scaled those that it was trained on, never by themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

import headstart as hs
from headstart.data.conversion import Conversion
from headstart.data.decode import Unreadable, read
from headstart.inference.evaluate import Evaluation
from headstart.inference.geotiff import open_geotiff
from headstart.inference.model import load_model
from headstart.inference.predict import Predictions
from headstart.inference.segment import predict_masks
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.value_range import ValueRange, ValueRanges
from narrow import narrow

pytestmark = pytest.mark.slow

Array = NDArray[Any]
TWELVE = ValueRange(0, 4095, "full scale")
PLACE = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)}


def twelve_bits(image: Image.Image) -> Array:
    return np.asarray(image.convert("L")).astype(np.uint16) * 16


def probabilities(run: hs.Run, files: Path | list[Path]) -> NDArray[np.float32]:
    return narrow(run.predict(files), Predictions).probabilities


@pytest.fixture(scope="module")
def deep_run(
    shared_data: Callable[[str], Path],
    trained: tuple[Path, Path],
    small: Callable[..., recipes.Recipe],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """(a run, the images of 12 bits that it was trained on)"""
    folder = tmp_path_factory.mktemp("deep")
    for file in sorted(trained[1].rglob("*.jpg")):
        target = folder / "photos" / file.relative_to(trained[1]).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(twelve_bits(Image.open(file))).save(target)
    run = hs.fit(small(train__epochs=2), folder / "photos", out=folder / "run", console=Console(file=io.StringIO()))
    return run.path, folder / "photos"


def test_the_range_is_stored_in_the_run(deep_run: tuple[Path, Path], trained: tuple[Path, Path]) -> None:
    assert RunFolder.open(deep_run[0]).ranges == ValueRanges(TWELVE)
    assert not RunFolder.open(trained[0]).ranges
    assert "ranges" not in RunFolder.open(trained[0]).data


def test_predictions_are_those_of_validation(deep_run: tuple[Path, Path]) -> None:
    """On the images of 12 bits, and on each of them alone."""
    run, photos = hs.Run(deep_run[0]), deep_run[1]
    stored = run.folder.predictions
    columns = [f"probability_{name}" for name in run.classes]
    expected = np.array([[float(row[column]) for column in columns] for row in stored])
    files = [photos / row["filename"] for row in stored]
    np.testing.assert_allclose(probabilities(run, files), expected, atol=2e-6)
    alone = np.concatenate([probabilities(run, file) for file in files[:3]])
    np.testing.assert_allclose(alone, expected[:3], rtol=1e-4, atol=1e-5)
    evaluation = narrow(run.evaluate(photos), Evaluation)
    assert set(evaluation.paths) == {row["filename"] for row in stored}
    by_path = dict(zip(evaluation.paths, evaluation.probabilities, strict=True))
    np.testing.assert_allclose([by_path[row["filename"]] for row in stored], expected, atol=2e-6)


def test_a_dark_image_stays_dark(deep_run: tuple[Path, Path], tmp_path: Path) -> None:
    """Alone, its values are a tenth of the range; it is scaled by the range of the run all the same."""
    run, photos = hs.Run(deep_run[0]), deep_run[1]
    values = np.asarray(Image.open(sorted((photos / "hat").iterdir())[0])) // 10
    Image.fromarray(values).save(tmp_path / "dark.png")
    eight = np.rint(values * (255 / 4095)).astype(np.uint8)
    Image.fromarray(eight).save(tmp_path / "eight.png")
    dark, as_eight = probabilities(run, [tmp_path / "dark.png", tmp_path / "eight.png"])
    np.testing.assert_allclose(dark, as_eight, rtol=1e-4, atol=1e-5)
    assert np.array_equal(
        np.asarray(read(tmp_path / "dark.png", conversion=load_model(run.folder).conversion).rgb)[..., 0], eight
    )


def test_other_data_are_scaled_by_the_run(deep_run: tuple[Path, Path], tmp_path: Path) -> None:
    """The range of the data to evaluate on would be 10 bits."""
    run, photos = hs.Run(deep_run[0]), deep_run[1]
    changes: dict[str, Callable[[NDArray[np.uint16]], NDArray[Any]]] = {
        "dark": lambda v: v // 4,
        "eight": lambda v: np.rint(v // 4 * (255 / 4095)),
    }
    for file in sorted(photos.rglob("*.png")):
        for folder, change in changes.items():
            target = tmp_path / folder / file.relative_to(photos)
            target.parent.mkdir(parents=True, exist_ok=True)
            values = change(np.asarray(Image.open(file)))
            Image.fromarray(values.astype(np.uint16 if folder == "dark" else np.uint8)).save(target)
    dark, eight = (narrow(run.evaluate(tmp_path / name, split="all"), Evaluation) for name in ("dark", "eight"))
    np.testing.assert_allclose(dark.probabilities, eight.probabilities, atol=2e-6)


def test_a_run_of_eight_bits_does_not_guess(trained: tuple[Path, Path], tmp_path: Path) -> None:
    photo = Image.open(sorted((trained[1] / "hat").iterdir())[0])
    Image.fromarray(twelve_bits(photo)).save(tmp_path / "twelve.png")
    tifffile.imwrite(tmp_path / "float.tif", np.asarray(photo.convert("L")).astype(np.float32))
    photo.save(tmp_path / "plain.png")
    answer = hs.Run(trained[0]).predict(tmp_path)
    assert [file.name for file in answer.files] == ["plain.png"]
    assert {file.name for file, reason in answer.unreadable if "convert it to 8 bits" in reason} == {
        "twelve.png",
        "float.tif",
    }


def test_bands_are_those_of_the_recipe(photos: Path, small: Callable[..., recipes.Recipe], tmp_path: Path) -> None:
    """Multispectral TIFFs: refused without the field, read by it in training and prediction alike."""
    for file in sorted(photos.rglob("*.jpg")):
        rgb = np.asarray(Image.open(file).convert("RGB")).astype(np.uint16) * 16
        bands = np.dstack([rgb[..., 0] // 3, rgb[..., 2], rgb[..., 1], rgb[..., 0], rgb[..., 1] // 2])
        tifffile.imwrite(file.with_suffix(".tif"), bands, photometric="minisblack", planarconfig="contig")
        file.unlink()
    with pytest.raises(hs.HeadstartError, match=r"of 5 bands \(choose three with data\.bands=\[4, 3, 2\]"):
        hs.fit(small(), photos, out=tmp_path / "none", console=Console(file=io.StringIO()))
    recipe = small(train__epochs=1, data__bands=[4, 3, 2])
    run = hs.fit(recipe, photos, out=tmp_path / "run", console=Console(file=io.StringIO()))
    assert run.folder.ranges == ValueRanges(TWELVE)
    stored = run.folder.predictions
    predicted = probabilities(run, [photos / row["filename"] for row in stored])
    expected = [[float(row[f"probability_{name}"]) for name in run.classes] for row in stored]
    np.testing.assert_allclose(predicted, expected, atol=2e-6)


@pytest.mark.slow
def test_masks_of_deep_images_are_those_of_their_eight_bits(
    tiles: Path, masked: Callable[..., recipes.Recipe], tmp_path: Path
) -> None:
    """Whole files, GeoTIFFs in rows, and the training images: one range."""
    for file in sorted(tiles.rglob("*_sat.jpg")):
        values = twelve_bits(Image.open(file))
        file.unlink()
        tifffile.imwrite(file.with_suffix(".tif"), values, metadata=None)
    run = hs.fit(masked(train__epochs=1), tiles, out=tmp_path / "run", console=Console(file=io.StringIO()))
    assert run.folder.ranges == ValueRanges(TWELVE)
    values = tifffile.imread(sorted(tiles.rglob("*_sat.tif"))[0])
    tifffile.imwrite(tmp_path / "plain.tif", values)
    with rasterio.open(tmp_path / "placed.tif", "w", count=1, height=300, width=300, dtype="uint16", **PLACE) as target:
        target.write(values[None])
    Image.fromarray(np.rint(values * (255 / 4095)).astype(np.uint8)).save(tmp_path / "eight.png")
    names = ["plain.tif", "placed.tif", "eight.png"]
    found = predict_masks(load_model(run.folder), [tmp_path / name for name in names])
    assert not found.unreadable
    assert np.array_equal(found.masks[0], found.masks[2])
    assert np.array_equal(found.masks[1], found.masks[2])


class TestGeoTiff:
    """Rows of a GeoTIFF equal those of the file as training reads it."""

    def save(self, file: Path, values: Array, **more: object) -> Path:
        bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
        count, height, width = bands.shape
        facts = {"count": count, "height": height, "width": width, "dtype": values.dtype, **PLACE, **more}
        with rasterio.open(file, "w", **facts) as target:
            target.write(bands)
        return file

    @pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
    @pytest.mark.parametrize("bands", [None, (4, 3, 2)])
    def test_deep_values_and_bands(
        self, dtype: str, bands: tuple[int, int, int] | None, shared_data: Callable[[str], Path], tmp_path: Path
    ) -> None:
        rgb = np.asarray(Image.open(min((shared_data("aerial") / "val").glob("*_sat.jpg")))).astype(dtype) * 16
        values = rgb if bands is None else np.dstack([rgb[..., 0], rgb, rgb[..., 1] // 2])
        file = self.save(tmp_path / "scene.tif", values, **({"nodata": 160.0} if dtype == "float32" else {}))
        conversion = Conversion(ValueRanges(TWELVE, TWELVE), bands)
        with open_geotiff(file, conversion) as image:
            rows = np.concatenate([image.rows(top, top + 100) for top in (0, 100, 200)])
        assert np.array_equal(rows, np.asarray(read(file, conversion=conversion).rgb))

    def test_transparency_is_shown_over_white_and_the_near_infrared_is_not_transparency(
        self, shared_data: Callable[[str], Path], tmp_path: Path
    ) -> None:
        rgb = np.asarray(Image.open(min((shared_data("aerial") / "val").glob("*_sat.jpg"))))
        clear = np.where(np.arange(300) < 100, 0, 255) * np.ones((300, 1))
        file = self.save(tmp_path / "mosaic.tif", np.dstack([rgb, clear.astype(np.uint8)]))
        with open_geotiff(file) as image:
            rows = np.concatenate([image.rows(0, 100), image.rows(100, 300)])
        assert np.array_equal(rows, np.where(clear[..., None] > 0, rgb, 255))
        assert np.array_equal(rows, np.asarray(read(file).rgb))
        for band in (rgb[..., 1] // 2 + 1, np.full((300, 300), 7, np.uint8)):
            with open_geotiff(self.save(tmp_path / "scene.tif", np.dstack([rgb, band]))) as image:
                assert np.array_equal(image.rows(0, 300), rgb)

    def test_bands_that_nothing_names_are_not_taken_for_colors(self, tmp_path: Path) -> None:
        file = self.save(tmp_path / "scene.tif", np.zeros((8, 8, 5), np.uint8))
        with pytest.raises(Unreadable, match="of 5 bands"), open_geotiff(file):
            pass
        with pytest.raises(Unreadable, match="asks for band 6"), open_geotiff(file, Conversion(bands=(6, 1, 1))):
            pass
