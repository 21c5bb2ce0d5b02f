"""Tables for the terminal: epochs, metrics, features, studies, and the result of `check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headstart.data.checks.next_steps import next_steps
from headstart.files import Row
from headstart.recipes.recipe import Recipe
from headstart.runs.tables import best_epoch

if TYPE_CHECKING:
    from headstart.comparison.metric import MetricName
    from headstart.comparison.summary import Result, Results
    from headstart.data.checks.check import CheckResult
    from headstart.data.checks.issues import Issue
    from headstart.metrics.bootstrap import Interval
    from headstart.metrics.classification import ClassificationMetrics
    from headstart.metrics.segmentation import SegmentationMetrics
    from headstart.runs.analysis import FeatureAnalysis

MAX_EPOCHS = 12
"""Epochs in the live table: the latest ones."""
MAX_CLASSES, MAX_FILES = 20, 3
"""Classes in the table of `check`, and files per issue; the rest is counted."""
EPOCH_FORMATS = {
    "loss": ".4f",
    "accuracy": ".2%",
    "miou": ".2%",
    "feature_std": ".3f",
    "view_similarity": ".3f",
    "knn": ".2%",
}
"""Metrics of an epoch that are shown if the task has them, and their formats."""
TITLES = {"miou": "mIoU", "feature_std": "feature std", "view_similarity": "view similarity", "knn": "kNN"}
"""Metrics whose title differs from their column."""
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def epochs_table(rows: Sequence[Row], recipe: Recipe) -> Table:
    """A row per epoch with the metrics of both splits; the best epoch is marked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    train = [row for row in rows if row["split"] == "train"]
    val = {row["epoch"]: row for row in rows if row["split"] == "val"}
    splits = {"train": train, "val": list(val.values())}
    columns = [
        (split, name) for split, part in splits.items() for name in EPOCH_FORMATS if any(name in row for row in part)
    ]
    titles = [f"{split} {TITLES.get(name, name)}" for split, name in columns]
    for title in ("epoch", *titles, "seconds", "images/s", ""):
        table.add_column(title, justify="right")
    best = best_epoch(rows, recipe.checkpoint.monitor)
    for row in train[-MAX_EPOCHS:]:
        of_split = {"train": row, "val": val.get(row["epoch"], {})}
        table.add_row(
            f"{row['epoch'] + 1}/{recipe.train.epochs}",
            *(_formatted(name, of_split[split]) for split, name in columns),
            f"{row['seconds'] + of_split['val'].get('seconds', 0):.0f}",
            f"{row['images_per_second']:.0f}",
            "best" if row["epoch"] == best else "",
        )
    return table


def epoch_line(rows: Sequence[Row], recipe: Recipe, kept: bool) -> str:
    """An epoch on one line, for logs; ``kept``: its weights are the best so far."""
    parts = [
        f"{row['split']} "
        + " ".join(f"{TITLES.get(name, name)} {_formatted(name, row)}" for name in EPOCH_FORMATS if name in row)
        for row in rows
    ]
    seconds = sum(row["seconds"] for row in rows)
    mark = "  (best so far)" if kept and recipe.checkpoint.monitor != "last" else ""
    return f"epoch {rows[0]['epoch'] + 1}/{recipe.train.epochs}  {'  '.join(parts)}  {seconds:.0f} s{mark}"


def _formatted(name: str, row: Row) -> str:
    return f"{row[name]:{EPOCH_FORMATS[name]}}" if name in row else ""


