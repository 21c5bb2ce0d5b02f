"""Masks from end to end: trained on small aerial pairs, and what fit, predict and evaluate say of the same images."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file
from sklearn.metrics import confusion_matrix, jaccard_score

import headstart as hs
from command import headstart
from headstart.data.masks.codec import read_mask
from headstart.inference.segment import MaskPredictions
from headstart.metrics.segmentation import SegmentationMetrics
from headstart.recipes import recipe as recipes
from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
from headstart.training.loop import train
from headstart.training.setup import start
from interrupted import stopped_and_resumed
from narrow import narrow

pytestmark = [pytest.mark.slow, pytest.mark.real_too]

SMALL = {
    "task": "segment",
    "data.resize": "keep",
    "data.image_size": 64,
    "augment.sizes": [],
    "augment.hflip": 0.5,
    "augment.vflip": 0.5,
    "augment.rotate": 10.0,
    "augment.zoom": [0.8, 1.5],
    "backbone.name": "test_resnet",
    "backbone.weights": "none",
    "decoder.channels": 16,
    "decoder.dropout": 0.1,
    "train.epochs": 2,
    "train.batch_size": 4,
    "val.batch_size": 3,
    "checkpoint.monitor": "val_miou",
    "analysis.masks": ["0036", "0038_sat"],
}


def small(**changes: object) -> recipes.Recipe:
    return recipes.load("quick", SMALL | {name.replace("__", "."): value for name, value in changes.items()})


@pytest.fixture(scope="session")
def pairs(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve aerial pairs, cut to 96 x 80 pixels: eight to train on and four to validate."""
    root = tmp_path_factory.mktemp("pairs")
    source = shared_data("aerial")
    shutil.copy(source / "class_dict.csv", root)
    for split, count in (("train", 8), ("val", 4)):
        (root / split).mkdir()
        for file in sorted((source / split).glob("*_sat.jpg"))[:count]:
            for part in (file, file.with_name(file.name.replace("_sat.jpg", "_mask.png"))):
                Image.open(part).crop((100, 100, 196, 180)).save(root / split / part.name, quality=95)
    return root


