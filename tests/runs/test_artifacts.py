"""Every artifact of a run folder comes back as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import headstart as hs
from headstart.metrics.bootstrap import Interval
from headstart.palette import Palette
from headstart.recipes import recipe as recipes
from headstart.runs import analysis, confusion, features, heat_maps, mask_snapshots, predictions, thumbnails
from headstart.runs.folder import RunFolder
from headstart.runs.folder_format import FORMAT
from headstart.runs.training_images import read_trained_on, write_trained_on

CLASSES = ["hat", "1e3"]
PALETTE = Palette(("road", "water"), ((255, 0, 0), (0, 0, 255)), (0, 1), "color")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A new run of two classes, three validation images and a training image."""
    facts = {"root": "photos", "classes": CLASSES, "palette": PALETTE.to_json()}
    run = RunFolder.create(tmp_path / "run", recipes.load("quick"), {"headstart": "0.1.0"}, facts)
    names, splits = ["a.jpg", "b.jpg", "c.jpg", "t.jpg"], ["val", "val", "val", "train"]
    features.write_feature_images(run, names, splits, ["hat", "1e3", "", "hat"])
    return run


def test_predictions_come_back(run: RunFolder) -> None:
    probabilities = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    assert predictions.read_predictions(run) is None
    predictions.write_predictions(run, ["a.jpg", "b.jpg"], [1, 0], CLASSES, probabilities)
    stored = predictions.read_predictions(run)
    assert stored is not None
    assert (stored.filenames, stored.labels.tolist()) == (["a.jpg", "b.jpg"], [1, 0])
    assert (stored.probabilities == probabilities).all()
    assert run.predictions[0] == {
        "filename": "a.jpg", "label": "1e3", "predicted": "1e3", "probability_hat": "0.25", "probability_1e3": "0.75",
    }  # fmt: skip


def test_confusion_matrices_come_back(run: RunFolder) -> None:
    matrices = np.arange(12).reshape(3, 2, 2)
    assert confusion.read_mask_confusions(run) is None
    confusion.write_mask_confusions(run, matrices)
    stored = confusion.read_mask_confusions(run)
    assert stored is not None
    assert stored.filenames == ("a.jpg", "b.jpg", "c.jpg")
    assert (stored.confusion == matrices).all()
    assert load_file(run.path / confusion.NAME)["confusion"].dtype == np.int64


def test_features_come_back(run: RunFolder) -> None:
    random = np.random.default_rng(0)
    written = [(random.random((4, 5), np.float32), random.random((4, 2), np.float32)) for _ in range(2)]
    for epoch, (vectors, probabilities) in enumerate(written):
        features.write_epoch_features(run, epoch, vectors, probabilities, seconds=1.5)
    stored = features.read_features(run)
    assert (stored.filenames, stored.splits.tolist()) == (("a.jpg", "b.jpg", "c.jpg", "t.jpg"), ["val"] * 3 + ["train"])
    assert (stored.labels.tolist(), stored.labeled) == ([0, 1, -1, 0], False)
    assert [(each.epoch, each.seconds) for each in stored.epochs] == [(1, 1.5), (2, 1.5)]
    for each, (vectors, probabilities) in zip(stored.epochs, written, strict=True):
        assert (each.features == vectors).all()
        assert (each.probabilities == probabilities).all()
    assert [each.epoch for each in features.read_features(run, [2]).epochs] == [2]
    missing = run.path / "features" / "epoch-0001.safetensors"
    missing.unlink()  # maps without it would be others
    with pytest.raises(
        hs.HeadstartError, match=r"epoch-0001\.safetensors: expected the file that headstart wrote, found n"
    ):
        features.read_features(run)
    assert [each.epoch for each in features.read_features(run, [2]).epochs] == [2]
    (run.path / "checksums.json").unlink()  # on purpose
    assert [each.epoch for each in features.read_features(run).epochs] == [2]


