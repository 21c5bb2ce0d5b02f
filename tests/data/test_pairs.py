"""Image and mask pairs: found in every layout, decoded side by side, and refused with a reason."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import headstart as hs
from headstart.data.checks.check import check
from headstart.data.checks.contamination import overlapping_rows
from headstart.data.dataset import Dataset
from headstart.data.decode import digest
from headstart.data.index import Index
from headstart.data.layouts import scan
from headstart.data.masks.codec import read_mask
from headstart.data.pixels import decode
from headstart.data.requirements import require_different_masks
from headstart.data.splits import holdout_from_train, label_subset, training_index
from headstart.errors import HeadstartError
from headstart.palette import IGNORE_INDEX
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Data
from headstart.training.provenance import describe_data

pytestmark = pytest.mark.real_too

KEEP = Data(image_size=32, resize="keep")
SIDE = 48


@pytest.fixture
def pairs(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Twelve real images of 48 pixels a side with their masks, of six classes, in one folder."""
    root, folder = shared_data("aerial"), tmp_path / "pairs"
    folder.mkdir()
    shutil.copy(root / "class_dict.csv", folder)
    for image in sorted((root / "train").glob("*_sat.jpg"))[:12]:
        mask = image.with_name(image.name.replace("_sat.jpg", "_mask.png"))
        for file in (image, mask):
            with Image.open(file) as picture:
                picture.crop((100, 100, 100 + SIDE, 100 + SIDE)).save(folder / file.name)
    return folder


def rearranged(pairs: Path, to: Path, image: str, mask: str) -> Path:
    """The pairs under other names: ``{n}`` is the number, ``{s}`` the split: the last three are of ``val``."""
    to.mkdir()
    shutil.copy(pairs / "class_dict.csv", to)
    for number, file in enumerate(sorted(pairs.glob("*_sat.jpg"))):
        split = "val" if number >= 9 else "train"
        for form, source in ((image, file), (mask, file.with_name(file.name.replace("_sat.jpg", "_mask.png")))):
            target = to / form.format(n=number, s=split, v="validation" if split == "val" else split)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return to


@pytest.mark.parametrize(
    ("image", "mask", "split", "layout"),
    [
        ("{n}_sat.jpg", "{n}_mask.png", False, "pairs by name"),
        ("{s}/{n}_sat.jpg", "{s}/{n}_mask.png", True, "train, val: pairs by name"),
        ("{n}.jpg", "{n}_mask.png", False, "pairs by name"),
        ("{v}/{n}.jpg", "{v}/{n}-Mask.PNG", True, "train, validation: pairs by name"),
        ("images/{n}.jpg", "masks/{n}.png", False, "pairs in images and masks"),
        ("{s}/images/{n}.jpg", "{s}/masks/{n}.png", True, "train, val: pairs in images and masks"),
        ("images/{v}/{n}.jpg", "masks/{v}/{n}.png", True, "train, validation: pairs in images and masks"),
        ("img/{n}_sat.jpg", "Labels/{n}_mask.png", False, "pairs in img and Labels"),
        ("images/area {s}/{n}.jpg", "masks/area {s}/{n}.png", False, "pairs in images and masks"),
    ],
)
def test_layouts(image: str, mask: str, split: bool, layout: str, pairs: Path, tmp_path: Path) -> None:
    root = rearranged(pairs, tmp_path / "data", image, mask)
    index = scan(root)
    assert (index.layout, len(index), index.problems) == (layout, 12, ())
    for path, its_mask in zip(index.paths, index.masks, strict=True):
        number = Path(path).stem.removesuffix("_sat")
        assert Path(its_mask).stem.lower().removesuffix("_mask").removesuffix("-mask") == number
        assert index.splits[index.paths.index(path)] == (("val" if int(number) >= 9 else "train") if split else "")
    trained = training_index(str(root), KEEP, "mask")
    assert trained.split_made is not split
    assert (len(trained.positions("train")), len(trained.positions("val"))) == ((9, 3) if split else (10, 2))
    assert trained.classes == ("building", "clutter", "vegetation", "water", "ground", "car")


