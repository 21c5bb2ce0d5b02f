"""Runs are compared image by image on what they share, and nothing is said that the interval denies."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save
from scipy.stats import binomtest, ttest_rel
from sklearn.metrics import recall_score

import headstart as hs
from headstart.comparison.metric import METRICS
from headstart.comparison.recipe_differences import recipe_differences
from headstart.comparison.run_comparison import FEWEST, RunComparison
from headstart.comparison.run_entries import Entry
from headstart.comparison.run_verdict import how_sure, verdict, warnings
from headstart.comparison.shared_images import Judged, SharedImages
from headstart.comparison.study import Study
from headstart.metrics.segmentation import iou, mean_iou
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from made_runs import make_run
from narrow import given

IMAGES = 300
RANDOM = np.random.default_rng(0)
LABELS = np.arange(IMAGES) % 3
EASY = RANDOM.random(IMAGES)


def right(share: float, seed: int = 0) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which images a made-up classifier has right: the easy ones, mostly."""
    noise = np.random.default_rng(seed).random(IMAGES)
    return np.asarray(0.6 * EASY + 0.4 * noise < np.quantile(0.6 * EASY + 0.2, share))


Make = Callable[..., Path]


@pytest.fixture
def made(trained: tuple[Path, Path], tmp_path: Path) -> Make:
    """``made("name", correct, ...)``: a run in a folder of this name (`made_runs.make_run`)."""

    def make(name: str, correct: Any, labels: Any = LABELS, **more: Any) -> Path:
        return make_run(trained[0], tmp_path / name, labels, correct, **more)

    return make


def test_the_difference_and_its_interval_are_those_of_the_paired_images(made: Make) -> None:
    one, two = right(0.7), right(0.8, seed=1)
    comparison = hs.compare([made("one", one), made("two", two, fields={"optimizer.lr": 0.1})])
    gap = comparison.difference(0, 1)
    assert gap.value == pytest.approx(two.mean() - one.mean())
    oracle = ttest_rel(two.astype(float), one.astype(float)).confidence_interval()
    assert (gap.interval.low, gap.interval.high) == pytest.approx((oracle.low, oracle.high), abs=0.003)
    assert comparison.difference(1, 0).value == -gap.value
    assert [each.value for each in comparison.scores] == pytest.approx([one.mean(), two.mean()])
    assert (gap.images, gap.seeds) == (IMAGES, 1)


def test_images_that_one_mends_and_the_other_breaks_the_most_confident_errors_first(made: Make) -> None:
    one, two = right(0.7), right(0.8, seed=1)
    comparison = hs.compare([made("one", one), made("two", two, fields={"optimizer.lr": 0.1})])
    changes = comparison.changes(0, 1)
    assert list(changes.mended) == sorted(np.flatnonzero(two & ~one), reverse=True)  # confidence rises with the row
    assert list(changes.broken) == sorted(np.flatnonzero(one & ~two), reverse=True)
    gap = comparison.difference(0, 1).value
    assert (len(changes.mended) - len(changes.broken)) / IMAGES == pytest.approx(gap)


def test_only_the_shared_images_with_the_same_label_are_judged(made: Make) -> None:
    one, two = right(0.7), right(0.8, seed=1)
    other = [f"image-{i + 100}.jpg" for i in range(IMAGES)]  # shares images 100 to 299, in rows 0 to 199
    labels = np.roll(LABELS, -100)
    labels[:7] = (labels[:7] + 1) % 3
    paths = [made("one", one), made("two", two, labels, names=other)]
    comparison = hs.compare(paths)
    shared = comparison.shared
    assert list(shared.filenames) == [f"image-{i}.jpg" for i in range(107, IMAGES)]
    assert shared.relabeled == 7
    expected = two[7:200].mean() - one[107:].mean()
    assert comparison.difference(0, 1).value == pytest.approx(expected)
    said = how_sure(comparison) + warnings(comparison)
    assert any("Only the 193 validation images that all runs share are judged, of the 300 of each" in s for s in said)
    assert any("7 images have another label" in s for s in said)


def test_classes_in_another_order_are_the_same_classes(made: Make, trained: tuple[Path, Path]) -> None:
    one, names = right(0.7), RunFolder.open(trained[0]).classes
    turned = names[::-1]
    comparison = hs.compare([made("one", one), made("two", one, 2 - LABELS, classes=turned)])
    assert comparison.difference(0, 1).value == 0
    assert comparison.changes(0, 1).mended == ()


