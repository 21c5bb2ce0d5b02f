"""Small real data: photographs of 32 pixels, with labels or masks, and the recipes that train on them in a second."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pictures import picture

SIDE = 32
KINDS = {"cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}
PALETTE = {"sky": (0, 0, 255), "ground": (0, 255, 0)}

SMALL = {
    "data.image_size": SIDE, "train.batch_size": 8, "val.batch_size": 8, "train.epochs": 3,
    "backbone.name": "test_resnet", "backbone.weights": "none",
}  # fmt: skip
RECIPES: dict[str, tuple[str, dict[str, object]]] = {
    "classify": ("quick", SMALL | {"augment.sizes": []}),
    "byol": ("byol-quick", SMALL | {"byol.hidden_dim": 32, "byol.projection_dim": 16}),
    "vicreg": ("vicreg-quick", SMALL | {"vicreg.projection_dim": 32}),
    "emp-ssl": (
        "emp-ssl-quick",
        SMALL | {"emp_ssl.crops": 3, "emp_ssl.hidden_dim": 32, "emp_ssl.projection_dim": 16},
    ),
    "fastsiam": (
        "fastsiam-quick",
        SMALL | {"fastsiam.views": 3, "fastsiam.projection_dim": 32, "fastsiam.hidden_dim": 16},
    ),
    "segment": ("segment-quick", SMALL | {"decoder.channels": 16, "decoder.dropout": 0.0}),
    "probe": ("quick", SMALL | {"augment.sizes": [], "backbone.freeze": True, "head.hidden": [], "head.dropout": 0}),
}
"""Task -> a shipped recipe and the overrides by which it trains on this data in a second."""


def photographs(count: int, name: str) -> list[Image.Image]:
    """Cuts of one photograph, no two alike."""
    whole, random = picture(name).convert("RGB"), np.random.default_rng(len(name))
    places = [(int(random.integers(whole.width - 96)), int(random.integers(whole.height - 96))) for _ in range(count)]
    return [whole.crop((x, y, x + 96, y + 96)).resize((SIDE, SIDE)) for x, y in places]


def labeled(folder: Path, each: int = 8) -> Path:
    """Photographs in a folder per class, a quarter of them in val/."""
    for kind, name in KINDS.items():
        for number, image in enumerate(photographs(each, name)):
            file = folder / ("val" if number % 4 == 0 else "train") / kind / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.save(file)
    return folder


def masked(folder: Path, count: int = 8) -> Path:
    """Photographs with masks of two classes in colors, bright and dark, and a class_dict.csv."""
    colors = np.array([*PALETTE.values()], np.uint8)
    for number, image in enumerate(photographs(count, "coffee.png")):
        parts = folder / ("val" if number % 4 == 0 else "train")
        gray = np.asarray(image.convert("L"))
        for kind, content in (
            ("images", image),
            ("masks", Image.fromarray(colors[(gray > np.median(gray)).astype(int)])),
        ):
            (parts / kind).mkdir(parents=True, exist_ok=True)
            content.save(parts / kind / f"{number}.png")
    with (folder / "class_dict.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([("name", "r", "g", "b"), *((name, *rgb) for name, rgb in PALETTE.items())])
    return folder


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """An image as the bytes of a file."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()
