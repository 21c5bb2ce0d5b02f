"""Sentences on a race of backbones, which promise no more than its intervals."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.comparison.race_results import RaceResults, Round
from headstart.comparison.wording import difference_sentence, gap_with_ci, listed, percent, points
from headstart.metrics.written import score_with_ci


def headline(results: RaceResults) -> str:
    """Which backbone to use, and whether it is significantly better than what was compared with it last."""
    race, winner, found = results.race, results.winner, results.decisive
    if winner is None or found is None:
        return "No backbone has a result yet."
    reached = f"{_how(results, found)} {score_with_ci(found.score(winner))}"
    others = [name for name in found.names if name != winner]
    ties = [name for name in others if found.difference(winner, name).low <= 0]
    if not others:
        return f"{winner} is the backbone to use: it {reached}."
    if not ties:
        return f"{winner} is best: it {reached}, significantly more than {listed(others)}."
    text = f"{winner} scores highest: it {reached}, but does not differ significantly from {listed(ties)}"
    return f"{text} on {len(race.trials[0].correct):,} {_images(results)}."


def findings(results: RaceResults) -> list[str]:
    """All findings, the most important first."""
    return [
        *of_default(results),
        *of_last_two(results),
        *of_freezing(results),
        *of_dropped(results),
        *of_failures(results),
        *of_logme(results),
        *of_note(results),
    ]


def of_default(results: RaceResults) -> Iterator[str]:
    """The winner against the recipe's own backbone."""
    winner, default = results.winner, results.default
    if winner is None or default is None:
        return
    if winner == default:
        yield f"Your recipe's default, {default}, scores highest: there is no reason to change it."
        return
    found = results.compared(winner, default)
    if found is None:
        return
    gap, where = found.difference(winner, default), _where(results, found)
    if gap.low > 0:
        yield f"{winner} is significantly better than your recipe's default {default}: by {gap_with_ci(gap)}, {where}."
    else:
        yield f"Against your recipe's default, {where}: {_sentence(results, found, winner, default)}"


def of_last_two(results: RaceResults) -> Iterator[str]:
    """The last two, fine-tuned or not, unless `of_default` was about them."""
    found = results.decisive
    if found is None or len(found.names) < 2:
        return
    first, second = found.ranking[:2]
    if results.default not in (first, second) or results.winner == results.default:
        yield f"The first two, {_where(results, found)}: {_sentence(results, found, first, second)}"


def of_freezing(results: RaceResults) -> Iterator[str]:
    """That fine-tuned networks score below frozen ones."""
    if results.final is not None and results.decisive is not results.final:
        best = results.final.ranking[0]
        yield (
            f"Fine-tuned, the last two stay below the frozen features, {best} at"
            f" {score_with_ci(results.final.score(best))}: the trainings are too short, or the labels too few. A larger"
            " --budget in another --out trains longer."
        )


def of_dropped(results: RaceResults) -> Iterator[str]:
    """Who was dropped in which round, and by how much it is worse."""
    for each in results.rounds:
        if each.dropped:
            best = each.ranking[0]
            named = [f"{name} by {gap_with_ci(each.difference(best, name))}" for name in each.dropped]
            tuned = [name for name in each.dropped if results.final is not None and name in results.final.names]
            anyway = f" {listed(tuned)} was fine-tuned all the same, as the second of the last two." if tuned else ""
            yield f"Dropped, {_where(results, each)}, as significantly worse than {best}: {listed(named)}.{anyway}"


def of_failures(results: RaceResults) -> Iterator[str]:
    """Backbones that could not take part."""
    for each in results.race.backbones:
        if each.error is not None:
            yield f"{each.name} did not take part: {each.error.rstrip('.?')}."


def of_logme(results: RaceResults) -> Iterator[str]:
    """What LogME guessed, and how far it was off."""
    error = results.logme_error
    if error is None:
        return
    first = results.rounds[0]
    guess, best = first.names[error.first], first.ranking[0]
    chosen = "the best" if guess == best else f"{points(error.regret)} below {best}"
    yield (
        f"LogME, which guesses without training, orders the {len(first.names)} backbones with a Kendall's tau of"
        f" {error.tau:.2f} to the accuracies measured {_where(results, first)}; its first, {guess}, is {chosen}."
    )


def of_note(results: RaceResults) -> Iterator[str]:
    """What is left undone."""
    if results.race.note:
        yield f"Not finished: {results.race.note}."


def _sentence(results: RaceResults, found: Round, one: str, other: str) -> str:
    pair = found.pair(one, other)
    first, second = (name for name in found.names if name in (one, other))
    return difference_sentence(first, second, pair, _images(results), results.race.margin)


def _images(results: RaceResults) -> str:
    return "test images" if results.race.split == "test" else "validation images"


def _how(results: RaceResults, found: Round) -> str:
    if found is results.final:
        return "reaches, fine-tuned,"
    return f"reaches, with frozen features and {_labels(found)},"


def _where(results: RaceResults, found: Round) -> str:
    return "fine-tuned" if found is results.final else f"with frozen features and {_labels(found)}"


def _labels(found: Round) -> str:
    return f"all {found.labels:,} labels" if found.fraction == 1 else f"{percent(found.fraction)} of the labels"
