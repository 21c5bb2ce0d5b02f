"""What Python programs call, and the command line too. Importing it does not import torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from headstart.analysis.feature_analysis import FeatureAnalysis
    from headstart.data.checks.check import CheckResult
    from headstart.files import Row
    from headstart.inference.predict import Predictions
    from headstart.inference.segment import MaskPredictions, WriteResult
    from headstart.metrics.classification import ClassificationMetrics
    from headstart.metrics.segmentation import SegmentationMetrics
    from headstart.recipes.recipe import Recipe
    from headstart.runs.folder import RunFolder
    from headstart.training.setup import TrainState

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A run on disk: a recipe carried out on data.

    ``Run("runs/quick-photos")`` opens one; HeadstartError when there is none.
    """

    path: Path

    def __init__(self, path: PathLike) -> None:
        object.__setattr__(self, "path", Path(path))
        _ = self.folder

    @property
    def folder(self) -> RunFolder:
        from headstart.runs.folder import RunFolder

        return RunFolder.open(self.path)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the network's outputs."""
        return self.folder.classes

    @property
    def metrics(self) -> list[Row]:
        """A row per finished epoch and split."""
        return self.folder.metrics

    @property
    def accuracy(self) -> float | None:
        """Share of the validation images (with masks: of their pixels) that the kept weights get right, 0 to 1.

        None before the first epoch ends, and where the run's task answers with no classes.
        """
        return self._kept("accuracy")

    @property
    def miou(self) -> float | None:
        """Mean IoU of the kept weights on the validation masks, over the classes that have one, 0 to 1.

        Of one confusion matrix over all images, ignored pixels left out. None where the run's task has no masks.
        """
        return self._kept("miou")

    def _kept(self, figure: str) -> float | None:
        """A figure of the validation images at the epoch whose weights are kept."""
        from headstart.runs.folder import best_epoch

        rows = self.metrics
        best = best_epoch(rows, self.folder.recipe.checkpoint.monitor)
        return next((row.get(figure) for row in rows if row["split"] == "val" and row["epoch"] == best), None)

    @property
    def finished(self) -> bool:
        return self.folder.finished

    def map(
        self,
        perplexity: float | None = None,
        epochs: Sequence[int] = (),
        split: Literal["all", "val", "train"] = "all",
        seed: int = 0,
    ) -> FeatureAnalysis:
        """Map and measure what the network saw over its epochs (from 1), anew and without training.

        Writes ``insight/`` in the run folder, which the report shows. ``perplexity`` is t-SNE's (default: 30, or what
        the number of images allows); the same ``seed`` gives the same map.
        """
        from headstart.analysis.feature_analysis import analyze_features

        return analyze_features(self.folder, perplexity, epochs, split, seed)

    def report(self) -> Path:
        """(Re)write ``report.html`` and return where it is."""
        from headstart.report.run_page import write_report

        return write_report(self.folder)

    def predict(
        self, images: PathLike | Iterable[PathLike], unfinished: bool = False, flip: bool = False
    ) -> Predictions | MaskPredictions:
        """Look at images: files, folders or patterns. Unreadable ones are named in the answer and left out.

        The answer is labels, or masks of a run that was trained on them; images are then of any size. With ``flip``
        masks are averaged over mirror images.
        """
        from headstart.inference.predict import find_images, load, predict
        from headstart.inference.segment import find_rasters, predict_masks

        model = load(self.folder, unfinished)
        if model.palette is not None:
            return predict_masks(model, find_rasters(_places(images)), flip)
        return predict(model, find_images(_places(images)))

    def write_masks(
        self,
        images: PathLike | Iterable[PathLike],
        out: PathLike,
        overlay: bool = False,
        flip: bool = False,
        unfinished: bool = False,
    ) -> WriteResult:
        """Write the mask of each image into the folder ``out``, as the training masks are; large images need no memory.

        ``photo_mask.png`` for ``photo.jpg``, and with ``overlay`` the image under its mask too.
        """
        from headstart.inference.predict import load
        from headstart.inference.segment import find_rasters, write_masks

        return write_masks(load(self.folder, unfinished), find_rasters(_places(images)), Path(out), overlay, flip)

    def evaluate(
        self, data: PathLike, split: str | None = None, unfinished: bool = False
    ) -> ClassificationMetrics | SegmentationMetrics:
        """All measures, with bootstrap intervals, on a folder of labeled images, or of pairs of image and mask."""
        from headstart.inference.evaluate_masks import evaluate_masks
        from headstart.inference.predict import evaluate, load
        from headstart.metrics.classification import classification_metrics
        from headstart.metrics.segmentation import segmentation_metrics

        model = load(self.folder, unfinished)
        if model.palette is not None:
            found = evaluate_masks(model, self.folder, os.fspath(data), split)
            return segmentation_metrics(found.confusion, model.classes)
        answer = evaluate(model, self.folder, os.fspath(data), split)
        return classification_metrics(answer.labels, answer.probabilities, model.classes)


def _places(images: PathLike | Iterable[PathLike]) -> list[PathLike]:
    return [images] if isinstance(images, str | os.PathLike) else list(images)


