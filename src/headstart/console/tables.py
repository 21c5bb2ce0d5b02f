"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headstart.files import Row
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import best_epoch

if TYPE_CHECKING:
    from headstart.analysis.feature_analysis import FeatureAnalysis
    from headstart.comparison.metric import MetricName
    from headstart.comparison.summary import Result, Results
    from headstart.data.checks.check import CheckResult
    from headstart.data.checks.issues import Issue
    from headstart.metrics.bootstrap import Interval
    from headstart.metrics.classification import ClassificationMetrics
    from headstart.metrics.segmentation import SegmentationMetrics

SHOWN = 12
"""Epochs that the live table shows: the latest ones."""
CLASSES, FILES = 20, 3
"""Classes and files that the health table names; it counts the rest."""
FIGURES = {
    "loss": ".4f",
    "accuracy": ".2%",
    "miou": ".2%",
    "feature_std": ".3f",
    "view_similarity": ".3f",
    "knn": ".2%",
}
"""Figures of an epoch that are shown where they are there, and how they are written."""
COLORS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def epochs_table(rows: Sequence[Row], recipe: Recipe) -> Table:
    """One line per epoch: the figures of both splits; the kept epoch is marked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    train = [row for row in rows if row["split"] == "train"]
    val = {row["epoch"]: row for row in rows if row["split"] == "val"}
    parts = {"train": train, "val": list(val.values())}
    shown = [(split, name) for split, part in parts.items() for name in FIGURES if any(name in row for row in part)]
    for title in ("epoch", *(f"{split} {name}" for split, name in shown), "seconds", "images/s", ""):
        table.add_column(title, justify="right")
    best = best_epoch(rows, recipe.checkpoint.monitor)
    for row in train[-SHOWN:]:
        of = {"train": row, "val": val[row["epoch"]]}
        table.add_row(
            f"{row['epoch'] + 1}/{recipe.train.epochs}",
            *(_figure(name, of[split]) for split, name in shown),
            f"{row['seconds'] + of['val']['seconds']:.0f}",
            f"{row['images_per_second']:.0f}",
            "best" if row["epoch"] == best else "",
        )
    return table


def epoch_line(rows: Sequence[Row], recipe: Recipe, kept: bool) -> str:
    """The same in one line, for logs."""
    parts = [
        f"{row['split']} {' '.join(f'{name} {_figure(name, row)}' for name in FIGURES if name in row)}" for row in rows
    ]
    seconds = sum(row["seconds"] for row in rows)
    mark = "  (best so far)" if kept and recipe.checkpoint.monitor != "last" else ""
    return f"epoch {rows[0]['epoch'] + 1}/{recipe.train.epochs}  {'  '.join(parts)}  {seconds:.0f} s{mark}"


def _figure(name: str, row: Row) -> str:
    return f"{row[name]:{FIGURES[name]}}" if name in row else ""


def recipes_table(recipes: Sequence[Recipe]) -> Table:
    """Name, what to expect, what it is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("recipe", "expect", "what it is"):
        table.add_column(title)
    for recipe in recipes:
        expect = f"{recipe.expect.value:.2%}" if recipe.expect else ""
        table.add_row(recipe.name, expect, Text(recipe.description))
    return table


