"""`check` finds the faults that were put into masks, names their files, and counts pixels as one would by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from headstart.cli.main import app
from headstart.data.checks.check import CheckResult, check
from headstart.data.checks.issues import Issue
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes.recipe import Data

pytestmark = pytest.mark.slow

SIDE = 40
KEEP = Data(image_size=16, resize="keep")
GROUND, TREE, HOUSE = (255, 255, 0), (0, 255, 0), (0, 255, 255)
CLASSES = "name,r,g,b\nground,255,255,0\ntree,0,255,0\nhouse,0,255,255\nunknown,0,0,0\n"


@pytest.fixture
def pairs(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Eight real images, six to train on, under masks that are ground at the left, tree, and house in the last rows."""
    root = tmp_path / "pairs"
    for number, image in enumerate(sorted((shared_data("aerial") / "train").glob("*_sat.jpg"))[:8]):
        for kind in ("images", "masks"):
            (root / split_of(number) / kind).mkdir(parents=True, exist_ok=True)
        with Image.open(image) as picture:
            picture.crop((0, 0, SIDE, SIDE)).save(root / split_of(number) / "images" / f"{number}.jpg")
        draw(root, number)
    (root / "class_dict.csv").write_text(CLASSES)
    return root


def split_of(number: int) -> str:
    return "train" if number < 6 else "val"


def draw(root: Path, number: int, house: int = 4, strange: tuple[int, int, int] | None = None) -> str:
    """The mask of image ``number`` with so many rows of house, and a square of ten pixels a side in another color."""
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[:, :20], mask[:, 20:] = GROUND, TREE
    mask[SIDE - house :] = HOUSE
    if strange is not None:
        mask[:10, :10] = strange
    name = f"{split_of(number)}/masks/{number}.png"
    Image.fromarray(mask).save(root / name)
    return name


def found(health: CheckResult, kind: str) -> Issue:
    """The one finding of a kind."""
    those = [each for each in health.issues if each.kind == kind]
    assert len(those) == 1, [(each.kind, each.message) for each in health.issues]
    return those[0]


def test_sound_pairs_are_clean_and_their_pixels_counted(pairs: Path) -> None:
    draw(pairs, 0, strange=(0, 0, 0))
    health = check(pairs)
    assert (health.status, health.split, health.images) == (0, "given", {"train": 6, "val": 2})
    assert health.classes == ("ground", "tree", "house")
    assert health.counts["val"] == {"ground": 2, "tree": 2, "house": 2}
    area = SIDE * SIDE
    half = 20 * (SIDE - 4)
    counted = 6 * area - 100
    expected = {"ground": (6 * half - 100) / counted, "tree": 6 * half / counted, "house": 6 * 4 * SIDE / counted}
    assert health.shares["train"] == pytest.approx(expected)
    assert health.ignored_shares == pytest.approx({"train": 100 / (6 * area), "val": 0})
    assert health.to_name is None
    assert json.loads(json.dumps(health.to_json()))["shares"]["train"]["tree"] == pytest.approx(expected["tree"])


def test_colors_of_no_class_are_counted_and_their_files_named(pairs: Path) -> None:
    files = (draw(pairs, 1, strange=(255, 0, 0)), draw(pairs, 7, strange=(255, 0, 0)))
    health = check(pairs)
    finding = found(health, "outside the palette")
    assert (finding.severity, finding.files, health.status) == ("warning", files, 1)
    assert "200 pixels (1.6 %) of 2 masks in colors of no class (#ff0000)" in finding.message


def test_blurred_masks_are_a_note(pairs: Path) -> None:
    mask = pairs / draw(pairs, 2)
    with Image.open(mask) as picture:
        picture.save(mask.with_suffix(".jpg"), quality=85)
    mask.unlink()
    finding = found(check(pairs), "blurred")
    assert (finding.severity, finding.files) == ("note", ("train/masks/2.jpg",))


def test_a_class_that_is_only_in_validation_is_a_warning_with_its_name(pairs: Path) -> None:
    for number in range(6):
        draw(pairs, number, house=0)
    health = check(pairs)
    finding = found(health, "class missing")
    assert (finding.severity, health.status) == ("warning", 1)
    assert finding.message.startswith('Class "house" is in 2 images of val but not in train')
    assert finding.files == ("val/images/6.jpg", "val/images/7.jpg")


def test_classes_that_are_never_seen_or_not_judged(pairs: Path) -> None:
    (pairs / "class_dict.csv").write_text(CLASSES + "lake,0,0,255\n")
    for number in (6, 7):
        draw(pairs, number, house=0)
    told = [each.message for each in check(pairs).issues if each.kind == "class missing"]
    assert told == ['Class "house" occurs in no mask of val', 'Class "lake" occurs in no mask']


def test_the_same_image_on_both_sides_is_a_leak(pairs: Path) -> None:
    shutil.copy(pairs / "train" / "images" / "0.jpg", pairs / "val" / "images" / "7.jpg")
    health = check(pairs)
    assert found(health, "duplicate leakage").files == ("train/images/0.jpg", "val/images/7.jpg")
    assert health.status == 1


