"""Numbers as the pages of studies, races and comparisons write them; their templates call these functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from headstart.comparison.answer import brief
from headstart.comparison.wording import percent
from headstart.metrics.bootstrap import Interval
from headstart.metrics.written import ends as plain_ends


class Formats(TypedDict):
    """The functions, by the names that templates call them by."""

    share: Callable[[float], str]
    ends: Callable[..., str]
    points: Callable[[float], str]
    brief: Callable[[float], str]


def points(value: float) -> str:
    """``0.012`` -> '+1.2'."""
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")


def ends(interval: Interval, signed: bool = False) -> str:
    """'48.7 to 56.6'."""
    if signed:
        return f"{points(interval.low)} to {points(interval.high)}"
    return plain_ends(interval)


FORMATS = Formats(share=percent, ends=ends, points=points, brief=brief)