@pytest.mark.parametrize(
    ("name", "classes", "ignored", "size"),
    [
        ("aerial", 6, 0, (300, 300)),
        pytest.param("camvid", 11, 1, (240, 320), marks=pytest.mark.slow),
        ("deepglobe_sample", 6, 1, (512, 512)),
    ],
)
def test_real_sets(
    name: str,
    classes: int,
    ignored: int,
    size: tuple[int, int],
    shared_data: Callable[[str], Path],
) -> None:
    root = shared_data(name)
    index = training_index(str(root), KEEP, "mask")
    train, val = (len(list((root / split).rglob("*.jpg"))) for split in ("train", "val"))
    given = (train, val) if train else (2, 1)  # one of three is held out
    assert (len(index.positions("train")), len(index.positions("val")), len(index.classes)) == (*given, classes)
    assert index.palette is not None
    assert index.palette.ignored == ignored
    few = index.drop(range(2, len(index)))
    pixels = decode(few, KEEP)
    assert (pixels.height, pixels.width) == size
    for row, mask in enumerate(expected_masks(few)):
        assert np.array_equal(pixels.masks([row])[0].numpy(), mask)


def test_folders_that_only_sound_like_pairs_are_classes(photos: Path) -> None:
    (photos / "hat").rename(photos / "images")
    (photos / "dress").rename(photos / "labels")
    assert scan(photos).classes == ("images", "labels", "shoes")
    shutil.rmtree(photos / "shoes")
    (photos / "labels").rename(photos / "masks")
    assert {kind for kind, _ in scan(photos).problems} == {"image without mask", "mask without image"}, "no stem agrees"


def test_what_has_no_partner_is_named(pairs: Path) -> None:
    image, other, *_ = sorted(pairs.glob("*_sat.jpg"))
    image.unlink()
    other.with_name(other.name.replace("_sat.jpg", "_mask.png")).unlink()
    lonely = image.name.replace("_sat.jpg", "_mask.png")
    assert scan(pairs).problems == (("image without mask", other.name), ("mask without image", lonely))
    with pytest.raises(HeadstartError, match=rf"a mask for every image.*image without mask: {other.name} and 1 more"):
        training_index(str(pairs), KEEP, "mask")
    told = {each.kind: each.files for each in check(pairs).issues if each.severity == "error"}
    assert told == {"image without mask": (other.name,), "mask without image": (lonely,)}
    assert len(training_index(str(pairs), Data(), "none")) == 11, "images without masks can be learned from without"


def test_two_images_of_one_mask_are_not_both_its_own(pairs: Path) -> None:
    image = sorted(pairs.glob("*_sat.jpg"))[0]
    twin = shutil.copy(image, image.with_name(image.name.replace("_sat", "")))
    index = scan(pairs)
    assert index.problems == (("image without mask", Path(twin).name),)
    assert index.masks[index.paths.index(image.name)]


def test_images_that_lie_elsewhere_are_a_mixed_layout_unless_they_are_to_be_predicted(
    pairs: Path, tmp_path: Path
) -> None:
    root = rearranged(pairs, tmp_path / "data", "{s}/images/{n}.jpg", "{s}/masks/{n}.png")
    (root / "test").mkdir()
    shutil.copy(root / "train" / "images" / "0.jpg", root / "test" / "new.jpg")
    assert len(scan(root)) == 12
    shutil.copy(root / "train" / "images" / "0.jpg", root / "stray.jpg")
    with pytest.raises(HeadstartError, match=r"two mixed: .*pairs in images and masks and .*stray\.jpg"):
        scan(root)