def check(data: PathLike, group: str | None = None, val_fraction: float = 0.2) -> CheckResult:
    """The layout of a folder of images, and its health."""
    from headstart.data.checks.check import check as look

    return look(os.fspath(data), group, val_fraction)


def fit(
    recipe: str | Recipe,
    data: PathLike,
    out: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Run:
    """Carry out a recipe on a folder of images.

    ``recipe`` is the name of a shipped recipe, a file, or a `Recipe`; ``overrides`` such as ``{"train.epochs": 5}``
    are laid over it. The run goes to ``out``, or to a new folder under ``runs/``. It shows its progress on
    ``console`` (default: the terminal). Ctrl-C saves and returns the unfinished run; `resume` goes on with it.
    Raises HeadstartError for what the caller can mend.
    """
    from headstart.files import free_name
    from headstart.training.setup import start

    settings = _settings(recipe, overrides)
    stem = f"{settings.name}-{Path(data).absolute().name}"
    folder = Path(out) if out is not None else free_name(Path("runs"), stem)
    return _carry_out(lambda decoding: start(settings, os.fspath(data), folder, decoding), console)


def resume(run: PathLike, data: PathLike | None = None, console: Console | None = None) -> Run:
    """Go on with a run that was stopped; ``data`` says where its images are now, if they have moved."""
    from headstart.training.setup import resume as take_up

    moved = None if data is None else os.fspath(data)
    return _carry_out(lambda decoding: take_up(Path(run), moved, decoding), console)


def study(
    data: PathLike,
    *,
    unlabeled: PathLike | None = None,
    corpus: PathLike | None = None,
    settings: str = "ABCDE",
    labels: Sequence[float] | None = None,
    seeds: int = 3,
    jobs: int = 1,
    out: PathLike | None = None,
    recipe: str | Recipe | None = None,
    pretraining: str | Recipe | None = None,
    overrides: Mapping[str, Any] | None = None,
    tune: bool = True,
    budget: str | None = None,
    console: Console | None = None,
) -> DataFrame:
    """Measure what each kind of pre-training gains on the images of ``data``: one table row per setting and fraction.

    ``settings`` are letters A to G; ``labels`` are label fractions (default: those of 0.05, 0.1, 0.25, 0.5 and 1 that
    leave every class an image). ``recipe`` and ``pretraining`` default to `quick` and `byol-quick`, for images with
    masks to `segment-quick` and `byol-tiles`; such a study has a column ``miou`` in the place of ``accuracy``. The
    study's folder, ``out`` or ``runs/study-DATA``, holds the report; called again, the study continues. ``budget``
    ("30m") chooses the epochs to fit. Failed trials are missing from the table.
    Raises HeadstartError for what the caller can fix.
    """
    import pandas as pd

    from headstart.comparison.summary import Results, table_rows
    from headstart.console.progress import run_study_with_progress
    from headstart.data.dataset import Dataset
    from headstart.studies.request import make_plan

    dataset = Dataset(data)
    plan = make_plan(
        dataset,
        unlabeled=unlabeled,
        corpus=corpus,
        settings=settings,
        labels=labels,
        seeds=seeds,
        out=out,
        recipe=recipe,
        pretraining=pretraining,
        overrides=overrides,
        tune=tune,
    )
    results = Results(run_study_with_progress(plan, dataset, jobs=jobs, budget=budget, console=console))
    return pd.DataFrame(table_rows(results))


def _settings(recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    from headstart.recipes import recipe as recipes

    return recipes.load(recipe, overrides) if isinstance(recipe, str) else recipes.override(recipe, overrides)


def _carry_out(prepare: Callable[[Callable[[int, int], None]], TrainState], console: Console | None) -> Run:
    """Prepare a training (images being decoded under a bar), follow it to its end, and write the report."""
    from rich.console import Console

    from headstart.console.progress import bar, run_with_progress

    console = console or Console(stderr=True)
    with bar(console, "decode images") as decoding:
        training = prepare(decoding)
    run = Run(training.run.path)
    for remark in _remarks(training):
        console.print(remark, highlight=False, markup=False, soft_wrap=True)
    run_with_progress(training, console, run.report)
    if training.fabric.is_global_zero:
        if run.finished:
            with console.status("map what the network saw"):
                run.map()
        run.report()
    training.fabric.barrier()
    return run


def _remarks(training: TrainState) -> Iterator[str]:
    """What is worth knowing of the images before the first step."""
    from headstart.data.requirements import classes_missing_from_train
    from headstart.environment import cache_folder

    if training.pixels.streaming:
        yield f"no room for decoded images in {cache_folder()}: decoding them anew for every batch, which is slower"
    if training.excluded is not None:
        of, other = training.excluded + len(training.train_rows), training.recipe.data.exclude_overlap_with
        yield (
            f"left out {training.excluded:,} of {of:,} training images: they are, or look like, images that {other} is"
            " judged by"
        )
    untrained = classes_missing_from_train(training.pixels, training.train_rows)
    if untrained:
        yield (
            f"never trained on, but in validation: {', '.join(untrained)}; the IoU there can only be 0 (headstart check"
            f" {training.pixels.index.root})"
        )
