"""Figures as text: shares in per cent, with the decimals that their intervals carry, and times."""

from __future__ import annotations

import numpy as np

from headstart.metrics.bootstrap import Interval


def score(value: float) -> str:
    """``0.451`` -> '45.1 %'."""
    return f"{100 * value:.1f} %"


def bare_share(value: float) -> str:
    """``0.05`` -> '5.0%', and ``0.0004`` -> '0.04%': only what is 0 is written as 0."""
    return f"{value:.1%}" if value >= 0.001 or value == 0 else f"{100 * value:.2g}%"


def decimals(low: float, high: float) -> int:
    """Decimals of a per cent that an interval carries: its half width has one or two digits."""
    half = (high - low) / 2
    return 0 if half >= 0.05 else 1 if half >= 0.005 else 2


def share(interval: Interval) -> str:
    """The value of an interval with the decimals that it carries: '89 %', '83.4 %'."""
    return f"{100 * interval.value:.{decimals(interval.low, interval.high)}f} %"


def ends(interval: Interval, digits: int | None = None) -> str:
    """'48.7 to 56.6', '73 to 97': with the decimals that the interval carries, unless ``digits`` are given."""
    digits = decimals(interval.low, interval.high) if digits is None else digits
    return f"{100 * interval.low:.{digits}f} to {100 * interval.high:.{digits}f}"


def plain_decimals(low: float, high: float) -> int:
    """Decimals of a number that is no share, such as a loss: two digits of the half width of its interval."""
    half = (high - low) / 2
    return int(np.clip(1 - np.floor(np.log10(half)), 0, 4)) if half > 0 else 3


def score_with_ci(interval: Interval) -> str:
    """'45.1 % (95 % CI 40.2 to 50.0)', '89 % (95 % CI 73 to 97)'."""
    return f"{share(interval)} (95 % CI {ends(interval)})"


def duration(seconds: float) -> str:
    """``95`` -> '1 min 35 s'; from an hour on without seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def times(ratio: float) -> str:
    """How many times, with the digits that can be read: ``3.24`` -> '3.2', ``1437`` -> '1,400', at most '> 10,000'."""
    return "> 10,000" if ratio > 10_000 else f"{ratio:,.1f}" if ratio < 10 else f"{float(f'{ratio:.2g}'):,.0f}"
