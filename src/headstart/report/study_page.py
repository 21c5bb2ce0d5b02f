"""One `study.json` -> ``report.html``: what each kind of pre-training buys, how sure that is, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from headstart.comparison.findings import findings, headline
from headstart.comparison.label_efficiency import percent
from headstart.comparison.metric import METRICS
from headstart.comparison.study import SETTINGS, Study, read_study
from headstart.comparison.summary import Result, Results, said_choice
from headstart.files import write_atomically
from headstart.metrics.bootstrap import Interval
from headstart.report.run_page import rendered
from headstart.report.study_plots import over_labels, over_time


def write_study_page(folder: Path, results: Results | None = None) -> Path:
    """Write ``report.html`` into a study's folder, from nothing but its ``study.json``, and return its path.

    ``results`` spares reading and resampling when the caller has them.
    """
    known = results or Results(read_study(folder / "study.json"))
    write_atomically(folder / "report.html", study_page(known, str(folder)))
    return folder / "report.html"


def study_page(results: Results, path: str) -> bytes:
    """The page; ``path`` is the study's folder, to be shown."""
    study, most = results.study, results.most
    drawn = {}
    if most is not None:
        drawn["over-labels"] = Markup(over_labels(results))
        drawn["over-time"] = Markup(over_time(results, most))
    at = results.at(most) if most is not None else []
    return rendered(
        "study.html.jinja",
        {
            "path": path,
            "study": study,
            "metric": METRICS[study.metric],
            "answers": study.metric == "accuracy",
            "settings": [study.what(each) for each in sorted(study.settings)],
            "finished": study.done + len(study.failed) == study.planned,
            "headline": _unbroken(headline(results)),
            "verdicts": [_unbroken(each) for each in findings(results)],
            "best": at[0] if at else None,
            "at_most": at,
            "most": "all labels" if most == 1 else f"{share(most)} of the labels" if most is not None else "",
            "images": "test images" if study.split == "test" else "validation images",
            "rows": [
                _row(results, setting, fraction)
                for fraction in sorted(study.fractions, reverse=True)
                for setting in sorted(study.settings)
            ],
            "choices": [(each, said_choice(each.chosen)) for each in results.lines if each.chosen],
            "seconds": seconds_spent(study),
            "seconds_tuning": seconds_choosing(study),
            "figures": drawn,
            "share": share,
            "ends": ends,
            "points": points,
            "brief": brief,
        },
    )


def seconds_spent(study: Study) -> float:
    """The time of all trials, and once that of what they share: each pre-training, and each setting's choice."""
    pretrained: dict[str, float] = {}
    for trial in study.trials:
        start = SETTINGS[trial.setting].start
        pretrained[start] = max(pretrained.get(start, 0.0), trial.seconds_pretrain or 0.0)
    return sum(pretrained.values()) + seconds_choosing(study) + sum(trial.seconds_train for trial in study.trials)


def seconds_choosing(study: Study) -> float:
    """The time of all choices: one for each setting, which its trials share."""
    chosen: dict[str, float] = {}
    for trial in study.trials:
        chosen[trial.setting] = max(chosen.get(trial.setting, 0.0), trial.seconds_tune)
    return sum(chosen.values())


def share(value: float) -> str:
    """``0.1`` -> '10 %', for label fractions."""
    return percent(value)


def _unbroken(text: str) -> str:
    """No line ends between a figure and its per cent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def brief(seconds: float) -> str:
    """A time for a narrow column: '8 s', '15 min', '2.1 h'."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3570 else f"{seconds / 3600:.1f} h"


def points(value: float) -> str:
    """``0.012`` -> '+1.2'."""
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def ends(interval: Interval, signed: bool = False) -> str:
    """'48.7 to 56.6'."""
    low, high = (points(end) if signed else f"{100 * end:.1f}" for end in (interval.low, interval.high))
    return f"{low} to {high}"


def _row(results: Results, setting: str, fraction: float) -> dict[str, Any]:
    line: Result | None = results.get(setting, fraction)
    failed = [trial for trial in results.study.failed if (trial.setting, trial.fraction) == (setting, fraction)]
    return {
        "what": results.study.what(setting),
        "fraction": fraction,
        "line": line,
        "failed": [f"seed {trial.seed}: {trial.error}" for trial in failed],
    }
