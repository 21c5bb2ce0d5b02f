"""`check` finds the faults that were put in, names their files, and finds none in sound data."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import headstart as hs
from headstart.console.tables import check_table
from headstart.data.checks.check import CheckResult, check
from headstart.data.checks.issues import Issue
from headstart.data.decode import Unreadable, read, resize_to_square
from headstart.data.index import natural_key
from headstart.data.splits import training_index
from headstart.recipes.recipe import Data


def found(health: CheckResult, message: str) -> Issue:
    """The one finding whose kind or message holds ``message``."""
    those = [each for each in health.issues if message in f"{each.kind}: {each.message}"]
    assert len(those) == 1, [each.message for each in health.issues]
    return those[0]


@pytest.fixture
def split(photos: Path, tmp_path: Path) -> Path:
    """The photographs with a validation split: 15 and 5 of every class."""
    for folder in sorted(photos.iterdir()):
        for number, file in enumerate(sorted(folder.iterdir())):
            target = tmp_path / "split" / ("val" if number % 4 == 0 else "train") / folder.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return tmp_path / "split"


@pytest.mark.real_too
def test_sound_data_is_clean(split: Path) -> None:
    health = check(split)
    assert (health.status, health.usable, health.split) == (0, True, "given")
    assert health.images == {"train": 45, "val": 15}
    assert health.counts["train"] == {"dress": 15, "hat": 15, "shoes": 15}
    assert [each for each in health.issues if each.severity != "note"] == []


def test_unreadable_files_are_named_by_what_is_wrong_with_them(split: Path) -> None:
    victims = sorted((split / "train" / "hat").iterdir())
    victims[0].write_bytes(victims[0].read_bytes()[:3000])
    victims[1].write_bytes(b"")
    (split / "train" / "hat" / "text.png").write_text("no picture")
    Image.new("1", (20_000, 20_000)).save(split / "train" / "hat" / "bomb.png")
    health = check(split)
    assert (health.status, health.usable) == (2, False)
    assert found(health, "truncated").files == (f"train/hat/{victims[0].name}",)
    assert found(health, "empty").files == (f"train/hat/{victims[1].name}",)
    assert found(health, "not an image").files == ("train/hat/text.png",)
    assert found(health, "too large").files == ("train/hat/bomb.png",)


def test_exact_duplicates_within_a_split_and_between(split: Path) -> None:
    one, other = sorted((split / "train" / "hat").iterdir())[:2]
    shutil.copy(one, split / "train" / "hat" / "copy.jpg")
    shutil.copy(other, split / "val" / "hat" / "leak.jpg")
    health = check(split)
    assert health.status == 1
    assert set(found(health, "duplicate leakage").files) == {f"train/hat/{other.name}", "val/hat/leak.jpg"}
    assert set(found(health, "duplicate within train").files) == {f"train/hat/{one.name}", "train/hat/copy.jpg"}


def test_near_duplicates_are_found_however_they_were_saved(split: Path) -> None:
    """The same picture at half its size and a quarter of its quality, under another name on the other side."""
    one = sorted((split / "train" / "dress").iterdir())[0]
    with Image.open(one) as picture:
        picture.resize((picture.width // 2, picture.height // 2)).save(
            split / "val" / "dress" / "small.jpg", quality=50
        )
    leak = found(check(split), "near-duplicate leakage")
    assert set(leak.files) == {f"train/dress/{one.name}", "val/dress/small.jpg"}


def test_the_same_picture_with_two_labels(split: Path) -> None:
    one = sorted((split / "train" / "dress").iterdir())[0]
    shutil.copy(one, split / "train" / "hat" / "twice.jpg")
    conflict = found(check(split), "with conflicting labels")
    assert set(conflict.files) == {f"train/dress/{one.name}", "train/hat/twice.jpg"}


def test_flat_pictures_of_different_things_are_no_duplicates(split: Path) -> None:
    for number, color in enumerate(("black", "white", "gray", "red", "navy")):
        Image.new("RGB", (64, 64), color).save(split / "train" / "hat" / f"flat{number}.png")
    assert not [each for each in check(split).issues if "duplicate" in each.kind]


def test_imbalance_and_missing_classes(split: Path) -> None:
    shutil.rmtree(split / "val" / "shoes")
    for file in sorted((split / "train" / "hat").iterdir())[1:]:
        file.unlink()
    health = check(split)
    assert found(health, 'Class "shoes" has no images in val').severity == "warning"
    assert "hat has 1" in found(health, "imbalance").message


def test_a_class_only_in_validation_is_not_usable(split: Path) -> None:
    shutil.rmtree(split / "train" / "shoes")
    assert found(check(split), 'Class "shoes" has 5 images in val but none in train').severity == "error"


def test_one_source_on_both_sides(photos: Path) -> None:
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    rows = [
        f"{name},{name.split('/')[0]},{'val' if i % 4 == 0 else 'train'},film {i // 2}" for i, name in enumerate(names)
    ]
    (photos / "labels.csv").write_text("filename,label,split,group\n" + "\n".join(rows) + "\n")
    leak = found(check(photos), "group leakage")
    assert "15 groups" in leak.message
    assert len(leak.files) == 30


def test_modes_and_orientation_are_notes(split: Path) -> None:
    one = sorted((split / "train" / "dress").iterdir())
    for mode, file in zip(("L", "P", "RGBA", "CMYK", "I;16"), one, strict=False):
        with Image.open(file) as picture:
            if mode == "I;16":
                converted = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 256)
            else:
                converted = picture.convert(mode)
        file.unlink()
        converted.save(file.with_suffix(".tif"))
    with Image.open(one[5]) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(one[5], exif=exif)
    health = check(split)
    assert health.status == 0
    for word in ("gray", "palette", "transparent", "CMYK", "more than 8 bits", "EXIF rotation"):
        assert len(found(health, f"{word}:").files) == 1, word


def test_data_without_a_split_are_judged_by_the_one_that_fit_would_make(photos: Path) -> None:
    health = check(photos)
    assert (health.split, health.status, health.images) == ("made", 0, {"train": 48, "val": 12})


def test_what_training_would_refuse_is_not_usable(photos: Path) -> None:
    for file in sorted((photos / "hat").iterdir())[1:]:
        file.unlink()
    assert found(check(photos), 'Class "hat" has one image only').severity == "error"
    shutil.rmtree(photos / "hat")
    shutil.rmtree(photos / "shoes")
    assert found(check(photos), "one class").severity == "error"


def test_images_without_labels_can_be_learnt_from_but_not_by_a_classifier(photos: Path) -> None:
    flat = photos.with_name("flat")
    shutil.copytree(photos / "dress", flat)
    for file in flat.iterdir():
        file.rename(file.with_stem(f"x{file.stem}"))
    health = check(flat)
    note = found(health, "unlabeled")
    assert note.severity == "note"
    assert "headstart fit byol-quick" in note.message
    assert (health.usable, health.status) == (True, 0)
    with pytest.raises(hs.HeadstartError, match="headstart fit byol-quick"):
        hs.fit("quick", flat)


def test_a_csv_that_names_missing_files(photos: Path) -> None:
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    rows = "".join(f"{name},{name.split('/')[0]}\n" for name in [*names, "hat/gone.jpg"])
    (photos / "labels.csv").write_text("filename,label\n" + rows)
    health = check(photos)
    assert health.status == 2
    assert "hat/gone.jpg" in json.dumps(health.to_json())


def test_images_that_no_row_of_a_csv_names_are_said_to_be_left_out(photos: Path) -> None:
    names = [file.relative_to(photos).as_posix() for file in sorted(photos.rglob("*.jpg"))]
    listed = [name for name in names if not name.startswith("shoes")][2:]
    rows = "".join(f"{name},{name.split('/')[0]}\n" for name in listed)
    (photos / "labels.csv").write_text("filename,label\n" + rows)
    health = check(photos)
    assert health.status == 1
    finding = found(health, "22 images listed in no row of the CSV")
    assert (finding.severity, finding.files) == ("warning", tuple(sorted({*names} - {*listed}, key=natural_key)))
    assert training_index(str(photos), Data()).classes == ("dress", "hat")


def test_test_images_without_labels_are_no_finding(photos: Path) -> None:
    """In a folder of the test split, or named by its CSV, they wait for `headstart predict`."""
    waiting = sorted((photos / "shoes").iterdir())
    (photos / "Test").mkdir()
    for file in waiting[:10]:
        file.rename(photos / "Test" / file.name)
    (photos / "shoes").rename(photos / "images")
    (photos / "test.csv").write_text("id,filename\n" + "".join(f"1,{file.name}\n" for file in waiting[10:]))
    names = [file.relative_to(photos).as_posix() for kind in ("dress", "hat") for file in (photos / kind).iterdir()]
    (photos / "train.csv").write_text("filename,label\n" + "".join(f"./{n},{n.split('/')[0]}\n" for n in names))
    assert [each.message for each in check(photos).issues if each.severity != "note"] == []


def test_the_table_shows_hostile_names_as_they_are(split: Path) -> None:
    (split / "train" / "hat").rename(split / "train" / "[bold red]hat")
    (split / "train" / "dress" / "[link]x.png").write_text("no picture")
    out = io.StringIO()
    Console(file=out, width=160).print(check_table(check(split)))
    assert "[bold red]hat" in out.getvalue()
    assert "[link]x.png" in out.getvalue()


def test_it_survives_a_trip_through_json(split: Path) -> None:
    told = json.loads(json.dumps(check(split).to_json()))
    assert (told["status"], told["counts"]["val"]["hat"]) == (0, 5)


class TestDecode:
    """One file, one upright RGB picture, or the reason why not."""

    def test_sixteen_bits_keep_their_upper_eight(self, tmp_path: Path) -> None:
        gray = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
        Image.fromarray(gray).save(tmp_path / "deep.png")
        assert np.array_equal(np.asarray(read(tmp_path / "deep.png").rgb)[..., 0].ravel(), np.arange(256))

    def test_exif_orientation_is_applied(self, photos: Path, tmp_path: Path) -> None:
        with Image.open(sorted((photos / "hat").iterdir())[0]) as picture:
            exif = picture.getexif()
            exif[0x0112] = 6
            picture.save(tmp_path / "turned.png", exif=exif)
            upright = np.asarray(picture.convert("RGB").rotate(-90, expand=True))
        assert np.array_equal(np.asarray(read(tmp_path / "turned.png").rgb), upright)

    def test_a_large_jpeg_is_decoded_small_and_looks_the_same(self, photos: Path, tmp_path: Path) -> None:
        with Image.open(sorted((photos / "hat").iterdir())[0]) as picture:
            picture.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=95)
        whole, small = read(tmp_path / "large.jpg"), read(tmp_path / "large.jpg", enough_for=64)
        assert small.rgb.width < whole.rgb.width
        assert small.size == whole.size == (1600, 1200)
        one, other = (resize_to_square(each.rgb, 64, "squash").astype(int) for each in (whole, small))
        assert np.abs(one - other).mean() < 3

    def test_a_draft_notices_that_a_file_is_cut_short(self, photos: Path, tmp_path: Path) -> None:
        with Image.open(sorted((photos / "hat").iterdir())[0]) as picture:
            picture.resize((1600, 1200)).save(tmp_path / "large.jpg")
        content = (tmp_path / "large.jpg").read_bytes()
        (tmp_path / "large.jpg").write_bytes(content[: len(content) * 3 // 4])
        with pytest.raises(Unreadable, match="truncated"):
            read(tmp_path / "large.jpg", enough_for=32)

    def test_squares_are_torchvision_s(self, photos: Path) -> None:
        from torchvision.transforms import v2

        with Image.open(sorted((photos / "hat").iterdir())[0]) as picture:
            rgb = picture.convert("RGB")
        squash = v2.Compose([v2.Resize((80, 80)), v2.PILToTensor()])
        crop = v2.Compose([v2.Resize(80), v2.CenterCrop(80), v2.PILToTensor()])
        assert np.array_equal(resize_to_square(rgb, 80, "squash"), squash(rgb).numpy())
        assert np.array_equal(resize_to_square(rgb, 80, "crop"), crop(rgb).numpy())
        padded = resize_to_square(rgb, 80, "pad")
        assert padded.shape == (3, 80, 80)
        assert not padded[:, :, 0].any() or not padded[:, 0].any(), "black beside or above"
