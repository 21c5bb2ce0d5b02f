"""Results of a race: its rounds, who was dropped in which, and the last two fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headstart.comparison.intervals import Difference
from headstart.comparison.race import Comparison, RankingError, compare, ranking_error
from headstart.comparison.race_file import Race
from headstart.metrics.bootstrap import Interval

LAST = 2
"""Backbones that are fine-tuned."""


@dataclass(frozen=True)
class Round:
    """A round that all backbones left have finished: their probes with one label fraction."""

    fraction: float
    labels: int
    seeds: tuple[int, ...]
    """Those that all have finished."""
    names: tuple[str, ...]
    """The backbones compared."""
    comparison: Comparison
    dropped: tuple[str, ...]
    """Those significantly worse than another."""

    def score(self, name: str) -> Interval:
        return self.comparison.scores[self.names.index(name)]

    def difference(self, one: str, other: str) -> Interval:
        """Accuracy of ``one`` minus that of ``other``, with its simultaneous interval."""
        return self.comparison.difference(self.names.index(one), self.names.index(other))

    def pair(self, one: str, other: str) -> Difference:
        """The same with its power; the sign is that of the order in the race."""
        i, j = sorted((self.names.index(one), self.names.index(other)))
        return self.comparison.differences[i, j]

    @property
    def ranking(self) -> tuple[str, ...]:
        """All, the highest accuracy first."""
        return tuple(self.names[each] for each in self.comparison.ranking)


@dataclass(frozen=True)
class Line:
    """What a race says of one backbone."""

    name: str
    round: Round | None
    """The last round that it was compared in."""
    dropped: bool
    fine_tuned: Interval | None
    error: str | None


def seeds_of_round(fractions: Sequence[float], seeds: Sequence[int], fraction: float) -> tuple[int, ...]:
    """The seeds of a round: more in later ones, and with all labels one, as every seed would have the same labels."""
    if fraction == 1:
        return tuple(seeds[:1])
    share = (sorted(fractions).index(fraction) + 1) / len(fractions)
    return tuple(seeds[: max(2, math.ceil(share * len(seeds)))])


class RaceResults:
    """What follows from the trials of a race."""

    def __init__(self, race: Race) -> None:
        self.race = race

    @cached_property
    def rounds(self) -> tuple[Round, ...]:
        """The finished rounds. One with fewer than all labels drops what is worse by more than the margin."""
        race, rounds = self.race, list[Round]()
        left = tuple(each.name for each in race.backbones if each.error is None)
        for fraction in race.fractions:
            trials = [race.find(name, "D", fraction) for name in left]
            common = set.intersection(*(set(each) for each in trials)) if trials else set()
            seeds = tuple(sorted(common))
            if not seeds:
                break
            cells = np.array([[each[seed].correct for seed in seeds] for each in trials])
            found = compare(cells, race.groups, rounds=len(race.fractions))
            worse = found.worse(0.0 if fraction == 1 else race.margin)
            labels = round(float(np.mean([trials[0][seed].labels for seed in seeds])))
            dropped = tuple(left[each] for each in worse)
            rounds.append(Round(fraction, labels, seeds, left, found, dropped))
            left = tuple(name for name in left if name not in dropped)
        return tuple(rounds)

    @property
    def left(self) -> tuple[str, ...]:
        """Those that no round has dropped, the highest accuracy of the last round first."""
        if not self.rounds:
            return tuple(each.name for each in self.race.backbones if each.error is None)
        last = self.rounds[-1]
        return tuple(name for name in last.ranking if name not in last.dropped)

    @property
    def order(self) -> tuple[str, ...]:
        """All that were compared: those left, then the dropped, the last dropped first."""
        found = list(self.left)
        for each in reversed(self.rounds):
            found += [name for name in each.ranking if name in each.dropped]
        return tuple(found)

    @property
    def last_two(self) -> tuple[str, ...]:
        """The backbones to fine-tune: the first two of `order`."""
        return self.order[:LAST]

    @cached_property
    def final(self) -> Round | None:
        """The last two fine-tuned with all labels; None where one of them has no trial yet."""
        trials = [self.race.find(name, "B", 1.0) for name in self.last_two]
        common = set.intersection(*(set(each) for each in trials)) if trials else set()
        seeds = tuple(sorted(common))
        if not seeds:
            return None
        cells = np.array([[each[seed].correct for seed in seeds] for each in trials])
        found = compare(cells, self.race.groups, rounds=len(self.race.seeds))  # a look after each seed
        worse = tuple(self.last_two[each] for each in found.worse())
        return Round(1.0, trials[0][seeds[0]].labels, seeds, self.last_two, found, worse)

    @property
    def decisive(self) -> Round | None:
        """The comparison that names the winner: fine-tuned or frozen, where the highest accuracy is.

        Trainings shortened by a budget may leave fine-tuned networks far below frozen ones.
        """
        if self.final is None:
            return self.rounds[-1] if self.rounds else None
        frozen = self.rounds[-1]
        highest = frozen.score(frozen.ranking[0]).value
        less = frozen.fraction == 1 and max(each.value for each in self.final.comparison.scores) < highest
        return frozen if less else self.final

    @property
    def winner(self) -> str | None:
        """The backbone to use: the highest accuracy of the `decisive` comparison; None without results."""
        return None if self.decisive is None else self.decisive.ranking[0]

    @property
    def default(self) -> str | None:
        """The recipe's own backbone, where it takes part."""
        return next((each.name for each in self.race.backbones if each.default and each.error is None), None)

    def compared(self, one: str, other: str) -> Round | None:
        """Where two backbones were compared: the `decisive` comparison, else the last round that both were in."""
        found = [each for each in (self.decisive, *reversed(self.rounds)) if each is not None]
        return next((each for each in found if {one, other} <= {*each.names}), None)

    @cached_property
    def logme_error(self) -> RankingError | None:
        """How far LogME's ranking was off in the first round, where all backbones have the same labels."""
        if not self.rounds:
            return None
        first = self.rounds[0]
        known = [self.race.backbone(name).logme for name in first.names]
        guesses = [each for each in known if each is not None]
        if len(guesses) < len(known):
            return None
        return ranking_error(guesses, [each.value for each in first.comparison.scores])

    def lines(self) -> Iterator[Line]:
        """Every backbone, the best first, then those that could not be loaded."""
        order = (*([self.winner] if self.winner else []), *(name for name in self.order if name != self.winner))
        for name in order:
            own = [each for each in self.rounds if name in each.names]
            tuned = self.final.score(name) if self.final is not None and name in self.final.names else None
            dropped = any(name in each.dropped for each in own)
            yield Line(name, own[-1] if own else None, dropped, tuned, None)
        for each in self.race.backbones:
            if each.error is not None:
                yield Line(each.name, None, False, None, each.error)

    def outcome(self, line: Line) -> str:
        """What became of a backbone, in a word or two; 'best' only where it is significantly above every other."""
        found = self.decisive
        if line.error is not None:
            return "failed"
        if found is not None and line.name == self.winner:
            others = [name for name in found.names if name != line.name]
            best = bool(others) and all(found.difference(line.name, name).low > 0 for name in others)
            return "best" if best else "highest"
        if line.fine_tuned is not None:
            return "fine-tuned"
        return "pending" if line.round is None else "dropped" if line.dropped else "not dropped"


