"""The card of a model says what its run holds, in the hub's form, and no name in it becomes Markdown."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

import headstart as hs
from headstart.analysis.result import result_sentences
from headstart.metrics.classification import classification_metrics
from headstart.report.model_card import model_card
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    return RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))


def test_the_front_matter_has_the_value_and_its_interval(run: RunFolder) -> None:
    hs.Run(run.path).report()
    card = (run.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    facts = yaml.safe_load(front)
    predictions = read_predictions(run)
    assert predictions is not None
    found = classification_metrics(predictions.labels, predictions.probabilities, run.classes).accuracy
    (metric,) = facts["model-index"][0]["results"][0]["metrics"]
    assert metric["value"] == pytest.approx(found.value, abs=1e-4)
    assert metric["name"] == f"accuracy (95 % CI {found.low:.4f} to {found.high:.4f})"
    assert facts["library_name"] == "headstart"
    assert facts["pipeline_tag"] == "image-classification"
    assert result_sentences(run)[0] in body
    assert "12 validation images are few" in body
    assert run.data["fingerprint"] in body
    assert str(run.path) not in card


def test_the_same_run_has_the_same_card_wherever_it_lies(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder.open(shutil.copytree(run.path, tmp_path / "elsewhere"))
    assert model_card(run) == model_card(other)


def test_hostile_names_stay_text(run: RunFolder) -> None:
    hostile = '<b>\n# x](http://a) "'
    data = run.data
    data["classes"][1] = hostile
    data["counts"] = {
        split: {hostile if k == "hat" else k: n for k, n in c.items()} for split, c in data["counts"].items()
    }
    run.write_json("data.json", data)
    rows = [{k.replace("hat", hostile): v.replace("hat", hostile) for k, v in row.items()} for row in run.predictions]
    run.write_table("predictions.csv", rows)
    card = model_card(run)
    assert "<b>" not in card.split("---\n", 2)[2].replace("\\<b\\>", "")
    assert not re.search(r"(?m)^# x", card)
    assert json.loads(card.split("model-index: ")[1].split("\n")[0])


def test_a_segmentation_run_has_one_too(made_segmentation: Path) -> None:
    card = model_card(RunFolder.open(made_segmentation))
    assert "pipeline_tag: image-segmentation" in card
    assert '"type": "mean_iou"' in card
    assert "validation mean IoU" in card