@pytest.fixture(scope="session")
def run(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("masks") / "run"
    for _ in train(start(small(), str(pairs), folder)):
        pass
    return RunFolder.open(folder)


def truths(run: RunFolder, pairs: Path, split: str = "val") -> list[NDArray[np.uint8]]:
    assert run.palette is not None
    return [read_mask(file, run.palette) for file in sorted((pairs / split).glob("*_mask.png"))]


def test_fit_predict_and_evaluate_say_the_same_of_the_same_images(run: RunFolder, pairs: Path, tmp_path: Path) -> None:
    """One confusion matrix per image: as fit wrote it, and of the masks that predict writes (scikit-learn's)."""
    kept = load_file(run.path / "confusion.safetensors")["confusion"]
    classes = len(run.classes)
    assert kept.shape == (4, classes, classes)
    assert kept.dtype == np.int64
    assert headstart("predict", run.path, pairs / "val", "--out", tmp_path / "out")[0] == 0
    written, true = sorted((tmp_path / "out").iterdir()), truths(run, pairs)
    assert [file.name for file in written] == [file.name for file in sorted((pairs / "val").glob("*_mask.png"))]
    assert run.palette is not None
    said = [read_mask(file, run.palette) for file in written]
    for matrix, truth, answer in zip(kept, true, said, strict=True):
        counted = truth < classes
        theirs = confusion_matrix(truth[counted], answer[counted], labels=list(range(classes)))
        assert np.abs(matrix - theirs).sum() <= 0.002 * counted.sum()  # a pixel between two classes goes either way
    best = max((row for row in run.metrics if row["split"] == "val"), key=lambda row: row["miou"])
    judged = json.loads(headstart("evaluate", run.path, pairs, "--json")[1])
    assert (judged["split"], judged["images"], judged["excluded"]) == ("val", 4, 0)
    assert judged["miou"]["value"] == pytest.approx(best["miou"], abs=1e-6)
    assert judged["accuracy"]["value"] == pytest.approx(best["accuracy"], abs=1e-6)
    flat, answers = np.concatenate([t.ravel() for t in true]), np.concatenate([s.ravel() for s in said])
    there = sorted({*flat[flat < classes].tolist(), *answers[flat < classes].tolist()})
    theirs = jaccard_score(flat[flat < classes], answers[flat < classes], labels=there, average="macro")
    assert judged["miou"]["value"] == pytest.approx(theirs, abs=2e-3)


def test_masks_of_the_images_named_are_kept_over_the_epochs(run: RunFolder, pairs: Path) -> None:
    """As numbers, which show in the palette's colors."""
    folder = run.path / "masks"
    places = ["best", "epoch-0001", "epoch-0002", "images", "truth", "uncertainty"]
    assert sorted(each.name for each in folder.iterdir()) == places
    assert run.palette is not None
    for epoch in ("epoch-0001", "epoch-0002"):
        assert sorted(file.name for file in (folder / epoch).iterdir()) == ["0036_sat.png", "0038_sat.png"]
    for name in ("0036_sat", "0038_sat"):
        truth = read_mask(pairs / "val" / f"{name[:4]}_mask.png", run.palette)
        with Image.open(folder / "truth" / f"{name}.png") as picture:
            assert np.array_equal(np.asarray(picture), truth)
            assert np.array_equal(np.asarray(picture.convert("RGB")), run.palette.colorize(truth))
        with Image.open(folder / "images" / f"{name}.jpg") as picture:
            assert (picture.size, picture.mode) == ((96, 80), "RGB")
        with Image.open(folder / "epoch-0002" / f"{name}.png") as picture:
            assert np.asarray(picture).shape == (80, 96)
            assert int(np.asarray(picture).max()) < len(run.classes)
        with Image.open(folder / "uncertainty" / f"{name}.png") as picture:
            steps = np.asarray(picture)
        assert steps.shape == (80, 96)
        assert steps.max() <= 15
        assert steps.mean() > 7  # two epochs from random weights: it is sure of nothing


def test_masks_of_the_kept_weights_are_those_that_were_counted(run: RunFolder) -> None:
    """Of the worst images and the best, here all four."""
    kept, classes = load_file(run.path / "confusion.safetensors")["confusion"], len(run.classes)
    names = [Path(row["filename"]).stem for row in run.feature_images if row["split"] == "val"]
    assert sorted(file.stem for file in (run.path / "masks" / "best").iterdir()) == sorted(names)
    for name, matrix in zip(names, kept, strict=True):
        truth, answer = (np.asarray(Image.open(run.path / "masks" / p / f"{name}.png")) for p in ("truth", "best"))
        counted = truth < classes
        theirs = confusion_matrix(truth[counted], answer[counted], labels=list(range(classes)))
        assert np.abs(matrix - theirs).sum() <= 0.002 * counted.sum()  # a pixel between two classes goes either way


def test_the_report_of_a_run_on_masks_shows_its_figures(run: RunFolder) -> None:
    best = max((row for row in run.metrics if row["split"] == "val"), key=lambda row: row["miou"])
    page = write_report(run).read_text(encoding="utf-8")
    (written,) = re.findall(r'id="headline">Validation mean IoU ([\d.]+)\s%', page)
    assert float(written) == pytest.approx(100 * best["miou"], abs=0.5)
    (viewer,) = re.findall(r'id="mask-data">(.*?)</script>', page)
    images = json.loads(viewer)["images"]
    assert [len(image["predictions"]) for image in images] == [2, 2, 1, 1]
    assert all(image["uncertainty"] for image in images)
    assert "its decoder, deeplabv3plus" in page
    assert 'id="mask-slider"' in page


def test_a_class_that_is_in_validation_alone_is_named_when_training_begins(
    run: RunFolder, pairs: Path, tmp_path: Path
) -> None:
    data = tmp_path / "pairs"
    shutil.copytree(pairs, data)
    (data / "class_dict.csv").write_text((data / "class_dict.csv").read_text() + "moor,128,64,0\n")
    mask = next((data / "val").glob("*_mask.png"))
    painted = Image.open(mask).convert("RGB")
    painted.paste((128, 64, 0), (0, 0, 20, 20))
    painted.save(mask)
    (tmp_path / "small.toml").write_text(small(train__epochs=1).to_toml())
    status, _, told = headstart("fit", tmp_path / "small.toml", data, "--out", tmp_path / "run")
    assert status == 0
    trained, judged = (set(np.unique(truths(run, pairs, split))) for split in ("train", "val"))
    names = [run.classes[number] for number in sorted(judged - trained) if number < len(run.classes)]
    quoted = ", ".join(f'"{name}"' for name in [*names, "moor"])
    assert f"{quoted} {'are' if names else 'is'} in validation but not in training" in told


def test_the_pairs_of_deepglobe_are_read_trained_on_and_written_back_in_their_colors(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    data = shared_data("deepglobe_sample")
    (tmp_path / "small.toml").write_text(small(train__epochs=1, analysis__masks=[]).to_toml())
    assert headstart("fit", tmp_path / "small.toml", data, "--out", tmp_path / "run")[0] == 0
    assert headstart("predict", tmp_path / "run", data, "--out", tmp_path / "masks")[0] == 0
    written = sorted((tmp_path / "masks").iterdir())
    assert [file.name for file in written] == ["0008_mask.png", "0097_mask.png", "0107_mask.png"]
    names_and_colors = [line.split(",") for line in (data / "class_dict.csv").read_text().split()[1:]]
    colors = {tuple(map(int, color)) for name, *color in names_and_colors if name != "unknown"}
    for file in written:
        mask = Image.open(file)
        assert mask.size == (512, 512)
        assert {color for _, color in narrow(mask.getcolors(), list)} <= colors


def test_an_image_to_show_that_is_not_there_is_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(hs.HeadstartError, match=r"analysis\.masks 0063: expected a validation image.*did you mean 003"):
        start(small(analysis__masks=["0036", "0063"]), str(pairs), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_image_to_show_that_cannot_be_read_is_refused_before_anything_is_written(
    pairs: Path, tmp_path: Path
) -> None:
    data = tmp_path / "pairs"
    shutil.copytree(pairs, data)
    whole = (data / "val" / "0036_sat.jpg").read_bytes()
    (data / "val" / "0036_sat.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(hs.HeadstartError, match=r"analysis\.masks 0036: expected a validation image"):
        start(small(data__skip_unreadable=True), str(data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stopped_within_an_epoch_and_resumed_it_ends_at_the_same_masks(
    run: RunFolder, pairs: Path, tmp_path: Path
) -> None:
    stopped_and_resumed(4, tmp_path / "stopped", pairs, small())
    for name in ("confusion.safetensors", "weights/best.safetensors"):
        ours, theirs = (load_file(folder / name) for folder in (tmp_path / "stopped", run.path))
        assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("views", [0, 2])
def test_a_frozen_backbone_is_run_once_and_its_decoder_learns_from_the_masks(
    views: int, pairs: Path, tmp_path: Path
) -> None:
    recipe = small(backbone__freeze=True, probe__views=views, train__epochs=4, augment__rotate=0.0)
    training = start(recipe, str(pairs), tmp_path / "run")
    assert training.feature_cache is not None
    assert len(training.feature_cache.augmented) == views
    assert all(view.masks is not None for view in training.feature_cache.augmented)
    for _ in train(training):
        pass
    losses = [row["loss"] for row in RunFolder.open(tmp_path / "run").metrics if row["split"] == "train"]
    assert losses[-1] < losses[0]


def test_a_run_on_masks_is_used_from_python(run: RunFolder, pairs: Path, tmp_path: Path) -> None:
    opened = hs.Run(run.path)
    answer = narrow(opened.predict(pairs / "val"), MaskPredictions)
    assert [file.name for file in answer.files] == [f.name for f in sorted((pairs / "val").glob("*_sat.jpg"))]
    assert [mask.shape for mask in answer.masks] == [(80, 96)] * 4
    written = opened.write_masks(pairs / "val", tmp_path / "out", overlay=True, flip=True)
    assert len(written.masks) == 4
    assert len(list((tmp_path / "out").iterdir())) == 8
    measures = narrow(opened.evaluate(pairs).metrics, SegmentationMetrics)
    best = max((row for row in run.metrics if row["split"] == "val"), key=lambda row: row["miou"])
    assert measures.miou.value == pytest.approx(best["miou"], abs=1e-6)
    assert measures.miou.low <= measures.miou.value <= measures.miou.high


def test_what_cannot_be_done_with_masks_is_said_in_one_line(run: RunFolder, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    images = (pairs / "val" / "*_sat.jpg", tmp_path / "text.png")
    status, _, err = headstart("predict", run.path, *images, "--out", tmp_path / "o")
    assert status == 1
    assert f"skipped {tmp_path / 'text.png'}: not an image" in err
    assert len(list((tmp_path / "o").iterdir())) == 4
    for words, said in (
        ([], "expected --out FOLDER"),
        (["--out", "x", "--probabilities"], "expected --out FOLDER"),
        (["--out", pairs / "val"], "expected a place outside the images"),
    ):
        status, _, err = headstart("predict", run.path, pairs / "val", *words)
        assert status == 2
        assert said in err


def test_other_pairs_are_judged_by_the_names_of_their_classes(run: RunFolder, pairs: Path, tmp_path: Path) -> None:
    """The same images with the classes listed in another order, and without the file that lists them."""
    other = Path(shutil.copytree(pairs, tmp_path / "other"))
    header, *rows = (other / "class_dict.csv").read_text().split()
    (other / "class_dict.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    expected = hs.Run(run.path).evaluate(pairs).metrics
    assert hs.Run(run.path).evaluate(other).metrics.confusion == expected.confusion
    (other / "class_dict.csv").unlink()
    assert hs.Run(run.path).evaluate(other).metrics.confusion == expected.confusion
    (other / "class_dict.csv").write_text("\n".join([header, *rows]).replace("water", "waters") + "\n")
    with pytest.raises(hs.HeadstartError, match=r"class waters: expected the classes of .*did you mean water"):
        hs.Run(run.path).evaluate(other)


def test_pairs_that_were_trained_on_are_left_out(run: RunFolder, pairs: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(pairs / "class_dict.csv", mixed)
    for file in (*(pairs / "val").iterdir(), *(pairs / "train").iterdir()):
        shutil.copy(file, mixed)
    _, out, err = headstart("evaluate", run.path, mixed, "--json")
    judged = json.loads(out)
    assert (judged["split"], judged["images"], judged["excluded"]) == ("all", 4, 8)
    assert "excluded 8 images" in err