def test_a_mask_of_another_size_is_named_with_its_image(pairs: Path) -> None:
    mask = pairs / draw(pairs, 3)
    with Image.open(mask) as picture:
        picture.crop((0, 0, 30, 20)).save(mask)
    finding = found(check(pairs), "size mismatch")
    assert finding.sets == (("train/images/3.jpg", "train/masks/3.png"),)
    assert "train/masks/3.png: 30 x 20, its image 40 x 40 pixels" in finding.message


def test_an_image_that_exif_turns_has_the_size_that_it_is_seen_in(pairs: Path) -> None:
    image, mask = pairs / "train" / "images" / "4.jpg", pairs / draw(pairs, 4)
    with Image.open(image) as picture, Image.open(mask) as drawn:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.crop((0, 0, 40, 20)).save(image, exif=exif)
        drawn.crop((0, 0, 20, 40)).save(mask)
    assert check(pairs).status == 0


def test_masks_of_0_and_255_are_told(pairs: Path) -> None:
    (pairs / "class_dict.csv").unlink()
    (pairs / "classes.txt").write_text("land\nhouse\n")
    for file in pairs.rglob("*.png"):
        with Image.open(file) as picture:
            house = (np.asarray(picture) == HOUSE).all(axis=2)
        Image.fromarray(np.where(house, 255, 0).astype(np.uint8)).save(file)
    health = check(pairs)
    assert found(health, "binary masks").message == "Masks hold 0 and 255 only: read as two classes, land and house"
    assert health.status == 0
    assert health.shares["val"] == pytest.approx({"land": 0.9, "house": 0.1})


def test_classes_without_names_are_written_down_to_be_named_once(pairs: Path) -> None:
    """The file that is written, filled in and renamed as is said, names the classes; it is never overwritten."""
    (pairs / "class_dict.csv").unlink()
    before = sorted(pairs.rglob("*"))
    assert found(check(pairs), "unnamed classes").severity == "warning"
    assert sorted(pairs.rglob("*")) == before, "only the command writes"
    answer = CliRunner().invoke(app, ["check", str(pairs)])
    file = pairs / "class_dict.found.csv"
    assert answer.exit_code == 1
    assert f"mv {file} {pairs / 'class_dict.csv'}" in answer.stderr.replace("\n", " ")
    assert file.read_text() == "name,r,g,b\n#00ff00,0,255,0\n#00ffff,0,255,255\n#ffff00,255,255,0\n"
    file.write_text(file.read_text().replace("#00ff00", "tree").replace("#00ffff", "house").replace("#ffff00", "bare"))
    named = file.read_text()
    assert CliRunner().invoke(app, ["check", str(pairs)]).exit_code == 1
    assert file.read_text() == named
    file.rename(pairs / "class_dict.csv")
    health = check(pairs)
    assert (health.status, health.classes) == (0, ("tree", "house", "bare"))


def test_what_is_told_in_a_terminal(pairs: Path) -> None:
    draw(pairs, 0, strange=(0, 0, 0))
    answer = CliRunner().invoke(app, ["check", str(pairs)], env={"COLUMNS": "120"})
    assert answer.exit_code == 0
    assert "layout   train, val: pairs in images and masks" in answer.stdout
    for cell in ("train pixels (images)", "45.00% (2)", "ignored", "1.04%"):
        assert cell in answer.stdout, cell


def redraw(pairs: Path, make: Callable[[np.ndarray], Image.Image]) -> None:
    """Every mask drawn anew from its house (1) and everything else (0), without a file that names classes."""
    (pairs / "class_dict.csv").unlink()
    for file in pairs.rglob("masks/*.png"):
        with Image.open(file) as mask:
            house = (np.asarray(mask) == HOUSE).all(axis=2)
        make(house.astype(np.uint8)).save(file)


def test_soft_edges_are_a_note_and_pixels_counted_at_half(pairs: Path) -> None:
    redraw(pairs, lambda house: Image.fromarray(house * 255).resize((30, 33)).resize((SIDE, SIDE)))
    health = check(pairs)
    note = found(health, "soft edges")
    assert (note.severity, len(note.files)) == ("note", 8)
    assert "split at half" in note.message
    share = np.mean([np.asarray(Image.open(file)) >= 128 for file in sorted(pairs.glob("train/masks/*"))])
    assert health.shares["train"]["class 255"] == pytest.approx(share)


def test_transparent_pixels_are_told_and_black_beside_them_is_a_warning(pairs: Path) -> None:
    def painted(house: np.ndarray) -> Image.Image:
        rgb = np.where(house[..., None] > 0, np.uint8(200), np.uint8(90)) * np.array([1, 0, 0], np.uint8)
        return Image.fromarray(np.dstack([rgb, house * 255]))

    redraw(pairs, painted)
    health = check(pairs)
    assert found(health, "transparent masks").severity == "note"
    assert health.shares["train"]["#c80000"] == pytest.approx(4 / SIDE)
    for file in sorted(pairs.rglob("masks/*.png"))[:1]:
        with Image.open(file) as mask:
            pixels = np.asarray(mask).copy()
        pixels[:5, :5] = (0, 0, 0, 255)
        Image.fromarray(pixels).save(file)
    issue = found(check(pairs), "transparent masks")
    assert (issue.severity, issue.files) == ("warning", ("train/masks/0.png",))


