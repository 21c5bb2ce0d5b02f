"""Coverage of the confidence intervals of a study in simulations whose truth is known.

``python benchmarks/coverage.py`` prints how often 95 % intervals of accuracy, difference, label multiplier and mean IoU
hold the truth, and how often all comparisons of a study hold together; a number after it is that of the repeats. Each
score is a threshold on the sum of seed, image, group and chance. Where weights are pre-trained once, the truth is
theirs; where several times, that over all pre-trainings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from headstart.comparison.crossed import Crossed, SeedPrior, seed_prior
from headstart.comparison.intervals import Difference, average, difference, difference_of
from headstart.comparison.label_efficiency import label_multiplier, stretch
from headstart.comparison.more_time import seeds_needed
from headstart.comparison.simultaneous import deviations, family_level
from headstart.metrics.pseudo_values import pseudo_values

Floats = NDArray[np.float64]
LABELS = (100, 250, 500, 1000)


@dataclass(frozen=True)
class World:
    """A population of images and seeds; the standard deviations are of latent scores, chance has 1."""

    seeds: int = 3
    images: int = 300
    accuracy: float = 0.7
    of_image: float = 1.0
    of_seed: float = 0.1
    of_group: float = 0.0
    in_group: int = 1
    """Images in a group, on average."""
    of_pretraining: float = 0.0
    pretrainings: int = 1
    """The seeds share them in turn."""
    uneven: float = 1.0
    """The standard deviations between the seeds of settings differ by up to this factor."""

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """(N,): sizes alternate between small and large; None without groups."""
        if self.in_group == 1:
            return None
        sizes = np.tile([max(self.in_group // 2, 1), self.in_group + self.in_group // 2], self.images)
        return np.repeat(np.arange(len(sizes)), sizes)[: self.images]

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """The pre-training of each seed, (S,), where several seeds share one of several."""
        shared = 1 < self.pretrainings < self.seeds
        return np.arange(self.seeds) % self.pretrainings if shared else None

    def draw(
        self, accuracies: list[float], random: np.random.Generator, weights: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Scores of C settings, 0 or 1, (C, S, N), and their true accuracies given their weights, (C,).

        ``weights`` (C, P) is how good those of each pre-training are for each setting; by default all are drawn.
        """
        shape = (len(accuracies), self.seeds, self.images)
        of_seed = self.of_seed * self.uneven ** np.linspace(-0.5, 0.5, len(accuracies))
        spread = np.sqrt(1 + self.of_image**2 + of_seed**2 + self.of_group**2)
        if weights is None:
            weights = random.standard_normal((len(accuracies), self.pretrainings))
        varies = self.of_pretraining * weights.any(axis=1)
        center = norm.ppf(accuracies) * np.sqrt(spread**2 + varies**2)
        truth = norm.cdf((center + varies * weights[:, 0]) / spread) if self.pretrainings == 1 else np.array(accuracies)
        number = np.arange(self.seeds) % self.pretrainings
        center = center[:, None] + self.of_pretraining * weights[:, number]
        latent = center[:, :, None] + self.of_image * random.standard_normal(self.images)
        latent = latent + of_seed[:, None, None] * random.standard_normal((*shape[:2], 1))
        latent = latent + random.standard_normal(shape)
        if self.groups is not None:
            latent = latent + (self.of_group * random.standard_normal(self.groups.max() + 1))[self.groups]
        return (latent > 0).astype(np.float64), truth


def of_two_settings(world: World, repeats: int, gap: float) -> tuple[float, float]:
    """Coverage of an accuracy and of a paired difference, each alone."""
    random, held = np.random.default_rng(0), np.zeros(2)
    for _ in range(repeats):
        (a, b), truth = world.draw([world.accuracy, world.accuracy - gap], random)
        score = average(a, world.groups, world.clusters)
        apart = difference(a, b, world.groups, world.clusters).pointwise
        held += [score.low <= truth[0] <= score.high, apart.low <= truth[0] - truth[1] <= apart.high]
    return float(held[0]) / repeats, float(held[1]) / repeats


def curve_of(world: World) -> list[float]:
    """True accuracies of A over `LABELS`, a setting with 250 labels that has those of A with 600 last."""
    rise = min(0.12, (1 - world.accuracy) / 3)
    a = [world.accuracy - rise * step for step in (2.2, 1.2, 0.5, 0.0)]
    return [*a, float(np.interp(np.log(600), np.log(LABELS), a))]


