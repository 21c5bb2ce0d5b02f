"""Predict, evaluate and the validation inside `fit` say the same; the CSV is what a course or a program expects."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss

import headstart as hs
from headstart.inference.evaluate import Evaluation, evaluate
from headstart.inference.image_files import find_images
from headstart.inference.model import load_model
from headstart.inference.predict import Predictions, predict
from headstart.metrics.classification import ClassificationMetrics
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.training.loop import train
from headstart.training.setup import start
from interrupted import stopped_after
from narrow import narrow


@pytest.mark.real_too
def test_predict_evaluate_and_fit_say_the_same_of_the_same_images(trained: tuple[Path, Path]) -> None:
    path, photos = trained
    run = RunFolder.open(path)
    kept = read_predictions(run)
    assert kept is not None
    model = load_model(run)
    files = [photos / name for name in kept.filenames]
    np.testing.assert_allclose(predict(model, files).probabilities, kept.probabilities, rtol=2e-6, atol=2e-6)
    answer = narrow(evaluate(run, photos), Evaluation)
    assert (answer.split, list(answer.paths)) == ("val", kept.filenames)
    np.testing.assert_allclose(answer.probabilities, kept.probabilities, rtol=2e-6, atol=2e-6)
    best = max((row for row in run.metrics if row["split"] == "val"), key=lambda row: row["accuracy"])
    measures = narrow(hs.Run(path).evaluate(photos).metrics, ClassificationMetrics)
    assert measures.accuracy.value == pytest.approx(best["accuracy"])
    assert measures.loss.value == pytest.approx(best["loss"], rel=1e-5)
    assert accuracy_score(answer.labels, answer.probabilities.argmax(axis=1)) == pytest.approx(best["accuracy"])
    assert log_loss(answer.labels, answer.probabilities, labels=[0, 1, 2]) == pytest.approx(best["loss"], rel=1e-5)


@pytest.mark.slow
def test_the_test_split_is_evaluated_with_the_best_weights(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        split = ("train", "train", "valid", "test")[number % 4]
        target = tmp_path / "split" / split / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        file.rename(target / file.name)
    for _ in train(start(small(), str(tmp_path / "split"), tmp_path / "run")):
        pass
    row = hs.Run(tmp_path / "run").metrics[-1]
    assert (row["split"], row["images"]) == ("test", 15)
    measures = hs.Run(tmp_path / "run").evaluate(tmp_path / "split").metrics
    assert measures.images == 15
    assert measures.accuracy.value == pytest.approx(row["accuracy"])
    assert hs.Run(tmp_path / "run").evaluate(tmp_path / "split", split="val").metrics.images == 15


def test_a_class_missing_from_the_images_does_not_shift_the_others(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """A folder with only the last two of three classes: labels keep their places in the run's order."""
    path, photos = trained
    for name in ("hat", "shoes"):
        shutil.copytree(photos / name, tmp_path / "two" / name)
    run = RunFolder.open(path)
    answer = narrow(evaluate(run, tmp_path / "two"), Evaluation)
    names = [run.classes[label] for label in answer.labels]
    assert names == [Path(name).parent.name for name in answer.paths]
    assert answer.split == "all"


def test_images_that_were_trained_on_are_left_out_of_other_folders(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """A part of the folder, and the folder with more beside it; a split that is asked for is taken as it is."""
    path, photos = trained
    run = RunFolder.open(path)
    held = {row["filename"] for row in run.predictions}
    part = Path(shutil.copytree(photos, tmp_path / "part"))
    for kind in part.iterdir():
        for file in sorted(kind.iterdir())[:5]:
            file.unlink()
    there = {file.relative_to(part).as_posix() for file in part.rglob("*.jpg")}
    answer = evaluate(run, part)
    assert (answer.split, set(answer.paths), answer.excluded) == ("all", held & there, 45 - len(held & there))
    assert len(evaluate(run, part, split="all").paths) == 45
    more = Path(shutil.copytree(photos, tmp_path / "more"))
    with Image.open(sorted((more / "hat").iterdir())[0]) as picture:
        picture.rotate(90).save(more / "hat" / "new.png")
    answer = evaluate(run, more)
    assert (set(answer.paths), answer.excluded) == (held | {"hat/new.png"}, 48)


def test_a_folder_of_training_images_alone_is_refused_and_so_is_a_run_that_does_not_know_them(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))
    held = {row["filename"] for row in run.predictions}
    for file in sorted(trained[1].rglob("*.jpg")):
        name = file.relative_to(trained[1])
        if name.as_posix() not in held:
            (tmp_path / "seen" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / "seen" / name)
    with pytest.raises(hs.HeadstartError, match=r"was not trained on, found its 48 .*--split all"):
        evaluate(run, tmp_path / "seen")
    (run.path / "trained_on.txt").unlink()
    with pytest.raises(hs.HeadstartError, match=r"trained_on\.txt: expected the hashes .* found no such file"):
        evaluate(run, tmp_path / "seen")


