"""GeoTIFF files: told from other TIFFs without rasterio, read in bands, and written where the image lies."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import headstart as hs
from headstart.data.decode import Unreadable
from headstart.inference.geotiff import geotiff_like, is_georeferenced, open_geotiff, require_rasterio

rasterio = pytest.importorskip("rasterio")

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)}
"""Half a metre per pixel, in UTM zone 33 north."""


@pytest.fixture
def rgb(shared_data: Callable[[str], Path]) -> NDArray[np.uint8]:
    """An aerial photograph, wider than high: uint8 (200, 300, 3)."""
    return np.asarray(Image.open(min((shared_data("aerial") / "val").glob("*_sat.jpg"))))[:200]


def save(file: Path, bands: NDArray[Any], **more: object) -> Path:
    """``bands`` (C, H, W) as a GeoTIFF."""
    count, height, width = bands.shape
    place = {**PLACE, "count": count, "height": height, "width": width, "dtype": bands.dtype, **more}
    with rasterio.open(file, "w", driver="GTiff", **place) as target:
        target.write(bands)
    return file


def test_a_geotiff_is_read_in_bands_of_rows(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    file = save(tmp_path / "scene.tif", rgb.transpose(2, 0, 1), tiled=True, compress="deflate")
    with open_geotiff(file) as image:
        assert (image.height, image.width) == (200, 300)
        rows = [image.rows(top, min(top + 64, 200)) for top in range(0, 200, 64)]
    assert np.array_equal(np.concatenate(rows), rgb)


def test_red_green_and_blue_are_found_among_other_bands(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    from rasterio.enums import ColorInterp

    near_infrared = rgb[None, ..., 1] // 2
    first = save(tmp_path / "a.tif", np.concatenate([near_infrared, rgb.transpose(2, 0, 1)]))
    with rasterio.open(first, "r+") as image:
        image.colorinterp = [ColorInterp.undefined, ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    last = save(tmp_path / "b.tif", np.concatenate([rgb.transpose(2, 0, 1), near_infrared]))
    gray = save(tmp_path / "c.tif", near_infrared)
    for file, expected in ((first, rgb), (last, rgb), (gray, np.repeat(near_infrared[0, ..., None], 3, axis=2))):
        with open_geotiff(file) as image:
            assert np.array_equal(image.rows(0, 200), expected)


def test_a_mask_lies_where_its_image_lies(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    file = save(tmp_path / "scene.tif", rgb.transpose(2, 0, 1))
    classes, colors = (
        (rgb[..., 0] // 64).astype(np.uint8),
        {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 255, 0), 3: (9, 9, 9)},
    )
    with open_geotiff(file) as image, geotiff_like(image, tmp_path / "out" / "mask.tif", colors) as write:
        write(0, classes[:150])
        write(150, classes[150:])
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mask.tif"]
    with rasterio.open(tmp_path / "out" / "mask.tif") as mask:
        assert (mask.crs, mask.transform, mask.count) == (PLACE["crs"], PLACE["transform"], 1)
        assert np.array_equal(mask.read(1), classes)
        assert {value: mask.colormap(1)[value][:3] for value in colors} == colors
    with open_geotiff(tmp_path / "out" / "mask.tif") as mask:  # painted, when it is read as an image
        assert np.array_equal(mask.rows(0, 200), np.array(list(colors.values()), np.uint8)[classes])


def test_ground_control_points_are_kept(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(row, column, 12 + column, 50 - row) for row, column in ((0, 0), (0, 300), (200, 0))]
    file = save(tmp_path / "scene.tif", rgb.transpose(2, 0, 1), gcps=points, crs="EPSG:4326", transform=None)
    assert is_georeferenced(file)
    with open_geotiff(file) as image, geotiff_like(image, tmp_path / "over.tif") as write:
        write(0, rgb)
    with rasterio.open(tmp_path / "over.tif") as over:
        found, crs = over.gcps
        assert crs == "EPSG:4326"
        assert [(p.row, p.col, p.x, p.y) for p in found] == [(p.row, p.col, p.x, p.y) for p in points]
        assert np.array_equal(over.read().transpose(1, 2, 0), rgb)


def test_a_mask_that_is_not_finished_is_not_there(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    file = save(tmp_path / "scene.tif", rgb.transpose(2, 0, 1))

    def half() -> None:
        with open_geotiff(file) as image, geotiff_like(image, tmp_path / "out" / "mask.tif", {0: (0, 0, 0)}) as write:
            write(0, rgb[:100, :, 0])
            raise Unreadable("truncated")

    with pytest.raises(Unreadable):
        half()
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "file").touch()
    with (
        pytest.raises(hs.HeadstartError, match="cannot be written"),
        open_geotiff(file) as image,
        geotiff_like(image, tmp_path / "file" / "mask.tif") as write,
    ):
        write(0, rgb)


def test_files_of_more_than_eight_bits_and_damaged_ones_are_named(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    deep = save(tmp_path / "deep.tif", rgb.transpose(2, 0, 1).astype(np.uint16) * 256)
    with pytest.raises(Unreadable, match="uint16"), open_geotiff(deep):
        pass
    whole = save(tmp_path / "whole.tif", rgb.transpose(2, 0, 1), compress="deflate")
    (tmp_path / "half.tif").write_bytes(whole.read_bytes()[:60_000])

    def look() -> None:
        with open_geotiff(tmp_path / "half.tif") as image:
            image.rows(0, 200)

    with pytest.raises(Unreadable):
        look()


def test_a_geotiff_is_told_from_other_files_without_rasterio(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    placed = save(tmp_path / "scene.tif", rgb.transpose(2, 0, 1))
    large = save(tmp_path / "large.TIFF", rgb.transpose(2, 0, 1), bigtiff="yes")
    deep = save(tmp_path / "deep.tif", rgb.transpose(2, 0, 1).astype(np.uint16))
    Image.fromarray(rgb).save(tmp_path / "plain.tif")
    Image.fromarray(rgb).save(tmp_path / "plain.png")
    (tmp_path / "text.tif").write_text("no picture")
    (tmp_path / "empty.tif").touch()
    assert all(is_georeferenced(file) for file in (placed, large, deep))
    assert not any(
        is_georeferenced(tmp_path / name) for name in ("plain.tif", "plain.png", "text.tif", "empty.tif", "none.tif")
    )


def test_without_rasterio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_rasterio(Path("scene.tif"))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(hs.HeadstartError, match=r"scene\.tif: expected rasterio.*pip install 'headstart\[geo\]'"):
        require_rasterio(Path("scene.tif"))
