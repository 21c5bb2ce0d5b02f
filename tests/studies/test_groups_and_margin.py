"""Images of one group count together in a study's intervals, and the margin of equivalence is the reader's choice."""

from __future__ import annotations

from pathlib import Path

import pytest

import headstart as hs
from headstart.comparison.study import read_study
from headstart.errors import HeadstartError
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_groups

pytestmark = pytest.mark.slow

TINY = {"data.image_size": 32, "augment.sizes": [], "backbone.name": "resnet10t", "backbone.weights": "none"}


def test_the_group_of_each_image_and_the_margin_are_in_the_study(photos: Path, tmp_path: Path) -> None:
    """Groups of about three photographs, by their names."""
    for folder in sorted(photos.iterdir()):
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"p{number // 3}{folder.name}_{number}{file.suffix}")
    out = tmp_path / "study"
    changes = {**TINY, "data.group_regex": r"p\d+[a-z]+"}
    hs.study(photos, margin=5, settings="G", labels=[1.0], seeds=1, out=out, budget=None, overrides=changes)
    study = read_study(out / "study.json")
    assert study.margin == pytest.approx(0.05)
    assert study.groups is not None
    (trial,) = (out / "trials").iterdir()
    names = [row["filename"].split("/")[-1].split("_")[0] for row in RunFolder.open(trial).predictions]
    stored = read_groups(RunFolder.open(trial), [row["filename"] for row in RunFolder.open(trial).predictions])
    assert stored == list(study.groups)
    assert len(set(names)) < len(names) == len(study.groups) == study.images
    assert len(set(zip(names, study.groups, strict=True))) == len(set(names)) == len(set(study.groups))


@pytest.mark.parametrize("target", ["0", "100", "nan"])
def test_a_target_that_cannot_be_is_refused(photos: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(HeadstartError, match="--target: expected per cent above 0 and below 100"):
        hs.study(photos, target=float(target), settings="G", out=tmp_path / "study", overrides=TINY)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("margin", ["0", "-1", "100", "nan"])
def test_a_margin_that_cannot_be_is_refused(photos: Path, tmp_path: Path, margin: str) -> None:
    with pytest.raises(HeadstartError, match="--margin: expected points above 0 and below 100"):
        hs.study(photos, margin=float(margin), settings="G", out=tmp_path / "study", overrides=TINY)
    assert not (tmp_path / "study").exists()