def measures_table(measures: ClassificationMetrics, split: str) -> Table:
    """Each measure with its 95 % interval."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"{measures.images} images ({split})")
    for title in ("measure", "value", "95 % interval"):
        table.add_column(title, justify="left" if title == "measure" else "right")
    shares = {"accuracy", "top5", "balanced_accuracy", "macro_f1", "ece"}
    for name in ("accuracy", "top5", "balanced_accuracy", "macro_f1", "loss", "brier", "ece"):
        interval = getattr(measures, name)
        if interval is not None:
            form = ".2%" if name in shares else ".4f"
            table.add_row(name, f"{interval.value:{form}}", f"{interval.low:{form}} to {interval.high:{form}}")
    return table


def mask_measures_table(measures: SegmentationMetrics, split: str) -> Table:
    """IoU and Dice of each class and their means, with intervals over images, and how they are counted."""
    of_mean = [each.name for each in measures.per_class if each.iou is not None]
    undefined = f"; {', '.join(measures.undefined)}: neither there nor predicted, so undefined" * bool(
        measures.undefined
    )
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        title=f"{measures.images} images ({split})",
        caption=f"over all pixels of all images together that are not ignored; the mean is of {len(of_mean)} classes:"
        f" {', '.join(of_mean)}{undefined}",
        caption_justify="left",
    )
    for title in ("class", "IoU", "95 % interval", "Dice", "pixels", "predicted"):
        table.add_column(title, justify="left" if title == "class" else "right")
    all_pixels = max(1, sum(each.pixels for each in measures.per_class))
    for each in measures.per_class:
        shares = (f"{count / all_pixels:.1%}" for count in (each.pixels, each.predicted))
        dice = "" if each.dice is None else f"{each.dice:.4f}"
        table.add_row(Text(each.name), *_with_interval(each.iou), dice, *shares)
    table.add_row("mean", *_with_interval(measures.miou), f"{measures.mean_dice:.4f}")
    table.add_row("pixel accuracy", *_with_interval(measures.accuracy))
    return table


def _with_interval(figure: Interval | None) -> tuple[str, str]:
    return ("", "") if figure is None else (f"{figure.value:.4f}", f"{figure.low:.4f} to {figure.high:.4f}")


def learned_table(learned: FeatureAnalysis) -> Table:
    """What each epoch that was looked at is worth, on validation and training images."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    form = {"accuracy": ".2%", "loss": ".4f", "ece": ".2%", "brier": ".4f", "knn": ".2%", "purity": ".2%"}
    form["silhouette"] = ".3f"
    for title in ("epoch", "images", *form):
        table.add_column(title, justify="right")
    for each in learned.epochs:
        for split, figures in (("val", each.val), ("train", each.train)):
            if figures is not None:
                found = ((getattr(figures, name), how) for name, how in form.items())
                cells = (f"{interval.value:{how}}" if interval else "" for interval, how in found)
                table.add_row(str(each.epoch), f"{figures.images} {split}", *cells)
    return table


def study_table(results: Results, wide: bool = True) -> Table:
    """A row for each setting and label fraction of a study; what stands after ± is half of the 95 % interval.

    A label multiplier that is not significant is "n.s.", with its interval. Not ``wide``, the table fits 80 columns and
    leaves out times, calibration error and kNN accuracy.
    """
    from headstart.comparison.metric import METRICS
    from headstart.comparison.settings import SETTINGS

    study = results.study
    more = ("ece", "knn", "tune", "train") if study.metric == "accuracy" else ("tune", "train")
    multiplier = "label multiplier\n(95 % CI)"
    titles = ["setting", "labels", METRICS[study.metric].title, "Δ vs A\n(95 % CI)", multiplier, *(more * wide)]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for title in [*titles, "seeds"]:
        table.add_column(title, justify="left" if title == "setting" else "right", no_wrap=True)
    for fraction in sorted(study.fractions, reverse=True):
        for setting in sorted(study.settings):
            result = results.get(setting, fraction)
            failed = sum((trial.setting, trial.fraction) == (setting, fraction) for trial in study.failed)
            cells = _study_cells(result, wide, study.metric) if result else [f"{100 * fraction:.3g} %"]
            cells = [*cells, *[""] * 8][: len(titles) - 1]
            seeds = Text(f"{result.seeds if result else 0}/{len(study.seeds)}")
            if failed:
                seeds.append("!", "bold red")
                table.caption = "! trials have failed"
            table.add_row(f"{setting} {SETTINGS[setting].phrase}", *cells, seeds, style=None if result else "dim")
    return table


