"""What a run stored of its features, mapped and measured through the command line and the API."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import headstart as hs
from headstart.cli.main import main
from headstart.inference.model import load_model
from headstart.recipes import recipe as recipes
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.features import read_features
from headstart.runs.folder import RunFolder
from narrow import given, narrow

pytestmark = pytest.mark.slow


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    """A copy of a finished run, to change."""
    return RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["headstart", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def edit(run: RunFolder, epoch: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
    name = f"features/epoch-{epoch:04}.safetensors"
    tensors = load_file(run.path / name)
    tensors["features"] = change(tensors["features"])
    run.write(name, save(tensors, metadata={"seconds": "0"}))


@pytest.mark.slow
def test_features_of_the_chosen_epochs_are_stored_for_validation_and_a_sample(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    recipe = recipes.override(small(), {"analysis.epochs": [2, 3], "analysis.train_samples": 10})
    run = hs.fit(recipe, photos, out=tmp_path / "run")
    stored = read_features(run.folder)
    assert [each.epoch for each in stored.epochs] == [2, 3]
    assert (stored.splits == "val").sum() == 12
    assert (stored.splits == "train").sum() == 10
    assert stored.epochs[0].features.shape == (22, 96)
    assert stored.epochs[0].probabilities.shape == (22, 3)
    predicted = {row["filename"]: row for row in run.folder.predictions}
    assert [predicted[name]["label"] for name in stored.filenames[:12]] == [
        stored.classes[label] for label in stored.labels[:12]
    ]


def test_by_default_the_first_the_middle_and_the_last_epoch_are_looked_at() -> None:
    assert recipes.load("resnet18-scratch").analysis_epochs() == (0, 49, 99)  # the report's 1, 50 and 100
    assert recipes.load("quick", {"train.epochs": 1}).analysis_epochs() == (0,)
    assert recipes.load("quick", {"analysis.epochs": [4, 2, 2]}).analysis_epochs() == (1, 3)
    with pytest.raises(hs.HeadstartError, match=r"analysis.epochs: expected 1 to 6, found \(7,\)"):
        recipes.load("quick", {"analysis.epochs": [7]})


def test_stored_features_are_what_the_last_layer_works_on(run: RunFolder) -> None:
    """The weights of the last epoch, put on the stored features, give the stored probabilities and predictions."""
    stored = read_features(run).epochs[-1]
    run.write("weights/best.safetensors", run.last.read_bytes())
    head = narrow(narrow(load_model(run).task.head, nn.Sequential)[-1], nn.Linear)
    logits = stored.features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), stored.probabilities, atol=1e-5)


@pytest.mark.slow
def test_measures_are_those_of_the_stored_features(run: RunFolder) -> None:
    hs.Run(run.path).map()
    learned, _ = read_feature_analysis(run) or pytest.fail("nothing was written")
    stored = read_features(run)
    val, train = stored.splits == "val", stored.splits == "train"
    for each, seen in zip(learned.epochs, stored.epochs, strict=True):
        p, labels = seen.probabilities[val], stored.labels[val]
        assert given(each.val.accuracy).value == pytest.approx(accuracy_score(labels, p.argmax(axis=1)))
        assert given(each.val.loss).value == pytest.approx(log_loss(labels, p, labels=[0, 1, 2]), rel=1e-5)
        knn = KNeighborsClassifier(15, metric="cosine", algorithm="brute")  # of 16 training images per class
        votes = knn.fit(seen.features[train], stored.labels[train]).predict_proba(seen.features[val])
        clear = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2]
        right = votes.argmax(axis=1) == labels
        assert (right & clear).sum() / 12 <= given(each.val.knn).value <= (right | ~clear).sum() / 12
    rows = [row for row in run.metrics if row["split"] == "val"]
    assert [given(e.val.accuracy).value for e in learned.epochs] == pytest.approx([row["accuracy"] for row in rows])
    assert [given(e.val.ece).value for e in learned.epochs] == pytest.approx([row["ece"] for row in rows], abs=1e-5)


def test_training_maps_at_its_end_and_the_report_shows_it(run: RunFolder) -> None:
    _, rows = read_feature_analysis(run) or pytest.fail("there is no analysis")
    assert {row["epoch"] for row in rows} == {1, 2, 3}
    assert len(rows) == 3 * 60
    assert 'id="map-slider"' in hs.Run(run.path).report().read_text(encoding="utf-8")


@pytest.mark.slow
def test_map_takes_other_parameters_without_training(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run.path.joinpath("metrics.csv").read_bytes()
    words = ["map", str(run.path), "--perplexity", "3", "--epochs", "1,3", "--split", "val", "--seed", "2"]
    assert typed(monkeypatch, *words) == 0
    assert "silhouette" in capsys.readouterr().out
    learned, rows = read_feature_analysis(run) or pytest.fail("nothing was written")
    assert (learned.perplexity, learned.split, learned.seed) == (3, "val", 2)
    assert len(rows) == 2 * 12
    assert run.path.joinpath("metrics.csv").read_bytes() == before
    first = (run.path / "analysis" / "maps.csv").read_bytes()
    assert typed(monkeypatch, *words) == 0
    assert (run.path / "analysis" / "maps.csv").read_bytes() == first


def test_a_run_without_features_says_which_command_makes_them(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run.path / "features")
    shutil.rmtree(run.path / "analysis")
    assert typed(monkeypatch, "map", str(run.path)) == 2
    said = capsys.readouterr().err
    assert "expected stored features, found none" in said
    assert f"headstart fit {run.path / 'recipe.toml'}" in said
    assert "Learned features" not in hs.Run(run.path).report().read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--perplexity", "25"], "perplexity: expected 1 to 19.7 for 60 images (split all), found 25"),
        (["--perplexity", "4", "--split", "val"], "perplexity: expected 1 to 3.7 for 12 images (split val), found 4"),
        (["--epochs", "7"], "expected features of epoch 1, 2, 3, found 7 requested"),
        (["--epochs", "one"], "expected numbers such as 1,50,100, found one"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_one_line(
    words: list[str],
    expected: str,
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (run.path / "analysis" / "feature_analysis.json").read_bytes()
    assert typed(monkeypatch, "map", str(run.path), *words) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.strip().splitlines()) == 1
    assert (run.path / "analysis" / "feature_analysis.json").read_bytes() == before


def test_features_that_are_no_numbers_are_named(run: RunFolder) -> None:
    def spoil(features: np.ndarray) -> np.ndarray:
        features[[3, 5], 0] = np.nan
        return features

    edit(run, 2, spoil)
    with pytest.raises(hs.HeadstartError, match=r"epoch-0002.*found NaN or infinity in 2 of 60 images"):
        hs.Run(run.path).map()


@pytest.mark.slow
def test_features_that_are_constant_are_named_and_the_others_mapped(run: RunFolder) -> None:
    edit(run, 1, np.zeros_like)
    learned = hs.Run(run.path).map()
    assert learned.epochs[0].variance is None
    assert learned.epochs[1].variance is not None
    _, rows = read_feature_analysis(run) or pytest.fail("nothing was written")
    assert {row["epoch"] for row in rows} == {2, 3}
    page = hs.Run(run.path).report().read_text(encoding="utf-8")
    assert "After epoch 1 the features of all images are identical" in page
    for epoch in (2, 3):
        edit(run, epoch, np.zeros_like)
    hs.Run(run.path).map()
    assert 'id="map"' not in hs.Run(run.path).report().read_text(encoding="utf-8")


def test_a_damaged_file_is_named(run: RunFolder) -> None:
    run.write("analysis/feature_analysis.json", b"{ half")
    with pytest.raises(hs.HeadstartError, match=r"feature_analysis\.json.*found a damaged file"):
        hs.Run(run.path).report()
    run.write("features/epoch-0001.safetensors", b"{ half")
    with pytest.raises(hs.HeadstartError, match=r"epoch-0001.*found a damaged file"):
        hs.Run(run.path).map()
