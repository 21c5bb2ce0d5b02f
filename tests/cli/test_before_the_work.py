"""What cannot be done is said before the work: places that take no file, empty words, settings typed twice."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from command import headstart, refused
from headstart.errors import HeadstartError
from headstart.export.network import ENCODER
from headstart.export.torch_file import forward_of
from headstart.files import require_place
from headstart.runs.folder import RunFolder


def test_a_place_that_takes_no_file_is_refused_before_anything_is_made(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    run, photos = trained
    (tmp_path / "file").write_text("a file")
    below = tmp_path / "file" / "x"
    before = (run / "report.html").read_bytes()
    for words in (
        ("predict", run, photos, "--out", f"{below}.csv"),
        ("map", run, "--export", f"{below}.parquet"),
        ("export", run, f"{below}.pt2"),
        ("check", photos, "--html", f"{below}.html"),
        ("fit", "quick", photos, "--out", below),
        ("study", photos, "--out", below),
        ("study", photos, "--out", tmp_path / "file"),
    ):
        said = refused(*words)
        assert f"found a file: {tmp_path / 'file'})" in said
        assert "disk space" not in said
    assert (tmp_path / "file").read_text() == "a file"
    assert (run / "report.html").read_bytes() == before
    require_place(tmp_path / "new" / "folder" / "x.csv")
    with pytest.raises(HeadstartError, match="found a file"):
        require_place(tmp_path / "file", folder=True)


@pytest.mark.parametrize("words", [("predict", "run", ""), ("check", ""), ("predict", "run", "photos", "--out=")])
def test_an_empty_word_is_not_the_folder_that_one_is_in(words: tuple[str, ...], tmp_path: Path) -> None:
    assert "expected words that are not empty" in refused(*words, cwd=tmp_path)


def test_a_share_of_the_labels_is_named_once(photos: Path, tmp_path: Path) -> None:
    said = refused("study", photos, "--labels", "0.5,1,0.5", "--out", tmp_path / "study")
    assert "each once, found [0.5, 0.5]" in said
    assert not (tmp_path / "study").exists()
    assert "found an empty one" in refused("study", photos, "--labels", "0.5,,1")


def test_limits_of_the_server_are_finite(trained: tuple[Path, Path]) -> None:
    assert "--max-mb: expected at most 1,000,000, found inf" in refused("serve", trained[0], "--max-mb", "inf")
    assert "--seconds: expected at most" in refused("serve", trained[0], "--seconds", "inf")
    assert refused("serve", trained[0], "--host", "256.1.1.1").endswith("Next: --host 127.0.0.1")


def test_images_after_what_is_no_run_are_no_fields(photos: Path) -> None:
    assert "expected a run folder before images" in refused("check", photos, photos)


def test_labels_of_a_damaged_run_are_not_half_checked(trained: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / "predictions.csv").unlink()
    assert "predictions.csv: expected the file" in refused("labels", tmp_path / "run")
    assert not (tmp_path / "run" / "labels-to-check.csv").exists()


def test_an_epoch_that_is_typed_twice_is_mapped_once(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    last = RunFolder(run).recipe.train.epochs
    done = headstart("map", run, "--epochs", f"{last},{last}")
    assert done.returncode == 0, done.stderr
    assert sum(" val " in line for line in done.stdout.splitlines()) == 1
    assert "found an empty one" in refused("map", run, "--epochs", f"{last},,{last}")


def test_a_run_without_labels_is_not_compared(trained: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / "checksums.json").unlink()
    run = RunFolder(tmp_path / "run")
    run.write_json("data.json", {**run.data, "classes": []})
    assert "found one that learned without labels" in refused("compare", trained[0], run.path)


def test_a_race_of_the_default_alone_is_refused(photos: Path, tmp_path: Path) -> None:
    said = refused("study", photos, "--backbones", "nosuchnet", "--out", tmp_path / "race")
    assert "found none among 1" in said
    assert not (tmp_path / "race").exists()


def test_images_that_a_graph_does_not_take_are_said() -> None:
    class Mean(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
            return (images.float().mean((1, 2)),)

    sides = {0: torch.export.Dim("batch"), 1: torch.export.Dim("height", min=33), 2: torch.export.Dim("width")}
    example = (torch.zeros((2, 97, 131, 3), dtype=torch.uint8),)
    written = io.BytesIO()
    torch.export.save(torch.export.export(Mean(), example, dynamic_shapes=(sides,)), written)
    forward = forward_of(written.getvalue(), ENCODER)
    assert forward(np.full((1, 33, 9, 3), 7, np.uint8)).tolist() == [[7, 7, 7]]
    with pytest.raises(HeadstartError, match="found 32 x 9 pixels"):
        forward(np.zeros((1, 32, 9, 3), np.uint8))


def test_no_character_of_a_name_moves_the_cursor() -> None:
    assert str(HeadstartError("a\x1b[31m.png\x9b: bad", "rm a\x07")) == "a\\x1b[31m.png\\x9b: bad. Next: rm a\\x07"


def test_a_binary_file_is_not_printed(trained: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"PAR1\x15\x04\xff\xfe,a,b\n")
    assert "other content on its first line" in refused("predict", *trained, "--out", tmp_path / "x.bin")