def test_recall_of_each_class_and_no_interval_for_few_images(made: Make) -> None:
    labels = np.where(np.arange(IMAGES) < FEWEST - 1, 2, np.arange(IMAGES) % 2)
    one, two = right(0.5), right(0.9, seed=1)
    paths = [made("one", one, labels), made("two", two, labels, fields={"optimizer.lr": 0.1})]
    found = hs.compare(paths).class_differences(0, 1)
    for run, side in zip(paths, ("one", "two"), strict=True):
        stored = given(read_predictions(RunFolder.open(run)))
        expected = recall_score(stored.labels, stored.probabilities.argmax(axis=1), average=None)
        assert [getattr(each, side) for each in found] == pytest.approx(expected)
    assert [each.difference is None for each in found] == [False, False, True]
    assert given(found[0].difference).significant
    assert given(found[0].difference).interval.high - given(found[0].difference).interval.low > (
        given(found[0].difference).pointwise.high - given(found[0].difference).pointwise.low
    )


def test_runs_that_differ_in_the_seed_alone_are_one_recipe_with_seeds(made: Make) -> None:
    slow = {"optimizer.lr": 0.1}
    shares = {"net-seed0": 0.7, "net-seed1": 0.72, "wide-seed0": 0.8, "wide-seed1": 0.82}
    correct = {name: right(share, seed=i) for i, (name, share) in enumerate(shares.items())}
    paths = [
        made(name, each, fields={**(slow if "wide" in name else {}), "seed": int(name[-1])})
        for name, each in correct.items()
    ]
    comparison = hs.compare(paths)
    assert [each.name for each in comparison.entries] == ["net", "wide"]
    assert [each.seeds for each in comparison.entries] == [(0, 1), (0, 1)]
    gap = comparison.difference(0, 1)
    means = [np.mean([correct[f"{name}-seed{seed}"] for seed in (0, 1)]) for name in ("net", "wide")]
    assert gap.seeds == 2
    assert gap.value == pytest.approx(means[1] - means[0])
    assert not any("variance between seeds is not in" in each for each in how_sure(comparison))
    assert "another seed" not in verdict(comparison)
    assert any("Two seeds show little" in each for each in how_sure(comparison))
    alone = hs.compare(paths[:2])  # nothing but seeds to compare: they are compared
    assert [each.name for each in alone.entries] == ["net-seed0", "net-seed1"]
    assert any("variance between seeds is not in these intervals" in each for each in how_sure(alone))
    assert [each.field for each in recipe_differences(alone.entries)] == ["seed"]
    assert [each.field for each in recipe_differences(comparison.entries)] == ["optimizer.lr"]


def test_runs_of_one_name_are_told_apart_by_their_folders(made: Make) -> None:
    comparison = hs.compare([made("mon/run", right(0.7)), made("tue/run", right(0.7), fields={"optimizer.lr": 0.1})])
    assert [each.name for each in comparison.entries] == ["mon/run", "tue/run"]


def test_masks_are_compared_by_mean_iou_and_images_by_their_own(made_segmentation: Path, tmp_path: Path) -> None:
    worse = shutil.copytree(made_segmentation, tmp_path / "worse")
    confusion = load_file(worse / "confusion.safetensors")["confusion"]
    changed = confusion.copy()
    for number in range(0, len(changed), 2):  # every other image takes half of its first class for the second
        half = changed[number, 0, 0] // 2
        changed[number, 0, 0] -= half
        changed[number, 0, 1] += half
    RunFolder(worse).write("confusion.safetensors", save({"confusion": changed}))
    comparison = hs.compare([made_segmentation, worse])
    expected = mean_iou(changed.sum(axis=0)) - mean_iou(confusion.sum(axis=0))
    assert comparison.difference(0, 1).value == pytest.approx(float(expected))
    whole = [iou(each.sum(axis=0)) for each in (confusion, changed)]
    names = RunFolder.open(made_segmentation).classes
    for each in comparison.class_differences(0, 1):
        at = names.index(each.name)
        assert (each.one, each.two) == pytest.approx((whole[0][at], whole[1][at]))
        assert (each.difference is None) == (each.images < FEWEST)
        if each.difference is not None:
            assert each.difference.value == pytest.approx(each.two - each.one)
    assert set(comparison.changes(0, 1).broken) <= set(range(0, len(changed), 2))
    assert comparison.changes(0, 1).mended == ()


