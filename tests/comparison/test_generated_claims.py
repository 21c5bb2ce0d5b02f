"""No sentence claims what an interval denies, over generated studies and races of every shape."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.comparison.answer import candidates, headline, how_sure
from headstart.comparison.findings import findings
from headstart.comparison.race_findings import findings as race_findings
from headstart.comparison.race_findings import headline as race_headline
from headstart.comparison.race_results import RaceResults
from headstart.comparison.summary import Results
from headstart.comparison.warnings import warnings
from headstart.comparison.wording import gap_with_ci
from headstart.palette import Palette
from headstart.runs.confusion import MaskConfusions
from made_race import make_race
from made_study import make_study

NAME = r"([A-G])(?: \([^)]*\))?"
CLAIMS = (
    "it beats training from scratch on",
    "training from scratch needs fewer labels",
    "training from scratch needs more labels",
    "it matches training from scratch",
)
generated = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@st.composite
def studies(draw: st.DrawFn) -> Results:
    """A study of any settings, near or far apart, with failed and missing trials, of classes or masks."""
    chosen = [
        *draw(st.sampled_from(("A", "A", ""))),
        *draw(st.lists(st.sampled_from("BCDEFG"), max_size=3, unique=True)),
    ]
    chosen = chosen or ["A"]
    lost = draw(st.sets(st.tuples(st.sampled_from(chosen), st.sampled_from((0.1, 1.0)), st.integers(0, 2)), max_size=5))
    failed = draw(st.sampled_from(sorted(lost))) if lost else None
    more: dict[str, Any] = {"split": draw(st.sampled_from(("val", "test")))}
    study = make_study(
        settings="".join(sorted(chosen)),
        fractions=draw(st.sampled_from(((1.0,), (0.1, 1.0)))),
        seeds=draw(st.sampled_from(((0,), (0, 1, 2)))),
        images=draw(st.sampled_from((30, 300))),
        skip=lambda *trial: trial in lost and trial != failed,
        fail=lambda *trial: trial == failed,
        right={each: draw(st.sampled_from((0.4, 0.5, 0.53, 0.6, 0.75, 0.9))) for each in chosen},
        masks=draw(st.booleans()),
        **more,
    )
    return Results(study, resamples=100)


def above(results: Results, one: str, two: str, fraction: float) -> bool:
    gap = results.difference(one, two, fraction)
    return gap is not None and gap.interval.low > 0


def test_no_sentence_of_a_study_claims_what_its_interval_denies() -> None:
    found: Counter[str] = Counter()

    @generated
    @given(studies())
    def check(results: Results) -> None:
        said = [headline(results), *how_sure(results), *findings(results)]
        fractions = results.study.fractions
        for one, two in re.findall(rf"{NAME} beats {NAME} by", " ".join(said)):
            assert any(above(results, one, two, each) for each in fractions), (one, two)
            found["beats"] += 1
        for one, two in re.findall(rf"{NAME} is below {NAME} by", " ".join(said)):
            assert any(above(results, two, one, each) for each in fractions), (one, two)
            found["below"] += 1
        if "best" in said[0]:
            first, *others = results.at(max(each.fraction for each in results.lines))
            assert all(above(results, first.setting, each.setting, first.fraction) for each in others)
            found["best"] += 1
        for each in said:
            assert not re.search(r"\bworth\b|times (as|better|more)", each)
            if any(claim in each for claim in CLAIMS):
                setting, labels = re.findall(rf"^{NAME} with .*?([\d,]+)(?: labels|\))", each)[0]
                of = [row for row in results.of(setting) if f"{row.labels:,}" == labels]
                assert [row.multiplier_significant for row in of] == [True], each
                found["multiplier"] += 1
        if not results.scratch_learned:
            assert "would score above A" not in " ".join(said)

    check()
    assert min(found[each] for each in ("beats", "below", "best", "multiplier")) > 0, found


def test_no_two_findings_of_a_study_advise_opposites() -> None:
    found: Counter[str] = Counter()

    @generated
    @given(studies())
    def check(results: Results) -> None:
        said = findings(results)
        assert len(set(said)) == len(said)
        used = {each.setting for each in candidates(results)}
        most = results.largest_fraction
        labels = next((f"{each.labels:,}" for each in results.lines if each.fraction == most), "")
        for each in said:
            here = f"{labels} labels" in each.partition(":")[0] or "with all labels" in each.partition(":")[0]
            beaten = re.findall(rf"{NAME} beats {NAME} by", each) + [
                (two, one) for one, two in re.findall(rf"{NAME} is below {NAME} by", each)
            ]
            if here:
                assert not {worse for _, worse in beaten} & used, each
                found["here"] += bool(beaten)

    check()
    assert found["here"], found


@pytest.mark.parametrize("ends", [(True, True), (True, False), (False, True), (False, False)])
def test_a_setting_is_not_told_to_learn_both_faster_and_slower(ends: tuple[bool, bool]) -> None:
    grid = (1e-4, 1e-3, 1e-2)
    study = make_study("AB", fractions=(0.1, 1.0))
    ends_of = {0.1: grid[0] if ends[0] else grid[1], 1.0: grid[2] if ends[1] else grid[1]}
    trials = [
        each.model_copy(
            update={"tried": grid, "chosen": {"lr": ends_of[each.fraction] if each.setting == "B" else 1e-3}}
        )
        for each in study.trials
    ]
    said = " ".join(warnings(Results(study.model_copy(update={"trials": tuple(trials)}), resamples=50)))
    assert ("a larger one may be better" in said) == (ends == (False, True))
    assert ("a smaller one may be better" in said) == (ends == (True, False))
    assert ("a wider grid" in said) == all(ends)


@st.composite
def races(draw: st.DrawFn) -> RaceResults:
    shares = st.sampled_from((0.3, 0.5, 0.55, 0.7, 0.72, 0.9))
    names = ["one", "two", "three"][: draw(st.integers(1, 3))]
    frozen = {each: draw(shares) for each in names}
    tuned = {each: draw(shares) for each in names[:2]} if len(names) > 1 and draw(st.booleans()) else None
    return make_race(frozen, tuned, images=draw(st.sampled_from((60, 400))))


def test_no_sentence_of_a_race_claims_what_its_interval_denies() -> None:
    found: Counter[str] = Counter()

    @generated
    @given(races())
    def check(results: RaceResults) -> None:
        first, said = race_headline(results), race_findings(results)
        decisive, winner = results.decisive, results.winner
        if decisive is None or winner is None:
            return
        lows = [decisive.difference(winner, each).low for each in decisive.names if each != winner]
        assert ("is best" in first) == (bool(lows) and min(lows) > 0)
        found["best"] += "is best" in first
        for one, two in re.findall(r"(\w+) is significantly better than your recipe's default (\w+)", " ".join(said)):
            compared = results.compared(one, two)
            assert compared is not None
            assert compared.difference(one, two).low > 0
            found["default"] += 1
        for one, two, gap in re.findall(r"(\w+) beats (\w+) by ([^;.]*(?:\.\d[^;.]*)*)", " ".join(said)):
            gaps = [each for each in (results.final, *results.rounds) if each and {one, two} <= set(each.names)]
            assert any(each.difference(one, two).low > 0 for each in gaps), (one, two, gap)
            found["beats"] += 1
        for each in results.rounds:
            for name in each.dropped:
                assert any(each.difference(other, name).low > 0 for other in each.names if other != name)
                found["dropped"] += 1
        for line in results.lines():
            word = results.outcome(line)
            assert (word == "best") == (line.name == winner and "is best" in first)
            assert word in ("best", "highest") or line.name != winner
            assert line.dropped or word != "dropped"

    check()
    assert min(found[each] for each in ("best", "default", "dropped")) > 0, found


@generated
@given(st.lists(st.integers(0, 60), min_size=27, max_size=27))
def test_the_baseline_of_masks_is_over_the_classes_of_the_mean(pixels: list[int]) -> None:
    """Also where a class occurs nowhere, or is predicted where there is none of it."""
    confusion = np.array(pixels).reshape(3, 3, 3) * np.array([1, 0, 1])[:, None]  # truth of class 1: none
    if not confusion.sum(axis=(0, 2)).any():
        return
    palette = Palette(("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), (0, 1, 2), "number")
    confusions = MaskConfusions(("x", "y", "z"), confusion, palette)
    total = confusion.sum(axis=0)
    counted = [i for i in range(3) if total[i].sum() + total[:, i].sum()]  # those in the run's mean
    truth = total.sum(axis=1)
    ious = [truth[i] / truth.sum() if i == truth.argmax() else 0.0 for i in counted]
    assert confusions.constant == pytest.approx(np.mean(ious))


def test_the_words_of_a_gap_are_those_that_the_checks_look_for() -> None:
    results = Results(make_study("AB"), resamples=50)
    gap = results.difference("B", "A", 1.0)
    assert gap is not None
    assert f"beats A (from scratch) by {gap_with_ci(gap.interval)}" in headline(results)


@generated
@given(studies())
def test_what_is_not_compared_is_not_told_and_chance_adds_nothing_negative(results: Results) -> None:
    said = headline(results)
    at = results.at(results.largest_fraction) if results.largest_fraction is not None else []
    trained_before = [each for each in at if each.setting not in "AG"]
    if "No pre-training scores significantly higher" in said:
        assert trained_before
        assert all(each.to_a is not None and not each.to_a.interval.low > 0 for each in trained_before)
    assert not any(re.search(r"adds about (-|0\.0 )", each) for each in findings(results))
    assert ("failed" in said) == (not at and bool(results.study.failed))