def of_multiplier(world: World, repeats: int) -> float:
    """Coverage of the label multiplier, alone; truth is n*/n on the line between A's true accuracies."""
    random, held = np.random.default_rng(1), 0
    for _ in range(repeats):
        cells, truth = world.draw(curve_of(world), random)
        delta = difference(cells[4], cells[1], world.groups, world.clusters)
        found = label_multiplier(
            [(n, float(cell.mean())) for n, cell in zip(LABELS, cells, strict=False)],
            250,
            float(cells[4].mean()),
            [stretch(cells[4], cells[k], cells[k + 1], world.groups, None, world.clusters) for k in range(3)],
            delta,
        )
        true = truth_of_multiplier(list(truth[:4]), float(truth[4]))
        held += found is None or (
            (found.low <= true or found.low_beyond == "less") and (found.high >= true or found.high_beyond == "more")
        )
    return held / repeats


def truth_of_multiplier(a: list[float], value: float) -> float:
    """n*/n of a true accuracy at 250 labels on a rising curve; 0 or inf beyond it."""
    if value < a[0]:
        return 0.0
    return np.inf if value > a[-1] else float(np.exp(np.interp(value, a, np.log(LABELS)))) / 250


def of_family(world: World, repeats: int, pooled: bool = True) -> tuple[float, float, float]:
    """Of five settings at two label fractions: coverage of a difference, of all at once, and of the lowest one.

    As a study compares them: all pairs at the larger fraction, and the differences to the first at both; ``pooled``,
    with what all comparisons say about the seeds.
    """
    random, held, all_held, each = np.random.default_rng(2), 0.0, 0, []
    accuracies = [world.accuracy - step for step in (0.0, 0.01, 0.02, 0.06, 0.1)]
    accuracies += [each - 0.05 for each in accuracies]
    pairs = [(i, j) for i in range(5) for j in range(i)] + [(i, 5) for i in range(6, 10)]
    for _ in range(repeats):
        cells, truth = world.draw(accuracies, random)
        apart = [Crossed(cells[list(pair)], world.groups) for pair in pairs]
        prior = seed_prior([x.mean_square([1, -1]) for x in apart], [x.seeds - 1 for x in apart]) if pooled else None
        level = family_level(_deviations(cells, world), pairs)
        found = [_difference(x, world, prior, level) for x in apart]
        alone = [
            gap.pointwise.low <= truth[i] - truth[j] <= gap.pointwise.high
            for gap, (i, j) in zip(found, pairs, strict=True)
        ]
        together = [
            gap.interval.low <= truth[i] - truth[j] <= gap.interval.high
            for gap, (i, j) in zip(found, pairs, strict=True)
        ]
        held, all_held = held + float(np.mean(alone)), all_held + all(together)
        each.append(alone)
    return held / repeats, all_held / repeats, float(np.mean(each, axis=0).min())


def _difference(pair: Crossed, world: World, prior: SeedPrior | None, level: float) -> Difference:
    return difference_of(pair.contrast([[1, -1]], prior), world.images, world.seeds, level)


def _deviations(cells: Floats, world: World) -> Floats:
    crossed = Crossed(cells, world.groups)
    return deviations(crossed.of_unit, crossed.seed_error, 500)


def of_pretrained(world: World, repeats: int) -> tuple[float, float, float]:
    """Of five settings at two label fractions, two of them pre-trained, as `summary.Results` compares them.

    Coverage of a difference that rests on pre-training, of another one, and of all 14 at once. Both settings start from
    the same pre-trainings, which they gain from alike (correlation 0.7).
    """
    random, held, all_held = np.random.default_rng(5), [[], []], 0  # type: ignore[var-annotated]
    accuracies = [world.accuracy - step for step in (0.0, -0.02, 0.01, 0.04, 0.06)]
    accuracies += [each - 0.05 for each in accuracies]
    pairs = [(i, j) for i in range(5) for j in range(i)] + [(i, 5) for i in range(6, 10)]
    anew = [not {2, 3}.isdisjoint((i % 5, j % 5)) for i, j in pairs]
    for _ in range(repeats):
        both, own = random.standard_normal(world.pretrainings), random.standard_normal((2, world.pretrainings))
        weights = np.zeros((10, world.pretrainings))
        weights[[2, 3]] = weights[[7, 8]] = np.sqrt(0.7) * both + np.sqrt(0.3) * own
        cells, truth = world.draw(accuracies, random, weights)
        crossed = [Crossed(cells[[k]], None, world.clusters if k % 5 in (2, 3) else None) for k in range(10)]
        of_unit = np.concatenate([each.of_unit for each in crossed])
        level = family_level(deviations(of_unit, [each.seed_error[0] for each in crossed], 500), pairs)
        apart = [
            Crossed(cells[list(pair)], None, world.clusters if rests else None)
            for pair, rests in zip(pairs, anew, strict=True)
        ]
        priors = [
            seed_prior(
                [x.mean_square([1, -1]) for x, rests in zip(apart, anew, strict=True) if rests == kind],
                [x.seeds - 1 for x, rests in zip(apart, anew, strict=True) if rests == kind],
            )
            for kind in (False, True)
        ]
        together = True
        for x, rests, (i, j) in zip(apart, anew, pairs, strict=True):
            gap, true = _difference(x, world, priors[rests], level), truth[i] - truth[j]
            held[rests].append(gap.pointwise.low <= true <= gap.pointwise.high)
            together &= gap.interval.low <= true <= gap.interval.high
        all_held += together
    return float(np.mean(held[1])), float(np.mean(held[0])), all_held / repeats