def test_a_split_without_any_mask_waits_to_be_predicted(pairs: Path, tmp_path: Path) -> None:
    """As DeepGlobe is handed out: the validation images have no masks, so that some are held out of the others."""
    root = rearranged(pairs, tmp_path / "data", "{s}/{n}_sat.jpg", "{s}/{n}_mask.png")
    for mask in (root / "val").glob("*_mask.png"):
        mask.unlink()
    index = training_index(str(root), KEEP, "mask")
    assert (len(index), index.split_made, len(index.positions("val"))) == (9, True, 2)
    waiting = [each for each in check(root).issues if each.kind == "no masks"]
    assert [len(each.files) for each in waiting] == [3]
    assert len(training_index(str(root), Data(), "none").positions("val")) == 3


def test_what_is_learnt_from_has_to_be_there(pairs: Path, photos: Path) -> None:
    with pytest.raises(HeadstartError, match=r"a class for every image, found masks .*headstart fit segment-quick"):
        training_index(str(pairs), Data())
    with pytest.raises(HeadstartError, match=r"expected images with masks, found folder per class \(60 images\)"):
        training_index(str(photos), KEEP, "mask")
    with pytest.raises(HeadstartError, match=r"data.resize: expected keep .* found squash"):
        decode(training_index(str(pairs), Data(image_size=32), "mask"), Data(image_size=32))
    assert [Dataset(folder).target(Data()) for folder in (pairs, photos)] == ["mask", "label"]
    without = training_index(str(pairs), Data(), "none")
    assert (without.masks, without.palette, without.classes, len(without)) == ((), None, (), 12)
    assert decode(without, Data(image_size=16)).batch([0]).shape == (1, 3, 16, 16)


def test_label_fractions_are_nested_and_never_empty(pairs: Path) -> None:
    index = training_index(str(pairs), KEEP, "mask")
    parts = [label_subset(index, fraction, seed=0) for fraction in (0.01, 0.3, 0.5, 1)]
    assert [len(part) for part in parts] == [1, 3, 5, 10]
    assert set(parts[0]) < set(parts[1]) < set(parts[2]) < set(parts[3]) == set(index.positions("train"))
    assert label_subset(index, 0.3, seed=1) != parts[1]


def test_settings_can_be_chosen_on_training_images(pairs: Path) -> None:
    index = training_index(str(pairs), KEEP, "mask")
    judged = holdout_from_train(index, 0.2)
    assert not set(judged.positions("val")) & set(index.positions("val"))
    assert len(judged.positions("val")) == 2


def expected_masks(index: Index) -> list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
    assert index.palette is not None
    return [read_mask(index.root / mask, index.palette) for mask in index.masks]


def test_images_keep_their_size_and_masks_lie_over_them(pairs: Path) -> None:
    large = sorted(pairs.glob("*_sat.jpg"))[3]
    for file in (large, large.with_name(large.name.replace("_sat.jpg", "_mask.png"))):
        with Image.open(file) as picture:
            picture.resize((60, 80), Image.Resampling.NEAREST).save(file)
    index = training_index(str(pairs), KEEP, "mask")
    pixels = decode(index, KEEP)
    assert (pixels.height, pixels.width) == (80, 60)
    images, masks = pixels.batch(range(12)), pixels.masks(range(12))
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (12, 3, 80, 60))
    assert (masks.dtype, tuple(masks.shape)) == (torch.uint8, (12, 80, 60))
    for row, mask in enumerate(expected_masks(index)):
        height, width = pixels.sizes[row]
        with Image.open(index.root / index.paths[row]) as picture:
            assert picture.size == (width, height)
            assert np.array_equal(images[row, :, :height, :width].permute(1, 2, 0).numpy(), np.asarray(picture))
        assert np.array_equal(masks[row, :height, :width].numpy(), mask)
        assert not images[row, :, height:].any()
        assert not images[row, :, :, width:].any()
        assert bool((masks[row, height:] == IGNORE_INDEX).all())
        assert bool((masks[row, :, width:] == IGNORE_INDEX).all())
    assert torch.equal(pixels.masks([3, 1]), masks[[3, 1]])


