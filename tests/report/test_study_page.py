"""The study's page says what `study.json` holds, in every state of the study."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from command import headstart
from headstart.comparison.answer import brief, candidates, headline
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.console.tables import study_table
from headstart.metrics.written import ends as plain_ends
from headstart.report.page_formats import ends, points
from headstart.report.study_page import seconds_spent, write_study_page
from headstart.report.study_plots import over_labels, pareto
from pages import assert_loads_nothing, visible

pytestmark = pytest.mark.slow

MadeStudy = Callable[..., Study]
HOSTILE = "<script>alert('x')</script>\"&é"


def page(study: Study, folder: Path) -> str:
    (folder / "study.json").write_text(study.to_json(), encoding="utf-8")
    return write_study_page(folder).read_text(encoding="utf-8")


def test_headline_table_and_costs_are_there(made_study: MadeStudy, tmp_path: Path) -> None:
    study = made_study()
    seen = visible(page(study, tmp_path))
    results = Results(study)
    assert headline(results) in seen
    assert "63 of 63 trials done." in seen
    line = results.get("B", 0.25)
    assert line is not None
    assert line.to_a is not None
    assert line.label_multiplier is not None
    row = (
        f"B fine-tune supervised 25 % 500 {100 * line.score.value:.1f} {plain_ends(line.score, 1)}"
        f" {points(line.to_a.interval.value)} {ends(line.to_a.interval, True)}"
        f" {line.label_multiplier.text} × {line.label_multiplier.interval_text} 5.0 40.0 \N{EN DASH} 5 s 10 min"
        " 60,000 3 of 3"
    )
    assert row in seen
    assert "C fine-tune self-supervised 100 % lr 0.001 or 0.002 5 s" in seen


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"skip": lambda *_: True}, "0 of 63 trials done. As of"),
        ({"skip": lambda s, f, k: f < 1 or k > 0}, "7 of 63 trials done"),
        ({"fail": lambda *_: True}, "0 of 63 trials done, 63 failed."),
        ({"fail": lambda s, f, k: s == "E"}, "failed, seed 0: <b>out of memory</b>"),
        ({"settings": "A", "fractions": (1.0,), "seeds": (0,)}, "1 of 1 trials done."),
        ({"tuned": False}, "one recipe for all settings"),
        ({"split": "test"}, "The test images were not used for any selection"),
    ],
)
def test_every_state_has_a_page(made_study: MadeStudy, tmp_path: Path, study: dict[str, object], said: str) -> None:
    made = made_study(**study)
    text = page(made, tmp_path)
    assert said in visible(text)
    assert ("As of " in visible(text)) == (made.done + len(made.failed) < made.planned)
    assert 'http-equiv="refresh"' not in text


def test_there_is_no_curve_over_one_label_fraction(made_study: MadeStudy, tmp_path: Path) -> None:
    for fractions, count in (((0.1, 1.0), 1), ((1.0,), 0)):
        text = page(made_study("AB", fractions=fractions), tmp_path)
        assert text.count('id="over-labels"') == text.count('href="#labels"') == count


def test_hostile_names_stay_text(made_study: MadeStudy, tmp_path: Path) -> None:
    study = made_study(data=HOSTILE, name=HOSTILE, environment={"device": HOSTILE, "started": HOSTILE})
    broken = study.trials[0].model_copy(update={"correct": None, "error": HOSTILE})
    chosen = study.trials[1].model_copy(update={"chosen": {HOSTILE: 1.0}})
    text = page(study.model_copy(update={"trials": (broken, chosen, *study.trials[2:])}), tmp_path)
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 6


def test_nothing_is_loaded_from_elsewhere(made_study: MadeStudy, tmp_path: Path) -> None:
    assert_loads_nothing(page(made_study(), tmp_path))


@pytest.mark.slow
def test_it_is_made_without_torch(made_study: MadeStudy, tmp_path: Path) -> None:
    page(made_study(), tmp_path)
    program = f"""
