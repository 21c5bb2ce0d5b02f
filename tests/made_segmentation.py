"""A finished run on masks with made-up answers to real pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

from headstart.palette import IGNORE_INDEX, Palette
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.mask_snapshots import write_image, write_mask


def aerial_mask(file: Path, palette: Palette) -> NDArray[np.uint8]:
    """A mask of the aerial data as numbers, with a corner that belongs to no class."""
    with Image.open(file) as picture:
        colors = np.array(picture.convert("RGB"))
    mask: NDArray[np.uint8] = (
        (colors[:, :, None] == np.array(palette.colors, np.uint8)).all(axis=3).argmax(axis=2).astype(np.uint8)
    )
    mask[:20, :30] = IGNORE_INDEX
    return mask


def made_answer(truth: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """The truth as seen through square windows, each labeled like its center; cars (5) are taken for the ground."""
    places = [np.minimum(np.arange(side) // window * window + window // 2, side - 1) for side in truth.shape]
    answer = truth[np.ix_(*places)]
    return np.where(answer >= 5, 4, answer).astype(np.uint8)


def make_segmentation(source: Path, folder: Path) -> None:
    """Write a finished run that answers with masks, made up from the aerial data: coarse, finer and in between."""
    with (source / "class_dict.csv").open(encoding="utf-8") as table:
        known = {row["name"]: (int(row["r"]), int(row["g"]), int(row["b"])) for row in csv.DictReader(table)}
    palette = Palette(tuple(known), tuple(known.values()), tuple(range(6)), "color")
    names = [file.name.removesuffix("_mask.png") for file in sorted((source / "val").glob("*_mask.png"))[:24]]
    truths = {name: aerial_mask(source / "val" / f"{name}_mask.png", palette) for name in names}
    counts = [int(sum((mask == place).sum() for mask in truths.values())) for place in range(6)]
    shares = dict(zip(known, np.divide(counts, sum(counts)).tolist(), strict=True))
    recipe = recipes.load(
        "quick",
        {"task": "segment", "data.resize": "keep", "train.epochs": 3, "checkpoint.monitor": "val_miou"},
    )
    facts = {"fingerprint": "made up", "root": str(source), "classes": list(known), "palette": palette.to_json()}
    run = RunFolder.create(
        folder,
        recipe,
        {"device": "cpu"},
        facts
        | {
            "images": {"train": 0, "val": 24},
            "counts": {},
            "shares": {"train": shares, "val": shares},
            "ignored": {"train": 600 / 90_000, "val": 600 / 90_000},
        },
    )
    run.write_table(
        "features/images.csv", [{"filename": f"val/{n}_sat.jpg", "split": "val", "label": ""} for n in names]
    )
    rows: list[dict[str, Any]] = []
    for epoch, window in enumerate((60, 10, 25)):
        answers = {name: made_answer(mask, window) for name, mask in truths.items()}
        confusion = np.stack([_confusion(truths[name], answers[name], 6) for name in names])
        rows += _epoch_rows(epoch, confusion.sum(axis=0), palette.classes)
        for name in names[:3]:
            write_mask(run, f"epoch-{epoch + 1:04}", f"{name}_sat", answers[name], palette)
        if epoch == 1:
            run.write("confusion.safetensors", save({"confusion": confusion}))
            for name in names:
                write_mask(run, "best", f"{name}_sat", answers[name], palette)
    run.write_table("metrics.csv", rows)
    for name in names:
        write_mask(run, "truth", f"{name}_sat", truths[name], palette)
        with Image.open(source / "val" / f"{name}_sat.jpg") as picture:
            write_image(run, f"{name}_sat", np.array(picture))
    run.write("weights/best.safetensors", b"")


def _confusion(truth: NDArray[np.uint8], answer: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    counts = truth < classes
    pairs = truth[counts].astype(np.int64) * classes + answer[counts]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _epoch_rows(epoch: int, confusion: NDArray[np.int64], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    hits = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    ious = np.where(union > 0, hits / np.maximum(union, 1), np.nan)
    figures = {
        "loss": [1.0, 0.5, 0.6][epoch],
        "accuracy": hits.sum() / confusion.sum(),
        "miou": np.nanmean(ious),
        **{f"iou_{name}": value for name, value in zip(classes, ious, strict=True)},
    }
    speed = {"seconds": 1.0, "images_per_second": 24.0}
    return [
        {"epoch": epoch, "split": split, "images": 24, **figures, **lr, **speed}
        for split, lr in (("train", {"lr": 1e-3}), ("val", {}))
    ]
