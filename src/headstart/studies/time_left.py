"""The time that a study still takes, and whether a training ends within its budget: estimates, corrected as it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

PRIOR = 0.1
"""The estimate weighs as much as this share of the study: early trainings alone say little of the others."""
LATEST = 1.05
"""Share of a budget by whose end a training must be expected to end, or it is not begun."""


class TimeLeft:
    """The time that a study still takes, from the estimated ``seconds`` of its trainings and what they took so far."""

    def __init__(self, seconds: Mapping[str, float], now: Callable[[], float] = time.monotonic) -> None:
        self._estimates, self._left, self._now = dict(seconds), dict(seconds), now
        self._done = 0.0
        """Estimated seconds of what is done."""
        self._spent = 0.0
        """Seconds that the workers, taken together, had for it."""
        self._before = now()

    def advance(self, name: str, share: float, workers: int) -> None:
        """``share`` of the training ``name`` was done since the last call, while so many ``workers`` were there."""
        now = self._now()
        self._spent += min(workers, len(self._left)) * (now - self._before)
        self._before = now
        done = min(self._left.get(name, 0.0), share * self._estimates.get(name, 0.0))
        self._done += done
        if name in self._left:
            self._left[name] -= done
            if self._left[name] <= 1e-9:
                del self._left[name]

    @property
    def pace(self) -> float:
        """Seconds that an estimated second takes."""
        prior = PRIOR * self.estimated
        return (self._spent + prior) / (self._done + prior) if prior else 1.0

    def of(self, name: str) -> float:
        """Seconds that a training takes from its beginning."""
        return self.pace * self._estimates.get(name, 0.0)

    def seconds(self, workers: int) -> float | None:
        """Seconds that are left with so many workers; None without one."""
        if not self._left:
            return 0.0
        if workers < 1:
            return None
        total = sum(self._left.values())
        return max(self.pace * total / min(workers, len(self._left)), 0.0)

    @property
    def estimated(self) -> float:
        """Estimated seconds of all trainings."""
        return sum(self._estimates.values())

    @property
    def done(self) -> float:
        """Estimated seconds of what is done."""
        return self._done

    @property
    def count(self) -> int:
        """Trainings that have not ended."""
        return len(self._left)


class Deadline:
    """Says which trainings may still begin, so that a study ends within its budget.

    ``left`` has their estimates, and ``began`` is when the command was typed.
    """

    def __init__(self, budget: float, left: TimeLeft, began: float, now: Callable[[], float] = time.monotonic) -> None:
        self._budget, self._left, self._began, self._now = budget, left, began, now
        self.held_back: list[str] = []
        """Names of the trainings that were not begun."""

    def allows(self, name: str) -> bool:
        """Whether a training that begins now is expected to end in time."""
        fits = self._now() - self._began + self._left.of(name) <= LATEST * self._budget
        if not fits:
            self.held_back.append(name)
        return fits
