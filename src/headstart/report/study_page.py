"""The page of a study: `study.json` -> `report.html`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from statistics import median_high
from typing import TypedDict

from markupsafe import Markup

from headstart.comparison.answer import candidates, headline, how_sure
from headstart.comparison.cautions import NOTABLE_BIAS
from headstart.comparison.findings import findings
from headstart.comparison.metric import METRICS, Metric
from headstart.comparison.settings import SETTINGS, Setting
from headstart.comparison.study import Study, read_study
from headstart.comparison.summary import Result, Results
from headstart.comparison.table import selection_text
from headstart.comparison.trial_paths import trial_path
from headstart.comparison.warnings import warnings
from headstart.comparison.wording import percent, plain_points
from headstart.comparison.wording import points as points_of
from headstart.errors import HeadstartError, quoted
from headstart.files import write_atomically
from headstart.metrics.written import decimals, ends
from headstart.report.figure_files import write_figures
from headstart.report.page_formats import FORMATS, Formats
from headstart.report.run_page import rendered
from headstart.report.study_plots import interval_plot, over_labels, over_time
from headstart.runs.commands import predict_command
from headstart.runs.folder import RunFolder


class StudyPage(Formats):
    """What `study.html.jinja` is rendered with."""

    path: str
    study: Study
    metric: Metric
    of_predictions: bool
    """Whether there are calibration error and kNN accuracy: of classification."""
    settings: list[Setting]
    finished: bool
    headline: str
    warnings: list[str]
    how_sure: list[str]
    tied: int
    """Settings to use, between which there is no significant difference."""
    command: str
    """That predicts with the model to use."""
    report_command: str
    compare_command: str
    """That compares the settings by images and classes."""
    model: str
    """The setting of that model."""
    links: dict[str, str]
    """Reports of the models of the settings with the most labels, as far as they are there."""
    model_link: str | None
    findings: list[str]
    at_most: list[Result]
    """The results with the most labels, highest score first."""
    most: str
    """'all labels', '25 % of the labels'; empty before the first result."""
    comparisons: int
    """Differences whose intervals hold together."""
    margin: str
    winner_bias: str
    """'0.3 points'; empty with fewer than two results."""
    images: str
    rows: list[TableRow]
    selected: list[tuple[Result, str]]
    """Results with their selected hyper-parameters."""
    seconds: float
    seconds_tuning: float
    figures: dict[str, Markup]


class TableRow(TypedDict):
    """A row of the results table."""

    setting: Setting
    fraction: float
    result: Result | None
    score: str
    score_ends: str
    """'52.6' and '47.7 to 57.5', with as many decimals in all rows."""
    failed: list[str]
    link: str | None
    """The report of its first seed."""


def write_study_page(folder: Path, results: Results | None = None) -> Path:
    """Write ``report.html`` into a study's folder, from nothing but its ``study.json``, and return its path.

    Its figures are written as SVG files into ``figures/`` beside it.

    ``results`` spares reading and resampling when the caller has them.
    """
    known = results or Results(read_study(folder / "study.json"))
    context = _context(known, str(folder))
    write_figures(folder, context["figures"])
    write_atomically(folder / "report.html", rendered("study.html.jinja", context))
    return folder / "report.html"


def study_page(results: Results, path: str) -> bytes:
    """The page as HTML; ``path`` is the study's folder, to be shown."""
    return rendered("study.html.jinja", _context(results, path))


