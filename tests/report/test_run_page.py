"""The report says what the run folder holds, whatever the folder holds."""

from __future__ import annotations

import base64
import io
import json
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save

import headstart as hs
from headstart.analysis.findings import findings
from headstart.metrics.classification import classification_metrics
from headstart.metrics.written import duration
from headstart.recipes import recipe as recipes
from headstart.report.embedding_view import colors, embedding_view
from headstart.report.run_page import confused_pairs, write_report
from headstart.runs.analysis import read_feature_analysis
from headstart.runs.folder import RunFolder
from headstart.runs.heat_maps import read_heat_maps
from headstart.runs.predictions import confident_errors, read_predictions
from narrow import given
from pages import assert_loads_nothing, visible

HOSTILE = "<script>alert('x')</script>\"&é"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    """A copy of a finished run, to change."""
    return RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))


def text(run: RunFolder) -> str:
    return write_report(run).read_text(encoding="utf-8")


def test_the_headline_is_the_kept_epoch_s_accuracy(run: RunFolder) -> None:
    accuracy = hs.Run(run.path).accuracy
    assert accuracy is not None
    page = visible(text(run))
    assert f"Validation accuracy {100 * accuracy:.0f} % (95 % CI" in page
    answers = read_predictions(run)
    assert answers is not None
    interval = classification_metrics(answers.labels, answers.probabilities, run.classes).accuracy
    assert f"{100 * interval.low:.0f} to {100 * interval.high:.0f}) on 12 images. Always predicting" in page
    assert "most frequent class: 33.3 %" in page
    assert "12 validation images are few" in page


@pytest.mark.slow
def test_it_needs_the_run_folder_alone_and_no_torch(run: RunFolder) -> None:
    program = f"""
import sys
from pathlib import Path
from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
write_report(RunFolder.open(Path({str(run.path)!r})))
assert "torch" not in sys.modules
"""
    shutil.rmtree(run.path / "weights")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_each_confident_error_has_the_heat_map_of_its_row(run: RunFolder) -> None:
    """Stored at the end of training; a run without them, of an earlier headstart, has its page without."""
    predictions = read_predictions(run)
    assert predictions is not None
    errors = confident_errors(predictions)
    assert errors
    assert sorted(read_heat_maps(run, range(len(predictions.labels)))) == sorted(errors)
    page = text(run)
    assert page.count('class="heat"') == len(errors)
    (run.path / "heat-maps.zip").unlink()
    assert 'class="heat"' not in text(run)
    assert 'id="heat"' not in text(run)


def test_nothing_is_loaded_from_elsewhere(run: RunFolder) -> None:
    assert_loads_nothing(text(run))


def test_hostile_names_stay_text(run: RunFolder) -> None:
    """A class, a file and a recipe whose names are HTML."""
    data, predictions = run.data, run.predictions
    data["classes"][0] = HOSTILE
    data["counts"] = {split: dict(zip(data["classes"], c.values(), strict=True)) for split, c in data["counts"].items()}
    data["root"] = HOSTILE
    run.write_json("data.json", data)
    renamed = [
        {
            ("probability_" + HOSTILE if k == "probability_dress" else k): (HOSTILE if v == "dress" else v)
            for k, v in row.items()
        }
        | {"filename": HOSTILE + ".jpg"}
        for row in predictions
    ]
    run.write_table("predictions.csv", renamed)
    looked = [{k: HOSTILE if v == "dress" else v for k, v in row.items()} for row in run.feature_images]
    run.write_table("features/images.csv", [row | {"filename": HOSTILE + ".jpg"} for row in looked])
    run.write("recipe.toml", run.recipe.model_copy(update={"name": HOSTILE, "description": HOSTILE}).to_toml().encode())
    page = text(run)
    assert "<script>alert" not in page
    assert "\\u003cscript" in page or "&amp;lt;script" in page or "\\u0026lt;script" in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page


def test_half_a_character_in_a_foreign_run_is_shown_as_the_replacement_character(run: RunFolder) -> None:
    """JSON may hold lone surrogates, which no encoding has."""
    content = run.environment | {"python": "3.11\ud800", "platform": "Linux\udce9"}
    run.write("environment.json", json.dumps(content).encode())
    page = text(run)
    assert "3.11\N{REPLACEMENT CHARACTER}" in page
    assert "Linux\N{REPLACEMENT CHARACTER}" in page


def test_a_run_without_epochs_predictions_or_thumbnails_has_a_page(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe], run: RunFolder
) -> None:
    (run.path / "thumbnails.zip").unlink()
    assert "no picture" in text(run) or "every validation image is classified correctly" in text(run)
    for name in ("checksums.json", "predictions.csv", "metrics.csv"):
        (run.path / name).unlink()
    page = text(run)
    assert "No epoch has ended yet" in page
    assert 'http-equiv="refresh"' not in page
    assert "As of " in visible(page)
    assert f"headstart fit --resume {run.path}" in page


