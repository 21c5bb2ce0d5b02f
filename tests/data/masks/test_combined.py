"""Several binary masks of an image as one, against numpy; drawn once, and again when a file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable
from headstart.data.masks.cached_masks import CachedMasks
from headstart.data.masks.codec import read_mask
from headstart.data.masks.combined import combine_masks, read_binary
from headstart.data.masks.palette_files import palette_file, read_palette
from headstart.errors import HeadstartError

pytestmark = pytest.mark.slow

Parts = dict[str, list[tuple[str, Path]]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def truth(shared_data: Callable[[str], Path]) -> list[NDArray[np.uint8]]:
    files = sorted((shared_data("camvid") / "train" / "masks").iterdir())[:3]
    return [np.asarray(Image.open(file)) for file in files]


def binary_files(truth: list[NDArray[np.uint8]], folder: Path, wanted: dict[str, int]) -> Parts:
    folder.mkdir(exist_ok=True)
    parts: Parts = {}
    for number, mask in enumerate(truth):
        for name, value in wanted.items():
            file = folder / f"{number}_{name}.png"
            Image.fromarray(((mask == value) * 255).astype(np.uint8)).save(file)
            parts.setdefault(f"images/{number}.jpg", []).append((name, file))
    return parts


def classes_in(combined: CachedMasks, root: Path) -> list[NDArray[np.str_]]:
    """The names of the classes in each pixel of each mask, read as any mask is."""
    files = [combined.mask_of[image] for image in sorted(combined.mask_of)]
    palette = read_palette(root, files)
    assert palette.names == combined.classes
    return [np.array(palette.names)[read_mask(file, palette)] for file in files]


def test_a_file_per_class(truth: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    combined = combine_masks(binary_files(truth, tmp_path / "masks", {"sky": 0, "road": 3, "class 10": 5}))
    assert combined.classes == ("background", "class 10", "road", "sky")
    assert not combined.overlaps
    for mask, found in zip(truth, classes_in(combined, tmp_path), strict=True):
        names = {0: "sky", 3: "road", 5: "class 10"}
        assert np.array_equal(found, np.vectorize(lambda value: names.get(int(value), "background"))(mask))  # noqa: B023


def test_the_names_beside_drawn_masks_go_before_those_of_the_root(
    truth: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("one\ntwo\n")
    combined = combine_masks(binary_files(truth, tmp_path / "masks", {"sky": 0, "road": 3}))
    file = next(iter(combined.mask_of.values()))
    assert palette_file(tmp_path, [file]) == file.with_name("classes.txt")
    assert file.is_absolute()
    assert tmp_path / "elsewhere" / file == file, "so it can stand in an index, relative to any root"


def test_files_of_one_class_are_united_and_a_later_class_lies_over(tmp_path: Path) -> None:
    first, second, third = (np.zeros((20, 30), np.uint8) for _ in range(3))
    first[:10], second[:, :10], third[5:15, 5:25] = 255, 255, 255
    parts: Parts = {"a.jpg": []}
    for name, label, array in (
        ("a_mask.png", "cell", first),
        ("a_mask_1.png", "cell", second),
        ("a_x.png", "dirt", third),
    ):
        Image.fromarray(array).save(tmp_path / name)
        parts["a.jpg"].append((label, tmp_path / name))
    combined = combine_masks(parts)
    expected = np.where(third > 0, "dirt", np.where((first > 0) | (second > 0), "cell", "background"))
    assert np.array_equal(classes_in(combined, tmp_path)[0], expected)
    assert combined.overlaps == {"a.jpg": int(((third > 0) & ((first > 0) | (second > 0))).sum())}


def test_classes_that_fill_every_image_leave_no_background(truth: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    halves = [(mask > 4).astype(np.uint8) for mask in truth]
    combined = combine_masks(binary_files(halves, tmp_path / "masks", {"low": 0, "high": 1}))
    assert combined.classes == ("high", "low")
    for half, found in zip(halves, classes_in(combined, tmp_path), strict=True):
        assert np.array_equal(found == "high", half == 1)


def test_images_without_a_file_are_background_where_their_size_is_known(
    truth: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    parts = binary_files(truth, tmp_path / "masks", {"sky": 0}) | {"x.jpg": [], "y.jpg": []}
    combined = combine_masks(parts, {"x.jpg": (17, 23)})
    assert set(combined.mask_of) == {*parts} - {"y.jpg"}
    with Image.open(combined.mask_of["x.jpg"]) as empty:
        assert empty.size == (23, 17)
        assert not np.asarray(empty).any()


def test_masks_are_drawn_once_and_again_when_a_file_changes(truth: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    parts = binary_files(truth, tmp_path / "masks", {"sky": 0, "road": 3})
    combined = combine_masks(parts)
    times = {file: file.stat().st_mtime_ns for file in combined.mask_of.values()}
    again = combine_masks(parts)
    assert again == combined
    assert times == {file: file.stat().st_mtime_ns for file in again.mask_of.values()}
    Image.new("L", (320, 240), 255).save(parts["images/1.jpg"][1][1])
    changed = combine_masks(parts)
    with Image.open(changed.mask_of["images/1.jpg"]) as image:
        assert np.array_equal(np.asarray(image), np.where(truth[1] == 0, 2, 1)), "all is road, and sky lies over it"
    next(iter(changed.mask_of.values())).unlink()
    assert all(file.is_file() for file in combine_masks(parts).mask_of.values()), "a file that was removed is drawn"


def test_images_of_one_name_in_two_folders_have_two_masks(tmp_path: Path) -> None:
    parts: Parts = {}
    for number, folder in enumerate(("one", "two")):
        Image.new("L", (8 + number, 8), 255).save(tmp_path / f"{folder}.png")
        parts[f"{folder}/é 1.jpg"] = [("sky", tmp_path / f"{folder}.png")]
    widths = []
    for file in combine_masks(parts).mask_of.values():
        with Image.open(file) as image:
            widths.append(image.width)
    assert widths == [8, 9]


def test_files_that_cannot_be_combined_say_so(truth: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    parts = binary_files(truth, tmp_path / "masks", {"sky": 0, "road": 3})
    parts["images/0.jpg"][1][1].write_bytes(b"no picture")
    combined = combine_masks(parts)
    broken = combined.mask_of["images/0.jpg"]
    assert broken == parts["images/0.jpg"][1][1]
    with pytest.raises(Unreadable, match="not an image"):
        read_mask(broken, read_palette(tmp_path, [combined.mask_of["images/1.jpg"]]))
    Image.new("L", (30, 20)).save(broken)
    with pytest.raises(HeadstartError, match=r"have one size, found 320 x 240 pixels, and 30 x 20|found 30 x 20"):
        combine_masks(parts)
    Image.fromarray(truth[0] * 20).save(broken)
    with pytest.raises(HeadstartError, match=r"0_road.png: expected a binary mask, .* numbers from 0 to"):
        combine_masks(parts)


@pytest.mark.parametrize("level", [1, 128, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_binary_file_is_what_is_at_least_half_as_bright(level: int, mode: str, tmp_path: Path) -> None:
    drawn = np.zeros((20, 30), np.uint8)
    drawn[5:15, 5:25] = level
    Image.fromarray(drawn).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(read_binary(tmp_path / "a.png"), drawn > 0)


def test_soft_and_transparent_binary_files(tmp_path: Path) -> None:
    drawn = np.zeros((200, 300), np.uint8)
    drawn[50:150, 50:250] = 255
    soft = Image.fromarray(drawn).resize((97, 61)).resize((300, 200))
    soft.save(tmp_path / "soft.png")
    assert np.array_equal(read_binary(tmp_path / "soft.png"), np.asarray(soft) >= 128)
    for color in ((0, 0, 0), (255, 255, 255), (255, 0, 0)):
        paint = np.full((*drawn.shape, 3), color, np.uint8)
        Image.fromarray(np.dstack([paint, drawn])).save(tmp_path / "alpha.png")
        assert np.array_equal(read_binary(tmp_path / "alpha.png"), drawn > 0)
        Image.fromarray(np.dstack([paint, drawn * 0])).save(tmp_path / "none.png")
        assert not read_binary(tmp_path / "none.png").any()
    opaque = np.dstack([drawn] * 3 + [np.full_like(drawn, 255)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    assert np.array_equal(read_binary(tmp_path / "opaque.png"), drawn > 0)
