"""One run folder -> ``report.html``: what came of it, what to think of it, and what to do next."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from headstart.errors import HeadstartError
from headstart.insight.measures import Measures, measure
from headstart.report import figures
from headstart.run import Row, RunFolder, best_epoch

MISTAKES = 24
"""Pictures of confident mistakes."""
PAIRS = 10
"""Lines in the table of confused pairs."""
RESAMPLES_WHILE_TRAINING = 200


@dataclass(frozen=True)
class Answers:
    """What the kept weights said of the validation images."""

    filenames: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` into the run folder, from nothing but the folder's own files, and return its path."""
    page = Environment(loader=PackageLoader("headstart.report"), autoescape=True, undefined=StrictUndefined)
    page.filters.update(percent=lambda value: f"{value:.2%}", duration=duration)
    text = page.get_template("run.html.jinja").render(_context(run), plotly=Markup(get_plotlyjs()))
    run.write("report.html", text.encode("utf-8", "surrogateescape"))
    return run.path / "report.html"


def _context(run: RunFolder) -> dict[str, Any]:
    recipe, data, rows, answers = run.recipe, run.data, run.metrics, read_answers(run)
    measures = None
    drawn: dict[str, Markup] = {}
    if answers is not None:
        resamples = 1000 if run.finished else RESAMPLES_WHILE_TRAINING
        measures = measure(answers.labels, answers.probabilities, data["classes"], resamples)
        drawn["confusion"] = Markup(figures.confusion(measures))
        drawn["reliability"] = Markup(figures.reliability(answers.labels, answers.probabilities))
    if rows:
        drawn["curves"] = Markup(figures.curves(rows, recipe.train.epochs, recipe.keep.metric))
    train = [row for row in rows if row["split"] == "train"]
    return {
        "path": str(run.path),
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
        "majority": _majority(data["counts"].get("val", {})),
        "remarks": remarks(rows, recipe.keep.metric),
        "figures": drawn,
        "pairs": confused_pairs(measures) if measures else [],
        "mistakes": _mistakes(run, answers, data["classes"]) if answers else [],
    }


def read_answers(run: RunFolder) -> Answers | None:
    """The run's ``predictions.csv`` as arrays; None before there is one. Raises HeadstartError for a broken file."""
    rows, classes = run.predictions, run.classes
    if not rows:
        return None
    try:
        labels = np.array([classes.index(row["label"]) for row in rows])
        probabilities = np.array([[float(row[f"probability_{name}"]) for name in classes] for row in rows])
        return Answers([row["filename"] for row in rows], labels, probabilities)
    except (KeyError, ValueError) as error:
        raise HeadstartError(
            f"{run.path / 'predictions.csv'}: expected a label and a probability per class in every row, found {error}",
            f"remove the file, or headstart fit {run.path / 'recipe.toml'} DATA",
        ) from None


def duration(seconds: float) -> str:
    """``95`` -> ``1 min 35 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def remarks(rows: Sequence[Row], kept: str) -> list[str]:
    """What the curves say, in words."""
    by_loss, by_accuracy = best_epoch(rows, "loss"), best_epoch(rows, "accuracy")
    if by_loss is None or by_accuracy is None:
        return []
    said = []
    best = by_loss if kept == "val_loss" else by_accuracy
    if by_loss != by_accuracy:
        val = {row["epoch"]: row["accuracy"] for row in rows if row["split"] == "val"}
        said.append(
            f"Best by loss is epoch {by_loss + 1} ({val[by_loss]:.2%}), best by accuracy is epoch {by_accuracy + 1}"
            f" ({val[by_accuracy]:.2%}); the weights of epoch {best + 1} were kept (keep.metric = {kept})."
        )
    last = {row["split"]: row for row in rows if row["epoch"] == rows[-1]["epoch"]}
    if {"train", "val"} <= last.keys():
        gap = last["train"]["accuracy"] - last["val"]["accuracy"]
        if gap > 0.1:
            said.append(
                f"In the last epoch training accuracy is {gap:.1%} above validation accuracy: the network knows its"
                " training images better than new ones. More images, stronger views, or fewer epochs would help."
            )
        if by_loss == last["val"]["epoch"] and len(rows) > 4:
            said.append("The validation loss was still falling in the last epoch: more epochs may help.")
    return said


def confused_pairs(measures: Measures) -> list[tuple[str, str, int, float]]:
    """(the class it is, the class it was taken for, how often, share of the class), most frequent first."""
    names = [each.name for each in measures.per_class]
    pairs = [
        (names[i], names[j], count, count / sum(row))
        for i, row in enumerate(measures.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:PAIRS]


def _mistakes(run: RunFolder, answers: Answers, classes: Sequence[str]) -> list[dict[str, Any]]:
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
    try:
        with zipfile.ZipFile(run.path / "thumbnails.zip") as archive:
            known = set(archive.namelist())
            return {
                row: "data:image/jpeg;base64," + base64.b64encode(archive.read(f"{row}.jpg")).decode()
                for row in rows
                if f"{row}.jpg" in known
            }
    except (OSError, zipfile.BadZipFile):
        return {}


def _majority(counts: dict[str, int]) -> float | None:
    """The accuracy of always answering the most frequent class."""
    total = sum(counts.values())
    return max(counts.values()) / total if total else None