def test_commands_can_be_typed_as_they_stand_also_for_a_folder_with_spaces(run: RunFolder, tmp_path: Path) -> None:
    moved = run.path.rename(tmp_path / "it's my run")
    page = visible(text(RunFolder.open(moved)))
    assert f"headstart predict {shlex.quote(str(moved))} IMAGES" in page


def test_the_expected_number_stands_beside_the_result(run: RunFolder) -> None:
    expect = recipes.Expect(metric="val_accuracy", value=0.8628, source="the report")
    run.write("recipe.toml", run.recipe.model_copy(update={"expect": expect}).to_toml().encode())
    assert "Expected: val_accuracy 86.3 %" in visible(text(run))


def test_a_broken_table_is_an_error_that_names_it(run: RunFolder) -> None:
    rows = run.predictions
    del rows[0]["probability_hat"]
    run.write_table("predictions.csv", rows)
    with pytest.raises(hs.HeadstartError, match=r"predictions\.csv: expected a label and a probability"):
        write_report(run)


def test_findings_and_the_measures_of_each_epoch_are_on_the_page(run: RunFolder) -> None:
    learned, _ = read_feature_analysis(run) or pytest.fail("nothing was learned")
    page = visible(text(run))
    for each in learned.epochs:
        assert each.val.knn is not None
        accuracy = given(each.val.accuracy).value
        assert f"{each.epoch} 12 validation {100 * accuracy:.0f} % " in page
    said = findings(run.metrics, run.recipe.checkpoint.monitor, learned)
    assert said
    assert all(sentence in page for sentence in said)


@pytest.mark.slow
def test_a_run_of_twelve_hundred_classes_is_mapped_and_drawn(run: RunFolder) -> None:
    """Classes are cheap to invent: the three that there are, and others that no image is of."""
    data = run.data
    data["classes"] += [f"class {i}" for i in range(1197)]
    data["counts"] = {s: {**dict.fromkeys(data["classes"], 0), **c} for s, c in data["counts"].items()}
    run.write_json("data.json", data)
    for file in (run.path / "features").glob("*.safetensors"):
        tensors = load_file(file)
        tensors["probabilities"] = np.pad(tensors["probabilities"], ((0, 0), (0, 1197)))
        run.write(f"features/{file.name}", save(tensors, metadata={"seconds": "0"}))
    more = {f"probability_class {i}": "0" for i in range(1197)}
    run.write_table("predictions.csv", [row | more for row in run.predictions])
    hs.Run(run.path).map()
    page = text(run)
    assert 'id="map-slider"' in page
    assert len(page) < 8e6
    assert len(set(colors(1200))) > 1000


@pytest.mark.slow
def test_a_page_of_five_thousand_pictures_stays_under_eight_megabytes(run: RunFolder) -> None:
    """As many as are drawn at the most; of more, a sample is."""
    learned, rows = read_feature_analysis(run) or pytest.fail("nothing was learned")
    images = run.feature_images
    run.write_table("features/images.csv", [images[i % 60] for i in range(5500)])
    with zipfile.ZipFile(run.path / "thumbnails.zip") as archive:
        pictures = [archive.read(f"{i}.jpg") for i in range(60)]
    noise = np.random.default_rng(0).integers(0, 256, (60, 96, 96, 3), dtype=np.uint8)  # harder than any photograph
    (run.path / "checksums.json").unlink()
    with zipfile.ZipFile(run.path / "thumbnails.zip", "w") as archive:
        for i in range(5500):
            picture = io.BytesIO()
            half = Image.open(io.BytesIO(pictures[i % 60])).convert("RGB").resize((96, 96))
            Image.blend(half, Image.fromarray(noise[i % 60]), 0.1).save(picture, "JPEG")
            archive.writestr(f"{i}.jpg", picture.getvalue())
    for file in (run.path / "features").glob("*.safetensors"):
        tensors = {name: values[np.arange(5500) % 60] for name, values in load_file(file).items()}
        run.write(f"features/{file.name}", save(tensors, metadata={"seconds": "0"}))
    many = [rows[i % 60] | {"row": i, "epoch": epoch} for epoch in (1, 2, 3) for i in range(5500)]
    run.write_table("analysis/maps.csv", many)
    page = text(run)
    facts = embedding_view(run, learned, many)
    assert len(page) - len(given(facts["sheet"])) < 2e6
    assert len(page) < 8e6
    assert (len(facts["labels"]), facts["left_out"]) == (5000, 500)
    sheet = Image.open(io.BytesIO(base64.b64decode(given(facts["sheet"]).partition(",")[2])))
    assert sheet.size == (50 * 36, 100 * 36)


def test_confused_pairs_are_counted_and_ordered() -> None:
    p = np.eye(3)[[1, 1, 0, 2, 0, 0]]
    pairs = confused_pairs(classification_metrics([0, 0, 0, 2, 2, 1], p, ["a", "b", "c"]))
    assert pairs == [("a", "b", 2, 3, "0-1"), ("b", "a", 1, 1, "1-0"), ("c", "a", 1, 2, "2-0")]


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (4.4, 95, 3700)] == ["4 s", "1 min 35 s", "1 h 1 min"]