def of_more_seeds(world: World, repeats: int) -> tuple[int, float]:
    """How often "n more seeds would show it with a power of 80 %" is said, and how often they do show it.

    The true difference of the best two of five settings is drawn anew in each study, 2 to 15 points. Then another study
    with as many seeds is made, on new images, and its simultaneous interval excludes 0 or not.
    """
    random, said, shown = np.random.default_rng(6), 0, 0
    for _ in range(repeats):
        true = float(random.uniform(0.02, 0.15))
        accuracies = [world.accuracy, world.accuracy - true, *(world.accuracy - step for step in (0.05, 0.09, 0.13))]
        accuracies += [each - 0.05 for each in accuracies]
        found = _first_difference(world, accuracies, random)
        seeds = seeds_needed(found, true)
        if seeds is None or seeds == world.seeds:
            continue
        said += 1
        shown += _first_difference(replace(world, seeds=seeds), accuracies, random).significant
    return said, shown / max(said, 1)


def _first_difference(world: World, accuracies: list[float], random: np.random.Generator) -> Difference:
    """The first setting minus the second, in a study of five settings at two label fractions."""
    pairs = [(i, j) for j in range(5) for i in range(j)] + [(i, 5) for i in range(6, 10)]
    cells, _ = world.draw(accuracies, random)
    apart = [Crossed(cells[list(pair)], world.groups) for pair in pairs]
    prior = seed_prior([x.mean_square([1, -1]) for x in apart], [x.seeds - 1 for x in apart])
    return _difference(apart[0], world, prior, family_level(_deviations(cells, world), pairs))


def confusions(world: World, quality: Floats, random: np.random.Generator) -> NDArray[np.int64]:
    """Confusion matrices (S, N, 5, 5) of images of 400 pixels; ``quality`` (S,) is that of each seed."""
    classes, pixels = 5, 400
    shares = random.dirichlet([2.0, 1.0, 1.0, 0.4, 0.2], world.images)
    truth = np.stack([random.multinomial(pixels, share) for share in shares])
    right = norm.cdf(quality[:, None, None] + world.of_image * random.standard_normal((world.images, 1)))
    right = np.clip(right - 0.1 * np.arange(classes) / classes, 0.02, 0.98)
    hits = random.binomial(truth, np.broadcast_to(right, (len(quality), world.images, classes)))
    made = np.zeros((len(quality), world.images, classes, classes), dtype=np.int64)
    made[..., np.arange(classes), np.arange(classes)] = hits
    made[..., np.arange(classes), (np.arange(classes) + 1) % classes] += truth - hits
    return made


def of_mean_iou(world: World, repeats: int) -> tuple[float, float]:
    """Coverage of mean IoU and of a difference of two."""
    random = np.random.default_rng(3)
    many = replace(world, images=20_000)
    center = norm.ppf(world.accuracy) * np.sqrt(1 + world.of_image**2 + world.of_seed**2)
    qualities = (center, center - 0.15)
    spread = norm.ppf((np.arange(24) + 0.5) / 24) * world.of_seed
    truth = [
        np.mean([pseudo_values(one).mean() for one in confusions(many, quality + spread, np.random.default_rng(4))])
        for quality in qualities
    ]
    held = np.zeros(2)
    for _ in range(repeats):
        state = random.integers(2**32)
        values = []
        for quality in qualities:  # the same images for both settings, other seeds
            drawn = quality + world.of_seed * random.standard_normal(world.seeds)
            made = confusions(world, drawn, np.random.default_rng(state))
            values.append(np.stack([pseudo_values(one) for one in made]))
        score, apart = average(values[0]), difference(values[0], values[1]).pointwise
        held += [score.low <= truth[0] <= score.high, apart.low <= truth[0] - truth[1] <= apart.high]
    return float(held[0]) / repeats, float(held[1]) / repeats


