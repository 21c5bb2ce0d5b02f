"""Comparison of runs on the validation images that they share: paired differences, classes, and single images.

The differences of all pairs are one family: their intervals hold together with 95 %. So are those of the classes of a
pair, by Bonferroni's level.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headstart.comparison.crossed import Crossed
from headstart.comparison.intervals import Difference, average, difference, difference_of
from headstart.comparison.run_entries import Entry
from headstart.comparison.shared_images import SharedImages
from headstart.comparison.simultaneous import deviations, family_level
from headstart.comparison.summary import Results
from headstart.metrics.bootstrap import Floats, Interval
from headstart.metrics.pseudo_values import class_pseudo_values
from headstart.metrics.shares import LEVEL

RESAMPLES = 2000
FEWEST = 10
"""Images (or groups) below which no interval is given: four of four mended would be "significant" by Student's."""
ClassScores = tuple[str, NDArray[np.int64], Floats, Floats]
"""A class, the rows of its M images, and their scores by both entries, (S, M)."""


@dataclass(frozen=True)
class ClassDifference:
    """A class by two entries: recall, with masks IoU, each from 0 to 1."""

    name: str
    images: int
    """Shared images of it; with masks, that show it or are said to."""
    one: float
    two: float
    difference: Difference | None
    """The second minus the first; None with fewer than `FEWEST` images."""


@dataclass(frozen=True)
class Changes:
    """Shared images that the second of two entries mends, and those that it breaks: rows of `SharedImages`.

    Of classifiers, those that one has right and the other wrong, with half of their seeds at least; the most confident
    errors first. With masks, those whose own mean IoU rises and falls, the largest change first.
    """

    mended: tuple[int, ...]
    broken: tuple[int, ...]


