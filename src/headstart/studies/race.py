"""The race of the weights: which backbone is best on these images? Frozen features, then fine-tuning for the last two.

Each backbone is run once over the images that its rounds need. A round trains a linear probe on each backbone that is
left, with the same labels and seeds, and drops what is significantly worse (`comparison.race`): successive halving
(Jamieson and Talwalkar 2016, arXiv 1502.07943) that drops no more than the statistics allow. `race.json` holds the
results, and is written after each probe, so an interrupted race continues where it stopped.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.comparison.race_file import Backbone, Race, RaceTrial
from headstart.comparison.race_results import RaceResults, seeds_of_round, table_rows
from headstart.data.dataset import Dataset
from headstart.data.sampling import Rows
from headstart.data.splits import label_subset
from headstart.files import table, write_atomically
from headstart.metrics.logme import logme
from headstart.report.race_page import write_race_page
from headstart.runs.lock import own
from headstart.studies.race_budget import RaceClock
from headstart.studies.race_entries import Entry, Failed, Loaded
from headstart.studies.race_features import Features, file_of
from headstart.studies.race_plan import RacePlan
from headstart.training.linear_probe import solve
from headstart.training.ranks import make_fabric

REPORT_SHARE = 0.1
"""At most this share of the time is spent on rewriting the table and the report between probes."""


class RaceRunner:
    """A race in progress. Nothing is written before `run`.

    ``entries`` are its backbones, those that can be loaded with their networks. Raises HeadstartError for a folder that
    holds a race of other arguments, images or weights.
    """

    def __init__(
        self, plan: RacePlan, dataset: Dataset, entries: Sequence[Entry | Failed], loaded: dict[str, Loaded], race: Race
    ) -> None:
        self.plan, self.dataset, self.race = plan, dataset, race
        self.entries = {each.name: each for each in entries if isinstance(each, Entry)}
        self.loaded = loaded
        self.clock = RaceClock(None, 0.0)
        self.stop_requested: Callable[[], bool] = lambda: False
        """Whether `run` shall save everything and raise KeyboardInterrupt."""
        self.on_status: Callable[[str], None] = lambda _: None
        """Called with what is being done."""
        self.on_images: Callable[[int], None] = lambda _: None
        """Called with how many images were encoded since the last call."""
        recipe = next(iter(self.entries.values())).recipe
        self.pixels = dataset.pixels(recipe.data)
        self.index = self.pixels.index
        self.labels: NDArray[np.int64] = np.array(self.index.labels, dtype=np.int64)
        self.held_out: Rows = np.array(self.index.positions(race.split), dtype=np.int64)
        self._fabric = make_fabric(1, 1, recipe.train.precision)
        self._features: dict[str, Features] = {}
        self._report_due = 0.0

    @property
    def results(self) -> RaceResults:
        return RaceResults(self.race)

    def run(self) -> Iterator[Race]:
        """Run what is left of the rounds, yielding the race after each probe.

        Raises HeadstartError when another process runs this race, and KeyboardInterrupt once ``stop_requested`` says
        so.
        """
        with own(self.plan.out):
            self.write()
            left: list[str] = []
            for fraction in self.race.fractions:
                names = self.results.left
                for number, seed in enumerate(seeds_of_round(self.race.fractions, self.race.seeds, fraction)):
                    waiting = [name for name in names if seed not in self.race.find(name, "D", fraction)]
                    first = not self.results.rounds and not number  # without it there is no result
                    if waiting and not first and not self.clock.allows(self._seconds(waiting, fraction, seed)):
                        left.append(f"{fraction:.0%} of the labels, seed {seed}")
                        if not number:
                            break
                        continue
                    for name in waiting:
                        self._probe(name, fraction, seed)
                        self.write(last=False)
                        yield self.race
                if not self._finished(fraction, names):
                    break
            self.change(note=f"the budget has ended before {left[0]}: the same command continues" if left else "")
            self.write()

    def change(self, **fields: object) -> None:
        """Change fields of the race, validated."""
        self.race = Race.model_validate({**dict(self.race), **fields})

    def finish(self) -> None:
        """Mark the race as finished where nothing is left undone, and remove its features."""
        if not self.race.note:
            self.change(finished=True)
            self._features.clear()
            shutil.rmtree(self.plan.out / "features", ignore_errors=True)
        self.write()

    def write(self, last: bool = True) -> None:
        """Write ``race.json``, then what is derived from it, unless, before the ``last`` time, that takes too long."""
        out, began = self.plan.out, time.monotonic()
        write_atomically(out / "race.json", self.race.to_json().encode())
        if not last and began < self._report_due:
            return
        results = self.results
        write_atomically(out / "table.csv", table(table_rows(results)))
        write_race_page(out, results)
        ended = time.monotonic()
        self._report_due = ended + (ended - began) / REPORT_SHARE

    def _finished(self, fraction: float, names: Sequence[str]) -> bool:
        """Whether a round has a seed that all have finished."""
        return bool(set.intersection(*(set(self.race.find(name, "D", fraction)) for name in names)))

    def _rows(self, fraction: float, seed: int) -> Rows:
        return np.array(label_subset(self.index, fraction, seed), dtype=np.int64)

    def _table(self, name: str) -> Features:
        if name not in self._features:
            names = [each.name for each in self.race.backbones]
            backbone, recipe = self.race.backbone(name), self.entries[name].recipe
            parts = (backbone.network, backbone.sha256, self.race.fingerprint, recipe.data.image_size)
            seen = (recipe.data.resize, recipe.augment.mean, recipe.augment.std, recipe.train.precision)
            file = file_of(self.plan.out, names.index(name), name)
            self._features[name] = Features(file, len(self.index), repr((*parts, *seen)))
        return self._features[name]

    def _seconds(self, names: Sequence[str], fraction: float, seed: int) -> float:
        """Estimated seconds of a seed's probes."""
        rows = self._rows(fraction, seed)
        wanted = np.union1d(rows, self.held_out)
        encoding = sum(len(self._table(name).missing(wanted)) * self.loaded[name].seconds for name in names)
        known = [trial.seconds / trial.labels for trial in self.race.trials if trial.setting == "D"]
        return encoding + len(names) * len(rows) * (sum(known) / len(known) if known else 0.0)

    def _probe(self, name: str, fraction: float, seed: int) -> None:
        """Encode what a probe needs, train it, and record its predictions for the held-out images."""
        features, rows = self._table(name), self._rows(fraction, seed)
        self._encode(name, np.union1d(rows, self.held_out))
        self.on_status(f"{name}, probe with {fraction:.0%} of the labels")
        began = time.perf_counter()
        x, labels = features.of(rows), self.labels[rows]
        probe = solve(x, labels, len(self.index.classes), seed)
        correct = probe.predict(features.of(self.held_out)) == self.labels[self.held_out]
        trial = RaceTrial(
            backbone=name,
            setting="D",
            fraction=fraction,
            labels=len(rows),
            seed=seed,
            correct=correct,
            chosen={"l2": 1 / probe.strength},
            seconds=time.perf_counter() - began,
        )
        if self.race.backbone(name).logme is None:
            self._change_backbone(name, logme=logme(x, labels))
        self.change(trials=(*self.race.trials, trial))

    def _encode(self, name: str, rows: Rows) -> None:
        features = self._table(name)
        if not len(features.missing(rows)):
            return
        self.on_status(f"{name}, frozen features of {len(features.missing(rows)):,} images")
        began = time.perf_counter()

        def on_batch(images: int) -> bool:
            self.on_images(images)
            return not self.stop_requested()

        done = features.add(
            self.loaded[name].task, self.pixels, rows, self.entries[name].recipe, self._fabric, on_batch
        )
        seconds = self.race.backbone(name).seconds + time.perf_counter() - began
        self._change_backbone(name, seconds=seconds)
        if not done or self.stop_requested():
            self.write()
            raise KeyboardInterrupt

    def _change_backbone(self, name: str, **fields: object) -> None:
        changed = [
            Backbone.model_validate({**dict(each), **fields}) if each.name == name else each
            for each in self.race.backbones
        ]
        self.change(backbones=tuple(changed))
