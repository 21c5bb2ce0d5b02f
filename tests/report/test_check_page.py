"""The picture sheet of `check`: what is on it is what the dataset holds, and it loads and replaces nothing."""

from __future__ import annotations

import base64
import html
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart import api
from headstart.data.checks.samples import class_rows, describe, sample_rows
from headstart.data.layouts import scan
from headstart.data.pair_index import with_classes
from pages import assert_loads_nothing, visible


def pictures(page: str) -> list[tuple[str, Image.Image]]:
    """(alternative text, image) of every picture of a page."""
    found = re.findall(r'<img src="data:image/\w+;base64,([^"]+)" alt="([^"]*)">', page)
    return [(html.unescape(alt), Image.open(io.BytesIO(base64.b64decode(data)))) for data, alt in found]


def test_each_class_has_four_pictures_and_its_name(photos: Path, tmp_path: Path) -> None:
    result = api.check(photos, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert_loads_nothing(page)
    shown = pictures(page)
    names = [alt for alt, _ in shown]
    assert [name.split("/")[0] for name in names] == ["dress"] * 4 + ["hat"] * 4 + ["shoes"] * 4
    assert len(set(names)) == 12
    for name, picture in shown:
        with Image.open(photos / name) as image:
            image.thumbnail((160, 160))
            assert picture.size == image.size
            difference = np.abs(np.asarray(image.convert("RGB"), int) - np.asarray(picture.convert("RGB"), int))
        assert difference.mean() < 6, "the image under its own name"
    words = visible(page)
    assert words.count("class hat") == 4
    assert all(issue.message in words for issue in result.issues)


def test_masks_stand_beside_their_images_in_the_colors_of_the_legend(small_tiles: Path, tmp_path: Path) -> None:
    result = api.check(small_tiles, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = pictures(page)
    assert len(shown) == 24
    for (image, _), (of, mask) in zip(shown[::2], shown[1::2], strict=True):
        assert of == f"mask of {image} in the colors of the legend"
        with Image.open(small_tiles / image.replace("_sat.jpg", "_mask.png")) as truth:
            assert np.array_equal(np.asarray(mask.convert("RGB")), np.asarray(truth.convert("RGB")))
    legend = re.findall(r'style="background:(#[0-9a-f]{6})"></span>([^<]+)', page)
    assert {name for _, name in legend} >= set(result.classes)
    assert ("#0000ff", "water") in legend


def test_every_file_of_an_issue_is_named_and_hostile_names_stay_text(photos: Path, tmp_path: Path) -> None:
    hostile = photos / "<script>alert(1)<&"
    (photos / "hat").rename(hostile)
    for number in range(7):
        (hostile / f'"><img src=x onerror={number}>.jpg').write_bytes(b"")
    result = api.check(photos, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    broken = next(issue for issue in result.issues if issue.kind == "empty")
    words = visible(page)
    assert len(broken.files) == 7
    assert all(file in words for file in broken.files)


def test_beyond_twelve_classes_the_rest_is_counted(photos: Path, tmp_path: Path) -> None:
    picture = next((photos / "hat").iterdir())
    for number in range(15):
        (photos / f"kind {number}").mkdir()
        shutil.copy(picture, photos / f"kind {number}")
    api.check(photos, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(re.findall("<h3>", page)) == 12
    assert "and 6 more classes" in visible(page)


def test_only_a_page_of_its_own_is_replaced(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><p>mine</p>")
    with pytest.raises(hs.HeadstartError, match=r"page\.html: expected a new file.*page-check\.html"):
        api.check(photos, page=file)
    assert "mine" in file.read_text()
    file.unlink()
    api.check(photos, page=file)
    api.check(photos, page=file)


def test_samples_are_spread_over_the_classes_and_described_in_words(photos: Path, small_tiles: Path) -> None:
    index = scan(photos)
    rows = sample_rows(index)
    assert rows == sample_rows(index)
    assert len(rows) == 4
    assert {index.classes[index.labels[row]] for row in rows} == {"dress", "hat", "shoes"}
    assert len(sample_rows(index, per_class=4, limit=12)) == 12
    assert len(sample_rows(index, limit=2)) == 2
    assert describe(index, rows[0]) == f"class {index.paths[rows[0]].split('/')[0]}"
    assert {index.labels[row] for row in class_rows(index, 1, 5)} == {1}
    pairs = with_classes(scan(small_tiles))
    row = sample_rows(pairs)[0]
    with Image.open(small_tiles / pairs.masks[row]) as mask:
        colors = np.asarray(mask.convert("RGB")).reshape(-1, 3)
    assert pairs.palette is not None
    shares = [(colors == color).all(axis=1).mean() for color in pairs.palette.colors]
    most = int(np.argmax(shares))
    assert describe(pairs, row).startswith(f"mask {pairs.masks[row]}: {pairs.palette.names[most]} {shares[most]:.1%}")


@pytest.mark.slow
def test_it_is_made_without_torch_or_plots(photos: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom headstart import api\n"
        "api.check(sys.argv[1], page=sys.argv[2])\nprint({'torch', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, photos, tmp_path / "page.html"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
