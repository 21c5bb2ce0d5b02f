"""`headstart check RUN IMAGES`: images of the same kind pass, blurred ones and those of another source do not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import headstart as hs
from command import headstart, refused
from headstart.metrics.neighbors import neighbor_distances
from headstart.metrics.shift import differences, outside
from headstart.runs.features import read_features
from robustness import material


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[hs.Run, Path]:
    """A classifier of cuts of three photographs on ImageNet's features, 30 of them for validation."""
    top = tmp_path_factory.mktemp("check")
    data = material.labeled(top / "labeled", each=40)
    changes = {"data.image_size": material.SIDE, "augment.sizes": [], "backbone.freeze": True, "train.epochs": 1}
    return hs.fit("quick", data, out=top / "run", overrides=changes), data


def files(data: Path, split: str) -> list[Path]:
    return sorted((data / split).rglob("*.png"))


def test_its_distances_are_those_of_the_stored_features(run: tuple[hs.Run, Path]) -> None:
    """The validation images themselves, from their files: equal to what the run stored after its last epoch."""
    trained, data = run
    check = trained.check_images(files(data, "val"))
    stored = read_features(trained.folder, [1])
    own, bank = (stored.epochs[0].features[stored.splits == split] for split in ("val", "train"))
    expected = dict(zip(np.array(stored.filenames)[stored.splits == "val"], neighbor_distances(own, bank), strict=True))
    for file, distance in zip(check.files, check.distance, strict=True):
        assert distance == pytest.approx(expected[file.relative_to(data).as_posix()], abs=1e-6)
    assert check.status == 0
    assert all(each.p_value > 0.9 for each in check.differences)  # but for ties and rounding they are the same


@pytest.mark.slow
def test_images_of_the_same_kind_pass_and_others_do_not(run: tuple[hs.Run, Path], tmp_path: Path) -> None:
    trained, data = run
    for file in files(data, "val"):
        image, kind = Image.open(file), file.parent.name
        slight = image.filter(ImageFilter.GaussianBlur(1))
        for name, changed in (("blur", slight), ("noise", noise(image))):
            (tmp_path / name / kind).mkdir(parents=True, exist_ok=True)
            changed.save(tmp_path / name / kind / file.name)
    done = headstart("check", trained.path, data / "val")
    assert done.returncode == 0
    assert "No sign that these 30 images are of another kind" in done.stdout
    for name in ("blur", "noise"):
        done = headstart("check", trained.path, tmp_path / name, "--json")
        found = json.loads(done.stdout)
        assert done.returncode == found["status"] == 1, name
        assert found["false_alarm_rate"] == 0.05
        assert len(found["files"]) == found["images"] == 30
        assert "sharpness" in [each["name"] for each in found["differences"] if each["significant"]], name
    assert sum(each["outside"] for each in found["files"]) > 1  # where none or one would be usual


def noise(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, np.int64)
    return Image.fromarray(
        (pixels + np.random.default_rng(0).integers(-90, 91, pixels.shape)).clip(0, 255).astype("u1")
    )


def test_what_cannot_be_compared_is_one_line(run: tuple[hs.Run, Path]) -> None:
    trained, data = run
    assert "expected images to compare with those of this run" in refused("check", trained.path)
    assert "expected at least 20 images that can be read, found 2" in refused(
        "check", trained.path, *files(data, "val")[:2]
    )
    assert "no other option than --json" in refused("check", trained.path, data / "val", "--layout", "names")


@pytest.mark.slow
def test_alarms_of_the_same_kind_are_at_most_as_many_as_named() -> None:
    """Scores of one distribution, those of confidence with many ties at 1; two tests that depend on each other."""
    random, alarms = np.random.default_rng(1), 0
    for _ in range(300):
        features = random.normal(size=(75, 3)) + 1
        scores = features[:, 0]
        both = {"distance": scores, "confidence": np.minimum(1.0, 0.9 - 0.2 * scores)}
        validation, new = ({name: each[part] for name, each in both.items()} for part in (slice(50), slice(50, None)))
        alarms += any(each.significant for each in differences((features[:50], features[50:]), validation, new))
    assert 0 < alarms / 300 <= 0.06
    moved = {name: each + 1 for name, each in new.items()}
    assert all(each.significant for each in differences((features[:50], -features[50:]), validation, moved))
    assert outside(np.arange(1000.0), np.array([0.0, 500.0, 995.0, 2000.0])).tolist() == [False, False, True, True]
