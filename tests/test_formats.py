"""Run and study folders of earlier releases: every later version reads them, and predicts from them alike.

If a test here fails, the change is one that users' folders do not survive: read the old form as well, or raise the
format's version and keep a reader of the old one (CONTRIBUTING.md, "What stays as it is").
"""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from command import headstart
from headstart.comparison.study import FORMAT as STUDY_FORMAT
from headstart.comparison.study import read_study
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.inference.evaluate import Evaluation
from headstart.inference.predict import Predictions
from headstart.report.study_page import write_study_page
from headstart.runs.folder_format import FORMAT as RUN_FORMAT

FIXTURES = Path(__file__).parent / "fixtures"
ARCHIVES = sorted(FIXTURES.glob("format-*.tar.xz"))


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(request.param) as packed:
        packed.extractall(folder, filter="data")
    return folder


def stored(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_there_is_a_fixture_of_this_version_s_formats_and_it_is_small() -> None:
    assert FIXTURES / f"format-{RUN_FORMAT}-{STUDY_FORMAT}.tar.xz" in ARCHIVES
    assert sum(file.stat().st_size for file in ARCHIVES) < 300_000 * len(ARCHIVES)


def test_a_run_predicts_what_it_predicted_then(old: Path) -> None:
    rows = stored(old / "run" / "predictions.csv")
    predicted = hs.Run(old / "run").predict([old / "photos" / row["filename"] for row in rows])
    assert isinstance(predicted, Predictions)
    then = np.array([[float(row[f"probability_{name}"]) for name in predicted.classes] for row in rows])
    assert np.abs(predicted.probabilities - then).max() < 1e-4
    assert predicted.labels == [row["predicted"] for row in rows]


def test_a_run_is_evaluated_reported_and_finished(old: Path) -> None:
    run = hs.Run(old / "run")
    assert run.finished
    evaluation = run.evaluate(old / "photos")
    assert isinstance(evaluation, Evaluation)
    assert evaluation.metrics.accuracy.value == pytest.approx(run.accuracy)
    assert "predicted" in run.report().read_text(encoding="utf-8")
    assert run.map(perplexity=5).epochs


def test_a_study_has_the_figures_of_then(old: Path) -> None:
    results = Results(read_study(old / "study" / "study.json"))
    for now, then in zip(table_rows(results), stored(old / "study" / "table.csv"), strict=True):
        for column in ("setting", "label_fraction", "labels", "accuracy", "seeds"):
            assert str(now[column]) == then[column]
    assert write_study_page(old / "study").is_file()


def test_the_command_of_a_study_goes_on_with_it(old: Path) -> None:
    """Nothing is trained anew: a field that a recipe has since then must not change what it was."""
    from fixtures.make_fixture import STUDY

    before = {file: file.stat().st_mtime_ns for file in (old / "study" / "trials").rglob("*.safetensors")}
    done = headstart(*STUDY, "--out", "study", cwd=old)
    assert done.returncode == 0, done.stderr
    assert {file: file.stat().st_mtime_ns for file in (old / "study" / "trials").rglob("*.safetensors")} == before
