"""`headstart predict FILE.onnx`: the predictions of the run that the file was exported from, without PyTorch."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from command import headstart, refused
from headstart.inference import onnx_format
from headstart.inference.onnx_format import CHECKSUM_BYTES, metadata_of, sealed
from headstart.inference.predict import Predictions
from narrow import narrow

onnx = pytest.importorskip("onnx", reason="pip install -e .[export]")

NOT_IMPORTED = ("torch", "torchvision", "timm", "torchmetrics", "sklearn", "scipy", "pandas", "onnx", "matplotlib")


@pytest.fixture
def pictures(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    """Photographs, one of them large, one deep, one with transparency, one turned by EXIF; a broken file; a text."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    files = sorted(trained[1].rglob("*.jpg"))
    for file in files[::9]:
        shutil.copy(file, folder / "more" / f"{file.parent.name}-{file.name}")
    with Image.open(files[0]) as image:
        image.resize((1300, 900)).save(folder / "large.jpg")
        image.resize((3, 700)).save(folder / "narrow.png")
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(deep).save(folder / "deep.png")
        clear = image.convert("RGBA")
        clear.putalpha(Image.linear_gradient("L").resize(image.size))
        clear.save(folder / "transparent.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(folder / "turned.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(files[0].read_bytes()[:600])
    (folder / "notes.txt").write_text("no picture")
    return folder


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_predicts_as_the_run_does_and_the_command_says_the_same(
    trained: tuple[Path, Path], onnx_file: Path, pictures: Path, tmp_path: Path
) -> None:
    expected = narrow(hs.Run(trained[0]).predict(pictures), Predictions)
    given = hs.OnnxModel(onnx_file).predict(pictures)
    assert given.classes == expected.classes == tuple(hs.Run(trained[0]).classes)
    assert (given.files, given.names) == (expected.files, expected.names)
    assert (given.unreadable, given.others) == (expected.unreadable, expected.others)
    assert len(given.files) > 10
    assert np.abs(given.probabilities - expected.probabilities).max() < 1e-4
    assert given.labels == expected.labels
    for words in ([], ["--probabilities"]):
        of_run, of_file = (headstart("predict", each, pictures, *words) for each in (trained[0], onnx_file))
        assert (of_file.returncode, of_file.stderr) == (of_run.returncode, of_run.stderr)
        assert of_file.returncode == 1, "one is broken"
        one, other = rows(of_run.stdout), rows(of_file.stdout)
        assert [list(row) for row in one] == [list(row) for row in other]
        for a, b in zip(one, other, strict=True):
            for column, value in a.items():
                same = b[column] == value
                assert same if column in ("filename", "label") else abs(float(b[column]) - float(value)) <= 1.01e-4


def test_names_and_tables_are_those_of_the_run(
    trained: tuple[Path, Path], onnx_file: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "broken.jpg").unlink()
    listed = tmp_path / "test.csv"
    listed.write_text("filename,note\nlarge.jpg,a\n,b\ndeep.png,c\n")
    for words in ([pictures, "--names"], [pictures, "--list", listed]):
        results = []
        for which, each in enumerate((trained[0], onnx_file)):
            out = tmp_path / f"{which}.csv"
            done = headstart("predict", each, *words, "--out", out, "--overwrite")
            results.append((done.returncode, done.stderr.replace(str(out), ""), out.read_bytes()))
        assert results[0] == results[1]
    assert "a folder" in refused("predict", onnx_file, pictures, "--out", tmp_path)
    assert "outside the images" in refused("predict", onnx_file, pictures, "--out", pictures / "labels.csv")
    assert "found a file with" in refused("predict", onnx_file, pictures, "--out", onnx_file)


def test_no_module_that_takes_seconds_is_imported(onnx_file: Path, pictures: Path) -> None:
    program = (
        "import sys\nfrom headstart.cli.main import main\n"
        f"sys.argv = ['headstart', 'predict', {str(onnx_file)!r}, {str(pictures / 'large.jpg')!r}]\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        f"print([name for name in {NOT_IMPORTED!r} if name in sys.modules], 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    header, row, modules = done.stdout.splitlines()
    assert header == "filename,label,confidence"
    assert row.startswith(str(pictures / "large.jpg"))
    assert modules == "[] True"


def rewritten(onnx_file: Path, out: Path, **facts: str | None) -> Path:
    """The file with other metadata, and its checksum again."""
    model = onnx.load_model(onnx_file)
    kept = {each.key: each.value for each in model.metadata_props if each.key != "checksum"} | facts
    onnx.helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})
    out.write_bytes(sealed(model.SerializeToString()))
    return out


def test_deep_images_and_crops_are_made_as_the_metadata_says(onnx_file: Path, pictures: Path, tmp_path: Path) -> None:
    """Of 12 bits, and with another resize, against images of the network's size made by Pillow alone."""
    with Image.open(pictures / "large.jpg") as image:
        gray = image.convert("L").resize((300, 200))
    gray.save(tmp_path / "gray.png")
    Image.fromarray(np.asarray(gray).astype(np.uint16) * 16).save(tmp_path / "deep.png")
    plain = hs.OnnxModel(onnx_file)
    side = plain.recipe.data.image_size
    gray.resize((side * 300 // 200, side), Image.Resampling.BILINEAR).crop((8, 0, 8 + side, side)).save(
        tmp_path / "crop.png"
    )
    recipe = plain.recipe.to_toml()
    assert (side, recipe.count('resize = "squash"')) == (32, 1)
    ranges = json.dumps({"integers": {"low": 0.0, "high": 4080.0, "source": "percentiles"}})
    other = rewritten(
        onnx_file, tmp_path / "other.onnx", ranges=ranges, recipe=recipe.replace('resize = "squash"', 'resize = "crop"')
    )
    expected = plain.predict(tmp_path / "crop.png").probabilities[0]
    given = hs.OnnxModel(other).predict([tmp_path / "gray.png", tmp_path / "deep.png"]).probabilities
    assert np.abs(given - expected).max() < 1e-6
    assert np.abs(plain.predict(tmp_path / "gray.png").probabilities - expected).max() > 1e-6
    assert "convert it to 8 bits" in headstart("predict", onnx_file, tmp_path / "deep.png").stderr


def test_options_of_a_run_are_refused_for_a_file(onnx_file: Path, pictures: Path) -> None:
    assert "--refuse 0.05" in refused("predict", onnx_file, pictures, "--refuse", "0.1")
    assert "without --unfinished" in refused("predict", onnx_file, pictures, "--unfinished")
    assert "for segmentation" in refused("predict", onnx_file, pictures, "--flip")
    assert "for segmentation" in refused("predict", onnx_file, pictures, "--overlay")


def test_a_file_that_is_none_of_ours_is_refused_in_one_line(onnx_file: Path, pictures: Path, tmp_path: Path) -> None:
    whole = onnx_file.read_bytes()
    assert metadata_of(whole)["task"] == "classify"
    file = tmp_path / "model.onnx"
    assert "no such file" in refused("predict", file, pictures)
    for content, said in (
        (b"", "an empty file"),
        (pictures.joinpath("large.jpg").read_bytes(), "another one"),
        (whole[: len(whole) // 2], "a damaged one"),
        (whole[:-CHECKSUM_BYTES], "damaged or changed"),
        (whole[:-1] + b"x", "damaged or changed"),
        (whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], "damaged"),
    ):
        file.write_bytes(content)
        assert said in refused("predict", file, pictures)
    foreign = onnx.load_model(onnx_file)
    del foreign.metadata_props[:]
    file.write_bytes(foreign.SerializeToString())
    assert "what headstart export writes" in refused("predict", file, pictures)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"\x10" + bytes(50))
    assert "expected an ONNX file" in refused("predict", weights, pictures)
    assert f"found a file. Next: headstart predict {file}" in refused("evaluate", file, pictures)
    (tmp_path / "folder.onnx").mkdir()
    assert "expected a run folder" in refused("predict", tmp_path / "folder.onnx", pictures)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"classes": "[]"}, "names of classes"),
        ({"classes": "[1, 2, 3]"}, "classes.0"),
        ({"classes": '["hat"]'}, "for 1 classes"),
        ({"classes": "[" * 100_000}, "expected classes"),
        ({"ranges": '{"integers": {"low": "a"}}'}, "ranges"),
        ({"recipe": "a ="}, "the whole recipe"),
        ({"recipe": ""}, "found no name"),
        ({"recipe": None}, "what headstart export writes"),
        ({"task": "segment"}, "predicts masks"),
        ({"task": "byol"}, "no classes"),
    ],
)
def test_facts_that_do_not_fit_are_refused_in_one_line(
    onnx_file: Path, pictures: Path, tmp_path: Path, facts: dict[str, str | None], said: str
) -> None:
    file = rewritten(onnx_file, tmp_path / "model.onnx", **facts)
    assert said in refused("predict", file, pictures / "large.jpg")