def worlds() -> Iterator[tuple[str, World]]:
    """What is simulated, by name."""
    for seeds in (2, 3, 5, 10):
        for images in (30, 100, 400, 2500):
            for accuracy in (0.6, 0.9, 0.99):
                yield "seeds, images", World(seeds=seeds, images=images, accuracy=accuracy)
    for seeds in (2, 3, 5, 10):
        yield "seeds agree", World(seeds=seeds, of_seed=0.0)
        yield "seeds dominate", World(seeds=seeds, of_seed=0.4)
        yield "groups of 10", World(seeds=seeds, images=400, of_group=1.0, in_group=10)
        yield "pre-training", World(seeds=seeds, of_pretraining=0.2)
        yield "one per seed", World(seeds=seeds, of_pretraining=0.2, pretrainings=seeds)
    for seeds, several in ((4, 2), (6, 3), (10, 5)):
        yield f"{several} pre-trainings", World(seeds=seeds, of_pretraining=0.2, pretrainings=several)


def main(repeats: int) -> None:
    print(f"{repeats} repeats; coverage in per cent of 95 % intervals, of one comparison alone")
    print(f"{'variance':16}{'seeds':>6}{'images':>7}{'of':>9} | {'accuracy':>9}{'difference':>11}{'multiplier':>11}")
    for name, world in worlds():
        several = max(repeats // 4, 50) if world.images > 1000 else repeats
        score, apart = of_two_settings(world, several, min(0.05, (1 - world.accuracy) / 2))
        times = of_multiplier(world, several)
        print(
            f"{name:16}{world.seeds:6}{world.images:7}{world.accuracy:9.2f} |"
            f" {100 * score:9.1f}{100 * apart:11.1f}{100 * times:11.1f}",
            flush=True,
        )
    print(f"\n{'pre-trainings':16}{'seeds':>6}{'sd':>7} | {'pre-trained':>11}{'others':>9}{'all at once':>12}")
    for seeds, several in ((3, 3), (5, 5), (4, 2), (6, 3), (10, 5)):
        for spread in (0.1, 0.3):
            world = World(seeds=seeds, of_pretraining=spread, pretrainings=several)
            with_weights, others, together = of_pretrained(world, repeats)
            print(
                f"{several:<16}{seeds:6}{spread:7.1f} |"
                f" {100 * with_weights:11.1f}{100 * others:9.1f}{100 * together:12.1f}",
                flush=True,
            )
    print(f"\n{'more seeds':16}{'seeds':>6}{'images':>7}{'sd':>5} | {'said':>6}{'shown':>8}")
    for seeds in (3, 5):
        for images, spread in ((200, 0.1), (400, 0.1), (1000, 0.1), (1000, 0.2), (2500, 0.1), (2500, 0.2)):
            said, shown = of_more_seeds(World(seeds=seeds, images=images, accuracy=0.75, of_seed=spread), repeats)
            print(f"{'':16}{seeds:6}{images:7}{spread:5.1f} | {said:6}{100 * shown:8.1f}", flush=True)
    print(f"\n{'mean IoU':16}{'seeds':>6}{'images':>7} | {'mean IoU':>9}{'difference':>11}")
    for seeds, images in ((2, 100), (3, 30), (3, 100), (3, 400), (10, 100)):
        score, apart = of_mean_iou(World(seeds=seeds, images=images, of_seed=0.1), repeats)
        print(f"{'':16}{seeds:6}{images:7} | {100 * score:9.1f}{100 * apart:11.1f}", flush=True)
    print(f"\n{'14 comparisons':16}{'seeds':>6}{'uneven':>7} | {'each alone':>11}{'the worst':>10}{'all at once':>12}")
    for seeds in (2, 3, 5):
        for of_seed, uneven in ((0.0, 1.0), (0.1, 1.0), (0.1, 4.0), (0.3, 1.0), (0.3, 4.0)):
            world = World(seeds=seeds, of_seed=of_seed, uneven=uneven)
            each, together, worst = of_family(world, repeats)
            print(
                f"sd {of_seed:<13}{seeds:6}{uneven:7.0f} | {100 * each:11.1f}{100 * worst:10.1f}{100 * together:12.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
