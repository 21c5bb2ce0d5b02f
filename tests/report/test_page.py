"""The report says what the run folder holds, whatever the folder holds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart import recipe as recipes
from headstart.insight.answers import read_answers
from headstart.insight.measures import measure
from headstart.report.page import confused_pairs, duration, write_report
from headstart.run import RunFolder

HOSTILE = "<script>alert('x')</script>\"&é"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    """A copy of a finished run, to change."""
    return RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))


def text(run: RunFolder) -> str:
    return write_report(run).read_text(encoding="utf-8")


def visible(page: str) -> str:
    """What a reader sees: no scripts, no styles, no tags, one space between words."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)).split())


def test_the_headline_is_the_kept_epoch_s_accuracy(run: RunFolder) -> None:
    accuracy = hs.Run(run.path).accuracy
    page = visible(text(run))
    assert f"{accuracy:.2%} of 12 validation images are right" in page
    answers = read_answers(run)
    assert answers is not None
    interval = measure(answers.labels, answers.probabilities, run.classes).accuracy
    assert f"between {interval.low:.2%} and {interval.high:.2%}" in page
    assert "always the commonest class 33.33%" in page


def test_it_needs_the_run_folder_alone_and_no_torch(run: RunFolder) -> None:
    program = f"""
import sys
from pathlib import Path
from headstart.report.page import write_report
from headstart.run import RunFolder
write_report(RunFolder.open(Path({str(run.path)!r})))
assert "torch" not in sys.modules
"""
    shutil.rmtree(run.path / "weights")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_is_loaded_from_elsewhere(run: RunFolder) -> None:
    page = re.sub(r"<script>.*?</script>", "", text(run), flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)=["'](?!data:)[^"']+""", page)
    assert "url(" not in page
    assert "@import" not in page


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
    run.write("recipe.toml", run.recipe.model_copy(update={"name": HOSTILE, "description": HOSTILE}).to_toml().encode())
    page = text(run)
    assert "<script>alert" not in page
    assert "\\u003cscript" in page or "&amp;lt;script" in page or "\\u0026lt;script" in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page


def test_a_run_without_epochs_predictions_or_thumbnails_has_a_page(
    photos: Path, tmp_path: Path, small: Callable[..., recipes.Recipe], run: RunFolder
) -> None:
    (run.path / "thumbnails.zip").unlink()
    assert "no picture" in text(run) or "every validation image is right" in text(run)
    (run.path / "predictions.csv").unlink()
    (run.path / "metrics.csv").unlink()
    page = text(run)
    assert "No epoch has ended yet" in page
    assert '<meta http-equiv="refresh"' in page
    assert f"headstart fit --resume {run.path}" in page


def test_a_finished_page_does_not_load_itself_again(run: RunFolder) -> None:
    assert 'http-equiv="refresh"' not in text(run)


def test_the_expected_number_stands_beside_the_result(run: RunFolder) -> None:
    expect = recipes.Expect(metric="val_accuracy", value=0.8628, source="the report")
    run.write("recipe.toml", run.recipe.model_copy(update={"expect": expect}).to_toml().encode())
    assert "to expect 86.28%" in visible(text(run))


def test_a_broken_table_is_an_error_that_names_it(run: RunFolder) -> None:
    rows = run.predictions
    del rows[0]["probability_hat"]
    run.write_table("predictions.csv", rows)
    with pytest.raises(hs.HeadstartError, match=r"predictions\.csv: expected a label and a probability"):
        write_report(run)


def rows_of(*values: tuple[float, float, float, float]) -> list[dict[str, object]]:
    """Metrics rows from (train loss, train accuracy, val loss, val accuracy) per epoch."""
    return [
        {"epoch": epoch, "split": split, "loss": loss, "accuracy": accuracy}
        for epoch, each in enumerate(values)
        for split, loss, accuracy in (("train", *each[:2]), ("val", *each[2:]))
    ]


def test_confused_pairs_are_counted_and_ordered() -> None:
    p = np.eye(3)[[1, 1, 0, 2, 0, 0]]
    pairs = confused_pairs(measure([0, 0, 0, 2, 2, 1], p, ["a", "b", "c"]))
    assert pairs == [("a", "b", 2, 2 / 3), ("b", "a", 1, 1.0), ("c", "a", 1, 0.5)]


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (4.4, 95, 3700)] == ["4 s", "1 min 35 s", "1 h 1 min"]
