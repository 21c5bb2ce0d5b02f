"""The maps of a run as a Parquet table for other programs (Embedding Atlas and the like): a row per image and epoch.

Columns: ``filename``, ``split``, ``label``, ``epoch``, the coordinates of each map (``tsne_x``, ``tsne_y``, ``pca_x``,
``pca_y``), for classifiers ``predicted``, ``confidence`` and ``correct``, and ``image``, the thumbnail as JPEG
(``{"bytes": ..., "path": filename}``, as data sets on the Hugging Face hub have it), where the run has thumbnails.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from headstart.environment import require_extra
from headstart.errors import HeadstartError, quoted
from headstart.files import require_place, write_atomically
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.features import has_features, read_features
from headstart.runs.folder import RunFolder
from headstart.runs.thumbnails import read_thumbnails


def require_table(file: Path, overwrite: bool) -> None:
    """Raise HeadstartError unless ``file`` may be written as a Parquet table, before anything is computed."""
    require_extra("parquet", ("pyarrow",))
    if file.suffix.casefold() != ".parquet":
        raise HeadstartError(
            f"--export: expected a file that ends in .parquet, found {file}", f"--export {file.stem or 'maps'}.parquet"
        )
    if file.is_dir():
        raise HeadstartError(f"{file}: expected a file to write, found a folder", f"--export {file / 'maps.parquet'}")
    if os.path.lexists(file) and not overwrite:
        raise HeadstartError(
            f"{file}: expected a free name, found a file",
            f"--export with another name, or --force to replace {file.name}",
        )
    require_place(file, "--export")


def write_map_table(run: RunFolder, file: Path, *, overwrite: bool = False) -> Path:
    """Write the latest maps of ``run`` to ``file`` (.parquet), and return its path.

    Needs the extra ``parquet``. Raises HeadstartError without maps, for another ending, and for a file that is there
    unless ``overwrite``.
    """
    require_table(file, overwrite)
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = (read_feature_analysis(run) or (None, []))[1]
    if not rows:
        raise HeadstartError(f"{run.path}: expected maps of features, found none", f"headstart map {quoted(run.path)}")
    images = run.feature_images
    columns: dict[str, list[Any]] = {
        name: [images[row["row"]][name] for row in rows] for name in ("filename", "split", "label")
    }
    columns |= {name: [row[name] for row in rows] for name in rows[0] if name != "row"}
    columns |= _predictions(run, rows, columns["label"])
    thumbnails = read_thumbnails(run, sorted({row["row"] for row in rows}))
    if thumbnails:
        columns["image"] = [
            {"bytes": thumbnails.get(row["row"]), "path": name}
            for row, name in zip(rows, columns["filename"], strict=True)
        ]
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    write_atomically(file, content.getvalue())
    return file


def _predictions(run: RunFolder, rows: list[dict[str, Any]], labels: list[str]) -> dict[str, list[Any]]:
    """Predicted class, its probability, and whether it is the label: None where there is no label."""
    found: dict[int, tuple[list[int], list[float]]] = {}
    for epoch in sorted({row["epoch"] for row in rows}):
        if not has_features(run, [epoch]):
            return {}
        p = read_features(run, [epoch]).epochs[0].probabilities
        if not p.shape[1]:
            return {}
        found[epoch] = p.argmax(axis=1).tolist(), p.max(axis=1).tolist()
    names = run.classes
    predicted = [names[found[row["epoch"]][0][row["row"]]] for row in rows]
    return {
        "predicted": predicted,
        "confidence": [found[row["epoch"]][1][row["row"]] for row in rows],
        "correct": [one == label if label else None for one, label in zip(predicted, labels, strict=True)],
    }
