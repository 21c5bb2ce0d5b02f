"""Copies of a finished run with features of real photographs, to map."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save

import headstart as hs
from headstart.runs.features import write_feature_images
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import write_predictions
from headstart.runs.thumbnails import write_thumbnails


def make_mapped_run(source: Path, folder: Path, files: Sequence[Path], side: int) -> RunFolder:
    """A copy of ``source`` with the validation images ``files``, in folders of their classes, in this order.

    Features are the photographs themselves, ``side`` x ``side`` pixels; predictions are the nearest class mean.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("features", "analysis", "thumbnails.zip"))
    (folder / "checksums.json").unlink()
    run = RunFolder(folder)
    pictures = [np.asarray(Image.open(file).convert("RGB").resize((96, 96))) for file in files]
    features = np.array([np.asarray(Image.fromarray(each).resize((side, side))).ravel() / 255 for each in pictures])
    labels = np.array([run.classes.index(file.parent.name) for file in files])
    means = np.array([features[labels == label].mean(axis=0) for label in range(len(run.classes))])
    scores = np.exp(-((features[:, None] - means) ** 2).sum(axis=2))
    p = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    names = [f"{file.parent.name}/{file.name}" for file in files]
    write_feature_images(run, names, ["val"] * len(names), [file.parent.name for file in files])
    for epoch, share in ((1, 0.5), (2, 1.0)):
        tensors = {"features": (features**share).astype(np.float32), "probabilities": p}
        run.write(f"features/epoch-{epoch:04}.safetensors", save(tensors, metadata={"seconds": "0"}))
    write_predictions(run, names, labels.tolist(), run.classes, p)
    write_thumbnails(run, pictures)
    hs.Run(folder).map()
    return run