import sys
from pathlib import Path
from headstart.report.study_page import write_study_page
write_study_page(Path({str(tmp_path)!r}))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_front_holds_what_nothing_beats_in_less_time(made_study: MadeStudy) -> None:
    """G 0.28 and E 0.5 (after an hour) are frozen, D 0.65 in 25 s, B 0.76 in 605 s, F 0.77 in 605 s."""
    front = pareto(Results(made_study()).at(1.0))
    assert front[0].setting in "DG"
    assert [each.seconds for each in front] == sorted(each.seconds for each in front)
    values = [each.score.value for each in front]
    assert values == sorted(set(values))
    assert not {"A", "C", "E"} & {each.setting for each in front}


def test_what_trials_share_is_counted_once(made_study: MadeStudy) -> None:
    """One pre-training of an hour, a choice of 5 s for each setting, and two trials of each: 600 and 20 s."""
    study = made_study("CE", fractions=(1.0,), seeds=(0, 1))
    assert seconds_spent(study) == pytest.approx(3600 + 2 * 5 + 2 * (600 + 20))


def test_figures_read_well() -> None:
    assert [brief(seconds) for seconds in (0, 8.2, 59.7, 905, 7500)] == ["0 s", "8 s", "1 min", "15 min", "2.1 h"]
    assert [points(value) for value in (0.0123, -0.2)] == ["+1.2", "\N{MINUS SIGN}20.0"]


@pytest.mark.parametrize("wide", [False, True])
def test_the_terminal_s_table_fits(made_study: MadeStudy, wide: bool) -> None:
    study = made_study(fail=lambda s, f, k: (s, k) == ("E", 1), skip=lambda s, f, k: s == "A" and f == 0.25)
    console = Console(width=110 if wide else 80)
    with console.capture() as captured:
        console.print(study_table(Results(study), wide))
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert len(lines) == 2 + 7 * 3 + 1
    assert "…" not in captured.get()
    assert ("ece" in lines[1]) == wide
    assert next(line for line in lines if line.startswith("E ")).endswith("2/3!")
    assert lines[-1].strip() == "! trials have failed"
    assert "0/3" in next(line for line in lines if line.startswith("A ") and "25 %" in line)
    with console.capture() as captured:  # two seeds that scatter, and multipliers beyond A's curve: long figures
        console.print(study_table(Results(made_study("ABCDE", (0.1, 1.0), (0, 1), right={"E": 0.45})), wide))
    assert "…" not in captured.get()


def test_an_arrow_for_each_label_multiplier_that_is_significant(made_study: MadeStudy) -> None:
    """None for the others, and none where training from scratch learned nothing."""
    results = Results(made_study())
    significant = {each.setting for each in results.lines if each.multiplier_significant}
    drawn = re.findall(r'data-tip="([A-G]), [\d,]+ labels: label multiplier', over_labels(results))
    assert {"B", "C"} <= significant < set("ABCDEFG")
    assert sorted(drawn) == sorted(2 * [*significant])  # for broad and for narrow screens
    assert "label multiplier" not in over_labels(Results(made_study("AB", (0.5, 1.0), right={"A": 0.12, "B": 0.2})))


def test_the_terminal_s_table_brackets_what_does_not_differ(made_study: MadeStudy) -> None:
    results = Results(made_study())
    console = Console(width=80, file=io.StringIO())
    console.print(study_table(results, wide=False))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    marked = [line.split()[0] for line in lines if line.rstrip().endswith("]")]
    assert sorted(marked) == sorted(each.setting for each in candidates(results))
    assert len(marked) > 1
    assert max(len(line.rstrip()) for line in lines) <= 80


def test_report_writes_the_page_of_a_study_again(made_study: MadeStudy, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(made_study().to_json())
    assert headstart("report", tmp_path).stdout.strip() == str(tmp_path / "report.html")
    assert "trials done" in visible((tmp_path / "report.html").read_text(encoding="utf-8"))
