"""What a study says, in words. A verdict is a function of numbers, and appears only when it is so."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.comparison.intervals import Difference
from headstart.comparison.label_efficiency import percent
from headstart.comparison.metric import METRICS, Metric
from headstart.comparison.summary import Result, Results
from headstart.metrics.bootstrap import Interval

FLATTERED = 0.005
"""An optimism of more than this, on average, is worth a sentence."""
QUESTIONS = (("B", "C"), ("D", "E"), ("F", "B"))
"""Pairs that a user asks about whatever their place: supervised or self-supervised, and is BYOL on top worth it?"""
FROZEN = (("D", "B"), ("E", "C"))
"""The same weights, frozen and fine-tuned."""


def headline(results: Results) -> str:
    """The study in one sentence."""
    at = results.at(results.most) if results.most is not None else []
    if not at:
        return "No trial is done yet: figures appear here after the first."
    best, a = at[0], results.get("A", at[0].fraction)
    reached = METRICS[results.study.metric].is_best.format(_percent(best.score.value))
    said = f"{_capital(best.what.doing)} is best with {_share(best)}: {reached}"
    if best is a:
        if any(each.setting not in "AG" for each in at):
            said += ". No pre-training comes above it"
    elif a is None:
        said += ". Training from scratch is not done yet, so there is nothing to compare it with"
    elif best.to_a is not None and best.to_a.significant:
        said += f", {_points(best.to_a.interval.value)} more than from scratch"
    else:
        said += f", but it is not told from training from scratch ({_percent(a.score.value)})"
    worths = [
        each
        for each in results.lines
        if each.label_multiplier is not None and each.label_multiplier.most > 1 and each.setting != "G"
    ]
    helps = [each for each in worths if each.label_multiplier is not None and each.label_multiplier.helps]
    few = max(helps, key=lambda each: (-each.fraction, each.setting == best.setting, each.score.value), default=None)
    if few is not None and few.label_multiplier is not None:
        who = "it" if few.setting == best.setting else few.what.doing
        said += f"; with {_share(few)} {who} is worth {few.label_multiplier.text} times the labels"
    return said + "."


def findings(results: Results) -> list[str]:
    """All that can be said, the most important first."""
    return [
        *of_failures(results),
        *of_best(results),
        *of_questions(results),
        *of_worth(results),
        *of_harm(results),
        *of_frozen(results),
        *of_floor(results),
        *of_choice(results),
        *of_ends(results),
        *of_seeds(results),
        *of_leaks(results),
    ]


def of_failures(results: Results) -> Iterator[str]:
    failed = results.study.failed
    if failed:
        names = sorted({trial.setting for trial in failed})
        yield (
            f"{len(failed)} of {results.study.planned} trials failed ({_and(names)}); the others stand, and the same"
            f" command tries them again. The first says: {failed[0].error}"
        )


def of_best(results: Results) -> Iterator[str]:
    """The best with the most labels, and whether it is told from the next."""
    at = results.at(results.most) if results.most is not None else []
    if len(at) < 2:
        return
    first, second = at[0], at[1]
    apart = results.difference(first.setting, second.setting, first.fraction)
    start = (
        f"With {_share(first)}, {first.what.doing} ({first.setting}) comes first: {_spread(first.score)}, before"
        f" {second.what.doing} ({second.setting}): {_spread(second.score)}."
    )
    yield f"{start} {_told(results, first.setting, second.setting, apart)}" if apart else start


def difference_sentence(
    one: str,
    two: str,
    apart: Difference,
    images: str = "validation images",
    metric: Metric = METRICS["accuracy"],
) -> str:
    """Whether two settings can be told apart by a metric, and what it would take; ``images`` is what judged them."""
    gap = apart.interval
    if apart.significant:
        better, worse = (one, two) if gap.value > 0 else (two, one)
        return f"{better} is told from {worse}: {_points(abs(gap.value))} more ({_ends(gap)})."
    said = f"Cannot tell {one} from {two} with {apart.images:,} {images}"
    if apart.required_images is None:
        return f"{said}: {metric.alike}."
    if apart.required_images > apart.images:
        return f"{said}; about {rounded(apart.required_images):,} would be needed."
    many = f"{apart.seeds} seeds, which scatter" if apart.seeds > 1 else "one seed"
    return f"{said} and {many}: more seeds would help, more images hardly."


def _told(results: Results, one: str, two: str, apart: Difference) -> str:
    study = results.study
    return difference_sentence(
        one, two, apart, "test images" if study.split == "test" else "validation images", METRICS[study.metric]
    )


def of_questions(results: Results) -> Iterator[str]:
    """Supervised against self-supervised weights, and the like; the first pair of all is `of_best`'s."""
    if results.most is None:
        return
    first, what = {each.setting for each in results.at(results.most)[:2]}, results.study.what
    for one, two in QUESTIONS:
        apart = results.difference(one, two, results.most)
        if apart is not None and {one, two} != first:
            pair = f"{_capital(what(one).doing)} ({one}) against {what(two).doing} ({two})"
            share = "all labels" if results.most == 1 else f"{percent(results.most)} of the labels"
            yield f"{pair}, with {share}: {_small(_told(results, one, two, apart))}"


