"""`headstart labels`: planted errors head the list, the page and the table."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

import headstart as hs
from command import headstart
from headstart.runs.folder import RunFolder
from headstart.runs.label_errors import NAME, read_label_check
from pages import assert_loads_nothing, visible


@pytest.fixture(scope="module")
def mislabeled(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, set[str]]:
    """(a run that started from nothing, its photographs of which two stand in another class's folder, their paths)."""
    folder = tmp_path_factory.mktemp("mislabeled")
    shutil.copytree(trained[0], folder / "run")
    shutil.copytree(trained[1], folder / "photos")
    kinds = sorted(path for path in (folder / "photos").rglob("*") if path.is_dir() and any(path.glob("*.jpg")))
    wrong = set()
    for source, target in ((kinds[0], kinds[1]), (kinds[1], kinds[2])):
        file = sorted(source.glob("*.jpg"))[3]
        moved = file.rename(target / f"moved-{file.name}")
        wrong.add(moved.relative_to(folder / "photos").as_posix())
    return folder / "run", folder / "photos", wrong


@pytest.mark.slow
def test_moved_photographs_head_table_and_page(mislabeled: tuple[Path, Path, set[str]]) -> None:
    run, photos, wrong = mislabeled
    done = headstart("labels", run, "--data", photos)
    assert done.returncode == 0, done.stderr
    content = (run / NAME).read_text()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert {row["filename"] for row in rows[:2]} == wrong
    assert all(row["label"] != row["predicted"] for row in rows)
    check = read_label_check(RunFolder.open(run))
    assert check is not None
    assert (check.images, check.unjudged) == (60, 0)
    assert "imagenet-lite" in check.backbone  # the run's own backbone started from nothing
    page = (run / "report.html").read_text()
    assert_loads_nothing(page)
    assert f"{len(rows)} of 60 labels" in visible(page)
    assert all(name in page for name in wrong)
    # A table that the user has edited stays his: the page does not read it.
    (run / NAME).write_text("checked\n" + content)
    assert hs.Run(run).report().read_text() == page


def test_what_has_no_labels_to_check_is_refused_in_one_line(trained_masks: Path) -> None:
    with pytest.raises(hs.HeadstartError, match="expected a run that classifies, found the task segment"):
        hs.Run(trained_masks).check_labels()


def test_a_single_class_cannot_be_judged(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    kinds = sorted(path for path in trained[1].rglob("*") if path.is_dir() and any(path.glob("*.jpg")))
    for kind, count in zip(kinds, (6, 2, 1), strict=False):
        (tmp_path / "photos" / kind.name).mkdir(parents=True)
        for file in sorted(kind.glob("*.jpg"))[:count]:
            shutil.copy(file, tmp_path / "photos" / kind.name)
    with pytest.raises(hs.HeadstartError, match="expected two classes of at least 5 images"):
        hs.Run(run).check_labels(tmp_path / "photos")
    assert not (run / NAME).exists()
