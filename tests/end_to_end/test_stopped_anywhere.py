"""``headstart fit`` stopped outside of its steps: while decoding, mapping, reporting; and what is missing then."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import headstart as hs
from command import headstart, refused
from headstart import api
from headstart.runs import lifecycle
from headstart.training import setup
from pictures import copy_photos

SMALL = ["data.image_size=32", "augment.sizes=[24,32]", "train.epochs=2", "train.batch_size=12"]
SMALL += ["backbone.name=test_resnet", "backbone.weights=none"]


@pytest.fixture(scope="module")
def whole(data_folder: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that nothing stopped, and its photographs; to read and not to change."""
    folder = tmp_path_factory.mktemp("whole")
    photos = copy_photos(data_folder("made", "clothing"), folder / "photos")
    assert headstart("fit", "quick", photos, *SMALL, "--out", folder / "run").returncode == 0
    return folder / "run", photos


@pytest.fixture
def run(whole: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return shutil.copytree(whole[0], tmp_path / "run")


def content(run: Path) -> dict[str, Any]:
    """Everything in a run folder, without times; the report by its presence, checksums by their files."""
    found: dict[str, Any] = {}
    for file in run.rglob("*"):
        name = str(file.relative_to(run))
        if file.is_dir():
            found[name] = "folder"
        elif file.suffix == ".safetensors":
            found[name] = {key: tensor.tobytes() for key, tensor in load_file(file).items()}
        elif name == "metrics.csv":
            with file.open(encoding="utf-8") as table:
                rows = list(csv.DictReader(table))
            found[name] = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]
        elif name == "checksums.json":  # of files with times in them, too
            found[name] = sorted(json.loads(file.read_text(encoding="utf-8"))["files"])
        elif name == "environment.json":
            found[name] = re.sub(r'"started": "[^"]*"', "", file.read_text(encoding="utf-8"))
        else:
            found[name] = "" if name == "report.html" else file.read_bytes()
    return found


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("during", ["map", "report"])
def test_stopped_while_mapping_or_reporting_it_names_the_command_that_goes_on(
    during: str, whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, photos = tmp_path / "run", whole[1]
    with monkeypatch.context() as patch:
        patch.setattr(hs.Run, during, interrupt)
        patch.setattr("headstart.console.progress.REPORT_SHARE", -1)  # the last report is the first
        done = headstart("fit", "quick", photos, *SMALL, "--out", run)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].endswith(f"Resume with: headstart fit --resume {run}")
    assert not hs.Run(run).finished
    assert (run / "analysis").exists() == (during == "report")
    assert (
        headstart("predict", run, photos / "hat", "--out", tmp_path / "p.csv").returncode == 0
    )  # the weights are final
    for _ in range(2):  # of a finished run nothing is left to do
        done = headstart("fit", "--resume", run)
        assert done.returncode == 0
        assert "validation accuracy" in done.stdout
        assert hs.Run(run).finished
        assert content(run) == content(whole[0])