class RunComparison:
    """Entries on the images that all of their runs share, and the difference of any two."""

    def __init__(self, entries: Sequence[Entry], shared: SharedImages, resamples: int = RESAMPLES) -> None:
        self.entries, self.shared, self._resamples = tuple(entries), shared, resamples

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every pair of entries, (first, second) as positions."""
        return list(itertools.combinations(range(len(self.entries)), 2))

    @property
    def units(self) -> int:
        """Shared images, or groups of them, that are independent of each other."""
        groups = self.shared.groups
        return len(self.shared.filenames) if groups is None else len(set(groups))

    @cached_property
    def scores(self) -> tuple[Interval, ...]:
        """Mean over seeds and shared images of each entry, with its own 95 % interval."""
        return tuple(average(each.scores, self.shared.groups) for each in self.shared.judged)

    @cached_property
    def level(self) -> float:
        """Level of each pair's interval with which all of them hold 95 % together."""
        if len(self.pairs) < 2:
            return LEVEL
        cells = [Crossed(each.scores[None], self.shared.groups) for each in self.shared.judged]
        drawn = deviations(
            np.concatenate([cell.of_unit for cell in cells]), [cell.seed_error[0] for cell in cells], self._resamples
        )
        return family_level(drawn, self.pairs)

    @cached_property
    def _study(self) -> Results | None:
        """The study that all entries are of, where its scores are those of the same predictions on the same images."""
        study = self.entries[0].study
        if study is None or len(self.shared.filenames) != study.images:
            return None
        results = Results(study)
        for entry, score in zip(self.entries, self.scores, strict=True):
            known = results.get(entry.setting, entry.runs[0].recipe.data.label_fraction)
            if known is None or not np.isclose(known.score.value, score.value):
                return None
        return results

    def difference(self, one: int, two: int) -> Difference:
        """The score of entry ``two`` minus that of entry ``one``, paired image by image and seed by seed.

        Of a study's settings it is the study's, whose other comparisons say more of how much seeds differ.
        """
        if self._study is not None:
            fraction = self.entries[one].runs[0].recipe.data.label_fraction
            known = self._study.difference(self.entries[two].setting, self.entries[one].setting, fraction)
            if known is not None and self.units >= FEWEST:
                return known
        rows, judged = self._rows(one, two), self.shared.judged
        cells = np.stack([judged[one].scores[rows[0]], judged[two].scores[rows[1]]])
        found = Crossed(cells, self.shared.groups).contrast([[-1.0, 1.0]])
        gap = difference_of(found, cells.shape[2], cells.shape[1], self.level)
        return (
            gap if self.units >= FEWEST else replace(gap, error=max(gap.error, 1.0))
        )  # from -1 to 1: nothing is known

    @property
    def candidates(self) -> tuple[int, ...]:
        """The entries that no other beats significantly, highest score first."""
        order = sorted(range(len(self.entries)), key=lambda each: -self.scores[each].value)
        kept = [i for i in order if not any(j != i and self.difference(i, j).interval.low > 0 for j in order)]
        return tuple(kept or order[:1])

    def class_differences(self, one: int, two: int) -> list[ClassDifference]:
        """Each class that shared images show, in the order of the outputs; their intervals hold together with 95 %."""
        parts = list(self._of_labels(one, two) if self.shared.labels is not None else self._of_masks(one, two))
        groups, found = self.shared.groups, []
        for name, at, first, second in parts:
            within = None if groups is None else np.asarray(groups)[at]
            gap = None
            if (len(at) if within is None else len(np.unique(within))) >= FEWEST:
                gap = replace(difference(second, first, within), level=LEVEL / len(parts))
            found.append(ClassDifference(name, len(at), float(first.mean()), float(second.mean()), gap))
        return found

    def changes(self, one: int, two: int) -> Changes:
        """The shared images that entry ``two`` mends and breaks against entry ``one``."""
        before, after = (self.shared.judged[each].of_image.mean(axis=0) for each in (one, two))
        if self.shared.labels is None:
            gain = np.nan_to_num(after - before)
            order = np.argsort(-gain, kind="stable")
            return Changes(
                tuple(int(row) for row in order if gain[row] > 0),
                tuple(int(row) for row in order[::-1] if gain[row] < 0),
            )
        most = [
            rows[np.argsort(-self._error_of(each)[rows], kind="stable")]
            for each, rows in (
                (one, np.flatnonzero(after - before >= 0.5)),
                (two, np.flatnonzero(before - after >= 0.5)),
            )
        ]
        return Changes(*(tuple(map(int, rows)) for rows in most))

    def _error_of(self, entry: int) -> Floats:
        """The highest confidence of an entry's runs in a wrong class, (N,); 0 where all are right."""
        judged = self.shared.judged[entry]
        assert judged.confidence is not None
        return np.asarray((judged.confidence * (1 - judged.scores)).max(axis=0))

    def _rows(self, one: int, two: int) -> tuple[list[int], list[int]]:
        """Runs of each entry to pair: of the seeds that both have; without a common one, as many as both have."""
        seeds = self.entries[one].seeds, self.entries[two].seeds
        common = [seed for seed in seeds[0] if seed in seeds[1]]
        if not common:
            count = min(map(len, seeds))
            return list(range(count)), list(range(count))
        return [seeds[0].index(seed) for seed in common], [seeds[1].index(seed) for seed in common]

    def _of_labels(self, one: int, two: int) -> Iterator[ClassScores]:
        labels, rows = self.shared.labels, self._rows(one, two)
        assert labels is not None
        first, second = (self.shared.judged[each].scores[of] for each, of in zip((one, two), rows, strict=True))
        for number in np.unique(labels):
            at = np.flatnonzero(labels == number)
            yield self.shared.classes[number], at, first[:, at], second[:, at]

    def _of_masks(self, one: int, two: int) -> Iterator[ClassScores]:
        confusions = []
        for each, rows in zip((one, two), self._rows(one, two), strict=True):
            confusion = self.shared.judged[each].confusion
            assert confusion is not None
            confusions.append(confusion[rows])
        unions = [each.sum(axis=3) + each.sum(axis=2) for each in confusions]
        shown = np.stack(unions).sum(axis=(0, 1)) > 0  # (N, K)
        known = np.all([union.sum(axis=(0, 1)) > 0 for union in unions], axis=0)
        for number in map(int, np.flatnonzero(known)):
            at = np.flatnonzero(shown[:, number])
            scores = [np.stack([class_pseudo_values(run[at], number) for run in each]) for each in confusions]
            yield self.shared.classes[number], at, scores[0], scores[1]
