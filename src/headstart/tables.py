"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from headstart.recipe import Recipe
from headstart.run import Row, best_epoch

if TYPE_CHECKING:
    from headstart.insight.measures import Measures

SHOWN = 12
"""Epochs that the live table shows: the latest ones."""


def epochs_table(rows: Sequence[Row], recipe: Recipe) -> Table:
    """One line per epoch: loss and accuracy of both splits; the kept epoch is marked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("epoch", "train loss", "accuracy", "val loss", "accuracy", "seconds", "images/s", ""):
        table.add_column(title, justify="right")
    best = best_epoch(rows, recipe.keep.metric.removeprefix("val_"))
    train = [row for row in rows if row["split"] == "train"]
    val = {row["epoch"]: row for row in rows if row["split"] == "val"}
    for row in train[-SHOWN:]:
        other = val[row["epoch"]]
        table.add_row(
            f"{row['epoch'] + 1}/{recipe.train.epochs}",
            f"{row['loss']:.4f}",
            f"{row['accuracy']:.2%}",
            f"{other['loss']:.4f}",
            f"{other['accuracy']:.2%}",
            f"{row['seconds'] + other['seconds']:.0f}",
            f"{row['images_per_second']:.0f}",
            "best" if row["epoch"] == best else "",
        )
    return table


def epoch_line(rows: Sequence[Row], recipe: Recipe, kept: bool) -> str:
    """The same in one line, for logs."""
    parts = [f"{row['split']} loss {row['loss']:.4f} accuracy {row['accuracy']:.2%}" for row in rows]
    seconds = sum(row["seconds"] for row in rows)
    mark = "  (best so far)" if kept else ""
    return f"epoch {rows[0]['epoch'] + 1}/{recipe.train.epochs}  {'  '.join(parts)}  {seconds:.0f} s{mark}"


def recipes_table(recipes: Sequence[Recipe]) -> Table:
    """Name, what to expect, what it is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("recipe", "expect", "what it is"):
        table.add_column(title)
    for recipe in recipes:
        expect = f"{recipe.expect.value:.2%}" if recipe.expect else ""
        table.add_row(recipe.name, expect, Text(recipe.description))
    return table


def measures_table(measures: Measures, split: str) -> Table:
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
