"""Stand-ins for the data sets of ``../shared``, cut from photographs that installed packages ship.

Real pixels in the same layouts and formats, fewer of them. Each kind of "clothing" is cut from a picture of its own;
the masks are classes of color. Everything is deterministic.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.cluster import KMeans

Bytes = NDArray[np.uint8]

KINDS = {
    "dress": "motorcycle_left.png",
    "hat": "ihc.png",
    "longsleeve": "astronaut.png",
    "outwear": "coffee.png",
    "pants": "china.jpg",
    "shirt": "chelsea.png",
    "shoes": "flower.jpg",
    "shorts": "gravel.png",
    "skirt": "brick.png",
    "t-shirt": "grass.png",
}
"""What each kind of clothing is cut from."""
FORMS = ((160, 213), (160, 214), (213, 160), (160, 213), (160, 284), (214, 160), (160, 160), (161, 213), (284, 160))
EACH = 20
"""Photographs of a kind in train/, and as many in val/."""

SEEN_FROM_ABOVE = ("motorcycle_left.png", "ihc.png", "astronaut.png", "coffee.png", "china.jpg", "chelsea.png")
LAND = {
    "building": (0, 255, 255),
    "clutter": (255, 0, 255),
    "vegetation": (0, 255, 0),
    "water": (0, 0, 255),
    "ground": (255, 255, 0),
    "car": (255, 255, 255),
}
WATER, CAR = (list(LAND).index(name) for name in ("water", "car"))
COVER = {
    "urban_land": (0, 255, 255),
    "agriculture_land": (255, 255, 0),
    "rangeland": (255, 0, 255),
    "forest_land": (0, 255, 0),
    "water": (0, 0, 255),
    "barren_land": (255, 255, 255),
    "unknown": (0, 0, 0),
}
STREET = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign_symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "unlabeled",
)


@cache
def picture(name: str) -> Image.Image:
    """A photograph that scikit-learn or scikit-image ships."""
    package, folder = ("sklearn", "datasets/images") if name in ("china.jpg", "flower.jpg") else ("skimage", "data")
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed: make setup"
    assert spec.origin is not None
    with Image.open(Path(spec.origin).parent / folder / name) as opened:
        opened.load()
        return opened.copy()


def clothing(root: Path) -> None:
    """Photographs of ten kinds, short side 160, in train/ and val/; what they show is in train.csv and val.csv."""
    pieces = {kind: iter(list(_pieces(picture(name), 2 * EACH))) for kind, name in KINDS.items()}
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
        rows = []
        for number in range(EACH * len(KINDS)):
            kind = list(KINDS)[number % len(KINDS)]
            name = f"{number:05}.jpg"
            piece = next(pieces[kind]).resize(FORMS[number % len(FORMS)], Image.Resampling.BICUBIC)
            piece.save(root / split / name, quality=90)
            rows.append([number, name, kind])
        _write_csv(root / f"{split}.csv", ["id", "filename", "label"], rows)


def _pieces(whole: Image.Image, count: int) -> Iterator[Image.Image]:
    """Parts of a picture that do not overlap, those with most to see, in an order that mixes its places."""
    across = round((whole.width * 1.6 * count / whole.height) ** 0.5)
    down = -(-round(1.6 * count) // across)
    width, height = whole.width // across, whole.height // down
    corners = [(x * width, y * height) for y in range(down) for x in range(across)]
    parts = [whole.crop((x, y, x + width, y + height)) for x, y in corners]
    spread = [-float(np.asarray(part.convert("L")).std()) for part in parts]
    kept = np.sort(np.argsort(spread, kind="stable")[:count])
    return (parts[place] for place in np.random.default_rng(0).permutation(kept))


def aerial(root: Path) -> None:
    """Pairs of 300 pixels a side under six classes of very unlike size, as RGB masks: 144 in train/, 36 in val/.

    Of the first 24 in val/ none shows water, and the first three show cars.
    """
    pictures = [picture(name).convert("RGB") for name in SEEN_FROM_ABOVE]
    masks, colors = _land(pictures), np.array(list(LAND.values()), np.uint8)
    windows = [(place, box) for place, whole in enumerate(pictures) for box in _windows(whole.size)]
    chosen = [windows[each] for each in np.random.default_rng(0).permutation(len(windows))]
    shares = {each: np.array(masks[each[0]].crop(each[1]).histogram()) / 150**2 for each in chosen}
    dry = [each for each in chosen if not shares[each][WATER]]
    cars = [each for each in dry if 0.002 < shares[each][CAR] < 0.05][:3]
    judged = [*cars, *[each for each in dry if each not in cars][: 24 - len(cars)]]
    others = [each for each in chosen if each not in judged]
    parts = {"val": iter(judged + others[:12]), "train": iter(others[12:])}
    for number in range(180):
        split = "val" if number % 45 >= 36 else "train"
        place, box = next(parts[split])
        (root / split).mkdir(parents=True, exist_ok=True)
        seen = pictures[place].resize((300, 300), Image.Resampling.BICUBIC, box)
        seen.save(root / split / f"{number:04}_sat.jpg", quality=90)
        mask = np.asarray(masks[place].resize((300, 300), Image.Resampling.NEAREST, box))
        Image.fromarray(colors[mask]).save(root / split / f"{number:04}_mask.png")
    _write_csv(root / "class_dict.csv", ["name", "r", "g", "b"], [[name, *rgb] for name, rgb in LAND.items()])


def _windows(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Squares of three sizes all over a picture."""
    for side in (150, 210, 270):
        for top in range(0, size[1] - side + 1, side // 3):
            for left in range(0, size[0] - side + 1, side // 3):
                yield left, top, left + side, top + side


def _land(pictures: list[Image.Image]) -> list[Image.Image]:
    """What is brightest is a car, what is bluest of the rest is water, and so on; the rest is ground."""
    colors = [np.asarray(each.filter(ImageFilter.GaussianBlur(2)), float).reshape(-1, 3) for each in pictures]
    red, green, blue = np.concatenate(colors).T
    light = red + green + blue
    rules = (
        ("car", light, 0.002),
        ("water", blue - red, 0.05),
        ("vegetation", green - np.maximum(red, blue), 0.14),
        ("building", -light, 0.1),
        ("clutter", red - green, 0.1),
    )
    numbers = np.full(len(light), list(LAND).index("ground"), np.uint8)
    free = np.ones(len(light), bool)
    for name, measure, share in rules:
        these = free & (measure >= np.quantile(measure[free], 1 - share * len(light) / free.sum()))
        numbers[these] = list(LAND).index(name)
        free &= ~these
    ends = np.cumsum([len(each) for each in colors])[:-1]
    return [
        Image.fromarray(part.reshape(whole.height, whole.width))
        for part, whole in zip(np.split(numbers, ends), pictures, strict=True)
    ]


def _classes_of_color(pictures: list[Image.Image], classes: int) -> list[Bytes]:
    """Pixels by the nearest of so many mean colors; one class more where two of them meet."""
    smooth = [np.asarray(each.filter(ImageFilter.GaussianBlur(2)), float) for each in pictures]
    sample = np.concatenate([each[::7, ::7].reshape(-1, 3) for each in smooth])
    means = KMeans(classes, n_init=1, random_state=0).fit(sample).cluster_centers_
    found = []
    for each in smooth:
        nearest = ((each[:, :, None] - means) ** 2).sum(axis=3).argmin(axis=2).astype(np.uint8)
        border = np.zeros(nearest.shape, bool)
        border[1:] |= nearest[1:] != nearest[:-1]
        border[:, 1:] |= nearest[:, 1:] != nearest[:, :-1]
        found.append(np.where(border, classes, nearest).astype(np.uint8))
    return found


def camvid(root: Path) -> None:
    """Pairs of 320 x 240 pixels, 52 in train/ and 12 in val/: masks of numbers, 11 of which counts for nothing."""
    whole = [picture(name).convert("RGB") for name in ("china.jpg", "rocket.jpg", "motorcycle_left.png", "flower.jpg")]
    masks = _classes_of_color(whole, len(STREET) - 1)
    for number in range(64):
        place = number % len(whole)
        left, top = (number * 37) % (whole[place].width - 320), (number * 23) % (whole[place].height - 240)
        box = (left, top, left + 320, top + 240)
        folder = root / ("val" if number >= 52 else "train")
        for kind, seen, name in (
            ("images", whole[place], f"{number:04}.jpg"),
            ("masks", Image.fromarray(masks[place]), f"{number:04}.png"),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            seen.crop(box).save(folder / kind / name)
    (root / "classes.txt").write_text("\n".join(STREET) + "\n")


def deepglobe_sample(root: Path) -> None:
    """Three pairs of 512 pixels a side in one folder, in the seven colors of DeepGlobe."""
    root.mkdir(parents=True)
    whole = [picture("ihc.png"), picture("astronaut.png"), picture("hubble_deep_field.jpg").crop((200, 200, 712, 712))]
    masks = _classes_of_color(whole, len(COVER) - 1)
    colors = np.array(list(COVER.values()), np.uint8)
    for name, seen, mask in zip(("0008", "0097", "0107"), whole, masks, strict=True):
        seen.save(root / f"{name}_sat.jpg", quality=90)
        Image.fromarray(colors[mask]).save(root / f"{name}_mask.png")
    _write_csv(root / "class_dict.csv", ["name", "r", "g", "b"], [[name, *rgb] for name, rgb in COVER.items()])


def _write_csv(file: Path, header: list[str], rows: list[list[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([header, *rows])


MADE: dict[str, Callable[[Path], None]] = {
    "clothing": clothing,
    "aerial": aerial,
    "camvid": camvid,
    "deepglobe_sample": deepglobe_sample,
}


def copy_photos(source: Path, target: Path) -> Path:
    """Sixty photographs of three kinds, in a folder per class."""
    wanted = {"dress": 20, "hat": 20, "shoes": 20}
    with (source / "train.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if wanted.get(row["label"], 0):
                wanted[row["label"]] -= 1
                folder = target / row["label"]
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / "train" / row["filename"], folder)
    return target
