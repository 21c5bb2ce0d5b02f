"""Tables of labels as programs, competitions and exports write them: read rightly, or refused with the way out."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from headstart.data.checks.check import check
from headstart.data.dataset import Dataset
from headstart.data.index import UNLABELED, Index
from headstart.data.layouts import Choice, scan
from headstart.data.splits import training_index
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Data

CLASSES = ("dress", "hat", "shoes")
Rows = list[tuple[str, str]]


@pytest.fixture
def flat(photos: Path, tmp_path: Path) -> Callable[..., tuple[Path, Rows]]:
    """Six photographs of each class in one folder ``place``, and their (name, label) in a fixed order."""

    def make(place: str = "images", each: int = 6, skip: int = 0) -> tuple[Path, Rows]:
        root = tmp_path / "data"
        (root / place).mkdir(parents=True, exist_ok=True)
        rows = []
        for label in CLASSES:
            for file in sorted((photos / label).iterdir())[skip : skip + each]:
                shutil.copy(file, root / place / f"{label[0]}{file.stem}.jpg")
                rows.append((f"{label[0]}{file.stem}.jpg", label))
        return root, rows

    return make


def write(file: Path, table: Sequence[Sequence[object]], encoding: str = "utf-8", **dialect: str) -> None:
    with file.open("w", newline="", encoding=encoding) as text:
        csv.writer(text, **dialect).writerows(table)  # type: ignore[arg-type]


def labels(index: Index) -> dict[str, str]:
    """File name -> class."""
    named = zip(index.paths, index.labels, strict=True)
    return {path.rpartition("/")[2]: index.classes[label] for path, label in named if label != UNLABELED}


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ({"delimiter": ";"}, "semicolons"),
        ({"delimiter": "\t"}, "tabs"),
        ({"delimiter": "|"}, "bars"),
        ({"encoding": "utf-16", "delimiter": "\t"}, "tabs, UTF-16"),
        ({"encoding": "utf-8-sig"}, ""),
        ({"encoding": "latin-1"}, "Latin-1"),
        ({"lineterminator": "\r"}, ""),
    ],
)
def test_every_dialect_is_read_and_said(
    dialect: dict[str, str], said: str, flat: Callable[..., tuple[Path, Rows]]
) -> None:
    root, rows = flat()
    spelled = {"hat": "chapeau d'été" if dialect.get("encoding") == "latin-1" else "hat"}
    table = [(name, spelled.get(label, label)) for name, label in rows]
    write(root / "labels.csv", [("filename", "label"), *table], **dialect)
    index = scan(root)
    assert labels(index) == dict(table)
    told = [note.message for note in index.notes if note.kind == "table"]
    assert len(told) == bool(said)
    assert all(said in message for message in told)


def test_a_separator_line_of_excel_and_a_tsv_file(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    lines = "\n".join(f"{name};{label}" for name, label in rows)
    (root / "labels.csv").write_text(f"sep=;\nfilename;label\n{lines}\n")
    assert labels(scan(root)) == dict(rows)
    (root / "labels.csv").unlink()
    write(root / "labels.tsv", [("filename", "label"), *rows], delimiter="\t")
    assert labels(scan(root)) == dict(rows)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda root, name: name,
        lambda root, name: Path(name).stem,
        lambda root, name: f"images\\{name}",
        lambda root, name: f".\\images\\{name}",
        lambda root, name: f"./images/{name}",
        lambda root, name: f"{root.name}/images/{name}",
        lambda root, name: str((root / "images" / name).absolute()),
        lambda root, name: f"C:\\photos\\images\\{name}",
        lambda root, name: f"images/{name}".upper(),
    ],
)
def test_a_file_is_found_however_it_is_written(
    spelled: Callable[[Path, str], str], flat: Callable[..., tuple[Path, Rows]]
) -> None:
    root, rows = flat()
    write(root / "labels.csv", [("filename", "label"), *((spelled(root, name), label) for name, label in rows)])
    index = scan(root)
    assert (labels(index), index.problems) == (dict(rows), ())


def test_a_file_of_another_folder_is_missing_and_of_two_folders_ambiguous(
    flat: Callable[..., tuple[Path, Rows]],
) -> None:
    root, rows = flat("old/images")
    write(root / "labels.csv", [("filename", "label"), (f"new/images/{rows[0][0]}", "hat"), *rows[1:]])
    assert scan(root).problems == (("missing", f"new/images/{rows[0][0]} (listed in labels.csv line 2)"),)
    (root / "copies").mkdir()
    shutil.copy(root / "old/images" / rows[1][0], root / "copies")
    assert [kind for kind, _ in scan(root / "labels.csv").problems] == ["missing", "ambiguous"]
    with pytest.raises(HeadstartError, match="every listed image, found missing"):
        training_index(str(root / "labels.csv"), Data())


@pytest.mark.parametrize(
    "header",
    [
        "image,class", "image_id,label", "id,breed", "id_code,diagnosis", "path,target", "file_name,category",
        "filepaths,labels", "Image Name,Species", "anything,Label", "ID,has_cactus",
    ],
)  # fmt: skip
def test_usual_columns(header: str, flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    write(root / "train.csv", [header.split(","), *rows])
    assert labels(scan(root)) == dict(rows)


def test_columns_can_be_given(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    table = [(name, label, ("red", "blue")[i % 2], label[0]) for i, (name, label) in enumerate(rows)]
    write(root / "shop.csv", [("photo", "garment", "colour", "initial"), *table])
    with pytest.raises(HeadstartError, match=r"one column of labels, found garment, colour, initial.*label=garment"):
        scan(root)
    assert scan(root, choice=Choice(columns="label=colour")).classes == ("blue", "red")
    index = Dataset(root).scan(Data(columns="file=photo,label=garment,group=initial"))
    assert (labels(index), set(index.groups)) == (dict(rows), {"d", "h", "s"})
    with pytest.raises(HeadstartError, match="expected a column garmet"):
        scan(root, choice=Choice(columns="label=garmet"))
    with pytest.raises(HeadstartError, match="expected file, label, mask, split, group"):
        scan(root, choice=Choice(columns="lable=garment"))


def test_a_table_without_a_header_and_one_with_an_index(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    write(root / "labels.csv", rows)
    assert labels(scan(root)) == dict(rows)
    write(root / "labels.csv", [("", "filename", "label"), *((i, *row) for i, row in enumerate(rows))])
    assert labels(scan(root)) == dict(rows)


def test_lists_of_images_and_labels_without_a_header(flat: Callable[..., tuple[Path, Rows]]) -> None:
    """ImageNet's val.txt: a path and a label in each line."""
    root, rows = flat("train")
    _, held_out = flat("val", each=2, skip=8)
    for split, some in (("train", rows), ("val", held_out)):
        (root / f"{split}.txt").write_text("".join(f"{split}/{name}   {label}\n" for name, label in some))
    index = scan(root)
    assert labels(index) == dict(rows + held_out)
    assert (len(index.positions("val")), index.sources) == (6, ("train.txt", "val.txt"))