def test_masks_come_back_and_those_of_the_best_weights_first(run: RunFolder) -> None:
    mask = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)
    for folder in (mask_snapshots.TRUTH, mask_snapshots.epoch_folder(0), mask_snapshots.epoch_folder(1), "best"):
        mask_snapshots.write_mask(run, folder, "a", mask, PALETTE)
    mask_snapshots.write_image(run, "a", np.full((20, 30, 3), 128, np.uint8))
    masks = run.path / "masks"
    entropy = np.linspace(0, 1, 800, dtype=np.float32)[None].repeat(40, axis=0)
    mask_snapshots.write_uncertainty(run, "a", entropy)
    steps = mask_snapshots.read_mask(run, run.path / "masks" / "uncertainty" / "a.png")
    assert steps.shape == (19, 384)
    assert (np.abs(steps / 15 - np.linspace(0, 1, 384)) <= 0.5 / 15 + 0.002).all()
    folders = mask_snapshots.prediction_folders(run, best_epoch=2)
    assert folders == {1: [masks / "epoch-0001"], 2: [masks / "best", masks / "epoch-0002"]}
    assert (mask_snapshots.read_mask(run, masks / "best" / "a.png") == mask).all()
    assert mask_snapshots.read_image(run, masks / "images" / "a.jpg").size == (30, 20)
    with pytest.raises(hs.HeadstartError, match=r"a\.jpg: expected a mask of class indices, found an image"):
        mask_snapshots.read_mask(run, masks / "images" / "a.jpg")
    run.write("masks/best/a.png", b"half")
    with pytest.raises(hs.HeadstartError, match=r"a\.png: expected an image, found a damaged file"):
        mask_snapshots.read_mask(run, masks / "best" / "a.png")


def test_heat_maps_come_back_by_row(run: RunFolder) -> None:
    assert heat_maps.read_heat_maps(run, [0]) == {}
    corner = np.array([[1, 0], [0, 0]], np.float32)
    heat_maps.write_heat_maps(run, {7: corner, 2: corner[::-1]})
    stored = heat_maps.read_heat_maps(run, [2, 7, 9])
    assert sorted(stored) == [2, 7]
    assert stored[7].shape == (heat_maps.SIDE, heat_maps.SIDE)
    assert (stored[7][0, 0], stored[2][-1, 0]) == (255, 255)
    assert (stored[7][-1, -1], stored[2][0, 0]) == (0, 0)
    run.write(heat_maps.NAME, b"half")
    assert heat_maps.read_heat_maps(run, [7]) == {}


def test_thumbnails_come_back_by_row(run: RunFolder) -> None:
    assert thumbnails.read_thumbnails(run, [0]) == {}
    thumbnails.write_thumbnails(run, [np.full((300, 150, 3), 10 * i, np.uint8) for i in range(4)])
    stored = thumbnails.read_thumbnails(run, [3, 0, 9])
    assert list(stored) == [3, 0]
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in stored.values())
    run.write(thumbnails.NAME, b"half")
    assert thumbnails.read_thumbnails(run, [0]) == {}


def test_an_analysis_comes_back_with_its_maps(run: RunFolder) -> None:
    metrics = analysis.EpochMetrics(
        images=3, accuracy=Interval(0.5, 0.25, 0.75), loss=None, ece=None, brier=None, knn=None, purity=None,
        silhouette=None,
    )  # fmt: skip
    epoch = analysis.EpochAnalysis(epoch=1, val=metrics, train=None, variance=0.5)
    written = analysis.FeatureAnalysis(epochs=(epoch,), scaling=None, perplexity=None, split="all", seed=0)
    assert analysis.read_feature_analysis(run) is None
    analysis.write_feature_analysis(run, written, [{"epoch": 1, "row": 0, "pca_x": 0.5, "pca_y": -1.0}])
    assert analysis.read_feature_analysis(run) == (written, [{"epoch": 1, "row": 0, "pca_x": 0.5, "pca_y": -1.0}])
    run.write(analysis.NAME, b"{ half")
    with pytest.raises(hs.HeadstartError, match=r"feature_analysis\.json: expected what headstart map writes"):
        analysis.read_feature_analysis(run)


def test_the_training_images_come_back(run: RunFolder) -> None:
    one, other = "aa" * 16, "bb" * 16
    with pytest.raises(hs.HeadstartError, match="found no such file"):
        read_trained_on(run)
    write_trained_on(run, [other, one, other])
    assert read_trained_on(run) == {one, other}
    assert (run.path / "trained_on.txt").read_text() == f"{one}\n{other}\n"


def test_what_is_known_at_the_start_comes_back(run: RunFolder) -> None:
    opened = RunFolder.open(run.path)
    assert opened.recipe == recipes.load("quick")
    assert opened.environment == {"format": FORMAT, "headstart": "0.1.0"}
    assert (opened.classes, opened.palette) == (CLASSES, PALETTE)
    assert (opened.metrics, opened.predictions, opened.architecture, opened.finished) == ([], [], None, False)
    network = {"input": [3, 8, 8], "parameters": 9, "trained": 9, "backbone": [], "head": []}
    run.write_json("architecture.json", network)
    run.write_json("probe.json", {"C": 0.1})
    assert (opened.architecture, opened.probe) == (network, {"C": 0.1})


