"""The Python API; the command line calls the same functions.

Imports of torch (training, inference), scikit-learn and plotly (analysis, report) stand in the functions that need
them, so that `check` starts at once and a report is made without torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from headstart.console.progress import progress_bar, run_study_with_progress, run_with_progress
from headstart.console.streams import make_console, spinner
from headstart.data.checks.check import CheckResult, check_with_index
from headstart.data.layouts import Choice, Layout
from headstart.data.parallel import Progress
from headstart.files import Row, free_name
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder, best_epoch

if TYPE_CHECKING:
    from pandas import DataFrame

    from headstart.inference.evaluate import Evaluation, MaskEvaluation
    from headstart.inference.predict import Predictions
    from headstart.inference.segment import MaskPredictions, WriteResult
    from headstart.runs.analysis import FeatureAnalysis
    from headstart.training.state import TrainState

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A training run on disk: metrics, predictions, evaluation, report.

    ``Run("runs/quick-photos")`` opens the folder of one. Raises HeadstartError if there is none. Everything is read
    from the folder when it is asked for, so that a run can be followed while it trains.
    """

    path: Path

    def __init__(self, path: PathLike) -> None:
        object.__setattr__(self, "path", Path(path))
        _ = self.folder

    @property
    def folder(self) -> RunFolder:
        """The files of the run."""
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
        """Validation accuracy of the best weights, 0 to 1; pixel accuracy for segmentation.

        None before the first epoch ends and for self-supervised pre-training.
        """
        return self._best("accuracy")

    @property
    def miou(self) -> float | None:
        """Validation mean IoU of the best weights, 0 to 1; None unless the task is segmentation.

        From one confusion matrix over all images, without ignored pixels. The mean is over the classes that occur in
        the ground truth or in the predictions.
        """
        return self._best("miou")

    def _best(self, metric: str) -> float | None:
        """A validation metric at the epoch whose weights are kept (`checkpoint.monitor`)."""
        best = best_epoch(self.metrics, self.folder.recipe.checkpoint.monitor)
        return next((row.get(metric) for row in self.metrics if (row["split"], row["epoch"]) == ("val", best)), None)

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is trained and saved."""
        return self.folder.finished

    def map(
        self,
        *,
        perplexity: float | None = None,
        epochs: Sequence[int] = (),
        split: Literal["all", "val", "train"] = "all",
        seed: int = 0,
    ) -> FeatureAnalysis:
        """t-SNE and PCA of the stored features, with kNN and calibration metrics; needs no training.

        Writes ``analysis/`` in the run folder, which the report shows. ``perplexity`` is that of t-SNE (default: 30, or
        less for few images); ``epochs`` count from 1 (default: all that are stored). The same ``seed`` gives the same
        map.
        """
        from headstart.analysis.feature_analysis import analyze_features

        return analyze_features(self.folder, perplexity, epochs, split, seed)

    def report(self) -> Path:
        """Write ``report.html`` into the run folder, replacing an earlier one, and return its path."""
        from headstart.report.run_page import write_report

        return write_report(self.folder)

    def predict(
        self,
        images: PathLike | Iterable[PathLike],
        *,
        bare_names: bool = False,
        flip: bool = False,
        unfinished: bool = False,
        progress: Progress | None = None,
    ) -> Predictions | MaskPredictions:
        """Predict classes, or masks if the run's task is segmentation.

        ``images`` are files, folders or glob patterns; for segmentation of any size. Unreadable files are skipped and
        listed in the result. ``bare_names`` calls the files by their names alone, each of which must then occur once
        (classification only). ``flip`` is flip test-time augmentation (segmentation only); ``unfinished`` allows the
        best weights so far; ``progress(done, total)`` counts images, or tiles.
        """
        from headstart.inference.image_files import find_images
        from headstart.inference.model import load_model
        from headstart.inference.predict import predict
        from headstart.inference.segment import find_rasters, predict_masks

        if self.folder.palette is not None:
            files = find_rasters(images)
            return predict_masks(load_model(self.folder, unfinished=unfinished), files, flip=flip, progress=progress)
        files = find_images(images).with_bare_names() if bare_names else find_images(images)
        return predict(load_model(self.folder, unfinished=unfinished), files, progress=progress)

    def predict_table(
        self, table: PathLike, *, folder: PathLike, unfinished: bool = False, progress: Progress | None = None
    ) -> tuple[list[Row], Predictions]:
        """Predict ``label`` for each ``filename`` (relative to ``folder``) of a CSV file: (rows, predictions)."""
        from headstart.inference.model import load_model
        from headstart.inference.predict import predict_table

        model = load_model(self.folder, unfinished=unfinished)
        return predict_table(Path(table), model, folder=Path(folder), progress=progress)

    def write_masks(
        self,
        images: PathLike | Iterable[PathLike],
        out: PathLike,
        *,
        overlay: bool = False,
        flip: bool = False,
        overwrite: bool = False,
        unfinished: bool = False,
        progress: Progress | None = None,
    ) -> WriteResult:
        """Predict masks and write them into the folder ``out``, in the format of the training masks.

        ``photo_mask.png`` for ``photo.jpg``; ``overlay`` also writes the image under its mask. A GeoTIFF is read and
        written a band of rows at a time, so it may be larger than memory. Raises HeadstartError, before anything is
        written, for a folder ``out`` among the images, and unless ``overwrite`` for files there that headstart did not
        write.
        """
        from headstart.inference.destination import refuse_among_images
        from headstart.inference.image_files import as_list
        from headstart.inference.model import load_model
        from headstart.inference.segment import find_rasters, write_masks

        given = as_list(images)
        refuse_among_images(Path(out), given, self.folder)
        files = find_rasters(given)
        model = load_model(self.folder, unfinished=unfinished)
        return write_masks(
            model, files, out=Path(out), overlay=overlay, flip=flip, overwrite=overwrite, progress=progress
        )

    def evaluate(
        self, data: PathLike, *, split: str | None = None, unfinished: bool = False, progress: Progress | None = None
    ) -> Evaluation | MaskEvaluation:
        """Evaluate on a folder of labeled images, or of image and mask pairs.

        ``.metrics`` of the result are all metrics with 95 % bootstrap intervals over images; ``.split`` and
        ``.excluded`` say what they were computed on. By default that is the test split if there is one, else the
        validation split, and never an image that the run was trained on (see `inference.evaluate.evaluate`).
        """
        from headstart.inference.evaluate import evaluate

        return evaluate(self.folder, data, split=split, unfinished=unfinished, progress=progress)


def check(
    data: PathLike,
    *,
    group: str | None = None,
    val_fraction: float = 0.2,
    layout: Layout = "auto",
    columns: str | None = None,
    page: PathLike | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """Check a dataset: layout, splits, class balance, broken files, duplicates, leakage.

    ``group`` is a regular expression for an image's source (patient, video) in its path; ``val_fraction`` is that of
    the validation split made where there is none; ``layout`` and ``columns`` say how to read the folder, as
    ``data.layout`` and ``data.columns`` of a recipe. ``page`` is an HTML file to write, with pictures of every class
    beside what their label or mask is taken to be. Raises HeadstartError if the layout is not recognized.
    """
    index, result = check_with_index(os.fspath(data), group, val_fraction, progress, Choice(layout, columns))
    if page is not None:
        from headstart.report.check_page import write_check_page

        write_check_page(index, result, Path(page))
    return result


def check_page(data: PathLike | CheckResult, file: PathLike) -> CheckResult:
    """Write a page with images of a dataset, what their labels or masks are taken to be, and every issue to ``file``.

    ``data`` is a folder, which is checked, or the result of `check`. Raises HeadstartError as `check` does, and for a
    ``file`` that exists and is no such page.
    """
    from headstart.data.layouts import scan
    from headstart.data.pairs import rows_without_masks, with_classes
    from headstart.report.check_page import write_check_page

    result = data if isinstance(data, CheckResult) else check(data)
    index = scan(result.root if isinstance(data, CheckResult) else data)
    index = with_classes(index.drop(rows_without_masks(index))) if index.masks else index
    write_check_page(index, result, Path(file))
    return result


def fit(
    recipe: str | Recipe,
    data: PathLike,
    *,
    out: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Run:
    """Train a recipe on a folder of images.

    ``recipe`` is the name of a shipped recipe, a TOML file, or a `Recipe`; ``overrides`` change its fields, as in
    ``{"train.epochs": 5}``. The run goes to ``out``, or to a new folder under ``runs/``. Progress is shown on
    ``console`` (default: the terminal). Ctrl-C saves and returns the unfinished run, which `resume` continues.
    Raises HeadstartError for errors that the caller can fix.
    """
    from headstart.training.setup import start

    config = _resolve_recipe(recipe, overrides)
    folder = Path(out) if out is not None else free_name(Path("runs"), f"{config.name}-{Path(data).absolute().name}")
    return _train(lambda progress: start(config, os.fspath(data), folder, progress), console)


def resume(run: PathLike, data: PathLike | None = None, *, console: Console | None = None) -> Run:
    """Continue a run that was stopped; ``data`` is where its images are now, if they have moved."""
    from headstart.training.setup import resume as resume_training

    moved = None if data is None else os.fspath(data)
    return _train(lambda progress: resume_training(Path(run), moved, progress), console)


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
    """Measure what each kind of pre-training gains on ``data``: one table row per setting and fraction.

    ``settings`` are letters A to G; ``labels`` are label fractions (default: those of 0.05, 0.1, 0.25, 0.5 and 1 that
    leave every class an image). ``recipe`` and ``pretraining`` default to `quick` and `byol-quick`, for images with
    masks to `segment-quick` and `byol-tiles`; such a study has a column ``miou`` in the place of ``accuracy``. The
    study's folder, ``out`` or ``runs/study-DATA``, holds the report; called again, the study continues. ``budget``
    ("30m") chooses the epochs to fit. Raises HeadstartError for what the caller can fix.
    """
    import pandas as pd

    from headstart.comparison.summary import Results, table_rows
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


def _resolve_recipe(recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    return recipes.load(recipe, overrides) if isinstance(recipe, str) else recipes.override(recipe, overrides)


def _train(prepare: Callable[[Progress], TrainState], console: Console | None) -> Run:
    """Decode the images, train to the end or to Ctrl-C, analyze the features, and write the report."""
    from headstart.training.data_warnings import data_warnings

    console = console or make_console(stderr=True)
    with progress_bar(console, "decode images") as progress:
        state = prepare(progress)
    run = Run(state.run.path)
    for warning in data_warnings(state):
        console.print(warning, highlight=False, markup=False, soft_wrap=True)
    run_with_progress(state, console, run.report)
    if state.fabric.is_global_zero:
        if run.finished:
            with console.status("map features", spinner=spinner(console)):
                run.map()
        run.report()
    state.fabric.barrier()
    return run