def _context(results: Results, path: str) -> StudyPage:
    study, most, model = results.study, results.largest_fraction, results.model
    figures, links = {}, {}
    if most is not None:
        figures["intervals"] = Markup(interval_plot(results))
        if len(study.fractions) > 1:  # of one there is no curve
            figures["over-labels"] = Markup(over_labels(results))
        figures["over-time"] = Markup(over_time(results, most))
        found = ((each.setting, _report(results, path, each.setting, most)) for each in results.at(most))
        links = {setting: link for setting, link in sorted(found) if link is not None}
    run = Path(path).absolute()
    if model is not None:
        run /= trial_path(model.setting, model.fraction, model.seed, study.folds)
    warned = warnings(results)  # as `findings` repeats them
    return StudyPage(
        path=path,
        study=study,
        metric=METRICS[study.metric],
        of_predictions=study.metric == "accuracy",
        settings=[SETTINGS[each] for each in sorted(study.settings)],
        finished=study.done + len(study.failed) == study.planned,
        headline=headline(results),
        warnings=warnings(results, _data_folder(results, path)),
        how_sure=how_sure(results),
        tied=len(candidates(results)),
        command=predict_command(run, study.metric == "miou"),
        report_command=f"headstart report {quoted(run)}",
        compare_command=f"headstart compare {quoted(Path(path).absolute())}",
        model="" if model is None else SETTINGS[model.setting].name,
        links=links,
        model_link=None if model is None else links.get(model.setting),
        findings=[each for each in findings(results) if each not in warned],
        at_most=results.at(most) if most is not None else [],
        most="all labels" if most == 1 else f"{percent(most)} of the labels" if most is not None else "",
        comparisons=len(results.family),
        margin=plain_points(study.margin),
        winner_bias=_winner_bias(results, most),
        images="test images" if study.split == "test" else "validation images",
        rows=[
            _row(results, path, setting, fraction)
            for fraction in sorted(study.fractions, reverse=True)
            for setting in sorted(study.settings)
        ],
        selected=[(each, selection_text(each.chosen)) for each in results.lines if each.chosen],
        seconds=seconds_spent(study),
        seconds_tuning=seconds_tuning(study),
        figures=figures,
        **FORMATS,
    )


def _winner_bias(results: Results, most: float | None) -> str:
    bias = 0.0 if most is None or len(results.at(most)) < 2 else results.winner_bias(most)
    return points_of(bias) if bias >= NOTABLE_BIAS else ""


def _data_folder(results: Results, path: str) -> str:
    """The folder of a study's images, absolute where a trial's run has it; else as the study was typed."""
    study = results.study
    for trial in study.trials:
        run = RunFolder(Path(path) / trial_path(trial.setting, trial.fraction, trial.seed, study.folds))
        with suppress(HeadstartError):
            if root := run.data.get("root"):
                return str(root)
    return study.data


def _report(results: Results, path: str, setting: str, fraction: float) -> str | None:
    """The report of the first finished seed, as a link within the study's folder; None where there is none."""
    trials = results.study.at(setting, fraction)
    if not trials:
        return None
    link = f"{trial_path(setting, fraction, trials[0].seed, results.study.folds)}/report.html"
    return link if (Path(path) / link).is_file() else None


def seconds_spent(study: Study) -> float:
    """Time of all trials; what they share counts once: each pre-training, and the selection of each setting."""
    pretrained: dict[tuple[str, int], float] = {}
    for trial in study.trials:
        start = (SETTINGS[trial.setting].start, trial.pretraining)
        pretrained[start] = max(pretrained.get(start, 0.0), trial.seconds_pretrain or 0.0)
    return sum(pretrained.values()) + seconds_tuning(study) + sum(trial.seconds_train for trial in study.trials)


def seconds_tuning(study: Study) -> float:
    """Time of hyper-parameter selection: one per setting and labels selected on, which its trials share."""
    chosen: dict[tuple[str, float | None], float] = {}
    for trial in study.trials:
        at = (trial.setting, trial.tuned_at)
        chosen[at] = max(chosen.get(at, 0.0), trial.seconds_tune)
    return sum(chosen.values())


def _row(results: Results, path: str, setting: str, fraction: float) -> TableRow:
    failed = [trial for trial in results.study.failed if (trial.setting, trial.fraction) == (setting, fraction)]
    result = results.get(setting, fraction)
    digits = median_high([decimals(each.score.low, each.score.high) for each in results.lines] or [1])
    return TableRow(
        setting=SETTINGS[setting],
        fraction=fraction,
        result=result,
        score="" if result is None else f"{100 * result.score.value:.{digits}f}",
        score_ends="" if result is None else ends(result.score, digits),
        failed=[f"seed {trial.seed}: {trial.error}" for trial in failed],
        link=_report(results, path, setting, fraction),
    )