def table_rows(results: RaceResults) -> list[dict[str, Any]]:
    """The rows of a race's `table.csv`: one for each backbone and round, accuracies from 0 to 1, times in seconds.

    Setting D is a round of probes, B the last two fine-tuned. ``delta_vs_best`` is the accuracy minus the highest of
    the round, with its simultaneous interval. A backbone that could not be loaded has one row, with its error.
    """
    race, rows = results.race, list[dict[str, Any]]()
    rounds = [("D", each) for each in results.rounds]
    if results.final is not None:
        rounds.append(("B", results.final))
    for setting, each in rounds:
        for name in each.ranking:
            rows.append(_row(race, setting, each, name) | {"winner": name == results.winner, "error": None})
    empty = dict.fromkeys(rows[0] if rows else ("backbone",))
    rows += [
        {**empty, "backbone": each.name, "network": each.network, "weights": each.weights, "error": each.error}
        for each in race.backbones
        if each.error is not None
    ]
    return rows


def _row(race: Race, setting: str, found: Round, name: str) -> dict[str, Any]:
    backbone, best, score = race.backbone(name), found.ranking[0], found.score(name)
    delta = found.difference(name, best) if name != best else None
    trials = race.find(name, setting, found.fraction)
    return {
        "backbone": name,
        "network": backbone.network,
        "weights": backbone.weights,
        "default": backbone.default,
        "setting": setting,
        "label_fraction": found.fraction,
        "labels": found.labels,
        "accuracy": score.value,
        "accuracy_low": score.low,
        "accuracy_high": score.high,
        "delta_vs_best": delta and delta.value,
        "delta_vs_best_low": delta and delta.low,
        "delta_vs_best_high": delta and delta.high,
        "delta_vs_best_significant": delta and delta.high < 0,
        "dropped": setting == "D" and name in found.dropped,
        "logme": backbone.logme,
        "seeds": len(found.seeds),
        "seconds_encode": backbone.seconds,
        "seconds_train": sum(trials[seed].seconds for seed in found.seeds),
    }