@pytest.mark.parametrize(
    ("found", "message", "hint"),
    [
        (None, r"format 2, found none: it was written by an earlier headstart \(headstart 0\.1\.0\)", "headstart fit"),
        (1, "format 2, found 1: it was written by an earlier headstart", "headstart fit"),
        (3, r"format 2, found format 3, written by headstart 0\.1\.0", "pip install --upgrade headstart"),
    ],
)
def test_a_run_of_another_format_is_refused(run: RunFolder, found: int | None, message: str, hint: str) -> None:
    content = json.loads((run.path / "environment.json").read_text()) | {"format": found}
    run.write_json("environment.json", {name: value for name, value in content.items() if value is not None})
    with pytest.raises(hs.HeadstartError, match=message) as error:
        RunFolder.open(run.path)
    assert error.value.hint.startswith(hint)


PLAIN = {"kind": "x", "shape": [3, 8, 8], "parameters": 1}
DECODER = {"input": [3, 32, 32], "parameters": 9, "trained": 9, "backbone": [], "head": [PLAIN], "sides": []}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("architecture.json", {"input": [3, 32, 32], "parameters": 9, "trained": 9, "backbone": []}),
        ("architecture.json", {"input": [3, 32, 32], "trained": 9, "backbone": [], "head": []}),
        ("architecture.json", DECODER | {"head": []}),
        ("architecture.json", DECODER | {"head": [PLAIN, {"kind": "x", "branches": [[PLAIN]]}]}),
        ("architecture.json", DECODER | {"head": [{"kind": "x", "branches": []}, PLAIN]}),
        ("architecture.json", DECODER | {"head": [{"kind": "x", "branches": [[PLAIN], []]}, PLAIN]}),
        ("architecture.json", DECODER | {"head": [{"kind": "x", "branches": None}, PLAIN]}),
        ("architecture.json", DECODER | {"sides": [{"name": "x", "map": None, "layers": [], "joins": None}]}),
        ("architecture.json", DECODER | {"sides": [{"name": "x", "map": None, "layers": [PLAIN], "joins": 1}]}),
        ("data.json", {"root": "photos", "classes": CLASSES, "counts": {"train": {"hat": 3}}}),
    ],
)
def test_what_a_reader_looks_up_is_there_or_the_file_is_refused(
    run: RunFolder, name: str, content: dict[str, object]
) -> None:
    run.write(name, json.dumps(content).encode())
    with pytest.raises(hs.HeadstartError, match=name):
        _ = run.architecture if name == "architecture.json" else run.data


def test_a_palette_has_defaults_and_values_that_are_known_or_the_file_is_refused(run: RunFolder) -> None:
    needed = {"names": ["sky", "road"], "colors": [[0, 0, 0], [1, 1, 1]], "values": [], "kind": "color"}
    facts = {"root": "photos", "classes": ["sky", "road"]}
    run.write_json("data.json", facts | {"palette": needed})
    assert run.palette == Palette(("sky", "road"), ((0, 0, 0), (1, 1, 1)), (), "color")
    for name, value in (("mode", "CMYK"), ("transparency", "no"), ("soft", 2), ("ignored", -1)):
        run.write_json("data.json", facts | {"palette": needed | {name: value}})
        with pytest.raises(hs.HeadstartError, match=rf"data\.json: .*palette\.{name}"):
            _ = run.palette
    run.write_json("data.json", facts | {"palette": needed, "classes": ["sky"]})
    with pytest.raises(hs.HeadstartError, match=r"data\.json: .*as many classes as the palette"):
        _ = run.palette


@pytest.mark.parametrize(
    "table",
    ["epoch,row,pca_x\n1,0,0.5\n", "epoch,row,pca_x,pca_y\n1,0,0.5,0.5\n1,1,0.5,\n", "epoch,row,pca_x,\n1,0,0.5,1\n"],
)
def test_maps_have_x_and_y_in_every_row_or_are_refused(run: RunFolder, table: str) -> None:
    found = analysis.FeatureAnalysis(epochs=(), scaling=None, perplexity=None, split="val", seed=0)
    analysis.write_feature_analysis(run, found, [])
    run.write(analysis.MAPS, table.encode())
    with pytest.raises(hs.HeadstartError, match=r"maps\.csv: expected x and y of each map"):
        analysis.read_feature_analysis(run)
