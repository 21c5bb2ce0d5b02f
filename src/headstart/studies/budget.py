"""A study within a budget: how large the images, how long the trainings, how many label fractions and seeds.

A study of a few minutes learns more from several seeds of short trainings on small images than from one long one:
`rungs` lists what more time buys, in order. The plan is the highest rung that fits, its trainings stretched to the
budget. What the user chose stays as it is. While the study runs, `time_left.Deadline` holds back what would end late.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from headstart.comparison.wording import listed
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Recipe, override
from headstart.studies.defaults import SCRATCH_EPOCHS
from headstart.studies.plan import Plan
from headstart.studies.rungs import LADDER, MASK_LADDER, Rung
from headstart.studies.time_estimate import TimeEstimator, estimate

AUTO = "auto"
"""The budget of whoever chooses none."""
DEFAULT = 600.0
"""What it is, in seconds, unless the smallest study needs more."""
FILL = 0.85
"""Share of a budget that the estimate of a plan may take: the rest is for decoding, the report, and errors."""
PRETRAINING_SHARE = 0.25
"""Share of a budget for self-supervised pre-training."""
PRETRAINING_SIDES = (32, 48, 64)
"""Sides of the images of a shortened pre-training, in pixels: the largest of them, up to the recipe's, at which every
image is seen `PRETRAINING_EPOCHS` times, else the smallest. In two minutes a small network without labels learns more
from many images of 32 px than from few of 64: kNN accuracy 48 and 42 % on photographs of clothing."""
PRETRAINING_EPOCHS = 10
SCRATCH_SIDES = ((12, 48), (6, 40), (0, 32))
"""Side of the images, in pixels, that `scratch-quick` is validated on from so many epochs on. On photographs of
clothing it has 61.6, 60.7 and 56.0 % at 32, 40 and 48 px after four epochs, 71.3, 72.7 and 71.8 % after eight."""
LEAST_SIDE = 8
"""Least that a recipe may have."""
FROM_PROBE = {"head.start": "probe", "backbone.freeze_batchnorm": True}
"""Of a shortened fine-tuning, which would end below the probe that it starts from where it started at random."""
FEATURES = 250
"""Training images whose features are stored, in a shortened training."""


def read_budget(text: str) -> float | None:
    """``90s``, ``30m`` or ``2h`` in seconds, `DEFAULT` for ``auto``; None for ``none``.

    Raises HeadstartError for anything else.
    """
    text = str(text)  # a program may give 600
    if text.strip() in (AUTO, "none"):
        return DEFAULT if text.strip() == AUTO else None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not match or not float(match.group(1)):
        raise HeadstartError(f"--budget: expected a time such as 30m or 2h, found {text}", "headstart study --help")
    return float(match.group(1)) * {"s": 1, "m": 60, "h": 3600}[match.group(2)]


def fit_budget(
    plan: Plan, dataset: Dataset, budget: float, workers: int = 1, *, at_least: bool = False
) -> tuple[Plan, dict[str, float]]:
    """``plan`` as large as ``budget`` (in seconds, with so many workers) allows, and its `estimate`.

    When even the smallest study takes longer, it is that one with ``at_least``; else HeadstartError names the least
    budget.
    """
    estimator = TimeEstimator(plan, dataset)
    allowed = FILL * budget * workers
    seconds = estimate(plan, dataset, estimator=estimator)
    if sum(seconds.values()) <= allowed:
        return _pretrained_for_each_seed(plan, seconds, allowed, estimator)
    requested, best = plan.requested or (plan.recipe, plan.pretraining), None
    for rung in MASK_LADDER if plan.masks else LADDER:
        smaller = replace(_at_rung(plan, rung, estimator, budget * workers), requested=requested)
        seconds = estimate(smaller, dataset, estimator=estimator)
        total = sum(seconds.values())
        if total > allowed:
            if best is None and at_least:
                return smaller, seconds
            if best is None:
                parts = plan.recipe.data.fold[1] if plan.recipe.data.fold else 1  # each fold has its share
                least = math.ceil(parts * least_budget(seconds, workers) / 60)
                raise HeadstartError(
                    f"--budget: expected at least {least}m for the smallest study of these settings, label fractions"
                    f" and seeds, found {_time(parts * budget)}",
                    f"--budget {least}m, or fewer --settings, --labels or --seeds",
                )
            break
        best = smaller, seconds
    assert best is not None
    return _pretrained_for_each_seed(
        *_stretched(*best, plan.recipe.train.epochs, allowed, estimator), allowed, estimator
    )


def least_budget(seconds: Mapping[str, float], workers: int = 1) -> float:
    """The budget, in seconds, that trainings of so many seconds need."""
    return sum(seconds.values()) / FILL / max(1, workers)


def _pretrained_for_each_seed(
    plan: Plan, seconds: dict[str, float], allowed: float, estimator: TimeEstimator
) -> tuple[Plan, dict[str, float]]:
    """``plan`` with a pre-training for each seed, where the time allows it and nobody asked for another number."""
    if "pretrainings" not in plan.free or len(plan.seeds) < 2 or not plan.pretrained_kinds():
        return plan, seconds
    several = replace(plan, pretrainings=len(plan.seeds))
    further = estimate(several, estimator.dataset, estimator=estimator)
    return (several, further) if sum(further.values()) <= allowed else (plan, seconds)


def _at_rung(plan: Plan, rung: Rung, estimator: TimeEstimator, budget: float) -> Plan:
    """``plan`` cut down to a rung, where it is free to be."""
    changes: dict[str, object] = {}
    recipe = plan.recipe
    if "image_size" in plan.free:
        changes |= {"data.image_size": min(rung.side, recipe.data.image_size), "augment.sizes": []}
        changes["val.image_size"] = None  # the size of the crops, which are as large as the images now
        if plan.masks and rung.side < recipe.data.image_size:
            changes["probe.views"] = rung.views
    if "epochs" in plan.free:
        changes |= {"train.epochs": min(rung.epochs, recipe.train.epochs), "analysis.epochs": []}
        changes |= {"train.images_per_epoch": min(rung.images, recipe.train.images_per_epoch or rung.images)}
        changes |= {"analysis.train_samples": min(FEATURES, recipe.analysis.train_samples)}
        if "augment.sizes" not in changes:
            changes |= {"augment.sizes": list(recipe.augment.sizes[-rung.epochs :])}
    if {"epochs", "start"} <= plan.free and plan.tuned and not plan.masks and not recipe.head.hidden:
        changes |= FROM_PROBE
    smaller = replace(plan, recipe=override(recipe, changes))
    if "fractions" in plan.free:
        wanted = rung.fractions if plan.target_score is None else LADDER[-1].fractions  # a forecast needs four of them
        smaller = replace(smaller, fractions=_fractions(plan.fractions, wanted))
    if "tuned" in plan.free:
        smaller = replace(smaller, tuned=rung.tuned)
    if "seeds" in plan.free:
        smaller = replace(smaller, seeds=plan.seeds[: max(rung.seeds, plan.pretrainings)])
    smaller = replace(smaller, pretraining=_shorter_pretraining(smaller, estimator, PRETRAINING_SHARE * budget))
    return _scratch_as_long(smaller, estimator)


def _scratch_as_long(plan: Plan, estimator: TimeEstimator) -> Plan:
    """``plan`` with a training from scratch, where it has a recipe of its own, that takes as long as a fine-tuning."""
    if not plan.by_scratch or "epochs" not in plan.free:
        return plan
    base, count = plan.recipe_of(plan.by_scratch[0]), estimator.train
    images = estimator.images_in_the_time_of(base, plan.recipe)
    epochs = max(1, min(SCRATCH_EPOCHS, round(images / count)))
    per_epoch = min(count, max(base.train.batch_size, images // epochs))
    changes = {"train.epochs": epochs, "train.images_per_epoch": per_epoch, "val.every": epochs}
    side = min(base.data.image_size, next(px for least, px in SCRATCH_SIDES if epochs >= least))
    changes |= {"val.image_size": side, "analysis.train_samples": FEATURES}
    return replace(plan, scratch=override(base, changes))


def _fractions(possible: tuple[float, ...], wanted: tuple[float, ...]) -> tuple[float, ...]:
    """As many of the possible fractions as wanted: all labels, and those nearest to the wanted ones below."""
    return tuple(sorted({nearest(possible, share) for share in wanted}))


def nearest(possible: Sequence[float], share: float) -> float:
    """The possible label fraction that is nearest to ``share``, by ratio."""
    return min(possible, key=lambda each: abs(math.log(each / share)))


def _shorter_pretraining(plan: Plan, estimator: TimeEstimator, seconds: float) -> Recipe:
    """The self-supervised recipe of a plan, as much of it as fits into ``seconds``."""
    base = plan.pretraining
    if "pretraining" not in plan.free or "self-supervised" not in plan.pretrained_kinds():
        return base
    own, most = base.data.image_size, base.train.epochs
    smaller = () if plan.masks else tuple(side for side in PRETRAINING_SIDES if side < own)
    for side in (own, *reversed(smaller)):
        sizes = [max(LEAST_SIDE, round(size * side / own)) for size in base.augment.sizes]
        changes: dict[str, object] = {"data.image_size": side, "augment.sizes": sizes}
        shorter = override(base, changes | {"analysis.train_samples": FEATURES, "analysis.epochs": []})
        recipe, data = replace(plan, pretraining=shorter).pretrain("self-supervised")
        images = estimator.images(recipe, data)
        affordable = int(images * most * min(1.0, seconds / estimator.pretraining(recipe, data)))
        if affordable >= images * min(most, PRETRAINING_EPOCHS):
            break
    epochs = max(1, min(most, round(affordable / images)))
    per_epoch = max(2 * base.train.batch_size, min(images, affordable // epochs))
    return override(shorter, {"train.epochs": epochs, "train.images_per_epoch": per_epoch})


def _stretched(
    plan: Plan, seconds: dict[str, float], most: int, allowed: float, estimator: TimeEstimator
) -> tuple[Plan, dict[str, float]]:
    """``plan`` with as many images per training as the budget allows, at most ``most`` epochs of all."""
    if "epochs" not in plan.free:
        return plan, seconds
    count = estimator.train
    for _ in range(3):
        total = sum(seconds.values())
        pretraining = sum(value for name, value in seconds.items() if "-pretraining" in name)
        factor = (allowed - pretraining) / max(total - pretraining, 1e-9)
        recipe = plan.recipe
        per_epoch = min(count, recipe.train.images_per_epoch or count)
        images = min(int(factor * per_epoch * recipe.train.epochs), count * most)
        epochs = max(recipe.train.epochs, min(most, math.ceil(images / count)))
        longer = override(recipe, {"train.epochs": epochs, "train.images_per_epoch": min(count, images // epochs)})
        if factor <= 1.02 or longer == recipe:
            break
        candidate = _scratch_as_long(replace(plan, recipe=longer), estimator)
        further = estimate(candidate, estimator.dataset, estimator=estimator)
        if sum(further.values()) > allowed:
            break
        plan, seconds = candidate, further
    return plan, seconds


def describe(plan: Plan, asked: Plan, budget: float | None, *, default: bool = False) -> Iterator[str]:
    """Lines that say what a budget chose, and what it leaves out of what is ``asked``.

    ``default``: nobody chose the budget.
    """
    if "pretrainings" in plan.free and plan.pretrainings > 1:
        yield "plan     a pre-training for each seed, as there is time for it"
    wanted, recipe = asked.requested or (asked.recipe, asked.pretraining), plan.recipe
    grid, whole = ((each.fractions, each.seeds, each.tuned) for each in (plan, asked))
    if (recipe, plan.pretraining) == wanted and grid == whole:
        return
    labels = ", ".join(f"{fraction:.0%}" for fraction in plan.fractions)
    yield f"plan     {_length(recipe)}; {labels} of the labels; {len(plan.seeds)} seeds{_start(plan)}"
    if plan.by_scratch:
        yield f"         {listed(plan.by_scratch)} by {from_scratch(plan)}, in the same time"
    if "self-supervised" in plan.pretrained_kinds():
        yield f"         self-supervised pre-training: {_length(plan.pretraining)}"
    if asked.tuned and not plan.tuned:
        yield f"         the learning rate of {wanted[0].name} in every setting: no time to tune it for each"
    why = "the budget" if budget is None else f"--budget {_time(budget)}"
    if default and budget is not None:
        why = f"the default budget of {_time(budget)}" + (", the least for these settings" * (budget > DEFAULT))
    length = "" if _length(wanted[0]) == _length(recipe) else f"; {wanted[0].name} asks for {_length(wanted[0])}"
    yield f"because  of {why}{length}: a larger budget refines this study, --budget none trains all of it"


def shortened(plan: Plan) -> str:
    """How much shorter than requested a budget made the trainings of a plan; empty where it did not."""
    if plan.requested is None or _length(plan.requested[0]) == _length(plan.recipe):
        return ""
    asked = f"{plan.requested[0].name} asks for {_length(plan.requested[0])}"
    return f"{_length(plan.recipe)}, where {asked}{_start(plan)}"


def from_scratch(plan: Plan) -> str:
    """The recipe of the settings from random weights, where it is not that of the others; else nothing."""
    if not plan.by_scratch:
        return ""
    scratch = plan.recipe_of(plan.by_scratch[0])
    sizes = scratch.augment.sizes or (scratch.data.image_size,)
    side = f"{min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else f"{sizes[0]}"
    return f"{scratch.name} ({scratch.backbone.name} at {side} px, {_epochs(scratch)})"


def _start(plan: Plan) -> str:
    """How a budget has fine-tuning start, where that is not what was asked for."""
    if plan.requested is None or plan.recipe.head.start == plan.requested[0].head.start:
        return ""
    return "; fine-tuning starts from a linear probe"


def _length(recipe: Recipe) -> str:
    """Image size and length of a training: ``48 px, 2 epochs of 1,920 images``."""
    return f"{recipe.data.image_size} px, {_epochs(recipe)}"


def _epochs(recipe: Recipe) -> str:
    epochs, images = recipe.train.epochs, recipe.train.images_per_epoch
    some = f" of {images:,} images" if images else ""
    return f"{epochs} {'epoch' if epochs == 1 else 'epochs'}{some}"


def _time(seconds: float) -> str:
    """``90`` -> ``90s``, ``1800`` -> ``30m``, ``7200`` -> ``2h``."""
    if seconds % 60:
        return f"{seconds:.3g}s"
    return f"{seconds / 3600:g}h" if seconds >= 7200 else f"{seconds / 60:g}m"


def unfinished_text(held_back: Sequence[str], budget: float) -> str:
    """What a study says whose budget ended before its trainings."""
    count = len(held_back)
    return (
        f"the budget of {_time(budget)} has ended with {count} {'training' if count == 1 else 'trainings'} left:"
        " the same command continues"
    )
