"""The page of a run: run folder -> `report.html`, one self-contained file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from headstart.analysis.findings import findings
from headstart.errors import quoted
from headstart.files import Row
from headstart.metrics.bootstrap import Interval
from headstart.metrics.calibration import MIN_IMAGES_TO_HALVE, fit_on_half
from headstart.metrics.classification import ClassificationMetrics, classification_metrics
from headstart.metrics.collapse import Diagnosis, diagnose
from headstart.metrics.segmentation import SegmentationMetrics
from headstart.metrics.shares import mean_share
from headstart.metrics.written import duration, ends, plain_decimals, share, times
from headstart.recipes.recipe import Recipe
from headstart.report import plots
from headstart.report.embedding_view import MIN_POINTS, embedding_view
from headstart.report.figure_files import write_figures
from headstart.report.mask_page import MaskSection, mask_page
from headstart.report.matrix import MAX_CLASSES
from headstart.report.network_diagram import drawing
from headstart.report.page import render_page
from headstart.report.pictures import ConfidentError, SuspiciousLabel, confident_errors_shown, suspicious_labels
from headstart.report.prediction_images import as_json, listed_images
from headstart.report.run_answer import RunAnswer, of_classifier, of_segmenter
from headstart.runs.analysis import FeatureAnalysis, read_feature_analysis
from headstart.runs.commands import predict_command
from headstart.runs.folder import RunFolder, classifier_command
from headstart.runs.label_errors import LabelCheck, read_label_check
from headstart.runs.predictions import StoredPredictions, read_predictions
from headstart.runs.training_images import read_groups

JSON = ("map", "images")
"""Figures that are data for the page's scripts."""
MAX_PAIRS = 10
"""Rows in the table of confused pairs."""
RESAMPLES_WHILE_TRAINING = 200
MAX_CHARACTERS = 7_600_000
"""The page stays below 8 MB: mask images are scaled down to fit."""


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` into the run folder, from nothing but the folder's own files, and return its path.

    Of a trained run its figures are written, too: as SVG files into ``figures/`` beside it.
    """
    context = _context(run)
    if context["finished"]:
        write_figures(run.path, {name: each for name, each in context["figures"].items() if name not in JSON})
    run.write("report.html", rendered("run.html.jinja", context))
    return run.path / "report.html"


def rendered(template: str, context: Mapping[str, object]) -> bytes:
    """A page from one of our templates; everything in ``context`` is escaped."""
    return render_page(
        template,
        context,
        percent=lambda value: f"{100 * value:.1f} %",
        duration=duration,
        share=share,
        times=times,
        ends=ends,
        plain=lambda interval: f"{interval.value:.{plain_decimals(interval.low, interval.high)}f}",
        plain_ends=lambda interval: " to ".join(
            f"{end:.{plain_decimals(interval.low, interval.high)}f}" for end in (interval.low, interval.high)
        ),
    )


class RunPage(TypedDict):
    """What `run.html.jinja` is rendered with; None where the run has no such thing, or not yet."""

    path: str
    folder: str
    """The path, absolute and quoted, for commands that work from anywhere."""
    finished: bool
    recipe: Recipe
    recipe_toml: str
    data: dict[str, Any]
    """`data.json`."""
    environment: dict[str, Any]
    root: str
    """The folder of its images, quoted."""
    classifier: str
    """Command that trains a classifier on this run's backbone."""
    images: dict[str, int]
    """By split."""
    answer: RunAnswer | None
    use: str
    """Command that predicts with it."""
    epochs_done: int
    seconds: float
    speed: float
    """Training images per second, median over the epochs."""
    last: Row | None
    """The last validation row of `metrics.csv`."""
    test: Row | None
    metrics: ClassificationMetrics | None
    class_rows: list[ClassRow]
    pairs: list[ConfusedPair]
    max_classes: int
    """Classes that the confusion matrix has at the most."""
    errors: list[ConfidentError]
    labels: LabelCheck | None
    """Of `headstart labels`."""
    suspicious: list[SuspiciousLabel]
    """The first of its rows, with pictures."""
    masks: MaskSection | None
    mask_metrics: SegmentationMetrics | None
    diagnosis: Diagnosis | None
    """Of self-supervised training."""
    findings: list[str]
    analysis: FeatureAnalysis | None
    network: dict[str, Any] | None
    """`architecture.json`."""
    architecture: Markup | None
    figures: dict[str, Markup]
    """Plots as SVG, by the id of their place on the page; of `JSON` the data."""
    mapped: int
    """Images with a place on the maps, of which a page needs ``least_mapped``."""
    least_mapped: int


class ClassRow(NamedTuple):
    """A class with intervals; None where no image is of it, or predicted as it."""

    name: str
    number: int
    precision: Interval | None
    recall: Interval | None
    f1: float
    support: int


class ConfusedPair(NamedTuple):
    """Images of one class that were predicted as another."""

    label: str
    predicted: str
    images: int
    of: int
    """Images of the class."""
    cell: str
    """'2-0': their numbers."""


def _context(run: RunFolder) -> RunPage:
    recipe, data, rows = run.recipe, run.data, run.metrics
    resamples = 1000 if run.trained else RESAMPLES_WHILE_TRAINING
    predictions, network, labels = read_predictions(run), run.architecture, read_label_check(run)
    test = next((row for row in rows if row["split"] == "test"), None)
    metrics, answer = (None, None) if predictions is None else _of_predictions(run, predictions, test, resamples)
    analysis, places = read_feature_analysis(run) or (None, [])
    figures = _figures(run, predictions, metrics, analysis, places)
    # A segmentation run has figures, findings and images of its own.
    masks = None
    if run.palette is not None:
        left = MAX_CHARACTERS - sum(map(len, figures.values()))
        masks = mask_page(run, run.palette, rows, analysis, left, resamples)
        figures |= masks.figures
        if masks.metrics is not None and masks.section.confusions is not None:
            answer = of_segmenter(run, masks.metrics, masks.section.confusions)
    if answer is not None:
        figures = {"intervals": Markup(answer.intervals), **figures}
    train = [row for row in rows if row["split"] == "train"]
    return RunPage(
        path=str(run.path),
        folder=quoted(run.path.absolute()),
        finished=run.trained,
        recipe=recipe,
        recipe_toml=recipe.to_toml(),
        data=data,
        environment=run.environment,
        root=quoted(data["root"]),
        classifier=classifier_command(RunFolder(run.path.absolute())),
        images=data.get("images") or {split: sum(counts.values()) for split, counts in data["counts"].items()},
        answer=answer,
        use=predict_command(run.path.absolute(), masks is not None),
        epochs_done=len(train),
        seconds=sum(row.get("seconds", 0.0) for row in rows),
        speed=float(np.median([row.get("images_per_second", 0.0) for row in train])) if train else 0.0,
        last=next((row for row in reversed(rows) if row["split"] == "val"), None),
        test=test,
        metrics=metrics,
        class_rows=class_rows(metrics) if metrics else [],
        pairs=confused_pairs(metrics) if metrics else [],
        max_classes=MAX_CLASSES,
        errors=confident_errors_shown(run, predictions, data["classes"]) if predictions else [],
        labels=labels,
        suspicious=suspicious_labels(run, labels) if labels else [],
        masks=masks.section if masks else None,
        mask_metrics=masks.metrics if masks else None,
        diagnosis=diagnose(rows),
        findings=masks.findings if masks else findings(rows, recipe.checkpoint.monitor, analysis),
        analysis=analysis,
        network=network,
        architecture=drawing(network) if network is not None else None,
        figures=figures,
        mapped=len({row["row"] for row in places}),
        least_mapped=MIN_POINTS,
    )


def _of_predictions(
    run: RunFolder, predictions: StoredPredictions, test: Row | None, resamples: int
) -> tuple[ClassificationMetrics, RunAnswer]:
    """Metrics of a classifier's stored predictions, and what they answer; ``test`` is the row of the test images."""
    groups = read_groups(run, predictions.filenames)
    metrics = classification_metrics(
        predictions.labels, predictions.probabilities, run.classes, resamples, groups=groups
    )
    return metrics, of_classifier(run, metrics, test if groups is None else None)


def _figures(
    run: RunFolder,
    predictions: StoredPredictions | None,
    metrics: ClassificationMetrics | None,
    analysis: FeatureAnalysis | None,
    places: Sequence[Row],
) -> dict[str, Markup]:
    """Plots of the run as SVG, map and images as JSON; ``places`` are the rows of its t-SNE and PCA maps."""
    figures, view = {}, None
    if predictions is not None and metrics is not None:
        figures["confusion"] = Markup(plots.confusion(metrics))
        figures["reliability"] = Markup(plots.reliability(predictions.labels, _scaled(predictions)))
    if run.metrics:
        figures["curves"] = Markup(plots.curves(run.metrics, run.recipe.train.epochs, run.recipe.checkpoint.monitor))
    if analysis is not None and len({row["row"] for row in places}) >= MIN_POINTS:
        view = embedding_view(run, analysis, places)
        figures["map"] = Markup(plots.as_script(json.dumps(view, separators=(",", ":"))))
    if predictions is not None:
        figures["images"] = Markup(plots.as_script(as_json(listed_images(run, predictions, view))))
    return figures


def _scaled(predictions: StoredPredictions) -> dict[str, tuple[NDArray[np.int64], ArrayLike]]:
    """Rows and probabilities of the run, and of one half of the images after temperature scaling on the other."""
    lines: dict[str, tuple[NDArray[np.int64], ArrayLike]] = {
        "this run": (np.arange(len(predictions.labels), dtype=np.int64), predictions.probabilities)
    }
    if len(predictions.labels) >= MIN_IMAGES_TO_HALVE:
        fitted = fit_on_half(predictions.labels, predictions.probabilities)
        lines[f"with temperature {fitted.value:.2f} (on the half it was not fitted on)"] = (
            fitted.held_out,
            fitted.probabilities,
        )
    return lines


def class_rows(metrics: ClassificationMetrics) -> list[ClassRow]:
    """Precision and recall of each class with their 95 % intervals over its images."""
    counts = np.array(metrics.confusion)
    rows = []
    for number, each in enumerate(metrics.per_class):
        parts = [(counts[number, number], total) for total in (counts[:, number].sum(), counts[number].sum())]
        precision, recall = (mean_share(np.arange(total) < hits) if total else None for hits, total in parts)
        rows.append(ClassRow(each.name, number, precision, recall, each.f1, each.support))
    return rows


def confused_pairs(metrics: ClassificationMetrics) -> list[ConfusedPair]:
    """The most frequent pairs of true and predicted class, most images first."""
    names = [each.name for each in metrics.per_class]
    pairs = [
        ConfusedPair(names[i], names[j], count, sum(row), f"{i}-{j}")
        for i, row in enumerate(metrics.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: (-pair.images, pair.label, pair.predicted))[:MAX_PAIRS]
