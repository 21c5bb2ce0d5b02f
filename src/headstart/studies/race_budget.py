"""A race within a budget: how large its images are, and which probes may still begin."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from headstart.errors import HeadstartError

SIDES = (128, 96, 64, 48, 32)
"""Sides of the images to choose from below that of the recipe, in pixels."""
PROBE_SHARE, PROBES_ALONE = 0.5, 0.9
"""Share of a budget for features and probes, where the last two are fine-tuned as well and where not."""
ENCODING_SHARE = 0.6
"""Share of that for the features of all backbones, should none be dropped."""


@dataclass(frozen=True)
class RaceClock:
    """The time of a race: ``budget`` in seconds (None: as long as it takes) from ``began`` on."""

    budget: float | None
    began: float
    fine_tune: bool = True
    at_least: bool = False
    """Whether nobody chose the budget, so that a new race takes the least that it needs."""
    now: Callable[[], float] = time.monotonic

    @property
    def _share(self) -> float:
        return PROBE_SHARE if self.fine_tune else PROBES_ALONE

    def left(self) -> float | None:
        """Seconds of the budget that are left; None without one."""
        return None if self.budget is None else self.budget - (self.now() - self.began)

    def allows(self, seconds: float) -> bool:
        """Whether probes that take so long may begin."""
        return self.budget is None or self.now() - self.began + seconds <= self._share * self.budget

    def enough(self, side: int, seconds: Sequence[float], images: int, free: bool) -> RaceClock:
        """This clock with the least whole minutes in which the smallest images are encoded, if it has fewer.

        ``seconds`` are those of an image of ``side`` pixels for each backbone; without ``free`` that is the smallest.
        Raises HeadstartError, naming the least budget, when a chosen budget has fewer.
        """
        whole = sum(seconds) * images * (_sides(side, free)[-1] / side) ** 2
        least = math.ceil(whole / (ENCODING_SHARE * self._share) / 60)
        if self.budget is None or 60 * least <= self.budget:
            return self
        if self.at_least:
            return replace(self, budget=60.0 * least)
        raise HeadstartError(
            f"--budget: expected at least {least}m for {len(seconds)} backbones on {images:,} images, found"
            f" {self.budget / 60:g}m",
            f"--budget {least}m, or fewer --backbones",
        )

    def image_size(self, side: int, seconds: Sequence[float], images: int, free: bool) -> int:
        """The largest side of the images, at most ``side``, at which all backbones encode them in time.

        What is given is that of `enough`, which has to be asked first: else the smallest side may take too long.
        """
        if self.budget is None:
            return side
        whole, allowed = sum(seconds) * images, ENCODING_SHARE * self._share * self.budget
        sides = _sides(side, free)
        return next((each for each in sides if whole * (each / side) ** 2 <= allowed), sides[-1])


def _sides(side: int, free: bool) -> list[int]:
    return [side, *(each for each in SIDES if each < side)] if free else [side]
