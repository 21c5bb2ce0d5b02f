"""What headstart writes and the images that it reads are kept apart: runs, studies, names that are none, copies."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from command import headstart, refused
from headstart.analysis.result import result_sentences
from headstart.runs.confusion import read_mask_confusions, write_mask_confusions
from headstart.runs.folder import RunFolder


@pytest.fixture
def mixed(trained: tuple[Path, Path], photos: Path) -> Path:
    """Photographs with a run, the beginning of a study and a race among them, each with pictures."""
    shutil.copytree(trained[0], photos / "hat" / "run")
    for name, files in (("study", ("requested.toml", "pretraining.toml")), ("race", ("race.json",))):
        (photos / name / "pictures").mkdir(parents=True)
        for file in files:
            (photos / name / file).write_text("")
    for place in ("hat/run/masks", "study/pictures", "race/pictures"):
        (photos / place).mkdir(exist_ok=True)
        shutil.copy(next((photos / "dress").iterdir()), photos / place / "picture.jpg")
    return photos


def test_a_run_or_study_is_not_made_among_its_images(photos: Path, tmp_path: Path) -> None:
    before = sorted(photos.rglob("*"))
    (tmp_path / "link").symlink_to(photos / "hat")
    for words in (
        ("fit", "quick", photos, "--out", photos / "hat" / "run"),
        ("fit", "quick", photos, "--out", tmp_path / "link" / "run"),
        ("study", photos, "--out", photos / "study"),
        ("study", photos, "--backbones", "test_resnet", "--out", photos / "race"),
    ):
        said = refused(*words)
        assert "expected a place outside the images" in said
        assert f"Next: --out {tmp_path / 'runs' / words[-1].name}" in said
    for inside in (("fit", "quick", "."), ("study", "."), ("study", ".", "--backbones", "test_resnet")):
        assert "Next: --out ../runs/" in refused(*inside, cwd=photos)
    assert sorted(photos.rglob("*")) == before


def test_a_study_that_is_there_goes_on_among_its_images(photos: Path) -> None:
    (photos / "study").mkdir()
    (photos / "study" / "study.json").write_text("{}")
    assert "outside the images" not in refused("study", photos, "--out", photos / "study")


def test_runs_and_studies_among_images_are_left_out_wherever_images_are_read(
    trained: tuple[Path, Path], mixed: Path, tmp_path: Path
) -> None:
    own = {str(mixed / name) for name in ("hat/run", "study", "race")}
    for given in (mixed, mixed / "**", mixed / "**" / "*"):
        done = headstart("predict", trained[0], given)
        assert done.returncode == 0, done.stderr
        names = [row["filename"] for row in csv.DictReader(io.StringIO(done.stdout))]
        assert len(names) == 60
        assert not [name for name in names if "picture" in name]
        assert {line.split()[3].rstrip(":") for line in done.stderr.splitlines() if "a run or study of" in line} == own
    assert "expected images, found none" in refused("predict", trained[0], mixed / "**" / "picture.*")
    assert headstart("predict", trained[0], mixed / "hat" / "run" / "masks" / "*.jpg").stdout.count("picture") == 1
    checked = headstart("check", mixed)
    assert checked.returncode == 0, checked.stdout
    assert "picture" not in checked.stdout


def test_a_run_or_study_is_no_folder_of_images(trained: tuple[Path, Path], mixed: Path, tmp_path: Path) -> None:
    for place in (mixed / "hat" / "run", mixed / "study", mixed / "race"):
        assert "of headstart" in refused("fit", "quick", place, "--out", tmp_path / "out")
        assert "of headstart" in refused("predict", trained[0], place)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["predict", "compare", "map", "export", "check", "fit", "study", "report"])
def test_a_dash_is_no_name_of_a_file(command: str, tmp_path: Path) -> None:
    for words in (("run", "-"), ("run", "--out", "-"), ("run", "--output=-")):
        assert "expected the name of a file or folder" in refused(command, *words, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_runs_is_told_from_a_run(trained: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(trained[0], tmp_path / "runs" / name)
    runs = tmp_path / "runs"
    assert refused("compare", runs).endswith(f"Next: headstart compare {runs / 'one'} {runs / 'two'}")
    assert refused("report", runs).endswith(f"found a folder of 2 (one, two). Next: {runs / 'one'} in its place")
    study = tmp_path / "study"
    shutil.copytree(trained[0], study / "trials" / "A-1-seed0")
    (study / "recipe.toml").write_text("")
    assert refused("report", study).endswith(f"Next: {study / 'trials' / 'A-1-seed0'} in its place")
    done = headstart("compare", runs / "one", runs / "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "have the same weights" in " ".join(done.stdout.split())


def test_a_small_share_is_not_printed_as_none(trained: tuple[Path, Path]) -> None:
    said = refused("predict", *trained, "--refuse", "1e-9")
    assert "at least 2,995,732,273 validation images" in said
    assert "at most 1e-07% errors" in said


def test_a_run_below_the_baseline_of_masks_says_so(trained_masks: Path, tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained_masks, tmp_path / "run"))
    found = read_mask_confusions(run)
    assert found is not None
    pixels = found.confusion.sum(axis=2)
    rarest = pixels.sum(axis=0).argmin()
    for said, confusion in (
        ("does not reach", pixels[:, :, None] * (np.arange(pixels.shape[1]) == rarest)),
        ("", pixels[:, :, None] * np.eye(pixels.shape[1], dtype=np.int64)),
    ):
        write_mask_confusions(run, confusion.astype(np.int64))
        line = result_sentences(run)[1]
        assert line.startswith("always predicting the most frequent class: mean IoU")
        assert line.endswith(", which this does not reach") if said else "which" not in line


def test_a_run_or_study_is_not_made_in_a_run(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    before = sorted(run.rglob("*"))
    for words in (("fit", "quick", trained[1]), ("study", trained[1])):
        said = refused(*words, "--out", run / "deeper" / "x")
        assert f"expected a place outside of runs, found it in {run}. Next: --out {tmp_path / 'x'}" in said
    assert sorted(run.rglob("*")) == before


def test_a_circle_of_links_is_no_place(trained: tuple[Path, Path], tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).symlink_to(tmp_path / other)
    for words in (("predict", *trained), ("fit", "quick", trained[1]), ("study", trained[1]), ("demo",)):
        assert f"{tmp_path / 'a'}: cannot be written" in refused(*words, "--out", tmp_path / "a")
    assert "one that cannot be read: not to be opened (" in refused("predict", trained[0], tmp_path / "a")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_the_ending_of_an_exported_file_is_that_of_its_format(trained: tuple[Path, Path], tmp_path: Path) -> None:
    said = refused("export", trained[0], tmp_path / "model.onnx", "--to", "timm")
    assert said.endswith(f"Next: {tmp_path / 'model.safetensors'}, or --to onnx")
    assert not list(tmp_path.iterdir())


def test_no_name_of_a_class_moves_the_cursor(photos: Path) -> None:
    (photos / "hat").rename(photos / "\x1b[31mhat\x9b")
    done = headstart("check", photos)
    assert done.returncode == 0, done.stdout
    assert "\\x1b[31mhat\\x9b" in done.stdout
    assert not {"\x1b", "\x9b"} & set(done.stdout + done.stderr)


def test_hints_of_commands_in_groups_are_whole() -> None:
    assert refused("cache", "clear", "all").endswith("Next: headstart cache clear --help")
    assert refused("recipe", "ls", "--all").endswith("this command has none. Next: headstart recipe ls --help")


def test_the_cache_is_left_out_of_the_images_that_it_lies_in(
    trained: tuple[Path, Path], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(photos / "hat" / "cache"))
    (photos / "hat" / "cache" / "masks").mkdir(parents=True)
    shutil.copy(next((photos / "dress").iterdir()), photos / "hat" / "cache" / "masks" / "drawn.jpg")
    assert "drawn" not in headstart("predict", trained[0], photos).stdout
    done = headstart("check", photos, "--json")
    assert done.returncode == 0
    assert "drawn" not in done.stdout
