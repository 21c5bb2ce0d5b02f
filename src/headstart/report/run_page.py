"""One run folder -> ``report.html``: what came of it, what to think of it, and what to do next."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray
from plotly.offline import get_plotlyjs

from headstart.analysis.feature_analysis import read_feature_analysis
from headstart.analysis.findings import findings
from headstart.metrics.calibration import MIN_IMAGES_TO_HALVE, fit_on_half
from headstart.metrics.classification import ClassificationMetrics, classification_metrics
from headstart.metrics.collapse import diagnose
from headstart.report import plots as figures
from headstart.report.embedding_view import map_facts
from headstart.report.mask_page import mask_context
from headstart.report.network_diagram import drawing
from headstart.runs.folder import RunFolder, classifier_command
from headstart.runs.predictions import StoredPredictions, read_predictions
from headstart.runs.thumbnails import read_thumbnails

MISTAKES = 24
"""Pictures of confident mistakes."""
PAIRS = 10
"""Lines in the table of confused pairs."""
RESAMPLES_WHILE_TRAINING = 200
MOST_CHARACTERS = 7_600_000
"""The page stays below 8 MB: pictures of masks are made smaller where they would take it further."""


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` into the run folder, from nothing but the folder's own files, and return its path."""
    run.write("report.html", rendered("run.html.jinja", _context(run)))
    return run.path / "report.html"


def rendered(template: str, context: Mapping[str, Any]) -> bytes:
    """A page from one of our templates; everything in ``context`` is escaped, and plotly stands in the page."""
    page = Environment(loader=PackageLoader("headstart.report"), autoescape=True, undefined=StrictUndefined)
    page.filters.update(percent=lambda value: f"{value:.2%}", duration=duration)
    text = page.get_template(template).render(context, plotly=Markup(get_plotlyjs()))
    return text.encode("utf-8", "surrogateescape")


def _context(run: RunFolder) -> dict[str, Any]:
    recipe, data, rows, answers = run.recipe, run.data, run.metrics, read_predictions(run)
    measures = None
    drawn: dict[str, Markup] = {}
    resamples = 1000 if run.finished else RESAMPLES_WHILE_TRAINING
    if answers is not None:
        measures = classification_metrics(answers.labels, answers.probabilities, data["classes"], resamples)
        drawn["confusion"] = Markup(figures.confusion(measures))
        drawn["reliability"] = Markup(figures.reliability(answers.labels, _confidence(answers)))
    if rows:
        drawn["curves"] = Markup(figures.curves(rows, recipe.train.epochs, recipe.checkpoint.monitor))
    learned, places = read_feature_analysis(run) or (None, [])
    if learned is not None and places:
        drawn["map"] = Markup(figures.as_script(json.dumps(map_facts(run, learned, places), separators=(",", ":"))))
    masks: dict[str, Any] = {
        "masks": None,
        "measured": None,
        "findings": findings(rows, recipe.checkpoint.monitor, learned),
    }
    if run.palette is not None:
        room = MOST_CHARACTERS - len(get_plotlyjs()) - sum(map(len, drawn.values()))
        masks = mask_context(run, run.palette, rows, learned, room, resamples)
        drawn |= masks.pop("figures")
    train = [row for row in rows if row["split"] == "train"]
    network = run.architecture
    return masks | {
        "path": str(run.path),
        "classifier": classifier_command(run),
        "recipe": recipe,
        "recipe_toml": recipe.to_toml(),
        "data": data,
        "environment": run.environment,
        "finished": run.finished,
        "epochs_done": len(train),
        "seconds": sum(row["seconds"] for row in rows),
        "speed": float(np.median([row["images_per_second"] for row in train])) if train else 0.0,
        "test": next((row for row in rows if row["split"] == "test"), None),
        "measures": measures,
        "health": diagnose(rows),
        "last": next((row for row in reversed(rows) if row["split"] == "val"), None),
        "images": data.get("images") or {split: sum(counts.values()) for split, counts in data["counts"].items()},
        "majority": _majority(data["counts"].get("val", {})),
        "learned": learned,
        "network": network,
        "architecture": drawing(network) if network is not None else None,
        "figures": drawn,
        "most": figures.MOST,
        "pairs": confused_pairs(measures) if measures else [],
        "mistakes": _mistakes(run, answers, data["classes"]) if answers else [],
    }


def _confidence(answers: StoredPredictions) -> dict[str, tuple[NDArray[np.int64], ArrayLike]]:
    """The network's probabilities, and on half of the images those that a temperature fitted on the others gives."""
    lines: dict[str, tuple[NDArray[np.int64], ArrayLike]] = {
        "this run": (np.arange(len(answers.labels), dtype=np.int64), answers.probabilities)
    }
    if len(answers.labels) >= MIN_IMAGES_TO_HALVE:
        fitted = fit_on_half(answers.labels, answers.probabilities)
        lines[f"with temperature {fitted.value:.2f} (on the half it was not fitted on)"] = (
            fitted.held_out,
            fitted.probabilities,
        )
    return lines


def duration(seconds: float) -> str:
    """``95`` -> ``1 min 35 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def confused_pairs(measures: ClassificationMetrics) -> list[tuple[str, str, int, float]]:
    """(the class it is, the class it was taken for, how often, share of the class), most frequent first."""
    names = [each.name for each in measures.per_class]
    pairs = [
        (names[i], names[j], count, count / sum(row))
        for i, row in enumerate(measures.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:PAIRS]


def _mistakes(run: RunFolder, answers: StoredPredictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The mistakes that the network was surest of, with their pictures where there are any."""
    predicted, sure = answers.probabilities.argmax(axis=1), answers.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != answers.labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    pictures = _pictures(run, worst.tolist())
    return [
        {
            "filename": answers.filenames[row],
            "label": classes[answers.labels[row]],
            "predicted": classes[predicted[row]],
            "probability": sure[row],
            "of_label": answers.probabilities[row, answers.labels[row]],
            "picture": pictures.get(row),
        }
        for row in worst.tolist()
    ]


def _pictures(run: RunFolder, rows: Sequence[int]) -> dict[int, str]:
    """Thumbnails of some rows of predictions.csv, as data URLs."""
    thumbnails = read_thumbnails(run, rows)
    return {row: f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" for row, jpeg in thumbnails.items()}


def _majority(counts: dict[str, int]) -> float | None:
    """The accuracy of always answering the most frequent class."""
    total = sum(counts.values())
    return max(counts.values()) / total if total else None