def test_an_unknown_class_is_an_error_that_names_it(trained: tuple[Path, Path], tmp_path: Path) -> None:
    path, photos = trained
    shutil.copytree(photos / "hat", tmp_path / "more" / "hats")
    shutil.copytree(photos / "hat", tmp_path / "more" / "dress")
    with pytest.raises(hs.HeadstartError, match=r"class hats: .*did you mean hat"):
        hs.Run(path).evaluate(tmp_path / "more")


@pytest.mark.slow
def test_an_unfinished_run_says_so_and_can_be_used_if_asked(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    stopped_after(6, tmp_path / "run", photos, small())
    run = hs.Run(tmp_path / "run")
    with pytest.raises(hs.HeadstartError, match=r"found 1 of 3 epochs.*--unfinished.*headstart fit --resume"):
        run.predict(photos)
    assert len(run.predict(photos, unfinished=True).files) == 60


def test_unreadable_files_are_named_and_left_out(trained: tuple[Path, Path], tmp_path: Path) -> None:
    path, photos = trained
    good = sorted((photos / "hat").iterdir())[:2]
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "half.jpg").write_bytes(good[0].read_bytes()[:2000])
    answer = hs.Run(path).predict([good[0], tmp_path, good[1], tmp_path / "half.jpg"])
    assert list(answer.files) == good
    faults = {file.name: reason for file, reason in answer.unreadable}
    assert faults["text.png"].startswith("not an image")
    assert faults["empty.jpg"].startswith("empty")
    assert faults["half.jpg"].startswith("truncated")
    assert len(narrow(answer, Predictions).rows()) == 2


def test_files_folders_and_patterns_are_found_in_natural_order(photos: Path, tmp_path: Path) -> None:
    source = next((photos / "hat").iterdir())
    for name in ("b10.jpg", "b2.jpg", "ä ö.jpg", "notes.txt"):
        shutil.copy(source, tmp_path / name)
    names = [file.name for file in find_images([tmp_path / "b*.jpg", tmp_path / "ä ö.jpg"]).files]
    assert names == ["b2.jpg", "b10.jpg", "ä ö.jpg"]
    with pytest.raises(hs.HeadstartError, match="expected images, found none"):
        find_images([tmp_path / "*.gif"])


def test_a_prediction_does_not_hang_on_the_images_beside_it(trained: tuple[Path, Path]) -> None:
    path, photos = trained
    files = sorted(photos.rglob("*.jpg"))[:40]
    model = load_model(RunFolder.open(path))
    together = predict(model, files)
    alone = np.concatenate([predict(model, [file]).probabilities for file in files])
    np.testing.assert_allclose(together.probabilities, alone, rtol=1e-4, atol=1e-5)


def test_gray_palette_and_transparent_images_are_looked_at(trained: tuple[Path, Path], tmp_path: Path) -> None:
    path, photos = trained
    with Image.open(sorted((photos / "shoes").iterdir())[0]) as picture:
        for mode in ("L", "P", "RGBA", "CMYK", "1"):
            picture.convert(mode).save(tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
    answer = hs.Run(path).predict(tmp_path)
    assert len(answer.files) == 5
    assert not answer.unreadable


@pytest.mark.slow
def test_labels_are_as_they_stood_in_the_training_data(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe]
) -> None:
    """Folders 0, 1, 10: natural order, and the label that comes out is the folder's name."""
    for old, new in (("dress", "0"), ("hat", "1"), ("shoes", "10")):
        (photos / old).rename(photos / new)
    for _ in train(start(small(train__epochs=2), str(photos), tmp_path / "run")):
        pass
    run = hs.Run(tmp_path / "run")
    assert run.classes == ["0", "1", "10"]
    with (tmp_path / "run" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["label"] == row["filename"].split("/")[0] for row in rows)
    answer = run.predict([photos / row["filename"] for row in rows])
    assert narrow(answer, Predictions).labels == [row["predicted"] for row in rows]