def compared(*correct: Any) -> RunComparison:
    """A comparison of made-up classifiers, each (S, N), without folders."""

    class Made(Entry):
        @property
        def seeds(self) -> tuple[int, ...]:
            return tuple(range(len(correct[int(self.name[4:])])))

    judged = tuple(
        Judged(np.asarray(each, float), np.asarray(each, float), (), len(each[0]), confidence=np.ones(np.shape(each)))
        for each in correct
    )
    images = len(correct[0][0])
    labels = np.zeros(images, dtype=np.int64)
    shared = SharedImages(
        tuple(map(str, range(images))), ("a", "b"), METRICS["accuracy"], judged, labels, None, 0, False
    )
    return RunComparison([Made(f"run-{i}", ()) for i in range(len(correct))], shared)


def test_significance_agrees_with_the_exact_test_of_the_discordant_images() -> None:
    random = np.random.default_rng(1)
    found = {True: 0, False: 0}
    for _ in range(200):
        images = int(random.integers(10, 200))
        one = random.random((1, images)) < 0.7
        two = np.where(random.random((1, images)) < 0.3, random.random((1, images)) < random.uniform(0.4, 1), one)
        mended, broken = int((two & ~one).sum()), int((one & ~two).sum())
        exact = binomtest(mended, mended + broken).pvalue if mended + broken else 1.0
        significant = compared(one, two).difference(0, 1).significant
        found[significant] += 1
        assert significant or exact > 0.01
        assert not significant or exact < 0.12  # the exact test is conservative
    assert min(found.values()) > 20


def test_no_sentence_claims_what_an_interval_denies() -> None:
    random = np.random.default_rng(2)
    best = 0
    for case in range(60):
        images, count, seeds = int(random.integers(4, 300)), int(random.integers(2, 5)), int(random.integers(1, 4))
        easy = random.random(images)
        runs = [
            0.5 * easy + 0.5 * random.random((seeds, images)) < random.uniform(0.3, 0.8 if case % 2 else 0.4)
            for _ in range(count)
        ]
        comparison = compared(*runs)
        gaps = {(i, j): comparison.difference(i, j) for i in range(count) for j in range(count) if i != j}
        above = {pair for pair, gap in gaps.items() if gap.interval.low > 0}
        text = verdict(comparison)
        names = "|".join(f"run-{i}" for i in range(count))
        for one, others in re.findall(rf"({names}) beats (.*?\))\.", text):
            for two in re.findall(names, others):
                assert (int(two[4:]), int(one[4:])) in above, text
        if "it is best" in text or (count == 2 and "beats" in text):
            best += 1
            kept = comparison.candidates
            assert len(kept) == 1
            assert all((i, kept[0]) in above for i in range(count) if i != kept[0]), text
        assert "not differ significantly" in text or above or images < FEWEST or "within" in text
        assert ("another seed may turn this" in text) == (seeds == 1 and images >= FEWEST)
        if images < FEWEST:
            assert not above
            assert text.startswith("No verdict")
    assert best > 5


def test_a_study_gives_its_settings_with_all_seeds(
    made_study: Callable[..., Study], trained: tuple[Path, Path], tmp_path: Path
) -> None:
    study = made_study(settings="AD", fractions=(0.5, 1.0), images=IMAGES)
    folder = tmp_path / "study"
    for i, (setting, seed) in enumerate(itertools.product("AD", range(3))):
        path = folder / "trials" / f"{setting}-1-seed{seed}"
        correct = right(0.6 if setting == "A" else 0.8, seed=i)
        make_run(trained[0], path, LABELS, correct, fields={"seed": seed, "optimizer.lr": 0.001 * (1 + i)})
    (folder / "study.json").write_text(study.to_json())
    comparison = hs.compare([folder])
    assert [each.name for each in comparison.entries] == ["A from scratch", "D probe supervised"]
    assert [each.seeds for each in comparison.entries] == [(0, 1, 2), (0, 1, 2)]
    assert verdict(comparison).startswith("D probe supervised beats A from scratch by ")
    (folder / "study.json").write_text(study.model_copy(update={"folds": 2}).to_json())
    with pytest.raises(hs.HeadstartError, match="found 2 folds"):
        hs.compare([folder])