def test_the_shares_of_the_classes_are_counted(pairs: Path, tmp_path: Path) -> None:
    index = training_index(str(pairs), KEEP.model_copy(update={"ignore_classes": ("ground",)}), "mask")
    pixels = decode(index, KEEP)
    facts = describe_data(pixels)
    masks = expected_masks(index)
    for split in ("train", "val"):
        some = [masks[row] for row in index.positions(split)]
        counts = np.array([[(mask == number).sum() for number in range(5)] for mask in some])
        assert list(facts["shares"][split].values()) == pytest.approx(counts.sum(axis=0) / counts.sum())
        assert list(facts["counts"][split].values()) == (counts > 0).sum(axis=0).tolist()
    assert facts["palette"]["names"][5:] == ("ground",)
    assert "ground" not in facts["shares"]["train"]


def test_pixels_are_decoded_once_and_masks_anew_when_they_or_their_classes_change(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))

    def tables() -> int:
        return len(list((tmp_path / "cache" / "pixels").glob("*.npy")))

    def read(**changes: object) -> str:
        settings = KEEP.model_copy(update=changes)
        return decode(training_index(str(pairs), settings, "mask"), settings).fingerprint

    before = read()
    assert (tables(), read(), read(image_size=40)) == (2, before, before)
    assert tables() == 2, "the size of a training window is not the images'"
    assert read(ignore_classes=("ground",)) != before
    assert tables() == 3, "the images are as they were"
    mask = sorted(pairs.glob("*_mask.png"))[0]
    with Image.open(mask) as picture:
        picture.rotate(180).save(mask)
    assert read() != before
    assert tables() == 4


