"""The figures hold what they say they show."""

from __future__ import annotations

import re

import numpy as np
import pytest

from headstart.report.chart import Axis, Chart, Line, axis
from headstart.report.matrix import DARK, LEVELS, LIGHT, matrix
from headstart.report.plots import curve_lines, curves


def test_the_best_epochs_by_loss_and_by_accuracy_are_starred_and_the_kept_one_filled() -> None:
    figures = [(1.0, 0.5, 0.9, 0.6), (0.5, 0.7, 0.5, 0.7), (0.4, 0.8, 0.6, 0.75)]
    rows = [
        {"epoch": epoch, "split": split, "loss": loss, "accuracy": accuracy, "lr": 0.1}
        for epoch, each in enumerate(figures)
        for split, loss, accuracy in (("train", *each[:2]), ("val", *each[2:]))
    ]
    for kept in ("loss", "accuracy"):
        for metric, place in (("loss", (2, 0.5)), ("accuracy", (3, 0.75))):
            *_, star = curve_lines(rows, metric, f"val_{kept}")
            assert (star.marker, star.hollow) == ("star", metric != kept)
            assert [*zip(star.x, star.y, strict=True)] == [place]
            assert star.name == f"best by {metric}{' (saved)' * (metric == kept)}: epoch {place[0]}"
        assert curves(rows, 3, f"val_{kept}").count('<svg class="chart"') == 3
    assert all(line.marker != "star" for line in curve_lines(rows, "loss", "last"))


def test_a_value_that_is_no_number_is_a_gap() -> None:
    rows = [{"epoch": n, "split": "val", "loss": value} for n, value in enumerate((1.0, float("nan"), 2.0, 3.0))]
    (line, *_) = curve_lines(rows, "loss", "last")
    assert line.y == [1.0, None, 2.0, 3.0]
    svg = Chart([line], axis(line.x), axis([1, 3]), "loss", width=300).svg()
    (path,) = re.findall(r'class="line"[^>]* d="([^"]*)"', svg)
    assert [path.count(letter) for letter in "ML"] == [2, 1]
    assert "nan" not in svg


def test_points_lie_where_the_axes_say() -> None:
    line = Line("a", "red", [1, 10, 100], [0.0, 0.5, 1.0], tips=["low", "middle", "high"])
    svg = Chart([line], Axis(1, 100, [], log=True), Axis(0, 1, []), "a", width=272, height=258).svg()
    centers = re.findall(r'class="reach" cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert [(float(x), float(y)) for x, y in centers] == [(58, 212), (158, 112), (258, 12)]


def test_the_ticks_enclose_the_values_and_are_round() -> None:
    found = axis([0.713, 0.894], percent=True)
    assert (found.low, found.high) == pytest.approx((0.7, 0.9))
    assert [text for _, text in found.ticks] == ["70 %", "75 %", "80 %", "85 %", "90 %"]
    assert axis([0.99, 1.0], percent=True).high == 1
    assert axis([3.0, 3.0]).low < 3 < axis([3.0, 3.0]).high
    assert axis([float("nan")]).ticks


def luminance(color: tuple[float, float, float]) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_every_number_of_a_confusion_matrix_has_a_contrast_of_4_5(
    scheme: tuple[tuple[float, float, float], ...],
) -> None:
    share = np.linspace(0, 1, LEVELS + 1)[None].repeat(LEVELS + 1, axis=0)
    names = [f"class {i}" for i in range(LEVELS + 1)]
    svg = matrix(share, names, [["7"] * len(names)] * len(names), [["tip"] * len(names)] * len(names))
    light, dark = svg.split("@media screen and (prefers-color-scheme: dark)")
    style = light if scheme is LIGHT else dark
    rules = re.findall(r"\.l(\d+) rect\{fill:#(\w{6})\}\.l\d+ text\{fill:(#\w{3})\}", style)
    assert len(rules) == LEVELS
    for _, fill, ink in rules:
        shade = luminance((int(fill[:2], 16), int(fill[2:4], 16), int(fill[4:], 16)))
        text = 1.0 if ink == "#fff" else 0.0
        assert (max(shade, text) + 0.05) / (min(shade, text) + 0.05) >= 4.5
    assert svg.count(">7</text>") == LEVELS * len(names), "empty cells have no number"
