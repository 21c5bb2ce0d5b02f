"""Forecasts from at most 25 % of the labels against all of them: python benchmarks/forecast.py CURVES [DIVISIONS].

CURVES is the folder that `label_curves.py` wrote. The held-out images are divided at random: the forecast has one half,
as validation images; what it forecasts is measured on them and on the other half, "new images". The interval is one of
new images and seeds, so its coverage is that on the new half; that half has a chance of its own (of 900 images about
1.5 points), which the forecast cannot know. Curves of one set share images, and are not independent.
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


def evaluate(file: Path, divisions: int) -> tuple[list[list[float]], Counter[str]]:
    """Per division: errors on the same and on new images (ours, power law, last point), both held, width; counts."""
    with np.load(file) as content:
        labels, hits, most, every = (content[key] for key in ("labels", "hits", "most", "all"))
    rows, count = [], Counter[str]()
    for division in range(divisions):
        order = np.random.default_rng(division).permutation(len(every))
        seen, new = np.array_split(order, 2)
        each = hits[:, :, seen].astype(np.float64)
        same, fresh, score = every[seen].mean(), every[new].mean(), each.mean(axis=(1, 2))
        # Where the last fall is more than chance explains, the curve must be refused.
        for at in (3, 6, 8):
            bent = planted(each, at)
            if bent[at].mean() < score[:at].max() - 0.1:
                count["planted"] += 1
                count["planted refused"] += isinstance(forecast(labels.tolist(), bent), Declined)
        found = forecast(labels.tolist(), each)
        count["real"] += 1
        if isinstance(found, Declined):
            count["real refused"] += 1
            continue
        at_most, law, last = found.at(int(most)), power_law(labels, score, int(most)), score[-1]
        held = [float(at_most.low <= truth <= at_most.high) for truth in (same, fresh)]
        off = [value - truth for value in (at_most.value, law, last) for truth in (same, fresh)]
        rows.append([*off, *held, at_most.high - at_most.low])
    return rows, count


def describe(name: str, rows: list[list[float]]) -> str:
    table = np.array(rows)
    off = 100 * np.median(np.abs(table[:, :6]), axis=0)
    return (
        f"{name}: median error on the same images {off[0]:.1f} points (power law {off[2]:.1f}, last point"
        f" {off[4]:.1f}), on new ones {off[1]:.1f} ({off[3]:.1f}, {off[5]:.1f}); 80 % interval holds in {table[:, 7].mean():.0%}"
        f" on new images, {table[:, 6].mean():.0%} on the same; width {100 * np.median(table[:, 8]):.1f} points,"
        f" mean error {100 * table[:, 0].mean():+.1f}"
    )


def main() -> None:
    divisions = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    known: dict[str, list[list[float]]] = {}
    total = Counter[str]()
    for file in sorted(Path(sys.argv[1]).glob("*.npz")):
        rows, count = evaluate(file, divisions)
        total += count
        name, _, network = file.stem.split(", ")
        for group in ("all", name, network) if rows else ():
            known.setdefault(group, []).extend(rows)
        if rows:
            print(describe(file.stem, rows), flush=True)
    print(*(describe(f"{name} ({len(rows)})", rows) for name, rows in known.items()), sep="\n")
    print(dict(total))


if __name__ == "__main__":
    main()