def test_without_room_on_the_disk_the_pixels_are_the_same(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index = training_index(str(pairs), KEEP, "mask")
    stored = decode(index, KEEP)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file" / "cache"))
    streaming = decode(index, KEEP)
    assert (stored.streaming, streaming.streaming) == (False, True)
    assert streaming.fingerprint == stored.fingerprint
    assert torch.equal(streaming.batch([3, 11, 0]), stored.batch([3, 11, 0]))
    assert torch.equal(streaming.masks([3, 11, 0]), stored.masks([3, 11, 0]))


def test_pairs_that_cannot_be_read_are_named_or_left_out(pairs: Path) -> None:
    image, mask = sorted(pairs.glob("*_sat.jpg"))[0], sorted(pairs.glob("*_mask.png"))[5]
    whole = decode(training_index(str(pairs), KEEP, "mask"), KEEP)
    mask.write_bytes(mask.read_bytes()[:70])
    index = training_index(str(pairs), KEEP, "mask")
    with pytest.raises(HeadstartError, match=rf"{mask.name}: expected a mask, found a file that is truncated"):
        decode(index, KEEP)
    image.write_bytes(b"no picture")
    pixels = decode(index, KEEP.model_copy(update={"skip_unreadable": True}))
    assert [path for path, _ in pixels.skipped] == [image.name, mask.name]
    rows = [row for row in range(12) if row not in (0, 5)]
    assert torch.equal(pixels.batch(range(10)), whole.batch(rows))
    assert torch.equal(pixels.masks(range(10)), whole.masks(rows))


def other_size(pairs: Path) -> None:
    for file in sorted(pairs.glob("*_mask.png"))[:1]:
        with Image.open(file) as picture:
            picture.resize((40, 44), Image.Resampling.NEAREST).save(file)


def four_bands(pairs: Path) -> None:
    for file in sorted(pairs.glob("*_sat.jpg"))[:1]:
        file.unlink()
        infrared = np.arange(4 * SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE, 4) % 256
        Image.fromarray(infrared.astype(np.uint8).swapaxes(0, 1)).save(file.with_suffix(".tif"))


def a_mask_of_large_numbers(pairs: Path) -> None:
    for file in sorted(pairs.glob("*_mask.png"))[:1]:
        Image.fromarray(np.full((SIDE, SIDE), 1001, np.uint16)).save(file)


def one_class(pairs: Path) -> None:
    for file in pairs.glob("*_mask.png"):
        Image.new("RGB", (SIDE, SIDE), (255, 255, 0)).save(file)


def one_class_that_counts(pairs: Path) -> None:
    (pairs / "class_dict.csv").write_text("name,r,g,b\nvoid,0,255,255\nground,255,255,0\n")


def another_palette(pairs: Path) -> None:
    (pairs / "class_dict.csv").write_text("name,r,g,b\nroad,128,64,128\ncar,64,0,128\ntree,128,128,0\n")


@pytest.mark.parametrize(
    ("spoil", "kind", "complaint"),
    [
        (
            other_size,
            "size mismatch",
            r"_sat\.jpg: .*of one size, found 48 x 48 pixels, and 40 x 44 in its mask \d+_mask",
        ),
        (four_bands, "of 4 bands", r"_sat\.tif: expected an image, found a file that is of 4 bands"),
        (
            a_mask_of_large_numbers,
            "of numbers above 255",
            r"_mask\.png: expected a mask, found a file that is of numbers above 255 .up to 1001",
        ),
        (one_class, "one class", "at least two classes in the masks of the training images, found ground"),
        (one_class_that_counts, "one class", r"at least two classes, found 1 \(ground; ignored: void\)"),
        (
            another_palette,
            "outside the palette",
            r"in the colors .* of their classes \(road.*found 100% of their pixels",
        ),
    ],
)
def test_check_calls_unusable_what_training_refuses(
    spoil: Callable[[Path], None], kind: str, complaint: str, pairs: Path
) -> None:
    assert check(pairs).usable
    spoil(pairs)
    with pytest.raises(HeadstartError, match=complaint):
        require_different_masks(decode(training_index(str(pairs), KEEP, "mask"), KEEP))
    health = check(pairs)
    assert kind in {each.kind for each in health.issues if each.severity == "error"}
    assert health.status == 2


def test_a_training_window_larger_than_an_image_is_refused_before_anything_is_decoded(pairs: Path) -> None:
    settings = Data(image_size=64, resize="keep")
    with pytest.raises(
        HeadstartError, match=r"an image of 64 x 64 pixels at least .* found 48 x 48. Next: data.image_size=32"
    ):
        training_index(str(pairs), settings, "mask")


def test_images_that_pairs_are_judged_by_can_be_held_out_of_self_supervision(pairs: Path) -> None:
    """The held-out images of the pairs, found again among the same images without their masks."""
    pool = decode(training_index(str(pairs), Data(image_size=32, val_fraction=0.5), "none"), Data(image_size=32))
    judged = training_index(str(pairs), KEEP, "mask")
    held = np.array(judged.positions("val"))
    found = overlapping_rows(pool, decode(judged, KEEP), held)
    secret = {judged.paths[row] for row in held}
    assert {pool.index.paths[row] for row in found} == secret & {
        pool.index.paths[r] for r in pool.index.positions("train")
    }


def test_classes_to_ignore_are_part_of_a_recipe(pairs: Path) -> None:
    words = recipes.read_overrides(
        ["data.ignore_classes=['clutter', '5']", "data.resize=keep", "data.image_size=32", "augment.sizes=[]"]
    )
    index = training_index(str(pairs), recipes.load("quick", words).data, "mask")
    assert index.classes == ("building", "vegetation", "water", "ground")


@pytest.mark.slow
def test_self_supervision_on_pairs_leaves_out_what_they_are_judged_by(
    pairs: Path, unlabeled: Callable[..., recipes.Recipe], tmp_path: Path
) -> None:
    recipe = unlabeled(
        train__epochs=1, train__batch_size=4, data__exclude_overlap_with=str(pairs), analysis__save_images=False
    )
    run = hs.fit(recipe, pairs, out=tmp_path / "run", console=Console(file=io.StringIO()))
    judged = training_index(str(pairs), KEEP, "mask")
    trained_on = set((run.path / "trained_on.txt").read_text().split())
    held_out = [judged.root / judged.paths[row] for row in judged.positions("val")]
    assert trained_on
    assert not trained_on & {digest(file.read_bytes()) for file in held_out}
