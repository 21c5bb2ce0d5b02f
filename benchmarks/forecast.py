"""Forecasts from at most 25 % of the labels against all of them: python benchmarks/forecast.py CURVES [DIVISIONS].

CURVES is the folder that `label_curves.py` wrote. First all held-out images are validation images, and what is forecast
is measured on the same: "all images". Then they are divided at random, DIVISIONS times: the forecast has one half, and
what it forecasts is measured on it and on the other half, "new images", which have a chance of their own (of 900 images
about 1.5 points) that the forecast cannot know. Curves of one set share images, and are not independent.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from headstart.comparison.forecast import Declined, forecast
from headstart.metrics.bootstrap import Floats

FALL = 0.15
"""Of a planted bend, in score."""


def power_law(labels: Floats, score: Floats, most: int) -> float:
    """The score with ``most`` labels after error = a n^-b, fitted to logarithms."""
    slope, start = np.polyfit(np.log(labels), np.log(np.maximum(1 - score, 1e-3)), 1)
    return float(1 - np.exp(start + slope * np.log(most)))


def planted(each: Floats, at: int) -> Floats:
    """The curve with `FALL` less at one label count and all above: right predictions become wrong."""
    bent = each.copy()
    random = np.random.default_rng(at)
    bent[at:][random.random(bent[at:].shape) < FALL / max(float(each[at - 1].mean()), FALL)] = 0
    return bent


Row = list[float]
"""Errors (ours, power law, last point) on the same and on new images, whether the interval holds on each, its width."""


def evaluate(file: Path, divisions: int) -> tuple[Row, list[Row], Counter[str]]:
    """On all images, and on both halves of each division; numbers of curves that were real, planted and refused."""
    with np.load(file) as content:
        labels, hits, most, every = (content[key] for key in ("labels", "hits", "most", "all"))
    rows, count = list[Row](), Counter[str]()
    for division in range(-1, divisions):
        order = np.random.default_rng(max(division, 0)).permutation(len(every))
        seen, new = (order, order) if division < 0 else np.array_split(order, 2)
        each = hits[:, :, seen].astype(np.float64)
        score = each.mean(axis=(1, 2))
        found = forecast(labels.tolist(), each)
        count["real"] += 1
        if isinstance(found, Declined):
            count["real refused"] += 1
            rows.append([])
            continue
        for at in (3, 6, 8) if division < 0 else ():
            bent = planted(each, at)
            if bent[at].mean() < score[:at].max() - 0.1:
                count["planted"] += 1
                count["planted refused"] += isinstance(forecast(labels.tolist(), bent), Declined)
        truths, at_most = (every[seen].mean(), every[new].mean()), found.at(int(most))
        values = (at_most.value, power_law(labels, score, int(most)), float(score[-1]))
        held = [float(at_most.low <= truth <= at_most.high) for truth in truths]
        rows.append([*(value - truth for value in values for truth in truths), *held, at_most.high - at_most.low])
    return rows[0], [row for row in rows[1:] if row], count


def describe(name: str, rows: list[Row]) -> str:
    table = np.array(rows)
    off = 100 * np.median(np.abs(table[:, :6]), axis=0)
    held, width = 100 * table[:, 6:8].mean(axis=0), 100 * np.median(table[:, 8])
    on = [
        f"{images}: median error {off[i]:.1f} points (power law {off[2 + i]:.1f}, last point {off[4 + i]:.1f}),"
        f" interval holds in {held[i]:.0f} %"
        for i, images in enumerate(("same", "new"))
    ]
    return f"{name}, {len(rows)}: {'; '.join(on)}; width {width:.1f}, mean error {100 * table[:, 0].mean():+.1f}"


def main() -> None:
    divisions = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    known: dict[str, list[Row]] = {}
    total = Counter[str]()
    for file in sorted(Path(sys.argv[1]).glob("*.npz")):
        on_all, on_halves, count = evaluate(file, divisions)
        total += count
        name, _, network = file.stem.split(", ")
        for group in ("all sets", name, network) if on_all else ():
            known.setdefault(f"all images, {group}", []).append(on_all)
            known.setdefault(f"halves, {group}", []).extend(on_halves)
    print(*(describe(name, rows) for name, rows in sorted(known.items()) if rows), sep="\n")
    print(dict(total))


if __name__ == "__main__":
    main()