def recipes_table(recipes: Sequence[Recipe]) -> Table:
    """Name, expected result and description of each recipe."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("recipe", "expected", "description"):
        table.add_column(title)
    for recipe in recipes:
        expected = f"{recipe.expect.value:.2%}" if recipe.expect else ""
        table.add_row(recipe.name, expected, Text(recipe.description))
    return table


def metrics_table(metrics: ClassificationMetrics, split: str) -> Table:
    """Classification metrics with their 95 % confidence intervals."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"{metrics.images} images ({split})")
    for title in ("metric", "value", "95 % CI"):
        table.add_column(title, justify="left" if title == "metric" else "right")
    percentages = {"accuracy", "top5", "balanced_accuracy", "macro_f1", "ece"}
    for name in ("accuracy", "top5", "balanced_accuracy", "macro_f1", "loss", "brier", "ece"):
        interval = getattr(metrics, name)
        if interval is not None:
            form = ".2%" if name in percentages else ".4f"
            table.add_row(name, f"{interval.value:{form}}", f"{interval.low:{form}} to {interval.high:{form}}")
    return table


def mask_metrics_table(metrics: SegmentationMetrics, split: str) -> Table:
    """IoU and Dice per class and their means, with 95 % confidence intervals over images."""
    averaged = [each.name for each in metrics.per_class if each.iou is not None]
    undefined = f"; {', '.join(metrics.undefined)}: neither in the ground truth nor predicted, so undefined"
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        title=f"{metrics.images} images ({split})",
        caption="From one confusion matrix over all images, without ignored pixels; the mean is over"
        f" {len(averaged)} classes: {', '.join(averaged)}{undefined if metrics.undefined else ''}",
        caption_justify="left",
    )
    for title in ("class", "IoU", "95 % CI", "Dice", "pixels", "predicted"):
        table.add_column(title, justify="left" if title == "class" else "right")
    total = max(1, sum(each.pixels for each in metrics.per_class))
    for each in metrics.per_class:
        shares = (f"{count / total:.1%}" for count in (each.pixels, each.predicted))
        dice = "" if each.dice is None else f"{each.dice:.4f}"
        table.add_row(Text(each.name), *_value_and_interval(each.iou), dice, *shares)
    table.add_row("mean", *_value_and_interval(metrics.miou), f"{metrics.mean_dice:.4f}")
    table.add_row("pixel accuracy", *_value_and_interval(metrics.accuracy))
    return table


def _value_and_interval(interval: Interval | None) -> tuple[str, str]:
    return ("", "") if interval is None else (f"{interval.value:.4f}", f"{interval.low:.4f} to {interval.high:.4f}")


def features_table(analysis: FeatureAnalysis) -> Table:
    """Metrics of each epoch whose features are stored, on validation and training images."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    formats = {"accuracy": ".2%", "loss": ".4f", "ece": ".2%", "brier": ".4f", "knn": ".2%", "purity": ".2%"}
    formats["silhouette"] = ".3f"
    for title in ("epoch", "images", *(TITLES.get(name, name) for name in formats)):
        table.add_column(title, justify="right")
    for epoch in analysis.epochs:
        for split, metrics in (("val", epoch.val), ("train", epoch.train)):
            if metrics is not None:
                intervals = ((getattr(metrics, name), form) for name, form in formats.items())
                cells = (f"{interval.value:{form}}" if interval else "" for interval, form in intervals)
                table.add_row(str(epoch.epoch), f"{metrics.images} {split}", *cells)
    return table


def study_table(results: Results, wide: bool = True) -> Table:
    """A row for each setting and label fraction of a study; what stands after ± is half of the 95 % interval.

    A bracket marks the settings to use, no two of which differ significantly.
    The intervals of differences and label multipliers are simultaneous. A multiplier that is not significant is "n.s.",
    with its interval. Not ``wide``, the table fits 80 columns and
    leaves out times, calibration error and kNN accuracy.
    """
    from headstart.comparison.answer import candidates
    from headstart.comparison.metric import METRICS
    from headstart.comparison.settings import SETTINGS

    study, kept = results.study, candidates(results)
    alike = {(each.setting, each.fraction) for each in kept} if len(kept) > 1 else set()
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
            if (setting, fraction) in alike:
                seeds.append("]", "bold")
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


def check_table(result: CheckResult) -> Group:
    """A dataset's layout, its images per class and split, and every issue with its first files and its fix."""
    parts: list[RenderableType] = [_summary(result)]
    if result.classes:
        parts.append(_classes_table(result))
    if result.issues:
        issues = Table.grid(padding=(0, 2))
        for issue in result.issues:
            issues.add_row(Text(issue.severity, SEVERITY_STYLES[issue.severity]), _issue_text(issue))
        parts.append(issues)
    if result.status == 0:
        parts.append(Text("No issues found.", "green"))
    return Group(*parts)