def test_two_columns_that_may_be_labels_are_not_chosen_between(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    table = [(name, label, ("a", "b")[i % 2]) for i, (name, label) in enumerate(rows)]
    write(root / "pets.csv", [("image", "breed", "species"), *table])
    with pytest.raises(HeadstartError, match=r"one column of labels, found (species, breed|breed, species)"):
        scan(root)
    numbered = [(name, label, CLASSES.index(label)) for name, label in rows]
    write(root / "pets.csv", [("image", "class_name", "class_id"), *numbered])
    assert scan(root).classes == CLASSES


def test_one_hot_columns_are_classes_and_several_1s_are_refused(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    table = [[name, *(int(label == each) for each in CLASSES)] for name, label in rows]
    write(root / "train.csv", [("image_id", *CLASSES), *table])
    assert labels(scan(root)) == dict(rows)
    table[3][1:] = [1, 1, 0]
    write(root / "train.csv", [("image_id", *CLASSES), *table])
    with pytest.raises(HeadstartError, match=r"train\.csv: expected one class per image, found several: 2 .*line 5"):
        scan(root)
    table[3][1:] = [0, 0, 0]
    write(root / "train.csv", [("image_id", *CLASSES), *table])
    with pytest.raises(HeadstartError, match=r"line 5: expected a 1 in one of the columns"):
        scan(root)


@pytest.mark.parametrize("joined", ["hat|dress", "hat;dress", "hat, dress", "hat dress", "['hat', 'dress']"])
def test_lists_of_labels_are_refused(joined: str, flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    write(root / "labels.csv", [("filename", "label"), *rows[1:], (rows[0][0], joined)])
    with pytest.raises(HeadstartError, match="expected one class per image, found several"):
        scan(root)


def test_classes_of_several_words_are_no_lists(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    table = [(name, f"{label}, worn by {('men', 'women')[i % 2]}") for i, (name, label) in enumerate(rows)]
    write(root / "labels.csv", [("filename", "label"), *table])
    assert len(scan(root).classes) == 6


def test_real_numbers_are_refused_and_whole_ones_are_classes(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    write(root / "labels.csv", [("filename", "label"), *((name, 0.37 + i / 7) for i, (name, _) in enumerate(rows))])
    with pytest.raises(HeadstartError, match=r"column label: expected classes, found real numbers"):
        scan(root)
    write(root / "labels.csv", [("filename", "label"), *((name, len(label)) for name, label in rows)])
    assert scan(root).classes == ("3", "5")


def test_measured_numbers_are_no_classes(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat(each=20)
    write(root / "people.csv", [("file", "age"), *((name, 20 + i % 25) for i, (name, _) in enumerate(rows))])
    with pytest.raises(HeadstartError, match="expected a column label beside file, found age"):
        scan(root)


def test_images_and_masks_in_columns(flat: Callable[..., tuple[Path, Rows]]) -> None:
    """DeepGlobe's metadata.csv: a column of images and one of masks, empty where there is none."""
    root, rows = flat("train")
    for name, _ in rows[:8]:
        Image.new("L", (160, 160), 1).save(root / "train" / f"{name}.png")
    table = [(i, "train", f"train/{n}", f"train/{n}.png" if i < 8 else "") for i, (n, _) in enumerate(rows[:10])]
    write(root / "metadata.csv", [("id", "split", "sat_image_path", "mask_path"), *table])
    index = scan(root)
    assert index.masks == tuple(f"{path}.png" if i < 8 else "" for i, path in enumerate(index.paths))
    assert [kind for kind, _ in index.problems] == ["image without mask"] * 2


def test_splits_by_a_column_of_words_or_of_truth(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    for header, cells in (
        ("split", ("train", "valid")),
        ("is_valid", ("False", "True")),
        ("data set", ("train", "val")),
    ):
        table = [(name, label, cells[i % 3 == 0]) for i, (name, label) in enumerate(rows)]
        write(root / "labels.csv", [("filename", "label", header), *table])
        index = scan(root)
        assert (len(index.positions("train")), len(index.positions("val"))) == (12, 6)


def test_forms_and_predictions_are_no_labels(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat("train")
    flat("test", each=2, skip=6)
    waiting = sorted(file.name for file in (root / "test").iterdir())
    write(root / "train.csv", [("filename", "label"), *rows])
    write(root / "sample_submission.csv", [("filename", "label"), *((name, "hat") for name in waiting)])
    write(root / "predictions.csv", [("filename", "label"), *((name, "hat") for name, _ in rows)])
    write(root / "mine.csv", [("filename", "label", "confidence"), *((name, "hat", 0.9) for name, _ in rows)])
    index = scan(root)
    assert (labels(index), len(index)) == (dict(rows), 18)
    reasons = {path: why.words for path, why in index.unused}
    assert reasons["sample_submission.csv"].startswith("a form")
    assert reasons["predictions.csv"] == reasons["mine.csv"] == "predictions, not labels"
    assert all("predict" in reasons[f"test/{name}"] for name in waiting)
    assert check(root).status == 0


def test_tables_that_contradict_each_other_are_refused(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    write(root / "labels.csv", [("filename", "label"), *rows])
    write(root / "labels_old.csv", [("filename", "label"), *((name, "hat") for name, _ in rows)])
    with pytest.raises(HeadstartError, match=r"found .* again \(first: labels\.csv line 2\).*labels\.csv"):
        scan(root)
    assert labels(scan(root / "labels.csv")) == dict(rows)


def test_a_table_against_the_folders_is_refused_and_either_can_be_chosen(photos: Path) -> None:
    rows = [(f.relative_to(photos).as_posix(), ("a", "b")[i % 2]) for i, f in enumerate(sorted(photos.rglob("*.jpg")))]
    write(photos / "labels.csv", [("filename", "label"), *rows])
    with pytest.raises(HeadstartError, match=r"one way to read it, found two: CSV .* and folder per class"):
        scan(photos)
    assert scan(photos, choice=Choice("table")).classes == ("a", "b")
    assert training_index(str(photos), Data(layout="folders")).classes == CLASSES


def test_tables_of_measurements_and_of_class_names_are_mentioned(photos: Path) -> None:
    files = sorted(photos.rglob("*.jpg"))
    write(photos / "camera.csv", [("file", "maker"), *((f.name, ("x", "y")[i % 2]) for i, f in enumerate(files))])
    write(photos / "names.csv", [("ClassId", "Name"), (0, "dress"), (1, "hat")])
    index = scan(photos)
    assert (index.classes, index.layout) == (CLASSES, "folder per class")
    assert {"camera.csv", "names.csv"} <= dict(index.unused).keys()
    assert next(each for each in check(photos).issues if each.kind == "tables").files == ("camera.csv", "names.csv")


def test_cells_that_are_too_many_or_alike_or_missing_are_told(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    (root / "labels.csv").write_text("filename,label\n" + "".join(f"{name},{label}, red\n" for name, label in rows))
    with pytest.raises(HeadstartError, match=r"line 2: expected 2 cells .* found more \(18 such rows\)"):
        scan(root)
    table = [(name, (label, label.title(), "NaN")[i % 3]) for i, (name, label) in enumerate(rows)]
    write(root / "labels.csv", [("filename", "label"), *table])
    assert {note.kind for note in scan(root).notes if note.severity == "warning"} == {"classes alike", "no label?"}
    write(
        root / "labels.csv",
        [("filename", "label"), *((name, ("007", "7.0", "8")[i % 3]) for i, (name, _) in enumerate(rows))],
    )
    assert '"007" and "7.0"' in next(note.message for note in scan(root).notes if note.kind == "classes alike")


def test_metadata_in_the_folders_of_the_splits(flat: Callable[..., tuple[Path, Rows]]) -> None:
    """Hugging Face's ImageFolder: train/metadata.csv beside the images of train/."""
    root, rows = flat("train")
    _, held_out = flat("validation", each=2, skip=8)
    write(root / "train" / "metadata.csv", [("file_name", "label"), *rows])
    write(root / "validation" / "metadata.csv", [("file_name", "label"), *held_out])
    index = scan(root)
    assert (len(index.positions("train")), len(index.positions("val"))) == (18, 6)
    assert labels(index) == dict(rows + held_out)


def test_a_table_names_no_file_outside_its_folder(flat: Callable[..., tuple[Path, Rows]], tmp_path: Path) -> None:
    """A stranger's table must not have any file of the user's read, and copied into a run as a thumbnail."""
    root, rows = flat()
    secret = shutil.copy(root / "images" / rows[0][0], tmp_path / "secret.jpg")
    outside = [("../secret.jpg", "hat"), (str(secret), "hat"), ("images/../../secret.jpg", "dress")]
    write(root / "labels.csv", [("file", "label"), *rows, *outside])
    assert len(scan(root).paths) == len(rows)
    missing = [issue for issue in check(root).issues if "not found" in issue.message]
    assert sum("secret.jpg" in file for issue in missing for file in issue.files) == len(outside)


@pytest.mark.parametrize("header", ["filename,label", "id,class", "number,kind_of_it"])
def test_classes_that_are_numbers_are_no_files_of_these_names(
    header: str, flat: Callable[..., tuple[Path, Rows]]
) -> None:
    root, rows = flat()
    for number, (name, _) in enumerate(rows):
        (root / "images" / name).rename(root / "images" / f"{number}.jpg")
    lines = [f"{number},{number % 3}" for number in range(len(rows))]
    (root / "labels.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    index = scan(root)
    assert index.paths == tuple(f"images/{number}.jpg" for number in range(len(rows)))
    assert [index.classes[label] for label in index.labels] == [str(number % 3) for number in range(len(rows))]


def test_a_cell_of_any_length_is_read_or_refused_in_one_line(flat: Callable[..., tuple[Path, Rows]]) -> None:
    root, rows = flat()
    lines = ["filename,label,remark", *(f"{name},{label}," for name, label in rows)]
    table = root / "labels.csv"
    table.write_text("\n".join(lines).replace(",\n", f",{'x' * 200_000}\n", 1), encoding="utf-8")
    with pytest.raises(HeadstartError, match=r"labels\.csv: expected a CSV file, found: field larger"):
        scan(root)
