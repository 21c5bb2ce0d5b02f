"""Forecasts recover curves of known families, hold on simulated ones, and refuse what bends or has few points."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import binom, norm

from headstart.comparison.findings import findings
from headstart.comparison.forecast import HORIZON, Declined, Forecast, forecast
from headstart.comparison.forecast_curves import FAMILIES, Family, fit
from headstart.comparison.forecast_findings import forecast_sentence, next_target
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.metrics.bootstrap import Floats
from headstart.report.study_plots import label_lines, over_labels

LABELS = (50, 80, 130, 210, 340, 550)
CURVES: dict[str, Callable[[Floats], Floats]] = {  # error over labels, from 50 to 2,200
    "power law with offset": lambda n: 0.1 + 0.5 * (n / 50) ** -0.5,
    "exponential": lambda n: 0.15 + 0.6 * np.exp(-n / 250),
    "Weibull": lambda n: 0.1 + 0.8 * np.exp(-((n / 150) ** 0.4)),
    "MMF": lambda n: 0.1 + 0.8 / (1 + (n / 100) ** 0.8),
}
MadeStudy = Callable[..., Study]


def simulated(scores: Sequence[float], random: np.random.Generator, images: int = 1500, seeds: int = 3) -> Floats:
    """Right (1) and wrong (0) of each seed and image, (S, N) for each score: hard images, bad draws."""
    easy = np.sqrt(0.6) * random.standard_normal(images)
    latent = easy + np.sqrt(0.398) * random.standard_normal((len(scores), seeds, images))
    latent += np.sqrt(0.002) * random.standard_normal((len(scores), seeds, 1))
    return np.array([x < norm.ppf(score) for x, score in zip(latent, scores, strict=True)], dtype=np.float64)


def forecast_from(scores: Sequence[float], random: np.random.Generator) -> Forecast | Declined:
    return forecast(LABELS, simulated(scores, random))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_curve_of_each_family_is_recovered_by_its_fit(family: Family) -> None:
    n = np.array(LABELS, dtype=float)
    curve = CURVES[family.name]
    found = fit(family, n / n[0], curve(n), np.full(len(n), 0.001))
    assert family.error(found, np.array([2200 / 50])) == pytest.approx(curve(np.array([2200.0])), abs=0.01)
    assert family.error(found, n / n[0]) == pytest.approx(curve(n), abs=0.003)


@pytest.mark.slow
def test_the_interval_holds_on_simulated_curves() -> None:
    """Four families, four times the labels: the 80 % interval holds in about 80 %, and beats the last point."""
    random, held, off, last, count = np.random.default_rng(0), 0, [], [], 0
    for curve in CURVES.values():
        for _ in range(4):
            found = forecast_from((1 - curve(np.array(LABELS, dtype=float))).tolist(), random)
            assert isinstance(found, Forecast)
            truth, score = 1 - float(curve(np.array(2200.0))), found.at(2200)
            held += score.low <= truth <= score.high
            off.append(abs(score.value - truth))
            last.append(abs(found.at(550).value - truth))
            count += 1
    assert binom.ppf(0.005, count, 0.75) <= held
    assert np.median(off) < 0.03
    assert np.median(off) < np.median(last) / 2


@pytest.mark.parametrize("fall", [(4, 0.15), (5, 0.15), (2, 0.2)])
def test_a_curve_that_bends_is_refused(fall: tuple[int, float]) -> None:
    at, by = fall
    scores = 1 - CURVES["MMF"](np.array(LABELS, dtype=float))
    scores[at] -= by
    found = forecast_from(scores.tolist(), np.random.default_rng(1))
    assert isinstance(found, Declined)
    assert "bends" in found.reason


@pytest.mark.slow
def test_a_curve_that_rises_is_rarely_refused() -> None:
    scores = np.full(len(LABELS), 0.7)  # the hardest of those that do not fall
    scores[0] = 0.68
    refused = [isinstance(forecast_from(scores.tolist(), np.random.default_rng(seed)), Declined) for seed in range(8)]
    assert sum(refused) <= 2


def test_few_label_fractions_have_no_forecast() -> None:
    each = simulated((0.5, 0.6, 0.7), np.random.default_rng(0))
    found = forecast((100, 200, 400), each)
    assert found == Declined("a forecast needs 4 label fractions, found 3")


def test_label_counts_increase() -> None:
    with pytest.raises(ValueError, match="increasing label counts"):
        forecast((100, 100, 200, 400), simulated((0.5,) * 4, np.random.default_rng(0)))


def test_sentences_promise_what_the_interval_holds() -> None:
    """Made forecasts, with draws that reach a target near, far or never."""
    random, seen = np.random.default_rng(0), set()
    for _ in range(300):
        grid = np.geomspace(1000, 1000 * HORIZON, 40)
        rise = np.exp(random.normal(-3, 2)) * np.exp(random.normal(0, 0.8, (100, 1)))
        found = Forecast(grid, np.minimum(0.79 + rise * np.log(grid / 1000), 1), 0.0, {})
        said = forecast_sentence("B (fine-tune supervised)", found, 0.85)

        def reach(more: float, draws: Floats = found.draws, grid: Floats = grid) -> float:
            """The share of the draws that reach the target with so many more labels."""
            return float(np.mean([np.interp(np.log(1000 + more), np.log(grid), row) >= 0.85 for row in draws]))

        everything = reach(9000)
        if "is not reachable" in said:
            assert everything <= 0.1, said
            seen.add("not reachable")
        elif "probably does not reach" in said:
            assert 0.1 <= everything <= 0.5, said
            assert reach(0.99 * _number(said, r"interval ([\d,]+) or more")) <= 0.1, said
            seen.add("probably not")
        else:
            about, low, high = (_number(said, of) for of in (r"about ([\d,]+)", r"l ([\d,]+) to", r"([\d,]+)\) for"))
            assert reach(0.94 * about - 1) <= 0.5 <= reach(1.06 * about + 1), said
            assert reach(0.99 * low - 1) <= 0.1, said
            if "more than" in said:
                assert everything < 0.91, said
            else:
                assert reach(high) >= 0.89, said
            seen.add("more than" if "more than" in said else "interval")
    assert seen == {"not reachable", "probably not", "more than", "interval"}


def _number(said: str, pattern: str) -> int:
    found = re.search(pattern, said)
    assert found is not None, said
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize(
    ("best", "target"), [(0.78, 0.8), (0.8, 0.85), (0.949, 0.95), (0.95, 0.96), (0.99, None), (0, 0.05)]
)
def test_the_target_is_the_next_round_score(best: float, target: float | None) -> None:
    assert next_target(best) == target


def test_a_study_of_four_fractions_says_how_many_more_labels(made_study: MadeStudy) -> None:
    said = findings(Results(made_study("ABG", (0.1, 0.25, 0.5, 1.0))))
    found = [each for each in said if each.startswith("Forecast: ")]
    assert len(found) == 2
    assert all("80 % interval" in each or "is not reachable with" in each for each in found)


def test_the_plot_continues_each_line_dotted(made_study: MadeStudy) -> None:
    results = Results(made_study("ABG", (0.1, 0.25, 0.5, 1.0)))
    dotted = {each.name: each for each in label_lines(results) if "forecast" in each.name}
    assert list(dotted) == ["A, forecast", "B, forecast"]
    for each in dotted.values():
        assert each.x[0] == pytest.approx(2000)
        assert 7500 < each.x[-1] <= 8000
        assert all(
            value is not None and low <= value <= high
            for value, low, high in zip(each.y, each.low, each.high, strict=True)
        )
    assert over_labels(results).count('stroke-dasharray:2 4"') == 2 * 2, "on wide screens and on telephones"
    assert len(label_lines(Results(made_study("ABG", (0.1, 0.25, 1.0))))) == 3


def test_a_study_whose_curve_bends_says_so(made_study: MadeStudy) -> None:
    study = made_study("AB", (0.1, 0.25, 0.5, 1.0))
    worst = {"correct": np.zeros(400, dtype=bool)}
    trials = [t.model_copy(update=worst if (t.setting, t.fraction) == ("B", 0.5) else {}) for t in study.trials]
    said = findings(Results(study.model_copy(update={"trials": tuple(trials)})))
    (declined,) = [each for each in said if each.startswith("No forecast")]
    assert "B (fine-tune supervised): its label curve bends" in declined


def test_a_target_is_forecast_in_sentences_and_columns(made_study: MadeStudy) -> None:
    """Numbers of the table are those of `forecast` itself, rounded; what was measured already needs no forecast."""
    fractions = (0.1, 0.25, 0.5, 1.0)
    study = made_study("ABG", fractions, target=0.7)
    results = Results(study)
    table = {(row["setting"], row["label_fraction"]): row for row in table_rows(results)}
    assert all(row["more_labels"] is None for key, row in table.items() if key[1] < 1 or key[0] == "G")
    assert (table["B", 1.0]["more_labels"], table["B", 1.0]["forecast"]) == (0, "reached")
    assert any(
        said.startswith("B (fine-tune supervised) reaches 70.0 % accuracy with all") for said in findings(results)
    )
    each = np.array([[t.each for t in study.at("A", f)] for f in fractions], dtype=float)
    needed = forecast([200, 500, 1000, 2000], each)
    assert isinstance(needed, Forecast)
    at = needed.labels_needed(0.7)
    a = table["A", 1.0]
    assert a["target"] == 0.7
    for column, value in (("more_labels", at.value), ("more_labels_low", at.low), ("more_labels_high", at.high)):
        assert a[column] == (None if np.isinf(value) else round(value - 2000))
    assert a["forecast"] == ("not reachable" if np.isinf(at.low) else "beyond" if np.isinf(at.value) else "forecast")
    few = Results(made_study("AB", (0.25, 1.0), target=0.95))
    assert any("No forecast" in said and "needs 4 label fractions, found 2" in said for said in findings(few))
    assert {row["forecast"] for row in table_rows(few)} == {None, "none: a forecast needs 4 label fractions, found 2"}


@pytest.mark.slow
def test_images_of_one_group_widen_the_interval() -> None:
    """Each image ten times, as a group: as uncertain as once, and wider than ten times as many images."""
    few = simulated((1 - CURVES["MMF"](np.array(LABELS, dtype=float))).tolist(), np.random.default_rng(2), images=100)
    once, alone, grouped = (
        forecast(LABELS, each, groups)
        for each, groups in ((few, None), (few.repeat(10, 2), None), (few.repeat(10, 2), np.arange(100).repeat(10)))
    )
    assert isinstance(once, Forecast)
    assert isinstance(alone, Forecast)
    assert isinstance(grouped, Forecast)
    assert np.allclose(grouped.draws, once.draws)
    assert np.ptp(grouped.band()[1:], axis=0)[0] > 1.5 * np.ptp(alone.band()[1:], axis=0)[0]