def _study_cells(result: Result, wide: bool, metric: MetricName) -> list[str]:
    def with_ci(interval: Interval, sign: str = "") -> str:
        return f"{100 * interval.value:{sign}.1f}{' ' * wide}±{50 * (interval.high - interval.low):.1f}"

    return [
        f"{result.labels:,}",
        with_ci(result.score),
        with_ci(result.to_a.interval, "+") if result.to_a else "",
        _label_multiplier_cell(result),
        *("" if each is None else f"{100 * each:.1f}" for each in (result.ece, result.knn) * (metric == "accuracy")),
        f"{result.seconds_tune:.0f} s",
        f"{result.seconds_train:.0f} s",
    ]


def _label_multiplier_cell(result: Result) -> str:
    """'7.4 (5.1..>10)'; 'n.s. (<1..3.6)' where it is not significant."""
    multiplier = result.label_multiplier
    if multiplier is None:
        return ""
    value = multiplier.text if result.multiplier_significant else "n.s."
    return f"{value} ({multiplier.interval_text.replace(' to ', '..')})".replace("> ", ">").replace("< ", "<")


def health_table(health: CheckResult) -> Group:
    """What a data set holds, images per class and split, and every finding with its first files and its mend."""
    parts: list[RenderableType] = [_header(health)]
    if health.classes:
        parts.append(_classes(health))
    if health.issues:
        findings = Table.grid(padding=(0, 2))
        for finding in health.issues:
            findings.add_row(Text(finding.severity, COLORS[finding.severity]), _finding(finding))
        parts.append(findings)
    if health.status == 0:
        parts.append(Text("No faults found.", "green"))
    return Group(*parts)


def _header(health: CheckResult) -> Text:
    images = ", ".join(f"{number:,} {split}" for split, number in health.images.items())
    lines = [_printable(health.root), f"layout   {health.layout}", f"images   {images}"]
    split = {"given": "as given", "made": "made by headstart", "none": "none"}[health.split]
    lines.append(f"split    {split}")
    if health.sizes:
        (w0, w, w1), (h0, h, h1) = health.sizes["width"], health.sizes["height"]
        lines.append(f"size     {w:g} x {h:g} pixels (median); {w0} to {w1} wide, {h0} to {h1} high")
    if health.formats:
        kinds = [f"{number:,} {name}" for name, number in [*health.formats.items(), *health.modes.items()]]
        lines.append(f"format   {', '.join(kinds)}")
    return Text("\n".join(lines))


def _classes(health: CheckResult) -> Table:
    """Images per class and split; with masks, their share of the pixels too."""
    table = Table()
    table.add_column(f"class ({len(health.classes)})")
    for split in health.counts:
        table.add_column(f"{split} pixels (images)" if health.shares else split, justify="right")
    for name in health.classes[:CLASSES]:
        cells = {split: f"{counts[name]:,}" for split, counts in health.counts.items()}
        for split, shares in health.shares.items():
            cells[split] = f"{shares[name]:.2%} ({cells[split]})"
        table.add_row(Text(_printable(name)), *cells.values())
    if len(health.classes) > CLASSES:
        table.add_row(Text(f"and {len(health.classes) - CLASSES} more classes", "dim"))
    if any(health.ignored_shares.values()):
        table.add_row(
            Text("left out", "dim"), *(Text(f"{share:.2%}", "dim") for share in health.ignored_shares.values())
        )
    return table


def _finding(finding: Issue) -> Text:
    text = Text(_printable(finding.message))
    for files in finding.sets[:FILES] or [(file,) for file in finding.files[:FILES]]:
        text.append(f"\n{_printable(' = '.join(_first(files)))}", "dim")
    left = len(finding.sets or finding.files) - FILES
    if left > 0:
        text.append(f"\nand {left:,} more", "dim")
    if finding.fix:
        text.append(f"\n> {_printable(finding.fix)}")
    return text


def _first(files: tuple[str, ...]) -> tuple[str, ...]:
    return files if len(files) <= FILES else (*files[:FILES], f"{len(files) - FILES:,} more")


def _printable(text: str) -> str:
    """File names need not be UTF-8; a terminal does."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