def test_stopped_while_decoding_nothing_is_left_and_the_command_is_the_same(
    whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "_prepare", interrupt)
    done = headstart("fit", "quick", whole[1], *SMALL, "--out", tmp_path / "new" / "run")
    assert done.returncode == 130
    assert f"headstart fit quick {whole[1]}" in done.stderr
    assert f"--out {tmp_path / 'new' / 'run'}" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_scheduler_or_a_closed_terminal_stops_it_there_as_ctrl_c_does(
    name: str, whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    monkeypatch.setattr(setup, "_prepare", lambda *_, **__: signal.raise_signal(signal.Signals[name]))
    before = signal.getsignal(signal.Signals[name])
    assert headstart("fit", "quick", whole[1], *SMALL, "--out", tmp_path / "run").returncode == 130
    assert signal.getsignal(signal.Signals[name]) == before
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_stopped_just_as_the_run_appears_it_goes_on_to_the_same_files(
    whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind its last file, with the mark of a folder that is being made still there."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "born", interrupt)
        assert headstart("fit", "quick", whole[1], *SMALL, "--out", run).returncode == 130
    assert (run / lifecycle.NEW).exists()
    assert headstart("fit", "--resume", run).returncode == 0
    assert content(run) == content(whole[0])


@pytest.mark.slow
def test_what_a_run_lacks_of_its_start_is_said_and_made_again(
    run: Path, whole: tuple[Path, Path], tmp_path: Path
) -> None:
    names = ["trained_on.txt", "held_out.json", "architecture.json", "thumbnails.zip", "features/images.csv"]
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(whole[1] / "hat", elsewhere / "hat")
    shutil.copytree(whole[1] / "shoes", elsewhere / "shoes")
    for name in names:
        (run / name).unlink()
    line = refused("evaluate", run, elsewhere)
    assert "held_out.json: expected the file that headstart wrote, found none" in line
    assert f"headstart fit --resume {run}" in line
    assert headstart("fit", "--resume", run).returncode == 0
    assert content(run) == content(whole[0])
    assert headstart("evaluate", run, elsewhere).returncode == 0


def test_a_finished_run_without_its_metrics_is_never_trained_over(run: Path, whole: tuple[Path, Path]) -> None:
    (run / "metrics.csv").unlink()
    before = content(run)
    for words in (["fit", "--resume", run], ["predict", run, whole[1]], ["evaluate", run, whole[1]]):
        line = refused(*words)
        assert "metrics.csv: expected the file that headstart wrote, found none" in line
        assert "fit --resume" not in line
    with pytest.raises(hs.HeadstartError, match=r"metrics\.csv: expected the file that headstart wrote, found none"):
        setup.resume(run)
    assert content(run) == before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know which file is being written")
def test_a_disk_that_is_full_at_a_report_is_one_line_and_what_was_saved_goes_on(
    whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is full when the checkpoint is saved on the way out, too."""
    run, real, full = tmp_path / "run", os.fsync, [False]

    def fsync(descriptor: int) -> None:
        full[0] |= Path(f"/proc/self/fd/{descriptor}").resolve().name.endswith(".report.html.part")
        if full[0]:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        *before, line = headstart("fit", "quick", whole[1], *SMALL, "--out", run).stderr.splitlines()
    assert all(text.startswith("epoch ") for text in before)
    assert re.match(r"error .*report\.html: cannot be written \(No space left on device\)", line)
    assert headstart("fit", "--resume", run).returncode == 0
    assert content(run) == content(whole[0])


OWNS = "import sys; from pathlib import Path; from headstart.runs.lock import own\nwith own(Path(sys.argv[1])): input()"


@pytest.mark.slow
def test_a_second_process_is_refused_by_every_command_that_trains_or_maps(run: Path, whole: tuple[Path, Path]) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNS, str(run)], stdin=subprocess.PIPE) as owner:
        while not (run / ".lock").exists() or not (run / ".lock").read_bytes():
            assert owner.poll() is None
        before = content(run)
        for words in (["fit", "--resume", run], ["map", run]):
            line = refused(*words)
            assert f"expected no other process in this folder, found process {owner.pid} on " in line
        assert content(run) == before
        assert headstart("report", run).returncode == 0  # one file, whole at any time
        assert owner.stdin is not None
        owner.stdin.write(b"\n")
    assert headstart("map", run).returncode == 0


def test_a_folder_for_a_run_is_found_that_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beginning that was cut short is taken again, one that is made right now is not."""
    from headstart.runs import lifecycle

    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    asked: list[Path] = []
    monkeypatch.setattr(api, "train_run", lambda folder, *_: asked.append(folder))
    begun = Path("runs/quick-photos")
    begun.mkdir(parents=True)
    (begun / lifecycle.NEW).touch()
    api.fit("quick", "photos")
    with subprocess.Popen([sys.executable, "-c", OWNS, str(begun)], stdin=subprocess.PIPE) as owner:
        while not (begun / ".lock").exists() or not (begun / ".lock").read_bytes():
            assert owner.poll() is None
        api.fit("quick", "photos")
        assert owner.stdin is not None
        owner.stdin.write(b"\n")
    assert asked == [begun, Path("runs/quick-photos-2")]