def _summary(result: CheckResult) -> Text:
    images = ", ".join(f"{number:,} {split}" for split, number in result.images.items())
    split = {"given": "given", "made": "made by headstart", "none": "none"}[result.split]
    lines = [_printable(result.root), f"layout   {result.layout}", f"images   {images}", f"split    {split}"]
    if result.sizes:
        (w0, w, w1), (h0, h, h1) = result.sizes["width"], result.sizes["height"]
        lines.append(f"size     {w:g} x {h:g} pixels (median); width {w0} to {w1}, height {h0} to {h1}")
    if result.formats:
        kinds = [f"{number:,} {name}" for name, number in [*result.formats.items(), *result.modes.items()]]
        lines.append(f"format   {', '.join(kinds)}")
    samples = [f"{path}: {what}" for path, what in result.samples]
    lines += [f"{'samples' if at == 0 else '':8} {_printable(sample)}" for at, sample in enumerate(samples)]
    found = Counter(issue.severity for issue in result.issues)
    counts = [f"{found[each]} {each}{'s' * (found[each] > 1)}" for each in ("error", "warning", "note") if found[each]]
    lines.append(f"issues   {', '.join(counts) or 'none'}")
    lines.append(f"next     {_next_line(result)}")
    return Text("\n".join(lines))


def _next_line(result: CheckResult) -> str:
    """What to type after a check, on one line."""
    steps = next_steps(result, _printable(result.root))
    return ", ".join(f"{what} {command}".strip() for what, command in steps)


def _classes_table(result: CheckResult) -> Table:
    """Images per class and split; for masks also the share of pixels."""
    table = Table()
    table.add_column(f"class ({len(result.classes)})")
    for split in result.counts:
        table.add_column(f"{split} pixels (images)" if result.shares else split, justify="right")
    for name in result.classes[:MAX_CLASSES]:
        cells = {split: f"{counts[name]:,}" for split, counts in result.counts.items()}
        for split, shares in result.shares.items():
            cells[split] = f"{shares[name]:.2%} ({cells[split]})"
        table.add_row(Text(_printable(name)), *cells.values())
    if len(result.classes) > MAX_CLASSES:
        table.add_row(Text(f"and {len(result.classes) - MAX_CLASSES} more classes", "dim"))
    if any(result.ignored_shares.values()):
        ignored = (Text(f"{share:.2%}", "dim") for share in result.ignored_shares.values())
        table.add_row(Text("ignored", "dim"), *ignored)
    return table


def _issue_text(issue: Issue) -> Text:
    text = Text(_printable(issue.message))
    for files in issue.sets[:MAX_FILES] or [(file,) for file in issue.files[:MAX_FILES]]:
        text.append(f"\n{_printable(' = '.join(_first(files)))}", "dim")
    left = len(issue.sets or issue.files) - MAX_FILES
    if left > 0:
        text.append(f"\nand {left:,} more", "dim")
    if issue.fix:
        text.append(f"\n> {_printable(issue.fix)}")
    return text


def _first(files: tuple[str, ...]) -> tuple[str, ...]:
    return files if len(files) <= MAX_FILES else (*files[:MAX_FILES], f"{len(files) - MAX_FILES:,} more")


def _printable(text: str) -> str:
    """File names may hold bytes that are not UTF-8; a terminal accepts only UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
