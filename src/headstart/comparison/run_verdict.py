"""The verdict on compared runs in sentences, which claim only what is significant; functions of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart.comparison.run_comparison import FEWEST, RunComparison
from headstart.comparison.wording import difference_sentence, findable, gap_with_ci, listed
from headstart.errors import quoted
from headstart.metrics.written import decimals, score_with_ci
from headstart.runs.checksums import listed_checksum
from headstart.runs.folder import RunFolder
from headstart.runs.tables import best_epoch

FEW_IMAGES = 100
"""Shared images below which the page warns."""
IMAGES = "shared validation images"
SHOWN = 4
"""Names in a sentence; more are counted."""


def verdict(comparison: RunComparison) -> str:
    """Which entry to use, or that they do not differ significantly: a sentence or two, and what these leave out."""
    if comparison.units < FEWEST:
        return f"No verdict: {comparison.units} shared images are too few to tell which run is better."
    names = [each.name for each in comparison.entries]
    said = (
        difference_sentence(names[1], names[0], comparison.difference(0, 1), IMAGES)
        if len(names) == 2
        else _of_several(comparison, names)
    )
    return f"{said} One training run of each: another seed may turn this." if _one_seed(comparison) else said


def _one_seed(comparison: RunComparison) -> bool:
    """Whether no interval covers the variance between seeds."""
    return all(comparison.difference(*pair).seeds == 1 for pair in comparison.pairs)


def _of_several(comparison: RunComparison, names: Sequence[str]) -> str:
    kept, metric = comparison.candidates, comparison.shared.metric.title
    first = kept[0]
    others = [i for i in range(len(names)) if i not in kept]
    scores = [comparison.scores[i] for i in kept]
    if len(kept) > 1:
        digits = min(decimals(each.low, each.high) for each in scores)
        ends = sorted({f"{100 * each.value:.{digits}f}" for each in scores}, key=float)
        span = " to ".join([ends[0], ends[-1]] if len(ends) > 1 else ends)
        said = f"Use {listed(_some(comparison, kept), 'or')} ({metric} {span} %): they do not differ significantly."
    elif all(comparison.difference(i, first).significant for i in others):
        best = f"it is best, with {metric} {score_with_ci(scores[0])}, significantly above every other"
        said = f"Use {names[first]}: {best}."
    else:
        near = tuple(i for i in others if not comparison.difference(i, first).significant)
        said = (
            f"Use {names[first]}: none is significantly above its {metric}, {score_with_ci(scores[0])}; it does not"
            f" differ significantly from {listed(_some(comparison, near))}."
        )
    beaten = [(i, comparison.difference(i, first)) for i in others]
    worse = [f"{names[i]} by {gap_with_ci(gap.interval)}" for i, gap in beaten if gap.significant and gap.value > 0]
    if worse:
        more = [f"{len(worse) - SHOWN} others"] if len(worse) > SHOWN else []
        said += f" {names[first]} beats {listed([*worse[:SHOWN], *more])}."
    return said


def _some(comparison: RunComparison, numbers: tuple[int, ...]) -> list[str]:
    names = [comparison.entries[i].name for i in numbers]
    return names if len(names) <= SHOWN else [*names[:SHOWN], f"{len(names) - SHOWN} others"]


def shared_sentence(comparison: RunComparison) -> str:
    """How many images are judged, and of how many."""
    shared, count = comparison.shared, len(comparison.shared.filenames)
    validated = sorted({each.validated for each in shared.judged})
    if validated == [count]:
        return f"All runs were validated on the same {count:,} images."
    of = f"{validated[0]:,}" if len(validated) == 1 else f"{validated[0]:,} to {validated[-1]:,}"
    return f"Only the {count:,} validation images that all runs share are judged, of the {of} of each."


def warnings(comparison: RunComparison) -> list[str]:
    """What may make the verdict another one."""
    shared, said = comparison.shared, []
    runs = [run for entry in comparison.entries for run in entry.runs]
    if FEWEST <= len(shared.filenames) < FEW_IMAGES:
        said.append(f"{len(shared.filenames)} shared images are few: only large differences can be found.")
    if len({run.data["fingerprint"] for run in runs}) > 1:
        said.append(
            "The runs' data sets differ (other images, labels or files): images are taken for the same where name and"
            " label are."
        )
    if same := _same_weights(runs):
        said.append(same)
    if shared.relabeled:
        said.append(f"{shared.relabeled:,} images have another label in another run: they are left out.")
    if shared.resized:
        said.append(
            "The masks differ between runs, or were validated at other sizes: their scores are of other pixels."
        )
    return said


def _same_weights(runs: Sequence[RunFolder]) -> str:
    """A sentence on runs that are one network, by the checksums of their weights; empty without."""
    of: dict[str, list[Path]] = {}
    for run in runs:
        if (found := listed_checksum(run.path, "weights/best.safetensors")) is not None:
            of.setdefault(found, []).append(run.path)
    same = [listed(list(map(str, paths[:SHOWN]))) for paths in of.values() if len(paths) > 1]
    if not same:
        return ""
    return f"{'; '.join(same)} have the same weights: a run and its copy, or one training twice, not two of them."


def how_sure(comparison: RunComparison) -> list[str]:
    """What the verdict rests on, as short lines."""
    gaps = [comparison.difference(*pair) for pair in comparison.pairs]
    said = [shared_sentence(comparison)]
    if comparison.shared.groups is not None:
        said.append(f"They are of {len(set(comparison.shared.groups)):,} groups, which take the place of images.")
    if _one_seed(comparison):
        recipe = quoted(comparison.entries[0].runs[0].path.absolute() / "recipe.toml")
        said.append(
            "The variance between seeds is not in these intervals, which are over images."
            f" `headstart fit {recipe} DATA seed=1` trains another seed; runs of one recipe, named together, count as"
            " its seeds."
        )
    else:
        seeds = sorted({gap.seeds for gap in gaps})
        counted = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        but = "; where it is one, the variance between seeds is not in the interval" if seeds[0] == 1 else ""
        said.append(f"The intervals cover other images and other seeds; seeds of each pair: {counted}{but}.")
    if 2 in {gap.seeds for gap in gaps}:
        said.append("Two seeds show little of how seeds vary: where they vary much, such an interval holds with 90 %.")
    if len(gaps) > 1:
        said.append(f"The intervals of all {len(gaps)} differences hold together with 95 %.")
    order = sorted(range(len(comparison.entries)), key=lambda each: -comparison.scores[each].value)
    gap = comparison.difference(order[1], order[0])
    if comparison.units >= FEWEST and (len(gaps) > 1 or gap.significant):  # else the verdict says it
        two = f"{comparison.entries[order[0]].name} and {comparison.entries[order[1]].name}"
        found = findable(gap.detectable).replace(",", f" between {two},")
        found = found if "," in found else f"{found} between {two}"
        said.append(f"{found[0].upper()}{found[1:]} would have been found with a power of 80 %.")
    chosen = [entry.name for entry in comparison.entries if _chose_its_epoch(comparison, entry.name)]
    if chosen:
        which = "every run" if len(chosen) == len(comparison.entries) else listed(chosen[:SHOWN])
        said.append(f"The epoch of {which} was chosen on its validation images, which flatters it slightly.")
    if any(len(entry.runs) > 1 for entry in comparison.entries):
        said.append("Pictures and commands are those of each recipe's first run, never of its luckiest.")
    return said


def _chose_its_epoch(comparison: RunComparison, name: str) -> bool:
    run = next(entry.runs[0] for entry in comparison.entries if entry.name == name)
    return run.recipe.checkpoint.monitor != "last" and (best_epoch(run.metrics, "last") or 0) > 0
