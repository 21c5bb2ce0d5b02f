"""Precision and recall of the near-duplicate search on planted copies of real photographs, and its speed.

python benchmarks/near_duplicates.py FOLDER [FOLDER ...]

Of every folder up to 4,000 images are searched, with one altered copy of up to 1,500 of them, a kind of copy at a time.
A pair counts as right if it is a planted one, and as wrong otherwise, unless the search finds the same pair among the
originals alone (which are real near duplicates, to be looked at: their number is printed). Then 25,000 thumbnails are
searched: those of all folders, and parts of them at random places until there are enough.
"""

from __future__ import annotations

import io
import random
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from headstart.data.checks.duplicates import near_duplicates
from headstart.data.tree import walk

Thumbnails = NDArray[np.uint8]
SEARCHED, COPIED, MANY = 4000, 1500, 25_000


def saved(image: Image.Image, quality: int = 90) -> Image.Image:
    """An image saved as JPEG and read again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, across: float, down: float) -> Image.Image:
    """95 % of the width and of the height, anywhere between the edges (0 and 1)."""
    width, height = round(0.95 * image.width), round(0.95 * image.height)
    left, top = round(across * (image.width - width)), round(down * (image.height - height))
    return saved(image.crop((left, top, left + width, top + height)))


PLACE = random.Random(0)
KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop 95 %, in the middle": lambda image: cropped(image, 0.5, 0.5),
    "crop 95 %, anywhere": lambda image: cropped(image, PLACE.random(), PLACE.random()),
    "crop 95 %, in a corner": lambda image: cropped(image, 0, 0),
    "half the size": lambda image: saved(image.resize((image.width // 2, image.height // 2))),
    "JPEG quality 30": lambda image: saved(image, 30),
    "mirrored": lambda image: saved(ImageOps.mirror(image)),
    "brightness x 1.2": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.2)),
    "brightness x 0.8": lambda image: saved(ImageEnhance.Brightness(image).enhance(0.8)),
}


def thumbnails(images: list[Image.Image]) -> Thumbnails:
    """As `headstart check` makes them."""
    return np.stack([np.asarray(each.convert("L").resize((32, 32), Image.Resampling.LANCZOS)) for each in images])


def pairs(sets: list[list[int]]) -> set[tuple[int, int]]:
    return {pair for rows in sets for pair in combinations(rows, 2)}


def measure(folder: Path) -> Thumbnails:
    """Print precision and recall of every kind of copy; return the thumbnails of all images of the folder."""
    files = sorted(walk(folder).images)
    random.Random(0).shuffle(files)
    images = [Image.open(folder / name).convert("RGB") for name in files[:SEARCHED]]
    originals = thumbnails(images)
    among = near_duplicates(originals)
    print(f"{folder}: {len(images):,} images, {len(among)} sets of near duplicates among them")
    known, copied = pairs(among), min(COPIED, len(images))
    for kind, copy in KINDS.items():
        copies = thumbnails([copy(image) for image in images[:copied]])
        found = pairs(near_duplicates(np.concatenate([originals, copies])))
        planted = {(row, len(images) + row) for row in range(copied)}
        as_original = {(min(pair), max(pair)) for pair in ((a % len(images), b % len(images)) for a, b in found)}
        wrong = {pair for pair in as_original if pair[0] != pair[1]} - known
        recall = len(found & planted) / copied
        precision = copied * recall / max(1, copied * recall + len(wrong))
        print(f"  {kind:26} precision {precision:.3f}  recall {recall:.3f}")
    rest = [Image.open(folder / name).convert("RGB") for name in files[SEARCHED:MANY]]
    return np.concatenate([originals, thumbnails(rest)]) if rest else originals


def part(thumbnail: Thumbnails, rng: random.Random) -> Thumbnails:
    """A quarter of a thumbnail, enlarged: another picture with the statistics of a photograph."""
    left, top = rng.randrange(17), rng.randrange(17)
    return np.asarray(Image.fromarray(thumbnail[top : top + 16, left : left + 16]).resize((32, 32)))


def main() -> None:
    many = np.concatenate([measure(Path(folder)) for folder in sys.argv[1:]])[:MANY]
    rng = random.Random(0)
    parts = [part(many[rng.randrange(len(many))], rng) for _ in range(MANY - len(many))]
    many = np.concatenate([many, np.stack(parts)]) if parts else many
    began = time.perf_counter()
    sets = near_duplicates(many)
    seconds = time.perf_counter() - began
    print(f"{len(many):,} thumbnails: {seconds:.1f} s, {len(sets)} sets ({len(parts):,} of them are parts of others)")


if __name__ == "__main__":
    main()
