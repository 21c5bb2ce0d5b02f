"""No sentence, table or page claims what a confidence interval denies, over many made-up studies."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from rich.console import Console

from headstart.comparison.answer import candidates, headline, how_sure
from headstart.comparison.findings import findings, multiplier_sentence
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.console.tables import study_table
from headstart.report.study_page import study_page

pytestmark = pytest.mark.slow

MadeStudy = Callable[..., Study]


@pytest.fixture(scope="module")
def studies(made_study: MadeStudy) -> list[Results]:
    """Studies whose settings lie close together or far apart, over few images and many, one seed and three."""
    random = np.random.default_rng(0)
    made = []
    for number in range(24):
        right = dict(zip("ABCDEG", 0.6 + random.choice([0.01, 0.03, 0.1]) * random.standard_normal(6), strict=True))
        study = made_study(
            settings="ABCDEG",
            fractions=(0.1, 1.0),
            seeds=(0,) if number % 3 == 0 else (0, 1, 2),
            images=(40, 200, 1000)[number % 3],
            right=right,
        )
        made.append(Results(study, resamples=300))
    return made


def comparisons(results: Results) -> Iterator[tuple[str, str, str]]:
    """Each 'X beats Y by n points' of headline and findings: X, Y, n."""
    name = r"([A-G])(?: \([^)]*\))?"
    for sentence in (headline(results), *findings(results)):
        yield from re.findall(rf"{name} beats {name} by ([\d.]+) points", sentence)


def test_whatever_beats_another_does_so_significantly(studies: list[Results]) -> None:
    found = 0
    for results in studies:
        for one, two, gap in comparisons(results):
            differences = [results.difference(one, two, fraction) for fraction in results.study.fractions]
            assert any(
                each and each.interval.low > 0 and f"{100 * each.interval.value:.{len(gap.partition('.')[2])}f}" == gap
                for each in differences
            ), (one, two, gap)
            found += 1
    assert found > len(studies)


def test_the_headline_calls_best_only_what_beats_every_other(studies: list[Results]) -> None:
    winners = 0
    for results in studies:
        first, *others = results.at(1.0)
        gaps = [results.difference(first.setting, each.setting, 1.0) for each in others]
        said = headline(results)
        alone = all(gap is not None and gap.interval.low > 0 for gap in gaps)
        assert ("best" in said) == alone
        winners += alone
    assert 0 < winners < len(studies), "both cases occur"


def test_those_to_use_are_the_ones_that_none_beats_and_do_not_differ(studies: list[Results]) -> None:
    for results in studies:
        kept = [each.setting for each in candidates(results)]
        said = headline(results)
        for each in results.at(1.0):
            gaps = [results.difference(other.setting, each.setting, 1.0) for other in results.at(1.0) if other != each]
            assert (each.setting in kept) == (not any(gap is not None and gap.interval.low > 0 for gap in gaps))
            assert (f"{each.setting} (" in said.partition("use ")[2].partition(":")[0]) == (each.setting in kept)
        for one, two in itertools.combinations(kept, 2):
            gap = results.difference(one, two, 1.0)
            assert gap is not None
            assert not gap.significant
        assert ("they do not differ significantly." in said) == (len(kept) > 1)


def test_what_all_gain_over_scratch_is_significant_for_each(studies: list[Results]) -> None:
    several = 0
    for results in studies:
        said = headline(results)
        (found,) = re.findall(r"(Both|[A-G](?:, [A-G])* and [A-G]) beat A", said) or [""]
        named = [each.setting for each in candidates(results)] if found == "Both" else re.findall("[A-G]", found)
        for setting in named:
            gap = results.difference(setting, "A", 1.0)
            assert gap is not None
            assert gap.interval.low > 0
        several += bool(found)
        for setting in re.findall(r"([B-G]) does not differ significantly from A", said):
            gap = results.difference(setting, "A", 1.0)
            assert gap is not None
            assert not gap.significant
        assert all("beats" not in each and "best" not in each for each in how_sure(results))
    assert several


def test_a_headline_of_settings_without_a_common_seed_names_no_best(made_study: MadeStudy) -> None:
    said = headline(Results(made_study("AB", skip=lambda s, f, k: (s == "A") == (k == 0))))
    assert "has the highest accuracy so far" in said
    assert "have no seed in common yet, and are not compared" in said
    assert "best" not in said
    assert "use " not in said


def test_a_label_multiplier_is_significant_only_where_delta_vs_a_is(studies: list[Results]) -> None:
    seen = {True: 0, False: 0}
    for results in studies:
        for row, result in ((row, results.get(row["setting"], row["label_fraction"])) for row in table_rows(results)):
            assert result is not None
            if result.to_a is None or result.label_multiplier is None:
                continue
            gap, multiplier = result.to_a.interval, result.label_multiplier
            assert row["label_multiplier_significant"] == result.multiplier_significant
            assert row["delta_vs_a_significant"] == (gap.low > 0 or gap.high < 0)
            if result.multiplier_significant:
                assert row["delta_vs_a_significant"]
                assert multiplier.above_one if gap.value > 0 else multiplier.below_one
            said = multiplier_sentence(result)
            assert ("not distinguishable from training from scratch" in said) != result.multiplier_significant
            assert not re.search(r"falls short|equals|worth", said)
            seen[result.multiplier_significant] += 1
    assert min(seen.values()) > 0


@pytest.mark.slow
def test_tables_write_not_significant(studies: list[Results]) -> None:
    for results in studies:
        hidden = [each for each in results.lines if each.label_multiplier and not each.multiplier_significant]
        console = Console(width=110)
        with console.capture() as captured:
            console.print(study_table(results))
        assert captured.get().count("n.s. (") == len(hidden)
        page = html.unescape(study_page(results, "runs/study").decode())
        table = re.findall(r'<table id="trials".*?</table>', page, flags=re.DOTALL)[0]
        assert table.count(">n.s.<br>") == len(hidden)


def test_every_comparison_that_is_drawn_is_of_the_family(studies: list[Results]) -> None:
    """And its simultaneous interval is the wider one, never of zero width."""
    for results in studies:
        drawn = {(line.setting, "A", line.fraction) for line in results.lines if line.to_a}
        assert drawn <= set(results.family)
        assert 0.05 / len(results.family) <= results.level < 0.05
        for key in results.family:
            gap = results.difference(*key)
            assert gap is not None
            assert gap.interval.low <= gap.pointwise.low <= gap.value <= gap.pointwise.high <= gap.interval.high
            assert gap.interval.low < gap.interval.high


@pytest.mark.parametrize("images", [100, 9000])
def test_equivalence_is_claimed_only_where_the_interval_fits_the_margin(made_study: MadeStudy, images: int) -> None:
    results = Results(made_study("ABF", (1.0,), tuple(range(6)), images, right={"F": 0.76}), resamples=200)
    gap = results.difference("F", "B", 1.0)
    assert gap is not None
    said = " ".join(findings(results))
    assert gap.within(0.02) == (images == 9000)
    assert ("within 2 points" in said) == gap.within(0.02)
    assert "the same." not in said


def test_harm_is_claimed_only_below_zero(studies: list[Results]) -> None:
    for results in studies:
        for setting in re.findall(r"([A-G]) \([^)]*\) is below A", " ".join(findings(results))):
            assert any(each.to_a is not None and each.to_a.interval.high < 0 for each in results.of(setting))


def test_the_sentence_of_a_multiplier_whose_interval_includes_one(made_study: MadeStudy) -> None:
    results = Results(made_study("AC", fractions=(0.1, 1.0), images=100, right={"C": 0.58}))
    result = results.get("C", 0.1)
    assert result is not None
    assert multiplier_sentence(result).endswith(
        "): not distinguishable from training from scratch on the same 200 labels."
    )