def test_a_graph_that_onnx_runtime_does_not_run_is_refused_in_one_line(
    onnx_file: Path, pictures: Path, tmp_path: Path
) -> None:
    """In a process of its own, for ONNX Runtime writes to standard error by itself."""
    facts = metadata_of(onnx_file.read_bytes())
    value = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", "h", "w", 3])
    out = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["n", 3])
    for operator in ("NoSuchOperator", "Softmax"):  # the second one takes no bytes
        node = onnx.helper.make_node(operator, ["images"], ["probabilities"])
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [out]))
        onnx.helper.set_model_props(model, {key: each for key, each in facts.items() if key != "checksum"})
        file = tmp_path / "model.onnx"
        file.write_bytes(sealed(model.SerializeToString()))
        words = [sys.executable, "-m", "headstart", "predict", str(file), str(pictures / "large.jpg")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "that ONNX Runtime" in done.stderr


def test_without_onnx_runtime_or_room_the_error_says_so(
    onnx_file: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("headstart.environment.find_spec", lambda _: None)
        assert "pip install 'headstart[export]'" in refused("predict", onnx_file, pictures)
    with monkeypatch.context() as patch:
        patch.setattr("headstart.file_memory.available_memory", lambda: 1000)
        patch.setattr("headstart.file_memory.ALWAYS", 1000)
        assert "of memory" in refused("predict", onnx_file, pictures)
    monkeypatch.setattr(onnx_format, "MAX_BYTES", 1000)
    assert "at most 2 GiB" in refused("predict", onnx_file, pictures)


def test_metadata_is_what_onnx_reads(onnx_file: Path) -> None:
    """The outermost fields of the file, read without a library, against the library."""
    model = onnx.load_model(onnx_file)
    onnx.checker.check_model(model)
    assert metadata_of(onnx_file.read_bytes()) == {each.key: each.value for each in model.metadata_props}
    assert json.loads(metadata_of(onnx_file.read_bytes())["classes"])
    for broken in (b"", b"\xff" * 20, b"\x08\x01", b"\x0a\xff\x01a", b"\x08" * 3, b"\x0b\x00"):
        with pytest.raises(ValueError, match=r"\w"):
            metadata_of(broken)