def test_one_black_paint_on_transparent_ground_is_the_class(pairs: Path) -> None:
    redraw(pairs, lambda house: Image.fromarray(np.dstack([house * 0] * 3 + [house * 255])))
    health = check(pairs)
    assert found(health, "transparent masks").severity == "note"
    assert health.shares["train"]["class 255"] == pytest.approx(4 / SIDE)


def turn_images(pairs: Path, orientation: int, size: tuple[int, int]) -> None:
    """Images and masks of another size, and the images stored with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for file in [*pairs.rglob("images/*"), *pairs.rglob("masks/*.png")]:
        with Image.open(file) as image:
            cut = image.resize(size, Image.Resampling.NEAREST)
        options: dict[str, Any] = {"exif": exif} if "images" in file.parts else {}
        cut.save(file, **options)


def test_masks_on_the_stored_pixels_of_a_turned_photograph_are_turned_along(pairs: Path) -> None:
    before = check(pairs)
    turn_images(pairs, 6, (SIDE, SIDE // 2))
    health = check(pairs)
    note = found(health, "EXIF masks")
    assert (note.severity, len(note.files)) == ("note", 8)
    assert not [issue for issue in health.issues if issue.kind == "size mismatch"]
    assert health.shares["train"] == pytest.approx(before.shares["train"])
    pixels = decode(training_index(str(pairs), KEEP, "mask"), KEEP)
    row = pixels.index.masks.index("train/masks/0.png")
    with Image.open(pairs / "train/masks/0.png") as mask:
        house = (np.asarray(mask.transpose(Image.Transpose.ROTATE_270)) == HOUSE).all(axis=2)
    assert np.array_equal(pixels.masks([row])[0].numpy() == pixels.index.classes.index("house"), house)


def test_where_nothing_tells_whether_a_mask_is_turned_there_is_a_warning(pairs: Path) -> None:
    turn_images(pairs, 3, (SIDE, SIDE // 2))
    issue = found(check(pairs), "EXIF masks unknown")
    assert (issue.severity, len(issue.files)) == ("warning", 16)
    turn_images(pairs, 8, (SIDE, SIDE))
    assert found(check(pairs), "EXIF masks unknown").severity == "warning"


def test_numbers_of_objects_are_a_warning_and_large_ones_an_error(pairs: Path) -> None:
    (pairs / "class_dict.csv").unlink()
    for number, file in enumerate(sorted(pairs.rglob("masks/*.png"))):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for thing in range(2 + number % 4):
            mask[8 * thing : 8 * thing + 6, 3 + number : 20 + number] = thing + 1
        Image.fromarray(mask).save(file)
    issue = found(check(pairs), "instance numbers")
    assert issue.severity == "warning"
    (pairs / "classes.txt").write_text("ground\nhouse\nroad\ntree\ncar\npool\n")
    assert not [each for each in check(pairs).issues if each.kind == "instance numbers"], "named: classes"
    for file in pairs.rglob("masks/*.png"):
        with Image.open(file) as image:
            mask = np.asarray(image).astype(np.uint16)
        Image.fromarray(mask * 1000).save(file)
    issue = found(check(pairs), "of numbers above 255")
    assert (issue.severity, len(issue.files)) == ("error", 8)
    assert "class numbers" in issue.fix


def test_several_pieces_of_each_class_are_no_objects(pairs: Path) -> None:
    (pairs / "class_dict.csv").unlink()
    for number, file in enumerate(sorted(pairs.rglob("masks/*.png"))):
        places = np.indices((SIDE, SIDE)) // 8
        Image.fromarray(((places[0] * 3 + places[1]) % (4 + number % 3)).astype(np.uint8)).save(file)
    assert not [each for each in check(pairs).issues if each.kind == "instance numbers"]


def test_a_list_that_does_not_fit_the_masks_is_told(pairs: Path) -> None:
    (pairs / "class_dict.csv").unlink()
    (pairs / "classes.txt").write_text("ground\ntree\nhouse\n")
    assert "colors" in found(check(pairs), "unnamed classes").message
    for file in pairs.rglob("masks/*.png"):
        with Image.open(file) as image:
            tree, house = ((np.asarray(image) == color).all(axis=2) for color in (TREE, HOUSE))
        Image.fromarray(np.where(house, 200, np.where(tree, 100, 0)).astype(np.uint8)).save(file)
    health = check(pairs)
    assert health.classes == ("ground", "tree", "house")
    assert found(health, "spread numbers").severity == "note"
    (pairs / "classes.txt").unlink()
    (pairs / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n100, tree\n")
    health = check(pairs)
    assert (health.classes, found(health, "unnamed classes").severity) == (("ground", "tree", "class 200"), "warning")