def of_worth(results: Results) -> Iterator[str]:
    """For each setting but the floor the worth at its fewest labels, within the data where there is such a one."""
    if len(results.of("A")) < 2:
        if len(results.lines) > 1 and "A" in results.study.settings and len(results.study.fractions) < 2:
            yield "Worth in labels needs training from scratch with two label fractions or more: --labels 0.1,0.25,1."
        return
    for setting in results.study.settings:
        if setting in "AG":
            continue
        lines = [each for each in results.of(setting) if each.label_multiplier is not None]
        inside = [
            each for each in lines if each.label_multiplier is not None and not each.label_multiplier.beyond.value
        ]
        for line in (inside or lines)[:1]:
            if line.label_multiplier is not None:
                yield line.label_multiplier.sentence(line.what.doing, line.labels, line.fraction)


def of_harm(results: Results) -> Iterator[str]:
    """Settings that are below training from scratch, beyond the interval, said at the most labels where it is so."""
    for setting in results.study.settings:
        lines = [each for each in results.of(setting) if each.to_a is not None and each.to_a.interval.high < 0]
        if setting in "AG" or not lines or lines[-1].to_a is None:
            continue
        line, gap = lines[-1], lines[-1].to_a.interval
        why = "frozen features do not suffice" if line.what.frozen else "pre-training harms"
        also = f"; it is below with {_and([percent(each.fraction) for each in lines[:-1]])} too" if lines[:-1] else ""
        yield (
            f"With {_share(line)} {why}: {line.what.doing} ({setting}) is {_points(-gap.value)} below training from"
            f" scratch ({_ends(gap)}){also}."
        )


def of_frozen(results: Results) -> Iterator[str]:
    """Frozen against fine-tuned, at the fewest and at the most labels that both have."""
    for frozen, tuned in FROZEN:
        common = [each for each in results.of(frozen) if results.difference(frozen, tuned, each.fraction)]
        for line in common if len(common) < 2 else (common[0], common[-1]):
            apart = results.difference(frozen, tuned, line.fraction)
            if apart is None or not apart.significant:
                continue
            gap = apart.interval
            if gap.value > 0:
                yield (
                    f"With {_share(line)} freeze the backbone: {frozen} is {_points(gap.value)} above {tuned}, which"
                    f" trains all of it ({_ends(gap)})."
                )
            else:
                yield (
                    f"With {_share(line)} training the whole backbone pays: {tuned} is {_points(-gap.value)} above"
                    f" {frozen}, which freezes it ({_ends(gap)})."
                )


