"""The command line, as a user meets it: what it prints, what it writes, and what it says to bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import headstart as hs
from command import headstart, refused
from forked import type_in
from headstart.inference.predict import Predictions
from narrow import narrow

SMALL = ["data.image_size=32", "augment.sizes=[24,32]", "train.epochs=3", "train.batch_size=12"]
SMALL += ["backbone.name=test_resnet", "backbone.weights=none"]


def test_help_does_not_import_torch() -> None:
    program = (
        "import sys\nsys.argv[1:] = ['--help']\nfrom headstart.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
    )
    heavy = "print('HEAVY', [m for m in ('torch', 'timm', 'numpy', 'headstart.report', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program + heavy], capture_output=True, text=True, check=True)
    assert "fit" in done.stdout
    assert done.stdout.endswith("HEAVY []\n")


def test_importing_headstart_does_not_import_torch() -> None:
    program = "import sys, headstart; print([m for m in ('torch', 'timm', 'headstart.report') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.real_too
@pytest.mark.slow
def test_fit_report_predict_and_evaluate(photos: Path, tmp_path: Path) -> None:
    """The whole way, with the files that each command leaves."""
    done = headstart("fit", "quick", "photos", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "quick-photos"
    assert "headstart predict runs/quick-photos" in done.stdout
    assert "epoch 3/3" in done.stderr
    report = run / "report.html"
    report.unlink()
    assert headstart("report", run).returncode == 0
    assert 'id="headline">Validation accuracy ' in report.read_text(encoding="utf-8")
    out = tmp_path / "labels.csv"
    done = headstart("predict", run, photos, "--out", out)
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["filename", "label", "confidence"]
    assert sorted(row[0] for row in rows[1:]) == sorted(
        file.relative_to(photos).as_posix() for file in photos.rglob("*.jpg")
    )
    assert {row[1] for row in rows[1:]} <= {"dress", "hat", "shoes"}
    done = headstart("evaluate", run, photos, "--json")
    figures = json.loads(done.stdout)
    assert figures["images"] == 12
    assert figures["accuracy"]["value"] == pytest.approx(hs.Run(run).accuracy)
    assert "balanced_accuracy" in headstart("evaluate", run, photos).stdout


def test_evaluate_says_how_many_training_images_it_left_out(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run, photos = trained
    for kind in ("dress", "hat"):
        shutil.copytree(photos / kind, tmp_path / "two" / kind)
    done = headstart("evaluate", run, tmp_path / "two", "--json")
    assert f"excluded 32 images that {run} was trained on (--split all includes them)" in done.stderr
    assert {"images": 8, "excluded": 32, "split": "all"}.items() <= json.loads(done.stdout).items()
    done = headstart("evaluate", run, tmp_path / "two", "--split", "all", "--json")
    assert (done.stderr, json.loads(done.stdout)["images"]) == ("", 40)


def test_predict_prints_adds_probabilities_and_exits_1_for_unreadable_files(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    run, photos = trained
    shutil.copytree(photos / "hat", tmp_path / "some images")
    (tmp_path / "some images" / "broken é.png").write_text("no picture")
    done = headstart("predict", run, tmp_path / "some images", "--probabilities")
    assert done.returncode == 1
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 20
    assert list(rows[0]) == [
        "filename",
        "label",
        "confidence",
        *(f"probability_{name}" for name in ("dress", "hat", "shoes")),
    ]
    for row in rows:
        shares = {name: float(row[f"probability_{name}"]) for name in ("dress", "hat", "shoes")}
        assert row["label"] == max(shares, key=lambda name: shares[name])
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert float(row["confidence"]) == pytest.approx(max(shares.values()), abs=6e-5)
    assert "broken é.png: not an image" in done.stderr


def test_predict_fills_in_the_labels_of_a_list(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """A CSV of id,filename comes back with its label column filled in, in its own order."""
    run, photos = trained
    files = sorted((photos / "hat").iterdir())[:3]
    table = tmp_path / "test.csv"
    table.write_text("id,filename,label\n7," + files[2].name + ",\n3," + files[0].name + ",?\n5,missing.jpg,\n")
    done = headstart("predict", run, photos / "hat", "--list", table, "--out", tmp_path / "out.csv")
    assert done.returncode == 1
    assert "missing.jpg" in done.stderr
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [(row["id"], row["filename"]) for row in rows] == [
        ("7", files[2].name),
        ("3", files[0].name),
        ("5", "missing.jpg"),
    ]
    direct = narrow(hs.Run(run).predict([files[2], files[0]]), Predictions).labels
    assert [row["label"] for row in rows] == [*direct, ""]


def test_predict_says_which_rows_of_a_list_name_no_file(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run, photos = trained
    file = sorted((photos / "hat").iterdir())[0]
    table = tmp_path / "test.csv"
    table.write_text(f"id,Filename\n1,{file.name}\n2,  \n")
    done = headstart("predict", run, photos / "hat", "--list", table)
    assert done.returncode == 1
    assert f"skipped {table} line 3: no filename" in done.stderr
    label = narrow(hs.Run(run).predict(file), Predictions).labels[0]
    assert list(csv.DictReader(done.stdout.splitlines())) == [
        {"id": "1", "filename": file.name, "label": label},
        {"id": "2", "filename": "  ", "label": ""},
    ]


@pytest.mark.slow
def test_ctrl_c_saves_and_prints_the_command_that_resumes(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["fit", "quick", str(photos), *SMALL, "train.epochs=400", "--out", str(run)]
    training = type_in(tmp_path / "first", *words)
    until = time.monotonic() + 60
    while not (run / "metrics.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    training.interrupt()
    status, _, said = training.ended()
    assert status == 130
    assert f"headstart fit --resume {run}" in said.decode()
    done = len(hs.Run(run).metrics)
    assert 0 < done < 800
    again = type_in(tmp_path / "again", "fit", "--resume", run)
    until = time.monotonic() + 60
    while len(hs.Run(run).metrics) <= done and time.monotonic() < until:
        time.sleep(0.05)
    again.interrupt()
    again.ended()
    assert len(hs.Run(run).metrics) > done


def test_recipes_are_listed_shown_and_copied(tmp_path: Path) -> None:
    listed = headstart("recipe", "ls").stdout
    for name in ("quick", "resnet18-pretrained", "resnet18-scratch"):
        assert name in listed
        assert tomllib.loads(headstart("recipe", "show", name).stdout)["name"] == name
    assert "64.60%" in listed
    mine = tmp_path / "mine.toml"
    assert headstart("recipe", "cp", "quick", mine).returncode == 0
    assert tomllib.loads(mine.read_text())["backbone"]["name"] == "tf_efficientnet_lite0"
    assert "expected a new file" in refused("recipe", "cp", "quick", mine)
    assert "did you mean resnet18-scratch" in refused("recipe", "show", "resnet18-scratsch")


def test_version() -> None:
    assert headstart("--version").stdout.strip() == "0.1.0"


class TestBadInput:
    """One line, exit status 2, nothing half-written."""

    def refused_fit(self, data: Path, *words: str) -> str:
        out = data.parent / "out" / "run"
        line = refused("fit", "quick", data, *SMALL, *words, "--out", out)
        assert not out.exists()
        return line

    def test_no_such_folder(self, tmp_path: Path) -> None:
        assert "found no such folder" in self.refused_fit(tmp_path / "nowhere")
        assert "found no such folder" in refused("check", tmp_path / "nowhere")

    def test_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "the folder is empty" in self.refused_fit(tmp_path / "empty")

    def test_one_class_only(self, photos: Path) -> None:
        shutil.rmtree(photos / "hat")
        shutil.rmtree(photos / "shoes")
        assert "expected at least two classes, found 1 (dress)" in self.refused_fit(photos)

    def test_a_class_with_one_image(self, photos: Path) -> None:
        for file in sorted((photos / "hat").iterdir())[1:]:
            file.unlink()
        assert "class hat: expected at least two images" in self.refused_fit(photos)

    def test_mixed_layouts(self, photos: Path) -> None:
        shutil.copy(next((photos / "hat").iterdir()), photos / "loose.jpg")
        assert "expected one layout, found two mixed" in self.refused_fit(photos)

    @pytest.mark.parametrize(
        ("header", "row", "said"),
        [
            ("filename,label", "hat/nothing.jpg,hat", "found missing: hat/nothing.jpg"),
            ("filename,label", "{first},hat", "expected each file once"),
        ],
    )
    def test_a_broken_csv(self, header: str, row: str, said: str, photos: Path) -> None:
        names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
        lines = [header, *(f"{name},{name.split('/')[0]}" for name in names), row.format(first=names[0])]
        (photos / "labels.csv").write_text("\n".join(lines) + "\n")
        assert said in self.refused_fit(photos)

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_an_unknown_class_in_a_split(self, split: str, photos: Path) -> None:
        names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
        rows = [(name, "train" if "hat" not in name else split) for name in names]
        text = "".join(f"{name},{name.split('/')[0]},{split}\n" for name, split in rows)
        (photos / "labels.csv").write_text("filename,label,split\n" + text)
        assert f"found hat only in {split}" in self.refused_fit(photos)

    @pytest.mark.slow
    def test_files_that_are_no_pictures(self, photos: Path) -> None:
        victim = sorted((photos / "hat").iterdir())[0]
        whole = victim.read_bytes()
        victim.write_bytes(whole[: len(whole) // 2])
        assert f"{victim.name}: expected an image, found a file that is truncated" in self.refused_fit(photos)
        victim.write_bytes(b"")
        assert "found a file that is empty" in self.refused_fit(photos)
        victim.unlink()
        (photos / "hat" / "text.png").write_text("no picture")
        assert "text.png: expected an image, found a file that is not an image" in self.refused_fit(photos)

    @pytest.mark.slow
    def test_a_decompression_bomb(self, photos: Path) -> None:
        Image.new("1", (20_000, 20_000)).save(photos / "hat" / "bomb.png")
        assert "bomb.png: expected an image, found a file that is too large" in self.refused_fit(photos)

    @pytest.mark.slow
    def test_unreadable_files_are_left_out_when_the_recipe_says_so(self, photos: Path, tmp_path: Path) -> None:
        (photos / "hat" / "text.png").write_text("no picture")
        done = headstart(
            "fit", "quick", photos, *SMALL, "train.epochs=2", "data.skip_unreadable=true", "--out", tmp_path / "run"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "run" / "data.json").read_text())["skipped"][0]["filename"] == "hat/text.png"

    @pytest.mark.parametrize(
        ("override", "said"),
        [
            ("train.epoch=5", "unknown field train.epoch; did you mean epochs"),
            ("trian.epochs=5", "unknown field trian; did you mean train"),
            ("train.epochs=many", "field train.epochs: expected a valid integer, found 'many'"),
            ("optimizer.lr=-0.1", "field optimizer.lr: expected greater than 0, found -0.1"),
            ("optimizer.name=lion", "field optimizer.name: expected 'adam', 'adamw', 'sgd' or 'muon', found 'lion'"),
            (
                "backbone.name=resnet19",
                "backbone.name resnet19: expected a timm model, found no such name; did you mean resnet1",
            ),
            ("backbone.weights=nowhere.pt", "backbone.weights nowhere.pt: expected none, imagenet"),
            ("task=clasify", "task: expected byol, classify, emp_ssl, fastsiam, segment, vicreg, found clasify"),
            ("epochs", "expected field=value"),
            ("optimizer.lr=inf", "field optimizer.lr: expected a finite number, found inf"),
            ("augment.mean=[0.5,nan,0.5]", "field augment.mean.1: expected a finite number, found nan"),
            ("augment.std=[0.5,0,0.5]", "field augment.std.1: expected greater than 0, found 0"),
        ],
    )
    def test_a_mistake_in_the_recipe(self, override: str, said: str, photos: Path) -> None:
        assert said in self.refused_fit(photos, override)

    def test_a_recipe_that_is_none(self, photos: Path, tmp_path: Path) -> None:
        assert "did you mean quick" in refused("fit", "quikc", photos)
        (tmp_path / "bad.toml").write_text("[train\nepochs = 3\n")
        assert "expected TOML" in refused("fit", tmp_path / "bad.toml", photos)
        assert "expected RECIPE and DATA" in refused("fit")

    def test_weights_of_another_architecture(self, trained: tuple[Path, Path], photos: Path) -> None:
        weights = trained[0] / "weights" / "best.safetensors"
        line = self.refused_fit(photos, f"backbone.weights={weights}", "backbone.name=resnet18.tv_in1k")
        assert "expected the weights of resnet18.tv_in1k, found those of another architecture" in line

    def test_an_output_folder_that_holds_another_run(self, trained: tuple[Path, Path], photos: Path) -> None:
        before = {file: file.stat().st_mtime_ns for file in trained[0].rglob("*")}
        line = refused("fit", "quick", photos, *SMALL, "--out", trained[0])
        assert "expected a free folder for the run, found another run" in line
        assert {file: file.stat().st_mtime_ns for file in trained[0].rglob("*")} == before

    def test_an_output_folder_that_cannot_be_written(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "expected" in refused("fit", "quick", photos, *SMALL, "--out", tmp_path / "file" / "run")

    def test_an_output_file_below_a_file(self, trained: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for words in (("predict", *trained, "--out"), ("recipe", "cp", "quick")):
            assert "out.csv: cannot be written (" in refused(*words, tmp_path / "file" / "out.csv")

    def test_a_run_that_is_none(self, tmp_path: Path) -> None:
        for words in (["report"], ["predict", "x.jpg"], ["evaluate", "x"]):
            assert "expected a run folder" in refused(words[0], tmp_path, *words[1:])
        assert "found no such folder" in refused("fit", "--resume", tmp_path / "nowhere")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk needs root on Linux")
def test_a_full_disk_stops_the_run_and_spares_what_was_written(photos: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=250m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes(215_000_000))
        done = headstart("fit", "quick", photos, *SMALL, "backbone.name=resnet10t", "--out", disk / "run")
        assert done.returncode == 2
        line = [text for text in done.stderr.splitlines() if text.startswith("error ")]
        assert len(line) == 1
        assert "cannot be written (No space left on device)" in line[0]
        assert not list(disk.rglob(".*.part"))
        filler.unlink()
        assert headstart("fit", "--resume", disk / "run").returncode == 0
        assert hs.Run(disk / "run").finished
    finally:
        subprocess.run(["umount", disk], check=True)


def test_check_speaks_to_people_and_to_programs(photos: Path) -> None:
    """Exit status 0 for sound data, 1 for findings, 2 for data that cannot be trained on."""
    done = headstart("check", photos)
    assert done.returncode == 0
    assert "folder per class" in done.stdout
    shutil.copy(sorted((photos / "hat").iterdir())[0], photos / "hat" / "copy.jpg")
    done = headstart("check", photos, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert any("hat/copy.jpg" in issue["files"] for issue in told["issues"])
    (photos / "hat" / "text.png").write_text("no picture")
    done = headstart("check", photos)
    assert done.returncode == 2
    assert "hat/text.png" in done.stdout
    done = headstart("check", photos / "nowhere", "--json")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    told = json.loads(done.stdout)
    assert set(told) == {"status", "message", "hint"}
    assert told["status"] == 2
    assert "found no such folder" in told["message"]


def interrupted(at: str) -> subprocess.CompletedProcess[str]:
    """``headstart check photos`` with Ctrl-C at the first import of a module."""
    code = f"""
import importlib.abc, os, signal, sys
class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {at!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[1:] = ["check", "photos"]
from headstart.__main__ import main
main()
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_ctrl_c_while_python_imports_the_command_line_ends_it_without_a_word() -> None:
    ended = interrupted("typer")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_before_a_command_has_begun_says_that_nothing_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.main.get_command", interrupt)
    ended = headstart("check", "photos")
    assert (ended.returncode, ended.stdout) == (130, "")
    assert len(ended.stderr.splitlines()) == 1 and "the same command" in ended.stderr
