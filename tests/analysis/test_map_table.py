"""The maps of a run as a Parquet table, read back by pandas."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import headstart as hs
from command import headstart
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.features import read_features
from headstart.runs.folder import RunFolder


def test_the_table_holds_places_predictions_and_thumbnails(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = RunFolder.open(trained[0])
    table = pd.read_parquet(hs.Run(run.path).export_map(tmp_path / "maps.parquet"))
    rows = (read_feature_analysis(run) or pytest.fail("no maps"))[1]
    np.testing.assert_allclose(table[["tsne_x", "pca_y"]], [[row["tsne_x"], row["pca_y"]] for row in rows])
    stored = read_features(run)
    for each in stored.epochs:
        part = table[table["epoch"] == each.epoch]
        assert part["filename"].tolist() == list(stored.filenames)
        np.testing.assert_allclose(part["confidence"], each.probabilities.max(axis=1))
        right = each.probabilities.argmax(axis=1) == stored.labels
        assert part["correct"].tolist() == right.tolist()
    assert Image.open(io.BytesIO(table["image"][0]["bytes"])).format == "JPEG"


def test_other_files_are_refused_before_any_work(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    mine = tmp_path / "mine.parquet"
    mine.write_text("mine")
    for name, words in (("maps.csv", "ends in .parquet"), (mine.name, "expected a free name")):
        done = headstart("map", run, "--export", tmp_path / name)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert mine.read_text() == "mine"
    done = headstart("map", run, "--export", mine, "--force", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_parquet(mine)["epoch"]) == {3}