def of_floor(results: Results) -> Iterator[str]:
    """What random features reach against guessing, and what frozen features reach against random ones."""
    floor = results.of("G")[-1:]
    for line in floor:
        chance, guess = results.study.majority_baseline, METRICS[results.study.metric].guess
        reached = f"{line.what.doing} (G) reaches {_spread(line.score)}, {guess} {_percent(chance)}."
        if line.score.low > chance:
            yield f"The floor is above guessing: {reached} So much of D and E needs no pre-training."
        elif line.score.high < chance:
            yield f"The floor is below guessing: {reached}"
        for setting in ("D", "E"):
            apart = results.difference(setting, "G", line.fraction)
            if apart is not None and apart.interval.low <= 0:
                yield (
                    f"{_capital(results.study.what(setting).doing)} ({setting}) is not shown to be above the floor (G):"
                    f" {_told(results, setting, 'G', apart)}"
                )


def of_choice(results: Results) -> Iterator[str]:
    """What choosing on the images that judge would have flattered."""
    known = [trial.optimism for trial in results.study.trials if trial.optimism is not None]
    if not known:
        return
    mean = sum(known) / len(known)
    start = "The epoch was chosen by images that did not judge it; choosing it by those that do would have shown"
    if mean > FLATTERED:
        yield f"{start} {_points(mean)} too much, on average over the trials."
    else:
        yield f"{start} hardly more ({_points(mean)}, on average over the trials)."


def of_ends(results: Results) -> Iterator[str]:
    """Which settings chose the largest or smallest learning rate of those tried: the best may lie beyond."""
    chosen = {trial.setting: (trial.chosen["lr"], trial.tried) for trial in results.study.trials if trial.tried}
    for which, end, beyond in (("largest", max, "larger"), ("smallest", min, "smaller")):
        at_end = {setting: lr for setting, (lr, tried) in sorted(chosen.items()) if lr == end(tried)}
        for lr in sorted(set(at_end.values())):
            settings = _and([setting for setting, each in at_end.items() if each == lr])
            yield (
                f"The learning rate chosen for {settings} is the {which} of those tried ({lr:g}): a {beyond} one may do"
                f" better. optimizer.lr={lr:g} tries around it."
            )


def of_seeds(results: Results) -> Iterator[str]:
    """One seed says nothing of seeds."""
    lines = results.lines
    single = [line for line in lines if line.seeds == 1]
    if single and len(single) == len(lines):
        only = "the intervals hold the chance of the images only, not that of the training."
        if len(results.study.seeds) == 1:
            yield f"One seed for each trial: {only} Three seeds would show how much a result owes to luck."
        else:
            yield f"One seed so far: {only} The next seeds show how much a result owes to luck."
    elif single:
        yield f"{len(single)} of {len(lines)} lines rest on one seed so far: their intervals hold only images' chance."


def of_leaks(results: Results) -> Iterator[str]:
    """How many images pre-training did without, so that it has not seen what the study is judged by."""
    for left in results.study.excluded:
        if left.images:
            yield (
                f"Left out of pre-training: {left.images:,} of {left.of:,} training images of {left.folder}, which are,"
                " or look like, images that the study is judged by."
            )
        else:
            yield (
                f"None of the {left.of:,} training images of {left.folder} is, or looks like, an image that the study"
                " is judged by."
            )


def rounded(number: int) -> int:
    """To two figures: 7013 -> 7000."""
    return round(number, 2 - len(str(number)))


def _share(line: Result) -> str:
    if line.fraction == 1:
        return f"all {line.labels:,} labels"
    return f"{percent(line.fraction)} of the labels ({line.labels:,})"


def _spread(interval: Interval) -> str:
    return f"{_percent(interval.value)} ({_percent(interval.low)} to {_percent(interval.high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _ends(gap: Interval) -> str:
    """The ends of the interval of a difference that leaves out 0, as points and without their sign."""
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _small(text: str) -> str:
    """For the middle of a sentence; a letter that names a setting stays as it is."""
    return text[0].lower() + text[1:] if text[1].islower() else text


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
